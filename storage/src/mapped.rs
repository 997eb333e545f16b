//! How are the bytes of a published file read without copying them?

#![allow(unsafe_code)]

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::StorageError;

/// A published file, mapped read-only.
#[derive(Debug)]
pub(crate) struct Mapped {
    path: PathBuf,
    /// `None` for an empty file, which not every system can map.
    map: Option<Mmap>,
}

impl Mapped {
    /// Maps the whole of `path`, which must be a file of a published generation.
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        let length = file
            .metadata()
            .map_err(StorageError::io("read", path))?
            .len();
        let map = if length == 0 {
            None
        } else {
            // SAFETY: the map must not change or shrink while it lives. Files reach this function
            // only after their writer finished them; from then on they are never written, truncated
            // or edited in place, only linked and unlinked, and unlinking leaves a mapped file's
            // pages alone. A collection folder is private to its owner (0700), so that nobody else
            // edits them either.
            Some(unsafe { Mmap::map(&file) }.map_err(StorageError::io("map", path))?)
        };
        let path = path.to_path_buf();
        Ok(Self { path, map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes; the start lies on a page boundary.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}
