//! What is one record, and which bytes stand for it?
//!
//! Eight bytes (tag, version, CRC-32 of the body), then the body in bincode 2's standard
//! configuration: fields in the order they are declared here, integers of variable length. A change of
//! a record's fields is a new version.

use std::path::Path;

use bincode::{Decode, Encode};

use crate::format::Field;
use crate::{DocumentId, PassageId, StorageError};

pub(crate) const TAG: Field = Field::first("tag", 2);
pub(crate) const VERSION: Field = TAG.then("version", 2);
pub(crate) const BODY_CRC: Field = VERSION.then("body_crc", 4);

/// Every field of the header, in order.
#[cfg(test)]
pub(crate) const FIELDS: [Field; 3] = [TAG, VERSION, BODY_CRC];

const HEADER_BYTES: usize = BODY_CRC.end();
const CURRENT_VERSION: u32 = 1;

/// What is known about one indexed file, or one record of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DocumentRecord {
    /// Its id.
    pub id: DocumentId,
    /// Absolute path with `/` between folders, or the engine's name for a part of a file.
    pub path: String,
    /// What the file is, in the engine's words: "markdown", "pdf".
    pub kind: String,
    /// Size in bytes when it was read.
    pub size: u64,
    /// Modification time when it was read, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// blake3 of the file's bytes.
    pub content_hash: [u8; 32],
    /// Title, or empty.
    pub title: String,
    /// Language as ISO 639-3, or empty where it was not recognised.
    pub language: String,
    /// The passages in the order they stand in the file.
    pub passages: Vec<PassageRecord>,
    /// When it was indexed, in seconds since 1970.
    pub indexed_at: i64,
}

/// What is known about one passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PassageRecord {
    /// Its id, and the id of its row in the matrix.
    pub id: PassageId,
    /// Start of the blake3 of the text that is encoded: equal hashes, equal vectors.
    pub hash: [u8; 16],
    /// Length of the passage in bytes.
    pub bytes: u32,
}

/// Why a file is not indexed. It is tried again when size, time or extractor change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FailureRecord {
    /// Size in bytes when it failed.
    pub size: u64,
    /// Modification time when it failed, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// What went wrong, as a person would say it.
    pub reason: String,
    /// Version of the extractor that failed.
    pub extractor_version: u32,
    /// When it failed, in seconds since 1970.
    pub at: i64,
}

/// Bytes that are not a record of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes changed since they were written, or are another record.
    #[error("{0}")]
    Damaged(String),
    /// Written by another version of askance.
    #[error("record version {found}, this askance reads up to {CURRENT_VERSION}")]
    Version {
        /// Version in the record.
        found: u32,
    },
}

impl RecordError {
    /// The error with the store and record it belongs to.
    pub(super) fn at(self, store: &Path, path: &str) -> StorageError {
        match self {
            RecordError::Version { found } => StorageError::Version {
                path: store.to_path_buf(),
                found,
                supported: CURRENT_VERSION,
            },
            RecordError::Damaged(detail) => {
                StorageError::corrupt(store, "document records", format!("{path}: {detail}"))
            }
        }
    }
}

impl DocumentRecord {
    const TAG: [u8; 2] = *b"dr";

    /// The record as bytes; [`DocumentRecord::from_bytes`] reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(Self::TAG, self)
    }

    /// Reads what [`DocumentRecord::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        read(Self::TAG, bytes)
    }
}

impl FailureRecord {
    const TAG: [u8; 2] = *b"fr";

    /// The record as bytes; [`FailureRecord::from_bytes`] reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        write(Self::TAG, self)
    }

    /// Reads what [`FailureRecord::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        read(Self::TAG, bytes)
    }
}

fn write(tag: [u8; 2], record: &impl Encode) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bincode::encode_into_std_write(record, &mut bytes, bincode::config::standard())
        .expect("strings, numbers and lists always encode, and a Vec takes them");
    let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
    TAG.put(&mut bytes, u16::from_le_bytes(tag).into());
    VERSION.put(&mut bytes, CURRENT_VERSION.into());
    BODY_CRC.put(&mut bytes, crc.into());
    bytes
}

fn read<T: Decode<()>>(tag: [u8; 2], bytes: &[u8]) -> Result<T, RecordError> {
    let damaged = |detail: &str| RecordError::Damaged(detail.to_string());
    if bytes.len() < HEADER_BYTES {
        return Err(damaged("the record is cut short"));
    }
    let (header, body) = bytes.split_at(HEADER_BYTES);
    if TAG.get(header) != u64::from(u16::from_le_bytes(tag)) {
        return Err(damaged("another kind of record"));
    }
    let found = VERSION.get_u32(header);
    if found != CURRENT_VERSION {
        return Err(RecordError::Version { found });
    }
    if BODY_CRC.get_u32(header) != crc32fast::hash(body) {
        return Err(damaged("the checksum differs"));
    }
    // A length read from bytes whose checksum fits was written by `write`; the limit keeps a forged
    // one from asking for all memory.
    let config = bincode::config::standard().with_limit::<{ 1 << 30 }>();
    match bincode::decode_from_slice(body, config) {
        Ok((record, used)) if used == body.len() => Ok(record),
        Ok(_) => Err(damaged("bytes left over")),
        Err(error) => Err(damaged(&error.to_string())),
    }
}
