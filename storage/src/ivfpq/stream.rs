//! How do all threads work on a matrix that is larger than memory, in one order?

use rayon::prelude::*;

use super::kmeans;
use super::source::Source;
use crate::{StorageError, Task};

/// Blocks of rows in flight: they bound what the passes hold.
const WAVE: usize = 32;

/// Reads all live rows in blocks, lets all threads `work` on (number of the first row, rows), and hands the results
/// to `join` in order. At most [`WAVE`] blocks are held at a time.
pub(super) fn stream<T: Send>(
    source: &Source<'_>,
    stage: &'static str,
    task: Task<'_>,
    work: impl Fn(usize, &[f32]) -> T + Sync,
    mut join: impl FnMut(T),
) -> Result<(), StorageError> {
    let starts: Vec<usize> = (0..source.len()).step_by(kmeans::ROWS).collect();
    for wave in starts.chunks(WAVE) {
        task.check()?;
        task.report(stage, wave[0] as u64, source.len() as u64);
        let done: Vec<T> = wave
            .par_iter()
            .map(|&start| {
                let end = (start + kmeans::ROWS).min(source.len());
                Ok(work(start, &source.read(start..end)?))
            })
            .collect::<Result<_, StorageError>>()?;
        done.into_iter().for_each(&mut join);
    }
    Ok(())
}
