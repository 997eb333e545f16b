//! Which vectors does a NumPy file hold?
//!
//! Tables of numbers as `numpy.save` writes them: format versions 1 to 3, two dimensions, row-major, little-endian f16 or
//! f32. Rows are read and written in order, so that memory does not grow with the file. Anything else is refused with
//! the field of the header that is to blame (format: NumPy enhancement proposal 1).

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use half::f16;

use crate::matrix::{Dtype, MAX_DIMENSION};
use crate::{StorageError, disk};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header read: NumPy's own limit for files it does not trust is 10,000 characters.
const LONGEST_HEADER: usize = 1 << 16;
/// Bytes before the numbers in files written here: room for any shape, a multiple of 64 as NumPy wants it.
const WRITTEN_HEADER: usize = 128;

/// A .npy file could not be read or written. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The operating system, or a full disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It does not start as such a file does.
    #[error("{} is no .npy file: {detail}; write one with numpy.save", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The header describes something that cannot be used here.
    #[error("{}: {field} is {found}, {expected} is needed", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// "descr", "fortran_order" or "shape".
        field: &'static str,
        /// Its value.
        found: String,
        /// What it has to be, and how to get there.
        expected: &'static str,
    },
    /// The file is longer or shorter than its shape says.
    #[error("{} has {found} bytes of numbers, its shape asks for {expected}; save it again", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes its shape asks for.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A row to be written has another length than the first.
    #[error("row {row} for {} has {found} numbers, {expected} expected", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Number of the row, from 0.
        row: usize,
        /// Numbers handed in.
        found: usize,
        /// Numbers of a row.
        expected: usize,
    },
}

/// A .npy file open for reading, row by row.
#[derive(Debug)]
pub struct NpyReader {
    path: PathBuf,
    file: BufReader<File>,
    rows: usize,
    columns: usize,
    dtype: Dtype,
    left: usize,
}

