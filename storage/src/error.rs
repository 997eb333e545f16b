//! What can go wrong with bytes on disk, and what should the person do next?

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the storage layer. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "write", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The bytes of `path` are not what was written; `section` says where, `detail` what.
    #[error("{} is damaged in its {section}: {detail}; run `askance doctor --repair`", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// The part of the file, by its name in FORMAT.md.
        section: &'static str,
        /// Expected and found.
        detail: String,
    },
    /// The file was written by another version of askance.
    #[error("{} has format version {found}, this askance reads up to {supported}; upgrade askance or index again into a new collection", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in its header.
        found: u32,
        /// Newest version this build reads.
        supported: u32,
    },
    /// Another process is writing to the collection.
    #[error("{} is being written by {holder}; wait for it or stop it", path.display())]
    Locked {
        /// The collection.
        path: PathBuf,
        /// Who holds the lock: process id, command, since when.
        holder: String,
    },
    /// Vectors or parameters handed in do not fit.
    #[error("{0}")]
    Invalid(String),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] crate::task::Cancelled),
}

impl StorageError {
    /// Wraps an operating system error with the action and path it belongs to.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// A damaged file: which section, and what was expected and found.
    pub fn corrupt(
        path: impl AsRef<Path>,
        section: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self::Corrupt {
            path: path.as_ref().to_path_buf(),
            section,
            detail: detail.into(),
        }
    }
}
