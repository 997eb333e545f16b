//! Where does what lie in an embedding matrix segment?
//!
//! Header, rows, then ids where they are not a gapless run. FORMAT.md has the byte table.

use std::path::Path;

use crate::StorageError;
use crate::format::{self, Field, Header};

use super::{Dtype, MAX_DIMENSION};

pub(crate) const MAGIC: Field = Field::first("magic", 8);
pub(crate) const VERSION: Field = MAGIC.then("version", 4);
pub(crate) const DTYPE: Field = VERSION.then("dtype", 4);
pub(crate) const ROWS: Field = DTYPE.then("rows", 8);
pub(crate) const ROWS_OFFSET: Field = ROWS.then("rows_offset", 8);
pub(crate) const IDS_OFFSET: Field = ROWS_OFFSET.then("ids_offset", 8);
pub(crate) const DIMENSION: Field = IDS_OFFSET.then("dimension", 4);
pub(crate) const FIRST_ID: Field = DIMENSION.then("first_id", 4);
pub(crate) const ROWS_CRC: Field = FIRST_ID.then("rows_crc", 4);
pub(crate) const IDS_CRC: Field = ROWS_CRC.then("ids_crc", 4);
pub(crate) const FLAGS: Field = IDS_CRC.then("flags", 4);
pub(crate) const HEADER_CRC: Field = FLAGS.then("header_crc", 4);

/// Bytes of the header: one cache line, so that the rows after it are aligned.
pub(crate) const HEADER_BYTES: usize = HEADER_CRC.end();
const _: () = assert!(HEADER_BYTES == 64);

pub(crate) const HEADER: Header = Header {
    magic: *b"ASKMATRX",
    version: 1,
    version_field: VERSION,
    crc_field: HEADER_CRC,
};

/// Every field, in file order.
#[cfg(test)]
pub(crate) const FIELDS: [Field; 12] = [
    MAGIC,
    VERSION,
    DTYPE,
    ROWS,
    ROWS_OFFSET,
    IDS_OFFSET,
    DIMENSION,
    FIRST_ID,
    ROWS_CRC,
    IDS_CRC,
    FLAGS,
    HEADER_CRC,
];

/// A header's numbers, known to fit each other and the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) rows: usize,
    pub(crate) dimension: usize,
    pub(crate) dtype: Dtype,
    pub(crate) first_id: u32,
    pub(crate) rows_crc: u32,
    /// Absent when the ids are a gapless run from `first_id`.
    pub(crate) ids: Option<IdsSection>,
}

/// Where the ids lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdsSection {
    pub(crate) offset: u64,
    pub(crate) crc: u32,
}

impl Geometry {
    pub(crate) fn to_header(self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        DTYPE.put(&mut header, dtype_code(self.dtype));
        ROWS.put(&mut header, self.rows as u64);
        ROWS_OFFSET.put(&mut header, HEADER_BYTES as u64);
        DIMENSION.put(&mut header, self.dimension as u64);
        FIRST_ID.put(&mut header, self.first_id.into());
        ROWS_CRC.put(&mut header, self.rows_crc.into());
        if let Some(ids) = self.ids {
            IDS_OFFSET.put(&mut header, ids.offset);
            IDS_CRC.put(&mut header, ids.crc.into());
        }
        HEADER.seal(&mut header);
        header
    }

    /// Reads and checks the header of `file`. Afterwards the rows, and the ids if any, lie inside
    /// the file, ids fit u32, and the file ends where the last section does.
    pub(crate) fn read(path: &Path, file: &[u8]) -> Result<Self, StorageError> {
        let header = HEADER.check(path, file)?;
        let wrong = |field: Field, found: u64, expected: &str| {
            let detail = format!("{} is {found}, {expected} expected", field.name);
            StorageError::corrupt(path, "header", detail)
        };
        let dtype = match DTYPE.get(header) {
            0 => Dtype::F32,
            1 => Dtype::F16,
            code => return Err(wrong(DTYPE, code, "0 (f32) or 1 (f16)")),
        };
        let (rows, dimension) = (ROWS.get(header), DIMENSION.get(header));
        if rows > u64::from(u32::MAX) {
            return Err(wrong(ROWS, rows, "less than 2^32"));
        }
        if dimension == 0 || dimension > MAX_DIMENSION as u64 {
            return Err(wrong(DIMENSION, dimension, "1 to 65536"));
        }
        if ROWS_OFFSET.get(header) != HEADER_BYTES as u64 {
            return Err(wrong(ROWS_OFFSET, ROWS_OFFSET.get(header), "64"));
        }
        if FLAGS.get(header) != 0 {
            return Err(wrong(FLAGS, FLAGS.get(header), "0"));
        }
        // rows < 2^32, dimension <= 2^16, 4 bytes: below 2^50, no overflow.
        let rows_end = HEADER_BYTES as u64 + rows * dimension * dtype.bytes() as u64;
        let first_id = FIRST_ID.get_u32(header);
        let (ids, end) = match IDS_OFFSET.get(header) {
            0 if u64::from(first_id) + rows > 1 << 32 => {
                return Err(wrong(FIRST_ID, first_id.into(), "ids below 2^32"));
            }
            0 => (None, rows_end),
            offset if Some(offset) == format::aligned(rows_end) => {
                let crc = IDS_CRC.get_u32(header);
                (Some(IdsSection { offset, crc }), offset + 4 * rows)
            }
            offset => {
                return Err(wrong(
                    IDS_OFFSET,
                    offset,
                    "0 or the first 64-byte line after the rows",
                ));
            }
        };
        if end != file.len() as u64 {
            let detail = format!("{end} bytes expected, the file has {}", file.len());
            return Err(StorageError::corrupt(path, "rows", detail));
        }
        Ok(Self {
            rows: rows as usize,
            dimension: dimension as usize,
            dtype,
            first_id,
            rows_crc: ROWS_CRC.get_u32(header),
            ids,
        })
    }
}

fn dtype_code(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::F32 => 0,
        Dtype::F16 => 1,
    }
}
