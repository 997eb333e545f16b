//! Here is a passage id: what is its vector?
//!
//! A collection's embeddings are a few immutable *segments*, each a file of rows. Indexing adds a
//! segment; nothing is edited. Rows keep their [`PassageId`] for life, so that dropping dead rows in
//! [`merge`] shifts no id. A segment whose ids are a gapless run stores only the first.
//!
//! Not for many scattered look-ups per query: each may be a page fault. Scan blocks instead
//! ([`MatrixSegment::rows_in`]).

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::{PassageId, StorageError};

pub(crate) mod layout;
mod merge;
mod segment;
mod writer;

pub use merge::merge;
pub use segment::MatrixSegment;
pub use writer::MatrixWriter;

/// Longest vector a matrix takes.
pub const MAX_DIMENSION: usize = 1 << 16;

/// The number type rows are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 4 bytes a number, exact.
    F32,
    /// 2 bytes a number, 11 bits of precision, up to 65504: the default for unit vectors.
    F16,
}

impl Dtype {
    /// Bytes a number takes.
    pub fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 => 2,
        }
    }
}

/// What a finished segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Number of rows.
    pub rows: usize,
    /// Lowest and highest id; `None` for no rows.
    pub ids: Option<(PassageId, PassageId)>,
}

/// Rows as they lie in the file, (n, dimension) row-major.
#[derive(Debug, Clone, Copy)]
pub enum Rows<'a> {
    /// [`Dtype::F32`].
    F32(&'a [f32]),
    /// [`Dtype::F16`].
    F16(&'a [f16]),
}

impl Rows<'_> {
    /// Writes the rows as f32 into `out`, which must hold exactly as many numbers.
    ///
    /// # Panics
    /// When it does not.
    pub fn widen(&self, out: &mut [f32]) {
        match self {
            Rows::F32(rows) => out.copy_from_slice(rows),
            Rows::F16(rows) => rows.convert_to_f32_slice(out),
        }
    }
}

/// The segments of one generation as one list of rows, ids ascending.
///
/// A *row* here counts through all segments, from 0 to [`Matrix::len`].
#[derive(Debug, Clone)]
pub struct Matrix {
    dimension: usize,
    /// None is empty.
    segments: Vec<Arc<MatrixSegment>>,
    /// First row of each segment, and the total at the end.
    starts: Vec<usize>,
}

impl Matrix {
    /// Joins `segments`, which must stand in ascending id order and not overlap. Those without rows
    /// are left out.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] on another dimension or 0, and [`StorageError::Corrupt`] for ids out of order.
    pub fn new(dimension: usize, segments: Vec<Arc<MatrixSegment>>) -> Result<Self, StorageError> {
        if dimension == 0 {
            return Err(StorageError::Invalid("vectors of 0 numbers".into()));
        }
        let mut kept: Vec<Arc<MatrixSegment>> = Vec::with_capacity(segments.len());
        let mut starts = vec![0];
        for segment in segments {
            check_dimension(&segment, dimension)?;
            if segment.is_empty() {
                continue;
            }
            if kept
                .last()
                .is_some_and(|before| before.last() >= segment.first())
            {
                let detail = "ids of segments overlap or are out of order";
                return Err(StorageError::corrupt(segment.path(), "ids", detail));
            }
            starts.push(starts[kept.len()] + segment.len());
            kept.push(segment);
        }
        Ok(Self {
            dimension,
            segments: kept,
            starts,
        })
    }

    /// Opens the segment files `names` of the folder `dir` and joins them.
    ///
    /// # Errors
    /// Those of [`MatrixSegment::open`] and [`Matrix::new`].
    pub fn open<'a>(
        dir: &Path,
        names: impl IntoIterator<Item = &'a str>,
        dimension: usize,
    ) -> Result<Self, StorageError> {
        let segments = names
            .into_iter()
            .map(|name| MatrixSegment::open(&dir.join(name)).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Self::new(dimension, segments)
    }

    /// Number of rows, dead ones included.
    pub fn len(&self) -> usize {
        self.starts[self.segments.len()]
    }

    /// Are there no rows?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers in a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The segments, ids ascending.
    pub fn segments(&self) -> &[Arc<MatrixSegment>] {
        &self.segments
    }

    /// Number of the row of `id`, if there is one.
    pub fn row_of(&self, id: PassageId) -> Option<usize> {
        let at = self.segments.partition_point(|s| s.last() < Some(id));
        let segment = self.segments.get(at)?;
        Some(self.starts[at] + segment.row_of(id)?)
    }

    /// The id of `row`.
    ///
    /// # Panics
    /// When `row` is not below [`Matrix::len`].
    pub fn id(&self, row: usize) -> PassageId {
        let (segment, row) = self.locate(row);
        segment.id(row)
    }

    /// Copies `row` into `out`, widened to f32.
    ///
    /// # Panics
    /// When `row` is not below [`Matrix::len`] or `out` is not [`Matrix::dimension`] long.
    pub fn row_f32(&self, row: usize, out: &mut [f32]) {
        let (segment, row) = self.locate(row);
        segment.row_f32(row, out);
    }

    /// One row as it lies in its file.
    ///
    /// # Panics
    /// When `row` is not below [`Matrix::len`].
    pub fn row(&self, row: usize) -> Rows<'_> {
        let (segment, row) = self.locate(row);
        segment.rows_in(row..row + 1)
    }

    /// The vector of `id`, widened to f32.
    pub fn get(&self, id: PassageId) -> Option<Vec<f32>> {
        let row = self.row_of(id)?;
        let mut out = vec![0.0; self.dimension];
        self.row_f32(row, &mut out);
        Some(out)
    }

    /// All ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = PassageId> + '_ {
        self.segments
            .iter()
            .flat_map(|s| (0..s.len()).map(|row| s.id(row)))
    }

    /// Every id with its vector widened to f32, ids ascending. Allocates per row.
    pub fn iter(&self) -> impl Iterator<Item = (PassageId, Vec<f32>)> + '_ {
        (0..self.len()).map(|row| {
            let mut out = vec![0.0; self.dimension];
            self.row_f32(row, &mut out);
            (self.id(row), out)
        })
    }

    /// Bytes of all segment files.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes()).sum()
    }

    /// Reads every byte and compares the checksums.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first damaged file.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.segments.iter().try_for_each(|s| s.verify())
    }

    /// [`Matrix::verify`], which reads each file at the first call alone.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first damaged file.
    pub fn verify_once(&self) -> Result<(), StorageError> {
        self.segments.iter().try_for_each(|s| s.verify_once())
    }

    fn locate(&self, row: usize) -> (&MatrixSegment, usize) {
        let at = self.starts.partition_point(|&start| start <= row) - 1;
        (&self.segments[at], row - self.starts[at])
    }

    /// Cuts the rows into runs of at most `size` that never cross a segment; (segment, its rows).
    pub(crate) fn runs(&self, size: usize) -> Vec<(usize, Range<usize>)> {
        let mut runs = Vec::new();
        for (at, segment) in self.segments.iter().enumerate() {
            for start in (0..segment.len()).step_by(size) {
                runs.push((at, start..segment.len().min(start + size)));
            }
        }
        runs
    }
}

fn check_dimension(segment: &MatrixSegment, dimension: usize) -> Result<(), StorageError> {
    if segment.dimension() == dimension {
        return Ok(());
    }
    Err(StorageError::Invalid(format!(
        "{} holds vectors of {} numbers where {dimension} are expected; they come from different encoders",
        segment.path().display(),
        segment.dimension(),
    )))
}

#[cfg(test)]
mod tests;