impl NpyReader {
    /// Opens `path` and checks its header and length.
    ///
    /// # Errors
    /// [`NpyError`].
    pub fn open(path: &Path) -> Result<Self, NpyError> {
        let file = File::open(path).map_err(StorageError::io("open", path))?;
        let length = file.metadata().map_err(StorageError::io("read", path))?;
        let mut file = BufReader::with_capacity(1 << 18, file);
        let (header, start) = header(path, &mut file)?;
        let (rows, columns, dtype) = parse(path, &header)?;
        let expected = (rows as u64).saturating_mul((columns * dtype.bytes()) as u64);
        let found = length.len().saturating_sub(start);
        if expected != found {
            let path = path.to_path_buf();
            return Err(NpyError::Length {
                path,
                expected,
                found,
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            rows,
            columns,
            dtype,
            left: rows,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers of a row, at least 1.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number type in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The next `count` rows, or as many as are left, widened to f32: (n, columns) row-major.
    ///
    /// # Errors
    /// [`NpyError::Storage`].
    pub fn read(&mut self, count: usize) -> Result<Vec<f32>, NpyError> {
        let count = count.min(self.left);
        let mut bytes = vec![0; count * self.columns * self.dtype.bytes()];
        let read = self.file.read_exact(&mut bytes);
        read.map_err(StorageError::io("read", &self.path))?;
        self.left -= count;
        Ok(match self.dtype {
            Dtype::F32 => widen(&bytes, f32::from_le_bytes),
            Dtype::F16 => widen(&bytes, |b| f16::from_le_bytes(b).to_f32()),
        })
    }

    /// All rows that are left.
    ///
    /// # Errors
    /// [`NpyError::Storage`].
    pub fn read_all(&mut self) -> Result<Vec<f32>, NpyError> {
        self.read(self.left)
    }
}

fn widen<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
}

/// The header's text and the offset of the numbers.
fn header(path: &Path, file: &mut impl Read) -> Result<(String, u64), NpyError> {
    let foreign = |detail: &str| NpyError::Foreign {
        path: path.to_path_buf(),
        detail: detail.to_owned(),
    };
    let mut take = |count: usize| -> Result<Vec<u8>, NpyError> {
        let mut bytes = vec![0; count];
        file.read_exact(&mut bytes)
            .map_err(|_| foreign("it ends within its header"))?;
        Ok(bytes)
    };
    let start = take(8)?;
    if start[..6] != *MAGIC {
        return Err(foreign("its first bytes are not \\x93NUMPY"));
    }
    // Version 1 has a length of two bytes, versions 2 and 3 of four.
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(foreign("its format version is newer than 3")),
    };
    let mut length = [0; 4];
    length[..width].copy_from_slice(&take(width)?);
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(foreign("its header is absurdly long"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| foreign("its header is no text"))?;
    Ok((text, (8 + width + length) as u64))
}

/// Rows, columns and number type.
fn parse(path: &Path, header: &str) -> Result<(usize, usize, Dtype), NpyError> {
    let refuse = |field, found: &str, expected| {
        Err(NpyError::Field {
            path: path.to_path_buf(),
            field,
            found: found.to_owned(),
            expected,
        })
    };
    let descr = value(header, "descr");
    let dtype = match descr.trim_matches(['\'', '"']) {
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        _ => {
            return refuse("descr", descr, "'<f4' or '<f2' (x.astype('<f4'))");
        }
    };
    let order = value(header, "fortran_order");
    if order != "False" {
        return refuse("fortran_order", order, "False (numpy.ascontiguousarray)");
    }
    let shape = value(header, "shape");
    let numbers: Option<Vec<usize>> = shape
        .trim_matches(['(', ')'])
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect();
    match numbers.as_deref() {
        Some(&[rows, columns]) if (1..=MAX_DIMENSION).contains(&columns) => {
            Ok((rows, columns, dtype))
        }
        _ => refuse(
            "shape",
            shape,
            "(vectors, numbers of a vector from 1 to 65536)",
        ),
    }
}

/// The value of `key` in the header, which is a Python dictionary of three keys; "missing" where it is not there.
fn value<'a>(header: &'a str, key: &str) -> &'a str {
    let quoted = |quote: char| format!("{quote}{key}{quote}");
    let after = |name: String| header.split_once(&name)?.1.trim_start().strip_prefix(':');
    let Some(rest) = after(quoted('\'')).or_else(|| after(quoted('"'))) else {
        return "missing";
    };
    let rest = rest.trim_start();
    let end = match rest.starts_with('(') {
        true => rest.find(')').map(|at| at + 1),
        false => rest.find([',', '}']),
    };
    rest[..end.unwrap_or(rest.len())].trim_end()
}

/// Writes float32 rows to a .npy file. Until [`NpyWriter::finish`] the file has another name.
#[derive(Debug)]
pub struct NpyWriter {
    path: PathBuf,
    beside: PathBuf,
    file: BufWriter<File>,
    columns: usize,
    rows: usize,
    finished: bool,
}

impl NpyWriter {
    /// Starts a file of rows of `columns` numbers, which takes the place of `path` when it is finished.
    ///
    /// # Errors
    /// [`NpyError::Storage`].
    pub fn create(path: &Path, columns: usize) -> Result<Self, NpyError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let beside = PathBuf::from(beside);
        disk::remove_file(&beside)?;
        let mut file = BufWriter::with_capacity(1 << 18, disk::create(&beside)?);
        file.write_all(&[0; WRITTEN_HEADER])
            .map_err(StorageError::io("write", &beside))?;
        Ok(Self {
            path: path.to_path_buf(),
            beside,
            file,
            columns,
            rows: 0,
            finished: false,
        })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// [`NpyError::Row`] for a row of another length, [`NpyError::Storage`].
    pub fn push(&mut self, row: &[f32]) -> Result<(), NpyError> {
        if row.len() != self.columns {
            return Err(NpyError::Row {
                path: self.path.clone(),
                row: self.rows,
                found: row.len(),
                expected: self.columns,
            });
        }
        for number in row {
            self.file
                .write_all(&number.to_le_bytes())
                .map_err(StorageError::io("write", &self.beside))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// Completes the file and gives it its name; returns the number of rows.
    ///
    /// # Errors
    /// [`NpyError::Storage`].
    pub fn finish(mut self) -> Result<usize, NpyError> {
        let header = written_header(self.rows, self.columns);
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&header))
            .and_then(|()| self.file.flush())
            .map_err(StorageError::io("write", &self.beside))?;
        disk::rename(&self.beside, &self.path)?;
        self.finished = true;
        Ok(self.rows)
    }
}

impl Drop for NpyWriter {
    fn drop(&mut self) {
        if !self.finished {
            // An unfinished file is of no use; one that cannot be removed does no harm.
            let _ = disk::remove_file(&self.beside);
        }
    }
}

fn written_header(rows: usize, columns: usize) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend(((WRITTEN_HEADER - 10) as u16).to_le_bytes());
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    header.extend(text.bytes());
    header.resize(WRITTEN_HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests;
