//! Which files together are the collection right now, and how does it move on?
//!
//! A *generation* is a folder that holds everything a reader needs: BM25 index, embedding matrix
//! segments, vector index, and a manifest that ties them. It is complete in itself: files it shares with
//! the generation before are hard links. Published files are never edited.
//!
//! Publishing builds `gen-N.tmp`, syncs it, renames it to `gen-N`, and last replaces `CURRENT`, one
//! small file. A crash at any point leaves the old generation or the new one, whole. The generation
//! before stays for readers that are about to open it and for going back; older ones are removed.
//! Readers take no lock: what they have open stays readable, and [`Collection::open_current`] tries
//! again when the folder went away before it was open.

use std::path::{Path, PathBuf};

use crate::{GenerationId, StorageError, disk};

mod builder;
mod lock;
mod manifest;
pub(crate) mod text;

pub use builder::GenerationBuilder;
pub use lock::WriterLock;
pub use manifest::{EncoderStamp, Manifest, MatrixEntry};

/// Format version of the folder as a whole, in the file `COLLECTION`.
pub const COLLECTION_VERSION: u32 = 1;

const COLLECTION: &str = "COLLECTION";
const CURRENT: &str = "CURRENT";
const LOCK: &str = "LOCK";
const MANIFEST: &str = "MANIFEST";
const GENERATIONS: &str = "generations";
const DOCUMENTS: &str = "documents";

/// Times a reader follows a moving `CURRENT` before it gives up.
const ATTEMPTS: usize = 10;

/// The folder of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    dir: PathBuf,
}

/// One published state, opened by its manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Its number.
    pub id: GenerationId,
    /// Its folder. The files in it may be linked elsewhere, never edited.
    pub dir: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
}

impl Collection {
    /// Opens the collection in the folder `dir`; `None` when there is none.
    ///
    /// # Errors
    /// [`StorageError::Version`] for a collection of another format, [`StorageError::Corrupt`],
    /// [`StorageError::Io`].
    pub fn open(dir: &Path) -> Result<Option<Self>, StorageError> {
        let path = dir.join(COLLECTION);
        let Some(text) = text::read_if_present(&path)? else {
            return Ok(None);
        };
        text::check_plain(&path, &text, "collection", COLLECTION_VERSION)?;
        let dir = dir.to_path_buf();
        Ok(Some(Self { dir }))
    }

    /// Opens the collection in the folder `dir`, making an empty one when there is none.
    ///
    /// # Errors
    /// Those of [`Collection::open`], and [`StorageError::Invalid`] when `dir` holds other files:
    /// a mistyped path must not mix our files with somebody's own.
    pub fn create_or_open(dir: &Path) -> Result<Self, StorageError> {
        if let Some(collection) = Self::open(dir)? {
            return Ok(collection);
        }
        disk::create_private_dir(dir)?;
        // A crash while creating leaves only names that start so.
        let foreign = disk::entries(dir)?.into_iter().find(|entry| {
            let name = entry.file_name();
            !name.to_string_lossy().starts_with(COLLECTION) && name != GENERATIONS
        });
        if let Some(entry) = foreign {
            let message = format!(
                "{} is no collection and not empty (it holds {}); name a new or empty folder",
                dir.display(),
                entry.file_name().to_string_lossy()
            );
            return Err(StorageError::Invalid(message));
        }
        disk::create_private_dir(&dir.join(GENERATIONS))?;
        // An empty folder of the person's own may be open to others.
        disk::make_private(dir)?;
        Self::mark(dir)
    }

    /// Writes the file that says what the folder is anew, for a folder whose own is damaged.
    ///
    /// # Errors
    /// [`StorageError::Io`], also when `dir` holds no generations.
    pub fn mark(dir: &Path) -> Result<Self, StorageError> {
        disk::entries(&dir.join(GENERATIONS))?;
        let line = text::plain("collection", COLLECTION_VERSION);
        disk::replace_atomically(&dir.join(COLLECTION), line.as_bytes())?;
        let dir = dir.to_path_buf();
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Folder of the writer's document records.
    pub fn documents_dir(&self) -> PathBuf {
        self.dir.join(DOCUMENTS)
    }

    /// Folder of the engine's working BM25 index.
    pub fn bm25_dir(&self) -> PathBuf {
        self.dir.join("bm25")
    }

    /// The current generation; `None` before the first is published.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Corrupt`], [`StorageError::Version`].
    pub fn current(&self) -> Result<Option<Generation>, StorageError> {
        self.open_current(|generation| Ok(generation.clone()))
    }

    /// Runs `open` on the current generation, again if that failed while a writer moved on to a
    /// later one (which may have removed the files). `None` before the first is published.
    ///
    /// # Errors
    /// Those of [`Collection::current`] and of `open`.
    pub fn open_current<T, E: From<StorageError>>(
        &self,
        mut open: impl FnMut(&Generation) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut attempt = 1;
        loop {
            let Some(id) = self.current_id()? else {
                return Ok(None);
            };
            let opened = self.generation(id).map_err(E::from);
            match opened.and_then(|generation| open(&generation)) {
                Ok(opened) => return Ok(Some(opened)),
                Err(_) if attempt < ATTEMPTS && self.current_id()? != Some(id) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The number in `CURRENT`.
    ///
    /// # Errors
    /// As [`Collection::current`].
    pub fn current_id(&self) -> Result<Option<GenerationId>, StorageError> {
        let path = self.dir.join(CURRENT);
        let Some(text) = text::read_if_present(&path)? else {
            return Ok(None);
        };
        let body = text::check_sealed(&path, &text, "current", text::CURRENT_VERSION)?;
        let id = body.strip_suffix('\n').and_then(text::parse_folder);
        id.map(Some).ok_or_else(|| {
            StorageError::corrupt(&path, "body", format!("{body:?} names no generation"))
        })
    }

    /// Generation `id`, current or not.
    ///
    /// # Errors
    /// As [`Collection::current`].
    pub fn generation(&self, id: GenerationId) -> Result<Generation, StorageError> {
        let dir = self.generations_dir().join(text::folder(id));
        let manifest = Manifest::read(&dir.join(MANIFEST))?;
        if manifest.generation != id {
            let detail = format!("{} expected, {} found", id.0, manifest.generation.0);
            return Err(StorageError::corrupt(
                dir.join(MANIFEST),
                "generation",
                detail,
            ));
        }
        Ok(Generation { id, dir, manifest })
    }

    /// Numbers of the generations on the disk, ascending. Besides the current one and the one before,
    /// a crash may have left one that was never current; all are complete.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn generations(&self) -> Result<Vec<GenerationId>, StorageError> {
        let mut ids: Vec<GenerationId> = disk::entries(&self.generations_dir())?
            .iter()
            .filter_map(|entry| text::parse_folder(entry.file_name().to_str()?))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Becomes the one writer.
    ///
    /// # Errors
    /// [`StorageError::Locked`], naming the holder, while another process or handle is.
    pub fn lock(&self) -> Result<WriterLock, StorageError> {
        WriterLock::take(self)
    }

    /// Who is writing right now, in words; `None` when nobody is.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn holder(&self) -> Result<Option<String>, StorageError> {
        lock::holder(self)
    }

    fn generations_dir(&self) -> PathBuf {
        self.dir.join(GENERATIONS)
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join(LOCK)
    }
}

#[cfg(test)]
mod tests;
