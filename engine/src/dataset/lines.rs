//! Which line of a data set file is this, and can it be read?

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::DatasetError;

/// A field that could not be read: its name and what is wrong with it.
pub(super) type Bad = (&'static str, String);

/// The lines of a file that are not blank, with their numbers.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("read", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 16, file),
            number: 0,
            buffer: Vec::new(),
        })
    }

    /// The next line that is not blank, parsed. `None` at the end of the file.
    pub(super) fn next<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Result<Option<T>, DatasetError> {
        if !self.advance()? {
            return Ok(None);
        }
        let parsed = match std::str::from_utf8(&self.buffer) {
            Ok(line) => parse(
                line.trim_start_matches('\u{feff}')
                    .trim_end_matches(['\n', '\r']),
            ),
            Err(error) => Err(("encoding", format!("not UTF-8: {error}"))),
        };
        parsed.map(Some).map_err(|bad| self.bad(bad))
    }

    /// How many are left.
    pub(super) fn count(mut self) -> Result<u64, DatasetError> {
        let mut count = 0;
        while self.advance()? {
            count += 1;
        }
        Ok(count)
    }

    fn advance(&mut self) -> Result<bool, DatasetError> {
        loop {
            self.buffer.clear();
            let read = self.reader.read_until(b'\n', &mut self.buffer);
            if read.map_err(DatasetError::io("read", &self.path))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
    }

    fn bad(&self, (field, detail): Bad) -> DatasetError {
        DatasetError::Line {
            path: self.path.clone(),
            line: self.number,
            field,
            detail,
        }
    }
}

/// On which line each id stood. Keeps 16 bytes of hash instead of the id, so that millions of ids stay affordable;
/// two ids of one hash are out of reach at 2^64 ids.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<[u8; 16], u64>);

impl Seen {
    /// Notes that `parts` stand on the current line of `lines`; an error if they stood on an earlier one.
    pub(super) fn note(&mut self, lines: &Lines, parts: &[&str]) -> Result<(), DatasetError> {
        match self.0.insert(key(parts), lines.number) {
            None => Ok(()),
            Some(first) => Err(DatasetError::Duplicate {
                path: lines.path.clone(),
                id: parts.join(" "),
                first,
                second: lines.number,
            }),
        }
    }
}

fn key(parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        // The length first: "a","bc" and "ab","c" are different ids.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// What is known by an id of its own.
pub(super) trait Identified {
    fn id(&self) -> &str;
}

impl Identified for super::Record {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Identified for super::Query {
    fn id(&self) -> &str {
        &self.id
    }
}

/// Records of a file, one a line, read as they are asked for. Ends after the first error.
#[derive(Debug)]
pub struct Records<T> {
    lines: Lines,
    seen: Seen,
    parse: fn(&str) -> Result<T, Bad>,
    failed: bool,
    record: PhantomData<T>,
}

impl<T> Records<T> {
    pub(super) fn open(
        path: &Path,
        parse: fn(&str) -> Result<T, Bad>,
    ) -> Result<Self, DatasetError> {
        Ok(Self {
            lines: Lines::open(path)?,
            seen: Seen::default(),
            parse,
            failed: false,
            record: PhantomData,
        })
    }
}

// The trait that names the id is ours alone, the records it is implemented for are public.
#[expect(private_bounds)]
impl<T: Identified> Records<T> {
    fn read(&mut self) -> Result<Option<T>, DatasetError> {
        let record = self.lines.next(self.parse)?;
        if let Some(record) = &record {
            self.seen.note(&self.lines, &[record.id()])?;
        }
        Ok(record)
    }
}

impl<T: Identified> Iterator for Records<T> {
    type Item = Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.read();
        self.failed = record.is_err();
        record.transpose()
    }
}

/// Exactly `N` columns of `line`, cut by `separator`.
pub(super) fn columns<'a, const N: usize>(
    parts: impl Iterator<Item = &'a str>,
    expected: &str,
) -> Result<[&'a str; N], Bad> {
    let parts: Vec<&str> = parts.collect();
    let found = parts.len();
    parts.try_into().map_err(|_| {
        (
            "columns",
            format!("expected {N} ({expected}), found {found}"),
        )
    })
}

/// An id: anything but nothing.
pub(super) fn id(field: &'static str, text: &str) -> Result<String, Bad> {
    match text.trim() {
        "" => Err((field, "is empty".to_owned())),
        id => Ok(id.to_owned()),
    }
}

/// A number of type `T`.
pub(super) fn number<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, Bad> {
    text.trim().parse().map_err(|_| {
        (
            field,
            format!("{text:?} is not a number of the expected kind"),
        )
    })
}

/// Writes a file through `body`, flushed at the end.
pub(super) fn write(
    path: &Path,
    body: impl FnOnce(&mut dyn FnMut(&str) -> Result<(), DatasetError>) -> Result<(), DatasetError>,
) -> Result<(), DatasetError> {
    let file = File::create(path).map_err(DatasetError::io("write", path))?;
    let mut writer = BufWriter::new(file);
    body(&mut |line| writeln!(writer, "{line}").map_err(DatasetError::io("write", path)))?;
    writer.flush().map_err(DatasetError::io("write", path))
}

/// `value` if a format that separates columns by white space can hold it.
pub(super) fn plain<'a>(
    path: &Path,
    field: &'static str,
    value: &'a str,
) -> Result<&'a str, DatasetError> {
    let reason = if value.is_empty() {
        "is empty"
    } else if value.contains(char::is_whitespace) {
        "holds white space, which separates the columns"
    } else {
        return Ok(value);
    };
    Err(DatasetError::Unwritable {
        path: path.to_path_buf(),
        field,
        value: value.to_owned(),
        reason,
    })
}
