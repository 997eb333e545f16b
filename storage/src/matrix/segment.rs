//! What does one segment file hold?

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use crate::format::{check_crc, view};
use crate::mapped::Mapped;
use crate::{PassageId, StorageError};

use super::layout::{Geometry, HEADER_BYTES};
use super::{Dtype, Rows};

/// One immutable file of rows, mapped read-only.
///
/// Invariant: header and geometry are checked, so that every access below `len()` is inside the map.
#[derive(Debug)]
pub struct MatrixSegment {
    file: Mapped,
    geometry: Geometry,
    /// Whether the rows fit their checksum, once somebody asked.
    sound: OnceLock<bool>,
}

impl MatrixSegment {
    /// Opens a published segment: checks header, geometry and ids. The rows are not read; see
    /// [`MatrixSegment::verify`].
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Version`] or [`StorageError::Corrupt`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = Mapped::open(path)?;
        let geometry = Geometry::read(path, file.bytes())?;
        let sound = OnceLock::new();
        let segment = Self {
            file,
            geometry,
            sound,
        };
        segment.check_ids()?;
        Ok(segment)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.geometry.rows
    }

    /// Are there no rows?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a row.
    pub fn dimension(&self) -> usize {
        self.geometry.dimension
    }

    /// The number type of the rows.
    pub fn dtype(&self) -> Dtype {
        self.geometry.dtype
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.bytes().len() as u64
    }

    /// The lowest id; `None` without rows.
    pub fn first(&self) -> Option<PassageId> {
        (!self.is_empty()).then(|| self.id(0))
    }

    /// The highest id; `None` without rows.
    pub fn last(&self) -> Option<PassageId> {
        self.len().checked_sub(1).map(|row| self.id(row))
    }

    /// The id of `row`; ids ascend strictly with the row.
    ///
    /// # Panics
    /// When `row` is not below [`MatrixSegment::len`].
    #[inline]
    pub fn id(&self, row: usize) -> PassageId {
        assert!(row < self.len(), "row {row} of {}", self.len());
        match self.ids() {
            Some(ids) => PassageId(ids[row]),
            // first_id + rows fits u32: checked when the header was read.
            None => PassageId(self.geometry.first_id + row as u32),
        }
    }

    /// The row of `id`, if there is one.
    pub fn row_of(&self, id: PassageId) -> Option<usize> {
        match self.ids() {
            Some(ids) => ids.binary_search(&id.0).ok(),
            None => {
                let row = id.0.checked_sub(self.geometry.first_id)? as usize;
                (row < self.len()).then_some(row)
            }
        }
    }

    /// The rows of `range` as they lie in the file.
    ///
    /// # Panics
    /// When the range does not lie within `0..len()`.
    pub fn rows_in(&self, range: Range<usize>) -> Rows<'_> {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "rows {range:?} of {}",
            self.len()
        );
        let width = self.dimension() * self.dtype().bytes();
        let bytes = &self.file.bytes()[HEADER_BYTES..][range.start * width..range.end * width];
        // The header is 64 bytes and the map starts on a page, so that rows are aligned.
        match self.dtype() {
            Dtype::F32 => Rows::F32(bytemuck::cast_slice(bytes)),
            Dtype::F16 => Rows::F16(bytemuck::cast_slice(bytes)),
        }
    }

    /// Copies `row` into `out`, widened to f32.
    ///
    /// # Panics
    /// When `row` is not below `len()` or `out` is not `dimension()` long.
    pub fn row_f32(&self, row: usize, out: &mut [f32]) {
        self.rows_in(row..row + 1).widen(out);
    }

    /// Reads every byte and compares the checksums.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn verify(&self) -> Result<(), StorageError> {
        self.check_ids()?;
        let rows = self.len() * self.dimension() * self.dtype().bytes();
        let rows = &self.file.bytes()[HEADER_BYTES..][..rows];
        check_crc(self.path(), "rows", rows, self.geometry.rows_crc)
    }

    /// [`MatrixSegment::verify`], which reads the file at the first call alone.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn verify_once(&self) -> Result<(), StorageError> {
        match self.sound.get_or_init(|| self.verify().is_ok()) {
            true => Ok(()),
            false => self.verify(),
        }
    }

    fn check_ids(&self) -> Result<(), StorageError> {
        let Some(section) = self.geometry.ids else {
            return Ok(());
        };
        let ids: &[u32] = view(
            self.path(),
            "ids",
            self.file.bytes(),
            section.offset,
            self.len() as u64,
        )?;
        check_crc(self.path(), "ids", bytemuck::cast_slice(ids), section.crc)?;
        if ids.is_sorted_by(|a, b| a < b) {
            return Ok(());
        }
        Err(StorageError::corrupt(
            self.path(),
            "ids",
            "they do not ascend",
        ))
    }

    fn ids(&self) -> Option<&[u32]> {
        let start = self.geometry.ids?.offset as usize;
        Some(bytemuck::cast_slice(
            &self.file.bytes()[start..start + 4 * self.len()],
        ))
    }
}
