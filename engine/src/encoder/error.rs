//! Why could this model not be opened, and what should the person do next?

use std::io;
use std::path::{Path, PathBuf};

/// A model folder that cannot be used. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file of the model folder is not there.
    #[error("{} is missing, it holds {purpose}; copy the whole model folder again", path.display())]
    Missing {
        /// The file looked for.
        path: PathBuf,
        /// What the file is for.
        purpose: &'static str,
    },
    /// The operating system refused to read `path`.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The file is there but does not say what it should.
    #[error("{}: {detail}; download the model again or check how it was exported", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which field, what was expected and found.
        detail: String,
    },
    /// The model asks for something this encoder does not compute.
    #[error("{}: {what} is not supported ({supported})", path.display())]
    Unsupported {
        /// The file that asks for it.
        path: PathBuf,
        /// What was asked for.
        what: String,
        /// What is possible.
        supported: &'static str,
    },
    /// A weight tensor is missing, has another shape than the configuration says, or holds NaN or infinity.
    #[error("{}: tensor {tensor} {detail}; download the model again or check how it was exported", path.display())]
    Tensor {
        /// The weights file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Expected and found.
        detail: String,
    },
}

impl ModelError {
    /// A file with wrong content: which field, what was expected and found.
    pub(crate) fn malformed(path: &Path, detail: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_path_buf(),
            detail: detail.into(),
        }
    }

    /// Something this encoder does not compute.
    pub(crate) fn unsupported(
        path: &Path,
        what: impl Into<String>,
        supported: &'static str,
    ) -> Self {
        Self::Unsupported {
            path: path.to_path_buf(),
            what: what.into(),
            supported,
        }
    }
}

/// Reads `path`; a missing file becomes [`ModelError::Missing`] with its `purpose`.
pub(crate) fn read(path: &Path, purpose: &'static str) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ModelError::Missing {
            path: path.to_path_buf(),
            purpose,
        },
        _ => ModelError::Io {
            path: path.to_path_buf(),
            source,
        },
    })
}
