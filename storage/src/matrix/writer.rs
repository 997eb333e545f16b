//! How do rows become a segment file?

use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use half::f16;

use crate::{PassageId, StorageError, disk, format};

use super::layout::{Geometry, HEADER_BYTES, IdsSection};
use super::{Dtype, MAX_DIMENSION, SegmentSummary};

/// Writes one segment row by row. Holds one row and, once there is a gap, four bytes per row.
///
/// A file whose writer was dropped without [`MatrixWriter::finish`] has no valid header.
#[derive(Debug)]
pub struct MatrixWriter {
    path: PathBuf,
    file: BufWriter<File>,
    dimension: usize,
    dtype: Dtype,
    rows: usize,
    crc: crc32fast::Hasher,
    ids: Ids,
    /// The row being written, as bytes.
    row: Vec<u8>,
}

/// The ids written so far.
#[derive(Debug)]
enum Ids {
    /// A gapless run, `first` to `first` + rows.
    Run { first: u32 },
    /// Anything else that ascends.
    List(Vec<u32>),
}

impl MatrixWriter {
    /// Starts the new file `path` for rows of `dimension` (1 to [`MAX_DIMENSION`]) numbers.
    ///
    /// # Errors
    /// [`StorageError::Io`], also when the file exists; [`StorageError::Invalid`].
    pub fn create(path: &Path, dimension: usize, dtype: Dtype) -> Result<Self, StorageError> {
        if dimension == 0 || dimension > MAX_DIMENSION {
            let message =
                format!("vectors of {dimension} numbers; 1 to {MAX_DIMENSION} can be stored");
            return Err(StorageError::Invalid(message));
        }
        let mut file = BufWriter::with_capacity(1 << 18, disk::create(path)?);
        file.write_all(&[0; HEADER_BYTES])
            .map_err(StorageError::io("write", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            dimension,
            dtype,
            rows: 0,
            crc: crc32fast::Hasher::new(),
            ids: Ids::Run { first: 0 },
            row: Vec::with_capacity(dimension * dtype.bytes()),
        })
    }

    /// Appends the vector of `id`.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] when `id` does not exceed the one before, `row` has another length,
    /// or a number is not finite in the stored type; nothing is written then. [`StorageError::Io`].
    pub fn push(&mut self, id: PassageId, row: &[f32]) -> Result<(), StorageError> {
        self.check(id, row)?;
        match self.dtype {
            Dtype::F32 => self.row.extend(row.iter().flat_map(|x| x.to_le_bytes())),
            Dtype::F16 => {
                self.row
                    .extend(row.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
            }
        }
        self.crc.update(&self.row);
        let written = self.file.write_all(&self.row);
        self.row.clear();
        written.map_err(StorageError::io("write", &self.path))?;
        self.note(id);
        Ok(())
    }

    /// Completes the file. With `sync`, waits until it is on the disk; publishing a generation
    /// syncs its files anyway.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn finish(mut self, sync: bool) -> Result<SegmentSummary, StorageError> {
        let ids = self.write_ids()?;
        let first_id = match &self.ids {
            Ids::Run { first } => *first,
            Ids::List(list) => list[0],
        };
        let header = Geometry {
            rows: self.rows,
            dimension: self.dimension,
            dtype: self.dtype,
            first_id,
            rows_crc: self.crc.clone().finalize(),
            ids,
        }
        .to_header();
        let rewritten = self
            .file
            .rewind()
            .and_then(|()| self.file.write_all(&header));
        rewritten
            .and_then(|()| self.file.flush())
            .map_err(StorageError::io("write", &self.path))?;
        if sync {
            disk::sync(self.file.get_ref(), &self.path)?;
        }
        Ok(SegmentSummary {
            rows: self.rows,
            ids: self
                .last()
                .map(|last| (PassageId(first_id), PassageId(last))),
        })
    }

    fn check(&self, id: PassageId, row: &[f32]) -> Result<(), StorageError> {
        if row.len() != self.dimension {
            let (found, expected) = (row.len(), self.dimension);
            return Err(StorageError::Invalid(format!(
                "the vector of passage {} has {found} numbers, {expected} expected",
                id.0
            )));
        }
        if let Some(last) = self.last().filter(|&last| last >= id.0) {
            let message = format!("passage {} after passage {last}: ids must ascend", id.0);
            return Err(StorageError::Invalid(message));
        }
        // f16::from_f32 rounds to infinity from 65520 on.
        let largest = match self.dtype {
            Dtype::F32 => f32::MAX,
            Dtype::F16 => 65519.0,
        };
        match row.iter().position(|x| x.is_nan() || x.abs() > largest) {
            None => Ok(()),
            Some(at) => Err(StorageError::Invalid(format!(
                "the vector of passage {} holds {} at position {at}, which cannot be stored",
                id.0, row[at]
            ))),
        }
    }

    fn last(&self) -> Option<u32> {
        match &self.ids {
            Ids::Run { first } => self.rows.checked_sub(1).map(|n| first + n as u32),
            Ids::List(list) => list.last().copied(),
        }
    }

    /// Remembers the id of the row just written.
    fn note(&mut self, id: PassageId) {
        let last = self.last();
        match (&mut self.ids, last) {
            (Ids::Run { first }, None) => *first = id.0,
            // `check` let only higher ids through, so that last + 1 does not overflow.
            (Ids::Run { .. }, Some(last)) if id.0 == last + 1 => {}
            (Ids::Run { first }, Some(last)) => {
                let mut list: Vec<u32> = (*first..=last).collect();
                list.push(id.0);
                self.ids = Ids::List(list);
            }
            (Ids::List(list), _) => list.push(id.0),
        }
        self.rows += 1;
    }

    /// Writes the ids on the first aligned byte after the rows, unless they are a run.
    fn write_ids(&mut self) -> Result<Option<IdsSection>, StorageError> {
        let Ids::List(list) = &self.ids else {
            return Ok(None);
        };
        let end = (HEADER_BYTES + self.rows * self.dimension * self.dtype.bytes()) as u64;
        let offset = end.next_multiple_of(format::ALIGNMENT);
        let padding = [0; format::ALIGNMENT as usize];
        let bytes: &[u8] = bytemuck::cast_slice(list);
        self.file
            .write_all(&padding[..(offset - end) as usize])
            .and_then(|()| self.file.write_all(bytes))
            .map_err(StorageError::io("write", &self.path))?;
        let crc = crc32fast::hash(bytes);
        Ok(Some(IdsSection { offset, crc }))
    }
}
