//! Which encoders are on this computer?
//!
//! One folder holds them, a subfolder each, named by the name people use: the files of the Hugging Face layout as they
//! were added, `askance.json` with the identity and `precision.json` with what was measured on this CPU. `.default` names
//! the encoder of new collections. A subfolder is written under a temporary name, checked by loading it, and renamed; so
//! a model is there as a whole or not at all.
//!
//! Beside them there may be the one that is part of the program ([`ModelStore::with_builtin`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "builtin")]
mod builtin;
mod files;
mod precision;

use storage::Task;

pub use precision::PrecisionChoice;

use crate::encoder::{EncodeError, Encoder, EncoderIdentity, LoadOptions, ModelError, Precision};
use files::{copy_model, folder_bytes, folder_names, write_synced};

/// The identity of an added model, in its folder.
const DESCRIPTOR: &str = "askance.json";
/// The name of the default model, in the store's folder.
const DEFAULT: &str = ".default";
/// What `model use` calls "no encoder"; no model may have this name.
const NONE: &str = "none";
/// Longest name in bytes; folder names of every system hold this much.
const LONGEST_NAME: usize = 100;

/// The encoders below one folder. Nothing is held open, nothing is created before the first [`ModelStore::add`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStore {
    dir: PathBuf,
    has_builtin: bool,
}

/// One encoder of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// What decides its vectors; `identity.name` is its name in the store.
    pub identity: EncoderIdentity,
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it is part of the program; `path` is then where [`ModelStore::folder`] unpacks it to.
    pub is_builtin: bool,
}

/// The store of encoders could not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelStoreError {
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The folder is no encoder that can be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The name cannot be that of a folder, or means something else.
    #[error(
        "'{name}' cannot be the name of a model; use letters, digits, '-', '_' and '.', and give it with `--name`"
    )]
    Name {
        /// As asked for.
        name: String,
    },
    /// The probe texts could not be encoded, or the caller asked to stop.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The model cannot run in the precision asked for.
    #[error(
        "{name} cannot run in {precision}: {reason}; `askance model use {name} --precision auto` takes the fastest that can"
    )]
    Precision {
        /// The model.
        name: String,
        /// As asked for.
        precision: Precision,
        /// Why not.
        reason: String,
    },
    /// Another model has this name.
    #[error(
        "there is already another model named {name}; give this one another name with `--name`, or remove that one with \
         `askance model remove {name}`"
    )]
    Taken {
        /// The name.
        name: String,
    },
    /// No model has this name.
    #[error("there is no model named {name}; {}", known_names(known))]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The encoder is part of the program.
    #[error(
        "{name} is part of askance and takes no room of its own; `askance model use none` keeps new collections from using it"
    )]
    BuiltIn {
        /// The name.
        name: String,
    },
    /// The files of an added model are not those that were added.
    #[error(
        "the files of model {name} changed after it was added; run `askance model remove {name}` and add it again"
    )]
    Changed {
        /// The name.
        name: String,
    },
}

fn known_names(known: &[String]) -> String {
    match known.is_empty() {
        true => "add one with `askance model add FOLDER`".to_owned(),
        false => format!("there are {}", known.join(", ")),
    }
}

