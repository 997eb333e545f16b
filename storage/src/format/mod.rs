//! Where in a file does which number lie, and is what lies there believable?
//!
//! All our binary files are little-endian. They start with an 8-byte magic and a u32 version and end
//! their header with a CRC-32 of the header bytes before it; each section has a CRC-32 of its own.
//! A header is described by [`Field`]s, each placed after the one before it, so that the byte
//! tables of FORMAT.md and the code cannot drift apart (a test compares them).

use std::path::Path;

use bytemuck::AnyBitPattern;

use crate::StorageError;

/// Sections that are viewed in place start at multiples of this, a cache line.
pub(crate) const ALIGNMENT: u64 = 64;

/// One fixed-size number of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) offset: usize,
    pub(crate) size: usize,
}

impl Field {
    /// The field at the start of a header.
    pub(crate) const fn first(name: &'static str, size: usize) -> Self {
        Self {
            name,
            offset: 0,
            size,
        }
    }

    /// The field right after this one.
    pub(crate) const fn then(self, name: &'static str, size: usize) -> Self {
        Self {
            name,
            offset: self.end(),
            size,
        }
    }

    /// Offset of the byte after the field.
    pub(crate) const fn end(self) -> usize {
        self.offset + self.size
    }

    /// Writes `value` little-endian. The header must reach [`Field::end`].
    pub(crate) fn put(self, header: &mut [u8], value: u64) {
        header[self.offset..self.end()].copy_from_slice(&value.to_le_bytes()[..self.size]);
    }

    /// Reads the field, widened to 64 bits. The header must reach [`Field::end`].
    pub(crate) fn get(self, header: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        bytes[..self.size].copy_from_slice(&header[self.offset..self.end()]);
        u64::from_le_bytes(bytes)
    }

    /// Reads a field of at most four bytes.
    pub(crate) fn get_u32(self, header: &[u8]) -> u32 {
        debug_assert!(self.size <= 4);
        self.get(header) as u32
    }
}

/// The fields every header shares, and the checks they allow.
pub(crate) struct Header {
    /// First eight bytes of the file.
    pub(crate) magic: [u8; 8],
    /// Newest version this build reads, and the one it writes.
    pub(crate) version: u32,
    /// u32 right after the magic.
    pub(crate) version_field: Field,
    /// Last field of the header: CRC-32 of all header bytes before it.
    pub(crate) crc_field: Field,
}

impl Header {
    /// Writes magic, version and checksum around the fields already in `header`.
    pub(crate) fn seal(&self, header: &mut [u8]) {
        header[..8].copy_from_slice(&self.magic);
        self.version_field.put(header, self.version.into());
        let crc = crc32fast::hash(&header[..self.crc_field.offset]);
        self.crc_field.put(header, crc.into());
    }

    /// The header bytes of `file`, once magic, version and checksum agree.
    pub(crate) fn check<'a>(&self, path: &Path, file: &'a [u8]) -> Result<&'a [u8], StorageError> {
        let header = file.get(..self.crc_field.end()).ok_or_else(|| {
            let (expected, found) = (self.crc_field.end(), file.len());
            StorageError::corrupt(
                path,
                "header",
                format!("{expected} bytes expected, {found} found"),
            )
        })?;
        if header[..8] != self.magic {
            let detail = format!(
                "it does not start with {:?}",
                String::from_utf8_lossy(&self.magic)
            );
            return Err(StorageError::corrupt(path, "header", detail));
        }
        // The version comes before the checksum: a later version may move the checksum.
        let version = self.version_field.get_u32(header);
        if version != self.version {
            return Err(StorageError::Version {
                path: path.to_path_buf(),
                found: version,
                supported: self.version,
            });
        }
        check_crc(
            path,
            "header",
            &header[..self.crc_field.offset],
            self.crc_field.get_u32(header),
        )?;
        Ok(header)
    }
}

/// Compares the CRC-32 of `bytes` with the one written beside them.
pub(crate) fn check_crc(
    path: &Path,
    section: &'static str,
    bytes: &[u8],
    expected: u32,
) -> Result<(), StorageError> {
    let found = crc32fast::hash(bytes);
    if found == expected {
        return Ok(());
    }
    let detail = format!("checksum {expected:08x} expected, {found:08x} found");
    Err(StorageError::corrupt(path, section, detail))
}

/// `count` numbers of type `T` at byte `offset` of `file`, viewed in place.
/// Fails unless they lie inside the file and on their alignment.
pub(crate) fn view<'a, T: AnyBitPattern>(
    path: &Path,
    section: &'static str,
    file: &'a [u8],
    offset: u64,
    count: u64,
) -> Result<&'a [T], StorageError> {
    let size = size_of::<T>() as u64;
    let end = count.checked_mul(size).and_then(|n| n.checked_add(offset));
    let bytes = end
        .filter(|&end| end <= file.len() as u64)
        .map(|end| &file[offset as usize..end as usize])
        .ok_or_else(|| {
            let found = file.len();
            let detail =
                format!("{count} x {size} bytes at {offset} expected, the file has {found}");
            StorageError::corrupt(path, section, detail)
        })?;
    bytemuck::try_cast_slice(bytes).map_err(|_| {
        StorageError::corrupt(path, section, format!("offset {offset} is not aligned"))
    })
}

/// `offset` rounded up to [`ALIGNMENT`]; `None` past the end of u64.
pub(crate) fn aligned(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests;
