//! Which vectors are nearest, exactly?
//!
//! The slow equivalent: score every row, sort, keep the first k. It is the oracle of the IVF-PQ index
//! and the whole search of small collections. Rows are scored where they lie in the map, block by
//! block on all cores; the mean and deviation of the scores, which fusion standardises with, fall out
//! of the same pass. Blocks have fixed boundaries and are joined in order, so that the result does not
//! depend on the number of threads.

use half::f16;
use rayon::prelude::*;

use crate::kernels::Kernels;
use crate::kernels::topk::TopK;
use crate::matrix::{Matrix, MatrixSegment, Rows};
use crate::{PassageId, PassageSet, StorageError, Task};

mod moments;

use moments::Moments;

/// Rows scored at a time: with 384 numbers of f32 they take 768 KB, which fits a core's cache, and
/// the boundaries at which sums of scores are cut.
const BLOCK: usize = 512;

/// Blocks one thread takes at a time in a search for one query (about 3 MB of f16 rows).
const BLOCKS_PER_JOB: usize = 8;

/// Queries that share one widening of a block in a batch.
const QUERIES_PER_JOB: usize = 32;

/// What "near" means. Every score is better when higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Σ qᵢ rᵢ.
    InnerProduct,
    /// Inner product over both lengths, -1 to 1; 0 when either vector is zero.
    Cosine,
    /// Minus the squared Euclidean distance.
    L2,
}

/// The answer for one query.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatHits {
    /// The best passages with their scores, best first, ties by ascending id.
    pub hits: Vec<(PassageId, f32)>,
    /// Mean score of the rows scanned; 0 without rows.
    pub mean: f64,
    /// Standard deviation of the scores of the rows scanned (divisor n); 0 without rows.
    pub deviation: f64,
    /// Rows scanned: those in `keep`.
    pub scanned: u64,
}

/// The `k` rows nearest to `query`, among those in `keep` if given.
///
/// # Errors
/// [`StorageError::Invalid`] when the query has another dimension or holds NaN or infinity.
pub fn search(
    matrix: &Matrix,
    query: &[f32],
    k: usize,
    metric: Metric,
    keep: Option<&PassageSet>,
) -> Result<FlatHits, StorageError> {
    check(matrix, query)?;
    matrix.verify_once()?;
    let scorer = Scorer::new(query, metric);
    let jobs: Vec<Found> = matrix
        .runs(BLOCK)
        .par_chunks(BLOCKS_PER_JOB)
        .map(|runs| {
            let mut found = Found::new(k);
            for (at, rows) in runs {
                let segment = &matrix.segments()[*at];
                found.scan(
                    &scorer,
                    segment,
                    rows.start,
                    segment.rows_in(rows.clone()),
                    keep,
                );
            }
            found
        })
        .collect();
    Ok(Found::join(jobs, k))
}

/// [`search`] for many queries, (n, dimension) row-major; bit for bit the same answers, faster
/// because a block of rows is read and widened once for many queries.
///
/// # Errors
/// Those of [`search`], or the caller's cancel flag.
pub fn search_batch(
    matrix: &Matrix,
    queries: &[f32],
    k: usize,
    metric: Metric,
    keep: Option<&PassageSet>,
    task: Task<'_>,
) -> Result<Vec<FlatHits>, StorageError> {
    let dimension = matrix.dimension();
    check_batch(queries, dimension)?;
    queries
        .chunks_exact(dimension)
        .try_for_each(|query| check(matrix, query))?;
    matrix.verify_once()?;
    let done = std::sync::atomic::AtomicU64::new(0);
    let total = (queries.len() / dimension) as u64;
    let groups: Vec<Vec<FlatHits>> = queries
        .par_chunks(dimension * QUERIES_PER_JOB)
        .map(|group| {
            let answers = search_group(matrix, group, k, metric, keep, task)?;
            let count = answers.len() as u64;
            let done = done.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count;
            task.report("searching exactly", done, total);
            Ok::<_, StorageError>(answers)
        })
        .collect::<Result<_, _>>()?;
    Ok(groups.into_iter().flatten().collect())
}

