//! What is in this zip, and how much of it may be unpacked?

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::super::FileKind;
use super::{ExtractError, ExtractOptions, text};

/// Most members of an archive: each costs some hundred bytes before anything is unpacked.
const MAX_MEMBERS: usize = 100_000;
/// An archive may unpack to this many times its size, plus [`FREE_BYTES`]. Text packs about 1 : 10; a bomb 1 : 1000.
const MAX_RATIO: u64 = 100;
/// Unpacked bytes any archive is granted.
const FREE_BYTES: u64 = 8 << 20;

/// A zip whose members are unpacked one at a time, within a bound on their sum.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    format: &'static str,
    limit: u64,
    left: u64,
}

/// Tells DOCX and EPUB from other zips by their members.
pub(super) fn kind(bytes: &[u8]) -> Result<FileKind, ExtractError> {
    let archive = open(bytes, "zip")?;
    let has = |name| archive.index_for_name(name).is_some();
    if has("word/document.xml") {
        Ok(FileKind::Docx)
    } else if has("META-INF/container.xml") {
        Ok(FileKind::Epub)
    } else {
        Err(ExtractError::NotText {
            what: "an archive; unpack it to index what is inside",
        })
    }
}

fn open<'a>(
    bytes: &'a [u8],
    format: &'static str,
) -> Result<ZipArchive<Cursor<&'a [u8]>>, ExtractError> {
    let members = bytes
        .windows(4)
        .filter(|window| window == b"PK\x01\x02")
        .count();
    if members > MAX_MEMBERS {
        return Err(ExtractError::Malformed {
            format,
            reason: format!("more than {MAX_MEMBERS} members"),
        });
    }
    ZipArchive::new(Cursor::new(bytes)).map_err(|error| malformed(format, &error))
}

fn malformed(format: &'static str, error: &dyn std::error::Error) -> ExtractError {
    ExtractError::Malformed {
        format,
        reason: error.to_string(),
    }
}

impl<'a> Archive<'a> {
    pub fn open(
        bytes: &'a [u8],
        format: &'static str,
        options: &ExtractOptions,
    ) -> Result<Self, ExtractError> {
        let limit = (bytes.len() as u64)
            .saturating_mul(MAX_RATIO)
            .saturating_add(FREE_BYTES)
            .min(options.max_unpacked_bytes);
        Ok(Self {
            zip: open(bytes, format)?,
            format,
            limit,
            left: limit,
        })
    }

    /// The text of a member, nothing if there is none of that name.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ExtractError> {
        let format = self.format;
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(malformed(format, &error)),
        };
        if member.encrypted() {
            return Err(ExtractError::Encrypted);
        }
        let mut bytes = Vec::new();
        let read = member.take(self.left + 1).read_to_end(&mut bytes);
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(ExtractError::Bomb { limit: self.limit })?;
        read.map_err(|error| ExtractError::Malformed {
            format,
            reason: format!("{name}: {error}"),
        })?;
        Ok(Some(text::decode(&bytes).text.into_owned()))
    }

    /// The text of a member that the format calls for.
    pub fn required(&mut self, name: &str) -> Result<String, ExtractError> {
        let format = self.format;
        self.text(name)?.ok_or_else(|| ExtractError::Malformed {
            format,
            reason: format!("{name} is missing"),
        })
    }
}
