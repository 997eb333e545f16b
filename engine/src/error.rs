//! What can go wrong with a collection, and what should the person do next?

use std::path::{Path, PathBuf};

use storage::{Cancelled, StorageError};

use crate::bm25::Bm25Error;
use crate::dataset::DatasetError;
use crate::encoder::{EncodeError, EncoderIdentity};
use crate::ingest::walk::WalkError;

/// A failure of a whole operation. Failures of single files are counted in the reports instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Bytes on disk.
    #[error(transparent)]
    Storage(StorageError),
    /// The full-text index.
    #[error(transparent)]
    Bm25(#[from] Bm25Error),
    /// The encoder.
    #[error(transparent)]
    Encode(EncodeError),
    /// A folder that was asked for cannot be walked.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The encoder handed in is not the one the collection's vectors were made with.
    #[error(
        "this collection holds vectors of {} ({} dimensions), not of {} ({} dimensions); \
         run `askance model use {}` to encode it again",
        .expected.name, .expected.dimension, .found.name, .found.dimension, .found.name
    )]
    EncoderMismatch {
        /// Encoder of the collection.
        expected: Box<EncoderIdentity>,
        /// Encoder handed in.
        found: Box<EncoderIdentity>,
    },
    /// The collection has vectors and the operation needs the encoder that made them.
    #[error(
        "this collection's vectors were made with {name}, which is not loaded; add that model with `askance model add`, \
         or run `askance model use none` to search by words only"
    )]
    EncoderNeeded {
        /// Name of the encoder.
        name: String,
    },
    /// An encoder was handed in for a collection that has passages but no vectors.
    #[error(
        "this collection was indexed without an encoder; run `askance model use {name}` to encode it"
    )]
    EncoderIsNew {
        /// Name of the encoder handed in.
        name: String,
    },
    /// Dense search was asked for in a collection without vectors.
    #[error(
        "this collection has no vectors yet; add an encoder with `askance model add DIR` and `askance model use NAME`"
    )]
    NoVectors,
    /// An indexed search was asked for in a collection without an index.
    #[error(
        "this collection's vectors have no index; it gets one from {} passages on, below that they are compared one by one",
        crate::INDEX_FROM
    )]
    NoIndex,
    /// A filter could not be understood.
    #[error("{0}")]
    Filter(String),
    /// A folder or file outside the collection could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A folder is empty of which documents are indexed.
    #[error(
        "{} is empty now, and the collection holds documents of it ({documents}): if it is a drive, mount it and index \
         again; if they may go, run `askance index --allow-empty {}`", path.display(), path.display()
    )]
    Emptied {
        /// The folder.
        path: PathBuf,
        /// Documents indexed of it.
        documents: u64,
    },
    /// A data set could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A library panicked while it read or wrote the stores: damage that it did not expect, or a mistake of ours.
    #[error("the collection in {} cannot be worked with: {message}; run `askance doctor`", path.display())]
    Panicked {
        /// Folder of the collection.
        path: PathBuf,
        /// First line of what the panic said.
        message: String,
    },
    /// A search is larger than any a person would ask for.
    #[error("{what} {found}, more than the limit of {limit}; make it smaller")]
    TooLarge {
        /// What was counted, as the start of a sentence: "the query's bytes are".
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The stores of a collection disagree.
    #[error("the collection is inconsistent: {0}; run `askance doctor --repair`")]
    Inconsistent(String),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl EngineError {
    /// Wraps an operating system error with the action and path it belongs to.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

// A cancelled step is a cancelled operation, whichever layer noticed first.
impl From<StorageError> for EngineError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Storage(other),
        }
    }
}

impl From<EncodeError> for EngineError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            other => Self::Encode(other),
        }
    }
}
