//! How do many segments become one, without the rows of passages that are gone?

use std::path::Path;
use std::sync::Arc;

use crate::{PassageId, StorageError, Task};

use super::{Dtype, MatrixSegment, MatrixWriter, SegmentSummary};

/// Rows between two looks at the cancel flag.
const STEP: usize = 4096;

/// Writes the rows of `segments` (ids ascending from one to the next) whose passage is `live` to the
/// new file `path`. Ids stay what they are. The result is f16 when every segment is, f32 otherwise, so
/// that no number changes.
///
/// # Errors
/// Those of [`MatrixWriter`], and [`StorageError::Invalid`] without segments. A failed merge leaves
/// an unfinished file behind.
pub fn merge(
    segments: &[Arc<MatrixSegment>],
    live: &dyn Fn(PassageId) -> bool,
    path: &Path,
    task: Task<'_>,
) -> Result<SegmentSummary, StorageError> {
    let Some(first) = segments.first() else {
        return Err(StorageError::Invalid("no matrix segments to merge".into()));
    };
    let f16 = segments.iter().all(|s| s.dtype() == Dtype::F16);
    let dtype = if f16 { Dtype::F16 } else { Dtype::F32 };
    let mut writer = MatrixWriter::create(path, first.dimension(), dtype)?;
    let total = segments.iter().map(|s| s.len() as u64).sum();
    let mut done = 0;
    for segment in segments {
        super::check_dimension(segment, first.dimension())?;
        for start in (0..segment.len()).step_by(STEP) {
            task.check()?;
            let end = segment.len().min(start + STEP);
            copy_live(segment, start..end, live, &mut writer)?;
            done += (end - start) as u64;
            task.report("merging embeddings", done, total);
        }
    }
    writer.finish(false)
}

fn copy_live(
    segment: &MatrixSegment,
    rows: std::ops::Range<usize>,
    live: &dyn Fn(PassageId) -> bool,
    writer: &mut MatrixWriter,
) -> Result<(), StorageError> {
    let mut vector = vec![0.0; segment.dimension()];
    for row in rows.filter(|&row| live(segment.id(row))) {
        segment.row_f32(row, &mut vector);
        writer.push(segment.id(row), &vector)?;
    }
    Ok(())
}
