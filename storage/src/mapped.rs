//! How are the bytes of a published file read without copying them?

#![allow(unsafe_code)]

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::StorageError;

/// A finished file, mapped read-only.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    /// `None` for an empty file, which not every system can map.
    map: Option<Mmap>,
}

impl Mapped {
    /// Maps the whole of `path`, which must be finished: a file of a published generation, or the weights of a model
    /// folder that nobody writes to while the map lives.
    ///
    /// # Errors
    /// The file cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        let length = file
            .metadata()
            .map_err(StorageError::io("read", path))?
            .len();
        let map = if length == 0 {
            None
        } else {
            // Files reach this function only after their writer finished them; from then on they are
            // never written or truncated, only linked and unlinked, and unlinking leaves a mapped
            // file's pages alone. A collection folder is private to its owner (0700). Weights of a
            // model are under the same rule by the contract of this function.
            // SAFETY: for the reasons just given the map neither changes nor shrinks while it lives.
            Some(unsafe { Mmap::map(&file) }.map_err(StorageError::io("map", path))?)
        };
        let path = path.to_path_buf();
        Ok(Self { path, map })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes; the start lies on a page boundary.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}
