//! Which texts stand in this file, one a line?

use std::path::Path;

use super::lines::Lines;
use super::{DatasetError, Record, beir};

/// The texts of `path` in order, read as they are asked for: JSON objects with `text`, and `title` and `_id` if they
/// have them.
///
/// # Errors
/// The file cannot be opened; each item can be [`DatasetError::Line`].
pub fn read(
    path: &Path,
) -> Result<impl Iterator<Item = Result<Record, DatasetError>>, DatasetError> {
    let mut lines = Lines::open(path)?;
    Ok(std::iter::from_fn(move || {
        lines.next(beir::parse_text).transpose()
    }))
}

/// How many texts [`read`] will give; 0, which is "not known", where reading would use them up, as from a pipe.
///
/// # Errors
/// The file cannot be read.
pub fn count(path: &Path) -> Result<u64, DatasetError> {
    let about = std::fs::metadata(path).map_err(DatasetError::io("read", path))?;
    if !about.is_file() {
        return Ok(0);
    }
    Lines::open(path)?.count()
}
