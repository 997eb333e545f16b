//! What does the command line mean on this computer?

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use engine::request::ReadOptions;
use engine::settings::Settings;
use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};

use crate::args::{GlobalArgs, ReadArgs};
use crate::io::Io;

/// The hidden command that reads one PDF in a process of its own.
const PDF_WORKER: &str = "pdf-worker";

/// Folders of one run. None is created here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The collection that commands speak of.
    pub collection: PathBuf,
    /// Collections that have a name, one folder each.
    pub collections: PathBuf,
    /// Encoders, one folder each.
    pub models: PathBuf,
    /// Collections of `search --in` and scratch collections of `eval`; may be deleted at any time.
    pub cache: PathBuf,
    /// What was said once and need not be said again.
    pub state: PathBuf,
    /// The folder the person stands in.
    pub current: PathBuf,
}

impl Places {
    /// `--collection`, then ASKANCE_COLLECTION, then `default` in the data folder. The base folders are the platform's, or
    /// lie below ASKANCE_HOME where that is set.
    ///
    /// # Errors
    /// The platform names no home folder, or the current folder is gone.
    pub fn resolve(global: &GlobalArgs, io: &Io) -> anyhow::Result<Self> {
        let current = std::env::current_dir().context("cannot tell the current folder")?;
        let base = match io.variable("ASKANCE_HOME") {
            Some(home) => Base::below(&current.join(home)),
            None => Base::of_platform()?,
        };
        let named = global.collection.as_deref();
        let named = named.or(io.variable("ASKANCE_COLLECTION").map(Path::new));
        let collections = base.data.join("collections");
        Ok(Self {
            collection: match named {
                None => collections.join("default"),
                Some(named) => collection(named, &collections, &current)?,
            },
            collections,
            models: base.data.join("models"),
            cache: base.cache,
            state: base.state,
            current,
        })
    }

    /// The collection of `search --in PATH`: one per canonical path, named by its hash.
    pub fn collection_in(&self, canonical: &Path) -> PathBuf {
        let hash = blake3::hash(canonical.as_os_str().as_encoded_bytes()).to_hex();
        self.cache.join("collections").join(&hash[..32])
    }
}

/// The folder that was named: `@work` lies among the collections, anything else is a path.
fn collection(named: &Path, collections: &Path, current: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = named.to_str().and_then(|text| text.strip_prefix('@')) else {
        return Ok(current.join(named));
    };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        bail!("'@{name}' is no name of a collection; use letters, digits, '-', '_' and '.'");
    }
    Ok(collections.join(name))
}

struct Base {
    data: PathBuf,
    cache: PathBuf,
    state: PathBuf,
}

impl Base {
    fn below(home: &Path) -> Self {
        Self {
            data: home.join("data"),
            cache: home.join("cache"),
            state: home.join("state"),
        }
    }

    fn of_platform() -> anyhow::Result<Self> {
        let platform = choose_native_strategy()
            .context("cannot find your home folder; set ASKANCE_HOME to a folder for askance to keep its files in")?;
        let data = platform.data_dir().join("askance");
        let state = platform
            .state_dir()
            .map_or_else(|| data.join("state"), |dir| dir.join("askance"));
        Ok(Self {
            cache: platform.cache_dir().join("askance"),
            data,
            state,
        })
    }
}

/// An existing path without symlinks and `..`, as it is stored.
///
/// # Errors
/// One sentence that names the path as typed.
pub fn existing(typed: &Path) -> anyhow::Result<PathBuf> {
    match typed.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no file or folder {}", typed.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot open {}", typed.display())),
    }
}

/// A path that may be gone by now, in the form it would have been stored in: its longest existing part without symlinks.
pub fn perhaps_gone(typed: &Path, current: &Path) -> PathBuf {
    let full = current.join(typed);
    let mut gone = Vec::<&OsStr>::new();
    let mut rest = full.as_path();
    loop {
        if let Ok(found) = rest.canonicalize() {
            return gone.iter().rev().fold(found, |path, part| path.join(part));
        }
        match (rest.parent(), rest.file_name()) {
            (Some(parent), Some(name)) => {
                gone.push(name);
                rest = parent;
            }
            _ => return full,
        }
    }
}

/// The settings of the collection in `dir`.
///
/// # Errors
/// One sentence that names the file and the setting.
pub fn settings(dir: &Path) -> anyhow::Result<Settings> {
    Ok(Settings::read(dir, etcetera::home_dir().ok().as_deref())?)
}

/// How files are found and read, by the settings and what was typed; PDFs by this very program in a process of its own.
///
/// # Errors
/// The system does not tell where this program lies.
pub fn read_options(typed: &ReadArgs, settings: &Settings) -> anyhow::Result<ReadOptions> {
    let program =
        std::env::current_exe().context("cannot find this program's own file, which reads PDFs")?;
    let set = settings.read_options();
    Ok(ReadOptions {
        hidden: typed.hidden || set.hidden,
        respect_ignore: !typed.no_ignore && set.respect_ignore,
        max_file_bytes: typed.max_size.unwrap_or(set.max_file_bytes),
        pdf_worker: vec![program.into_os_string(), PDF_WORKER.into()],
        ..set
    })
}

#[cfg(test)]
mod tests;
