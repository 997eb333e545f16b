//! What of an opened model can be kept, so that opening it again takes milliseconds?
//!
//! Packing the weights, hashing them and reading the tokenizer take a tenth of a second. What comes of it is written
//! beside the model and mapped the next time: layers in panels, the vocabulary, the digest of the weights. It holds for
//! files with the same sizes and times of change, for one precision and for one instruction set, and can be deleted at any
//! time; `FORMAT.md` beside this file has the bytes. Everything in it is covered by a checksum that is compared before
//! anything else is believed.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use storage::{Mapped, StorageError};

use super::kernels::lines::{LINE_BYTES, Slab};
use super::linear::Precision;
use super::tokenizer::TokenizerNotes;

const MAGIC: &[u8; 8] = b"ASKREADY";
const VERSION: u32 = 1;
const HEADER: usize = 64;
/// Where the checksum lies in the header.
const CHECKSUM: Range<usize> = 32..64;

/// A kept model that cannot be used. None of it loses anything: the model itself is opened instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadyError {
    /// It is not there, or cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is another kind of file, or of another version.
    #[error("{} is no kept model of version {VERSION} ({found}); delete it, it is made again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// Its bytes are not those that were written.
    #[error("{} is damaged: {detail}; delete it, it is made again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        detail: &'static str,
    },
    /// It was made from other files, for another precision or for another CPU.
    #[error("{} was made from other files or for another CPU; it is made again", path.display())]
    Stale {
        /// The file.
        path: PathBuf,
    },
}

/// What a kept model holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    /// Name, bytes and time of change in nanoseconds since 1970 of each file.
    files: Vec<(String, u64, u64)>,
    precision: Precision,
    /// The instruction set that layers are packed for.
    level: String,
}

/// What is kept beside the numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) source: Source,
    /// Digest of the weights, hex.
    pub(crate) weights: String,
    pub(crate) tokenizer: TokenizerNotes,
    /// Words of the vocabulary, the first of the slabs.
    pub(crate) vocabulary: usize,
}

impl Source {
    /// `files` as they are now.
    ///
    /// # Errors
    /// One of them cannot be looked at.
    pub(crate) fn of(files: &[PathBuf], precision: Precision, level: String) -> io::Result<Self> {
        let stamp = |path: &PathBuf| {
            let about = fs::metadata(path)?;
            let changed = about.modified()?.duration_since(UNIX_EPOCH);
            let changed = changed.map_or(0, |since| since.as_nanos() as u64);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), about.len(), changed))
        };
        Ok(Self {
            files: files.iter().map(stamp).collect::<io::Result<_>>()?,
            precision,
            level,
        })
    }
}

/// A kept model, checked, whose slabs are taken one after another.
pub(crate) struct Ready {
    file: Arc<Mapped>,
    pub(crate) about: About,
    /// Where the next slab begins.
    at: usize,
}

impl Ready {
    /// Opens `path` if it holds for `source`.
    ///
    /// # Errors
    /// See [`ReadyError`].
    pub(crate) fn open(path: &Path, source: &Source) -> Result<Self, ReadyError> {
        let file = Mapped::open(path)?;
        let bytes = file.bytes();
        let foreign = |found: String| ReadyError::Foreign {
            path: path.to_path_buf(),
            found,
        };
        let damaged = |detail| ReadyError::Damaged {
            path: path.to_path_buf(),
            detail,
        };
        let Some(header) = bytes.get(..HEADER) else {
            return Err(foreign(format!("{} bytes", bytes.len())));
        };
        if &header[..8] != MAGIC {
            return Err(foreign("another beginning".into()));
        }
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        if number(8) != VERSION {
            return Err(foreign(format!("version {}", number(8))));
        }
        if checksum(bytes).as_bytes() != &header[CHECKSUM] {
            return Err(damaged("its checksum is another"));
        }
        let text = bytes.get(HEADER..HEADER + number(12) as usize);
        let about: About = text
            .and_then(|text| serde_json::from_slice(text).ok())
            .ok_or_else(|| damaged("it does not say what it is about"))?;
        if about.source != *source {
            let path = path.to_path_buf();
            return Err(ReadyError::Stale { path });
        }
        let at = (HEADER + number(12) as usize).next_multiple_of(LINE_BYTES);
        Ok(Self {
            file: Arc::new(file),
            about,
            at,
        })
    }

    /// The next slab, of `words` words; `None` past the end.
    pub(crate) fn slab(&mut self, words: usize) -> Option<Slab> {
        let end = self.at.checked_add(words.checked_mul(4)?)?;
        if end > self.file.bytes().len() {
            return None;
        }
        let slab = Slab::Mapped(Arc::clone(&self.file), self.at..end);
        self.at = end.next_multiple_of(LINE_BYTES);
        Some(slab)
    }

    /// Whether every slab was taken.
    pub(crate) fn is_used_up(&self) -> bool {
        self.at >= self.file.bytes().len()
    }
}

/// Writes a kept model to `path`: under another name first, so that no half of one is ever read.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: &Path, about: &About, slabs: &[&[u32]]) -> io::Result<()> {
    let text = serde_json::to_vec(about).map_err(io::Error::other)?;
    let mut bytes = vec![0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&text);
    for slab in slabs {
        bytes.resize(bytes.len().next_multiple_of(LINE_BYTES), 0);
        bytes.extend_from_slice(bytemuck::cast_slice(slab));
    }
    let checksum = checksum(&bytes);
    bytes[CHECKSUM].copy_from_slice(checksum.as_bytes());
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let written = fs::File::create(&fresh)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // It may not be there; what is, would be in nobody's way but for its size.
        let _ = fs::remove_file(&fresh);
    }
    written
}

/// blake3 of everything but the checksum.
fn checksum(bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..CHECKSUM.start]);
    hasher.update(&bytes[CHECKSUM.end..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
