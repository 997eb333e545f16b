//! How do the records get rid of what was removed from them?
//!
//! sled gives room back late, and what was removed stays readable in its files until then. Copying what is left into new
//! files is the one way to be sure of both.

use std::sync::atomic::Ordering;

use crate::{StorageError, disk};

use super::DocumentStore;
use super::meta::key;

/// A store is written anew once it is this much larger than [`REWRITE_FACTOR`] times its size when it last was.
const REWRITE_FLOOR: u64 = 32 << 20;
const REWRITE_FACTOR: u64 = 4;

impl DocumentStore {
    /// Copies what the store holds into new files and takes those in place of the old ones: afterwards the files hold no
    /// byte of a removed record, and take no more room than they need. A crash on the way leaves the old store, the new
    /// one, or none, which is filled again from the current generation.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn rewrite(self) -> Result<Self, StorageError> {
        let dir = self.dir.clone();
        let (new, old) = (dir.with_extension("new.tmp"), dir.with_extension("old.tmp"));
        disk::remove_tree(&new)?;
        disk::remove_tree(&old)?;
        let copy = Self::open(&new)?;
        self.copy_into(&copy)?;
        copy.note_size()?;
        // sled holds its files open until the store is dropped, and some systems rename no open file.
        drop((self, copy));
        disk::rename(&dir, &old)?;
        disk::rename(&new, &dir)?;
        disk::sync_dir(dir.parent().unwrap_or(&dir))?;
        disk::remove_tree(&old)?;
        Self::open(&dir)
    }

    /// Whether [`DocumentStore::rewrite`] would pay.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn is_wasteful(&self) -> Result<bool, StorageError> {
        let last = self.number(key::REWRITTEN)?.unwrap_or(0);
        Ok(self.bytes()? > REWRITE_FLOOR.saturating_add(last.saturating_mul(REWRITE_FACTOR)))
    }

    fn copy_into(&self, copy: &Self) -> Result<(), StorageError> {
        let trees = [
            (&self.documents, &copy.documents),
            (&self.failures, &copy.failures),
            (&self.contents, &copy.contents),
            (&self.meta, &copy.meta),
        ];
        for (from, to) in trees {
            for entry in from.iter() {
                let (key, value) = entry.map_err(self.wrap())?;
                to.insert(key, value).map_err(self.wrap())?;
            }
        }
        copy.unfinished
            .store(self.unfinished.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }

    /// Notes how large the store is when nothing is wasted.
    fn note_size(&self) -> Result<(), StorageError> {
        self.flush()?;
        self.set_number(key::REWRITTEN, self.bytes()?)?;
        self.flush()
    }
}