/// A few queries against all rows on one thread.
fn search_group(
    matrix: &Matrix,
    queries: &[f32],
    k: usize,
    metric: Metric,
    keep: Option<&PassageSet>,
    task: Task<'_>,
) -> Result<Vec<FlatHits>, StorageError> {
    let dimension = matrix.dimension();
    let mut searches: Vec<(Scorer<'_>, Found)> = queries
        .chunks_exact(dimension)
        .map(|query| (Scorer::new(query, metric), Found::new(k)))
        .collect();
    let mut widened = vec![0.0; BLOCK.min(matrix.len()) * dimension];
    for (at, rows) in matrix.runs(BLOCK) {
        task.check()?;
        let segment = &matrix.segments()[at];
        let block = &mut widened[..rows.len() * dimension];
        segment.rows_in(rows.clone()).widen(block);
        for (scorer, found) in &mut searches {
            found.scan(scorer, segment, rows.start, Rows::F32(block), keep);
        }
    }
    let answers = searches.into_iter();
    Ok(answers
        .map(|(_, found)| Found::join(vec![found], k))
        .collect())
}

/// Mean and deviation of the scores of the rows in `keep` (all, if not given), estimated from `sample` of them spread
/// evenly; exact where no more are wanted. 0 and 0 without rows.
///
/// # Errors
/// Those of [`search`].
pub fn moments(
    matrix: &Matrix,
    query: &[f32],
    metric: Metric,
    keep: Option<&PassageSet>,
    sample: usize,
) -> Result<(f64, f64), StorageError> {
    check(matrix, query)?;
    let rows: Vec<usize> = match keep {
        Some(keep) => {
            let ids = keep.spread(sample).into_iter();
            ids.filter_map(|id| matrix.row_of(id)).collect()
        }
        None => spread(matrix.len(), sample).collect(),
    };
    let scorer = Scorer::new(query, metric);
    let scores: Vec<f32> = rows
        .into_iter()
        .map(|row| scorer.score_row(matrix.row(row)))
        .collect();
    let moments = Moments::of(&scores);
    Ok((moments.mean(), moments.deviation()))
}

/// `count` of 0..n, evenly spread and ascending; all where there are no more.
pub(crate) fn spread(n: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(n);
    (0..count).map(move |at| at * n / count)
}

/// Are these whole queries?
pub(crate) fn check_batch(queries: &[f32], dimension: usize) -> Result<(), StorageError> {
    if queries.len().is_multiple_of(dimension) {
        return Ok(());
    }
    let message = format!(
        "{} numbers are no whole number of queries of {dimension}",
        queries.len()
    );
    Err(StorageError::Invalid(message))
}

pub(crate) fn check(matrix: &Matrix, query: &[f32]) -> Result<(), StorageError> {
    if query.len() != matrix.dimension() {
        return Err(StorageError::Invalid(format!(
            "the query has {} numbers, the collection's vectors have {}; they come from different encoders",
            query.len(),
            matrix.dimension()
        )));
    }
    match query.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => Err(StorageError::Invalid(format!(
            "the query vector holds {} at position {at}",
            query[at]
        ))),
    }
}

/// A query ready to be compared.
pub(crate) struct Scorer<'a> {
    kernels: Kernels,
    query: &'a [f32],
    metric: Metric,
    /// 1 / |q|; 0 for the zero vector.
    inverse_length: f32,
    /// The origin: the squared distance to it is a row's squared length.
    origin: Vec<f32>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(query: &'a [f32], metric: Metric) -> Self {
        let kernels = Kernels::best();
        let cosine = metric == Metric::Cosine;
        Self {
            kernels,
            query,
            metric,
            inverse_length: inverse_root(kernels.dot(query, query)),
            origin: vec![0.0; if cosine { query.len() } else { 0 }],
        }
    }

    /// The score of one row as it lies in its file.
    #[inline]
    pub(crate) fn score_row(&self, row: Rows<'_>) -> f32 {
        match row {
            Rows::F32(row) => self.score(row),
            Rows::F16(row) => self.score_half(row),
        }
    }

    #[inline]
    fn score(&self, row: &[f32]) -> f32 {
        match self.metric {
            Metric::InnerProduct => self.kernels.dot(self.query, row),
            Metric::L2 => -self.kernels.squared_l2(self.query, row),
            Metric::Cosine => {
                let length = inverse_root(self.kernels.squared_l2(&self.origin, row));
                self.kernels.dot(self.query, row) * self.inverse_length * length
            }
        }
    }

    #[inline]
    fn score_half(&self, row: &[f16]) -> f32 {
        match self.metric {
            Metric::InnerProduct => self.kernels.dot_half(self.query, row),
            Metric::L2 => -self.kernels.squared_l2_half(self.query, row),
            Metric::Cosine => {
                let length = inverse_root(self.kernels.squared_l2_half(&self.origin, row));
                self.kernels.dot_half(self.query, row) * self.inverse_length * length
            }
        }
    }
}

fn inverse_root(square: f32) -> f32 {
    if square > 0.0 {
        square.sqrt().recip()
    } else {
        0.0
    }
}

/// What a scan has found so far.
struct Found {
    top: TopK,
    /// One entry per block, in row order.
    blocks: Vec<Moments>,
}

impl Found {
    fn new(k: usize) -> Self {
        Self {
            top: TopK::new(k),
            blocks: Vec::new(),
        }
    }

    /// Scores one block: `rows` of `segment` from row `start` on.
    fn scan(
        &mut self,
        scorer: &Scorer<'_>,
        segment: &MatrixSegment,
        start: usize,
        rows: Rows<'_>,
        keep: Option<&PassageSet>,
    ) {
        let dimension = segment.dimension();
        let mut scores = [0.0; BLOCK];
        let mut count = 0;
        let mut take = |row: usize, score: &dyn Fn() -> f32| {
            let id = segment.id(start + row);
            if keep.is_none_or(|keep| keep.contains(id)) {
                scores[count] = score();
                self.top.push(id.0, scores[count]);
                count += 1;
            }
        };
        match rows {
            Rows::F32(rows) => {
                for (at, row) in rows.chunks_exact(dimension).enumerate() {
                    take(at, &|| scorer.score(row));
                }
            }
            Rows::F16(rows) => {
                for (at, row) in rows.chunks_exact(dimension).enumerate() {
                    take(at, &|| scorer.score_half(row));
                }
            }
        }
        self.blocks.push(Moments::of(&scores[..count]));
    }

    /// Joins jobs in row order.
    fn join(jobs: Vec<Found>, k: usize) -> FlatHits {
        let mut top = TopK::new(k);
        let mut moments = Moments::default();
        for job in jobs {
            top.merge(job.top);
            job.blocks.iter().for_each(|block| moments.join(block));
        }
        let hits = top.into_sorted().into_iter();
        FlatHits {
            hits: hits.map(|(id, score)| (PassageId(id), score)).collect(),
            mean: moments.mean(),
            deviation: moments.deviation(),
            scanned: moments.count(),
        }
    }
}

#[cfg(test)]
mod tests;
