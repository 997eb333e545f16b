//! Which text, with which structure, is in this file?
//!
//! [`read_file`] reads a file within bounds, [`extract`] turns its bytes into [`Extracted`]. Neither panics on any
//! input, and both are bounded: by the size of the file, by [`ExtractOptions::max_unpacked_bytes`] for containers and
//! by [`ExtractOptions::max_text_bytes`] for what comes out. PDF alone is read in a process of its own ([`pdf`]).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::detect::{self, Content};
use super::{Extracted, FileKind};
use crate::request::ReadOptions;
use builder::Builder;
pub(super) use text::looks_utf16;

mod archive;
mod builder;
mod code;
mod docx;
mod epub;
mod html;
mod json;
mod mail;
mod markdown;
mod notebook;
pub mod pdf;
mod table;
#[cfg(test)]
mod tests;
mod text;

mod xml;

/// Goes up whenever a file might come out differently. A file that failed is tried again when it or this changes.
pub const EXTRACTOR_VERSION: u32 = 1;

/// How much may come out of one file, and who reads PDF.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// Most bytes of text kept of one file; the rest is left out with a warning. Default 32 MiB.
    pub max_text_bytes: usize,
    /// Most bytes unpacked from one DOCX or EPUB. Default 256 MiB; small files are held to less (see
    /// `archive`).
    pub max_unpacked_bytes: u64,
    /// Reads PDF files in a process of its own. Default: none, and PDF files fail with a reason.
    pub pdf: pdf::PdfWorker,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self {
            max_text_bytes: 32 << 20,
            max_unpacked_bytes: 256 << 20,
            pdf: pdf::PdfWorker::default(),
        }
    }
}

impl From<&ReadOptions> for ExtractOptions {
    fn from(options: &ReadOptions) -> Self {
        Self {
            pdf: pdf::PdfWorker::new(options.pdf_worker.clone()),
            ..Self::default()
        }
    }
}

/// Why there is no text. Each is one sentence to be shown after the path of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The file is of a kind that holds no text. To be counted as skipped, not as failed.
    #[error("holds no text: {what}")]
    NotText {
        /// What it looks like.
        what: &'static str,
    },
    /// The file is larger than the caller allows.
    #[error("is {size} bytes, more than the limit of {limit}; raise the limit to read it")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The operating system does not let it be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file does not keep to its format.
    #[error("is not a sound {format} file: {reason}")]
    Malformed {
        /// Name of the format.
        format: &'static str,
        /// What is wrong, where.
        reason: String,
    },
    /// A password is needed.
    #[error("is protected by a password; save a copy without one to index it")]
    Encrypted,
    /// A container unpacks to more than is allowed.
    #[error("unpacks to more than {limit} bytes; it may be made to fill up memory")]
    Bomb {
        /// The limit in bytes that was met.
        limit: u64,
    },
    /// The process that reads PDF was not named.
    #[error("is a PDF file and no PDF reader is set up; index it with the askance program")]
    NoPdfReader,
    /// The process that reads PDF could not be started.
    #[error("is a PDF file and the PDF reader {program} does not start: {source}")]
    PdfReaderStart {
        /// Program that was tried.
        program: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The process that reads PDF ended without an answer.
    #[error("could not be read: the PDF reader {0}")]
    PdfReader(String),
}

/// Reads a regular file of at most `max_bytes`. Files that hold no text are told by their name and first bytes and
/// not read to the end.
///
/// # Errors
/// [`ExtractError::NotText`], [`ExtractError::TooLarge`] or [`ExtractError::Io`].
pub fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, ExtractError> {
    let mut file = open_regular(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    (&mut file)
        .take(detect::HEAD_BYTES as u64)
        .read_to_end(&mut bytes)?;
    detect::detect(path, &bytes)?;
    if metadata.len() > max_bytes {
        return Err(ExtractError::TooLarge {
            size: metadata.len(),
            limit: max_bytes,
        });
    }
    let rest = max_bytes.saturating_sub(bytes.len() as u64);
    file.take(rest.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(ExtractError::TooLarge {
            size: bytes.len() as u64,
            limit: max_bytes,
        });
    }
    Ok(bytes)
}

/// Opens a regular file. Between the walk and now a link may have taken its place, which is not followed, or a pipe,
/// which is not waited for.
fn open_regular(path: &Path) -> Result<File, ExtractError> {
    let special = || ExtractError::NotText {
        what: "not a regular file",
    };
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(special());
    }
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits() as i32);
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(special()),
    }
}

/// The text of a file with its structure. `path` gives a hint by its name; it is not opened.
///
/// # Errors
/// [`ExtractError`]; every one concerns this file alone.
pub fn extract(
    path: &Path,
    bytes: &[u8],
    options: &ExtractOptions,
) -> Result<Extracted, ExtractError> {
    let kind = match detect::detect(path, bytes.get(..detect::HEAD_BYTES).unwrap_or(bytes))? {
        Content::Zip => archive::kind(bytes)?,
        Content::Kind(kind) => kind,
    };
    extract_as(kind, path, bytes, options)
}

fn extract_as(
    kind: FileKind,
    path: &Path,
    bytes: &[u8],
    options: &ExtractOptions,
) -> Result<Extracted, ExtractError> {
    let mut out = Builder::new(kind, options.max_text_bytes);
    match kind {
        FileKind::Pdf => pdf::extract(bytes, options, &mut out)?,
        FileKind::Docx => docx::extract(bytes, options, &mut out)?,
        FileKind::Epub => epub::extract(bytes, options, &mut out)?,
        FileKind::Mail => mail::message(bytes, &mut out)?,
        FileKind::Mailbox => mail::mailbox(bytes, &mut out),
        _ => {
            let decoded = text::decode(bytes);
            if let Some(warning) = &decoded.warning {
                out.warn(warning);
            }
            match kind {
                FileKind::Markdown => markdown::extract(&decoded, &mut out),
                FileKind::Html => html::extract(&decoded.text, html::Place::File, &mut out),
                FileKind::Code => code::extract(&decoded, &mut out),
                FileKind::Table => table::extract(path, &decoded, &mut out),
                FileKind::Json => json::extract(&decoded, &mut out),
                FileKind::JsonLines => json::lines(&decoded, &mut out),
                FileKind::Notebook => notebook::extract(&decoded, &mut out)?,
                _ => text::extract(&decoded, &mut out),
            }
        }
    }
    Ok(out.finish())
}
