//! How does a new generation come to be?

use std::path::{Path, PathBuf};

use crate::ivfpq::Index;
use crate::{GenerationId, StorageError, disk};

use super::{Generation, MANIFEST, Manifest, WriterLock, text};

/// A generation in the making: a folder `gen-N.tmp`. Dropped without [`GenerationBuilder::publish`],
/// it is removed and nothing has happened.
#[derive(Debug)]
pub struct GenerationBuilder<'a> {
    lock: &'a WriterLock,
    id: GenerationId,
    dir: PathBuf,
    published: bool,
}

impl<'a> GenerationBuilder<'a> {
    pub(super) fn begin(lock: &'a WriterLock, id: GenerationId) -> Result<Self, StorageError> {
        let generations = lock.collection().generations_dir();
        let folder = text::folder(id);
        if generations.join(&folder).exists() {
            let message = format!("{folder} exists already; generations are never edited");
            return Err(StorageError::Invalid(message));
        }
        let dir = generations.join(format!("{folder}.tmp"));
        disk::remove_tree(&dir)?;
        disk::create_private_dir(&dir)?;
        Ok(Self {
            lock,
            id,
            dir,
            published: false,
        })
    }

    /// Number of the generation.
    pub fn id(&self) -> GenerationId {
        self.id
    }

    /// The folder being filled; new files may be written straight into it. After publishing it has
    /// another name.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Name of the matrix segment file to be written for this generation.
    pub fn segment_name(&self) -> String {
        format!("rows-{:08}.emb", self.id.0)
    }

    /// Name of the IVF-PQ file to be written for this generation.
    pub fn index_name(&self) -> String {
        format!("lists-{:08}.ivf", self.id.0)
    }

    /// Takes the finished file `from` (which nobody may edit any more) over as `name`, relative to
    /// the folder; folders in between are created.
    ///
    /// # Errors
    /// [`StorageError::Io`], also when `name` exists.
    pub fn link(&self, from: &Path, name: impl AsRef<Path>) -> Result<(), StorageError> {
        let to = self.dir.join(name);
        if let Some(parent) = to.parent() {
            disk::create_private_dir(parent)?;
        }
        disk::link_or_copy(from, &to)
    }

    /// Writes a small file.
    ///
    /// # Errors
    /// [`StorageError::Io`], also when `name` exists.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), StorageError> {
        disk::write_new(&self.dir.join(name), bytes)
    }

    /// Makes the folder, with this manifest, the current generation. When it returns, the generation
    /// survives a power cut.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a manifest of another generation, [`StorageError::Corrupt`] for
    /// one that contradicts itself or its files, [`StorageError::Io`]. The generation before is
    /// current then.
    pub fn publish(mut self, manifest: Manifest) -> Result<Generation, StorageError> {
        if manifest.generation != self.id {
            let (found, expected) = (manifest.generation.0, self.id.0);
            let message = format!("the manifest is of generation {found}, not {expected}");
            return Err(StorageError::Invalid(message));
        }
        let path = self.dir.join(MANIFEST);
        manifest.check(&path)?;
        disk::write_new(&path, manifest.to_text().as_bytes())?;
        let mut generation = Generation {
            id: self.id,
            dir: self.dir.clone(),
            manifest,
        };
        let matrix = generation.matrix()?;
        if let Some((path, matrix)) = generation.index_path().zip(matrix) {
            Index::open(&path, matrix)?;
        }
        let collection = self.lock.collection();
        let generations = collection.generations_dir();
        generation.dir = generations.join(text::folder(self.id));
        let previous = collection.current_id().ok().flatten();

        disk::make_private(&self.dir)?;
        disk::sync_tree(&self.dir)?;
        disk::rename(&self.dir, &generation.dir)?;
        self.published = true;
        disk::sync_dir(&generations)?;
        self.lock.set_current(self.id)?;
        self.lock.remove_old(self.id, previous);
        Ok(generation)
    }
}

impl Drop for GenerationBuilder<'_> {
    fn drop(&mut self) {
        if !self.published {
            // What stays behind is swept by the next writer.
            let _ = disk::remove_tree(&self.dir);
        }
    }
}