impl ModelStoreError {
    fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

impl ModelStore {
    /// The store below `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            has_builtin: false,
        }
    }

    /// The same store with the encoder that is part of the program, if it was built with one: listed first, and the default
    /// where none was chosen.
    #[must_use]
    pub fn with_builtin(self) -> Self {
        Self {
            has_builtin: cfg!(feature = "builtin"),
            ..self
        }
    }

    /// The program's own encoder.
    #[cfg(feature = "builtin")]
    fn builtin(&self) -> Option<ModelEntry> {
        self.has_builtin.then(|| builtin::entry(&self.dir))
    }

    #[cfg(not(feature = "builtin"))]
    fn builtin(&self) -> Option<ModelEntry> {
        None
    }

    /// Copies what an encoder needs of the folder `source` under `name` (default: the folder's own name). Adding the same
    /// encoder again changes nothing.
    ///
    /// # Errors
    /// A folder that is no usable encoder (the file at fault is named), a bad name, a name taken by another encoder, or a
    /// refusal of the operating system.
    pub fn add(&self, source: &Path, name: Option<&str>) -> Result<ModelEntry, ModelStoreError> {
        let source = source
            .canonicalize()
            .map_err(ModelStoreError::io("open", source))?;
        let name = match name {
            Some(name) => name.to_owned(),
            None => source
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        let target = self.dir.join(checked(&name)?);
        let is_builtin = self.builtin().is_some_and(|own| own.identity.name == name);
        let hash = load(&source, &name, Precision::F32, None)?
            .identity()
            .hash
            .clone();
        if is_builtin || target.exists() {
            let there = self.get(&name)?;
            return if there.identity.hash == hash {
                Ok(there)
            } else {
                Err(ModelStoreError::Taken { name })
            };
        }
        self.copy(&source, &name, &target)?;
        self.get(&name)
    }

    fn copy(&self, source: &Path, name: &str, target: &Path) -> Result<(), ModelStoreError> {
        fs::create_dir_all(&self.dir).map_err(ModelStoreError::io("create", &self.dir))?;
        let unfinished = Unfinished(
            self.dir
                .join(format!(".adding-{name}-{}", std::process::id())),
        );
        copy_model(source, &unfinished.0)?;
        let identity = load(&unfinished.0, name, Precision::F32, None)?
            .identity()
            .clone();
        let descriptor =
            serde_json::to_vec_pretty(&identity).expect("an identity holds text and numbers only");
        write_synced(&unfinished.0.join(DESCRIPTOR), &descriptor)?;
        fs::rename(&unfinished.0, target).map_err(ModelStoreError::io("create", target))
    }

    /// Every encoder, by name. Folders that were not put there by [`ModelStore::add`] are left out.
    ///
    /// # Errors
    /// The folder or a descriptor cannot be read.
    pub fn list(&self) -> Result<Vec<ModelEntry>, ModelStoreError> {
        let mut entries = Vec::new();
        for name in folder_names(&self.dir)? {
            let is_added = !name.starts_with('.') && self.dir.join(&name).join(DESCRIPTOR).exists();
            if is_added {
                entries.push(self.entry(&name)?);
            }
        }
        entries.sort_by(|a, b| a.identity.name.cmp(&b.identity.name));
        Ok(self.builtin().into_iter().chain(entries).collect())
    }

    /// The encoder called `name`.
    ///
    /// # Errors
    /// There is none, or its descriptor cannot be read.
    pub fn get(&self, name: &str) -> Result<ModelEntry, ModelStoreError> {
        if let Some(own) = self.builtin().filter(|own| own.identity.name == name) {
            return Ok(own);
        }
        let is_added = checked(name).is_ok() && self.dir.join(name).join(DESCRIPTOR).exists();
        if is_added {
            self.entry(name)
        } else {
            Err(self.unknown(name)?)
        }
    }

    /// An encoder that gives these vectors, whatever its name.
    ///
    /// # Errors
    /// The folder or a descriptor cannot be read.
    pub fn with_hash(&self, hash: &str) -> Result<Option<ModelEntry>, ModelStoreError> {
        Ok(self
            .list()?
            .into_iter()
            .find(|entry| entry.identity.hash == hash))
    }

    /// Loads the encoder called `name` in the precision chosen for it. On a CPU where that was not measured yet it is
    /// measured first, which takes a second or so.
    ///
    /// # Errors
    /// There is none, or its files are not those that were added.
    pub fn open(&self, name: &str) -> Result<Arc<dyn Encoder>, ModelStoreError> {
        let choice = self.measure(name, Task::silent())?;
        self.open_in(name, choice.chosen.unwrap_or_default())
    }

    /// Loads the encoder called `name` in a precision of the caller's choice, within the bound or not: for comparing.
    ///
    /// # Errors
    /// As [`ModelStore::open`]; a precision that this CPU has no instructions for.
    pub fn open_in(
        &self,
        name: &str,
        precision: Precision,
    ) -> Result<Arc<dyn Encoder>, ModelStoreError> {
        let entry = self.get(name)?;
        let kept = entry.path.join(format!("ready-{precision}.askm"));
        let encoder = match entry.is_builtin {
            true => self.open_builtin()?,
            false => load(&entry.path, name, precision, Some(kept))?,
        };
        if encoder.identity().hash == entry.identity.hash {
            Ok(encoder)
        } else {
            Err(ModelStoreError::Changed {
                name: name.to_owned(),
            })
        }
    }

    #[cfg(feature = "builtin")]
    fn open_builtin(&self) -> Result<Arc<dyn Encoder>, ModelError> {
        builtin::load()
    }

    #[cfg(not(feature = "builtin"))]
    fn open_builtin(&self) -> Result<Arc<dyn Encoder>, ModelError> {
        unreachable!("nothing lists an encoder that is not part of the program")
    }

    /// The folder of the encoder called `name`; the program's own is unpacked there first.
    ///
    /// # Errors
    /// There is none, or it cannot be unpacked.
    pub fn folder(&self, name: &str) -> Result<PathBuf, ModelStoreError> {
        let entry = self.get(name)?;
        #[cfg(feature = "builtin")]
        if entry.is_builtin {
            return builtin::unpacked(&self.dir);
        }
        Ok(entry.path)
    }

    /// What was measured of the encoder called `name` on this CPU, and what it runs in; nothing is measured now.
    ///
    /// # Errors
    /// There is no such encoder.
    pub fn precision(&self, name: &str) -> Result<PrecisionChoice, ModelStoreError> {
        Ok(precision::recorded(&self.get(name)?))
    }

    /// As [`ModelStore::precision`]; what was not measured on this CPU yet is measured and written down.
    ///
    /// # Errors
    /// There is no such encoder, its files changed, the file cannot be written, or the caller's cancel flag.
    pub fn measure(&self, name: &str, task: Task<'_>) -> Result<PrecisionChoice, ModelStoreError> {
        precision::measured(&self.get(name)?, task)
    }

    /// Sets the precision that the encoder called `name` runs in from now on; `None` is the fastest within
    /// [`crate::encoder::COSINE_BOUND`]. Vectors made before stay valid: all that can be chosen agree within that bound.
    ///
    /// # Errors
    /// As [`ModelStore::measure`]; a precision outside the bound or without instructions on this CPU.
    pub fn set_precision(
        &self,
        name: &str,
        wish: Option<Precision>,
        task: Task<'_>,
    ) -> Result<PrecisionChoice, ModelStoreError> {
        precision::pin(&self.get(name)?, wish, task)
    }

    /// Deletes the encoder called `name`. Collections keep the vectors it made.
    ///
    /// # Errors
    /// There is none, or its files cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<(), ModelStoreError> {
        let entry = self.get(name)?;
        if entry.is_builtin {
            return Err(ModelStoreError::BuiltIn {
                name: name.to_owned(),
            });
        }
        if self.default_name()?.as_deref() == Some(name) {
            self.forget_default()?;
        }
        // Out of sight first, so that a half-deleted model never looks like one.
        let gone = Unfinished(
            self.dir
                .join(format!(".removing-{name}-{}", std::process::id())),
        );
        fs::rename(&entry.path, &gone.0).map_err(ModelStoreError::io("remove", &entry.path))?;
        fs::remove_dir_all(&gone.0).map_err(ModelStoreError::io("remove", &gone.0))
    }

    /// Name of the encoder for new collections; `None` means words only. Where none was chosen, the program's own.
    ///
    /// # Errors
    /// The file that holds it cannot be read.
    pub fn default_name(&self) -> Result<Option<String>, ModelStoreError> {
        let path = self.dir.join(DEFAULT);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.builtin().map(|own| own.identity.name))
            }
            Err(error) => Err(ModelStoreError::io("read", &path)(error)),
        }
    }

    /// Sets the encoder for new collections; `None` for words only.
    ///
    /// # Errors
    /// There is no such encoder, or the file cannot be written.
    pub fn set_default(&self, name: Option<&str>) -> Result<(), ModelStoreError> {
        let path = self.dir.join(DEFAULT);
        if let Some(name) = name {
            self.get(name)?;
        }
        fs::create_dir_all(&self.dir).map_err(ModelStoreError::io("create", &self.dir))?;
        let fresh = self.dir.join(format!("{DEFAULT}-{}", std::process::id()));
        // An empty file says that words only was chosen, no file that nothing was.
        write_synced(&fresh, name.unwrap_or_default().as_bytes())?;
        fs::rename(&fresh, &path).map_err(ModelStoreError::io("write", &path))
    }

    /// Nothing is chosen any more.
    fn forget_default(&self) -> Result<(), ModelStoreError> {
        let path = self.dir.join(DEFAULT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ModelStoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn entry(&self, name: &str) -> Result<ModelEntry, ModelStoreError> {
        let path = self.dir.join(name);
        let descriptor = path.join(DESCRIPTOR);
        let text = fs::read(&descriptor).map_err(ModelStoreError::io("read", &descriptor))?;
        let identity = serde_json::from_slice::<EncoderIdentity>(&text).map_err(|_| {
            ModelStoreError::Changed {
                name: name.to_owned(),
            }
        })?;
        let bytes = folder_bytes(&path)?;
        Ok(ModelEntry {
            identity: EncoderIdentity {
                name: name.to_owned(),
                ..identity
            },
            path,
            bytes,
            is_builtin: false,
        })
    }

    fn unknown(&self, name: &str) -> Result<ModelStoreError, ModelStoreError> {
        let known = self
            .list()?
            .into_iter()
            .map(|entry| entry.identity.name)
            .collect();
        Ok(ModelStoreError::Unknown {
            name: name.to_owned(),
            known,
        })
    }
}

fn load(
    dir: &Path,
    name: &str,
    precision: Precision,
    kept: Option<PathBuf>,
) -> Result<Arc<dyn Encoder>, ModelError> {
    let options = LoadOptions {
        name: Some(name.to_owned()),
        precision,
        kept,
        ..LoadOptions::default()
    };
    crate::encoder::load(dir, &options)
}

/// A folder that goes when this does, unless it was renamed before.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Left-overs have a name that is never read; failing to delete them costs room only.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name that is one plain folder name everywhere.
fn checked(name: &str) -> Result<&str, ModelStoreError> {
    let plain = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let usable = plain
        && !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.starts_with(['.', '-'])
        && name != NONE;
    if usable {
        Ok(name)
    } else {
        Err(ModelStoreError::Name {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
