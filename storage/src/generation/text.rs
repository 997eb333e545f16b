//! How do our small text files start, and are they whole?
//!
//! First line: `askance KIND VERSION`, and for sealed files ` crc32=XXXXXXXX`, eight lower-case hex
//! digits, the CRC-32 of every byte after the first newline.

use std::path::Path;

use crate::{GenerationId, StorageError, format};

/// Version of the file `CURRENT`.
pub(crate) const CURRENT_VERSION: u32 = 1;
/// Version of the file `MANIFEST`.
pub(crate) const MANIFEST_VERSION: u32 = 1;

/// Name of the folder of generation `id`.
pub(super) fn folder(id: GenerationId) -> String {
    format!("gen-{:08}", id.0)
}

/// The generation a folder name stands for; `None` for any other name.
pub(super) fn parse_folder(name: &str) -> Option<GenerationId> {
    let id = GenerationId(name.strip_prefix("gen-")?.parse().ok()?);
    (folder(id) == name).then_some(id)
}

/// A file that is one line.
pub(super) fn plain(kind: &str, version: u32) -> String {
    format!("askance {kind} {version}\n")
}

/// A file whose first line vouches for `body`.
pub(super) fn sealed(kind: &str, version: u32, body: &str) -> String {
    let crc = crc32fast::hash(body.as_bytes());
    format!("askance {kind} {version} crc32={crc:08x}\n{body}")
}

/// Checks a file written by [`plain`].
pub(super) fn check_plain(
    path: &Path,
    text: &str,
    kind: &str,
    supported: u32,
) -> Result<(), StorageError> {
    let (rest, body) = first_line(path, text, kind, supported)?;
    if rest.is_empty() && body.is_empty() {
        return Ok(());
    }
    Err(StorageError::corrupt(
        path,
        "first line",
        "something follows the version",
    ))
}

/// Checks a file written by [`sealed`] and gives back its body.
pub(super) fn check_sealed<'a>(
    path: &Path,
    text: &'a str,
    kind: &str,
    supported: u32,
) -> Result<&'a str, StorageError> {
    let (rest, body) = first_line(path, text, kind, supported)?;
    let digits = rest
        .strip_prefix(" crc32=")
        .filter(|digits| digits.len() == 8);
    let crc = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let crc = crc.ok_or_else(|| StorageError::corrupt(path, "first line", "no checksum"))?;
    format::check_crc(path, "body", body.as_bytes(), crc)?;
    Ok(body)
}

/// What follows the version on the first line, and what follows that line.
fn first_line<'a>(
    path: &Path,
    text: &'a str,
    kind: &str,
    supported: u32,
) -> Result<(&'a str, &'a str), StorageError> {
    let wrong = || {
        let detail = format!("`askance {kind} {supported}` expected");
        StorageError::corrupt(path, "first line", detail)
    };
    let (line, body) = text.split_once('\n').ok_or_else(wrong)?;
    let rest = line
        .strip_prefix("askance ")
        .and_then(|rest| rest.strip_prefix(kind));
    let rest = rest
        .and_then(|rest| rest.strip_prefix(' '))
        .ok_or_else(wrong)?;
    let end = rest.find(' ').unwrap_or(rest.len());
    let found: u32 = rest[..end].parse().map_err(|_| wrong())?;
    if found != supported {
        return Err(StorageError::Version {
            path: path.to_path_buf(),
            found,
            supported,
        });
    }
    Ok((&rest[end..], body))
}

/// The text of `path`; `None` when there is no such file.
pub(super) fn read_if_present(path: &Path) -> Result<Option<String>, StorageError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StorageError::io("read", path)(e)),
    };
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| StorageError::corrupt(path, "first line", "it is not text"))
}
