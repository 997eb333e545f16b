//! Which rows answer a query, and how were they found?

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::ask::Asker;
use super::batch;
use super::recall::Point;
use super::settle::FEW;
use super::view::View;
use crate::flat::{self, Metric, Scorer};
use crate::kernels::Level;
use crate::kernels::lut;
use crate::kernels::scan::Scan;
use crate::kernels::topk::TopK;
use crate::matrix::{Matrix, Rows};
use crate::{PassageId, PassageSet, StorageError, Task};

/// How to search. `nprobe` and `rescore` win over `target_recall`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchParams {
    /// Number of hits wanted. Default 10.
    pub k: usize,
    /// Lists read at most, at least 1; more than there are means all. Reading ends early where it finds nothing better any
    /// more. Default: from `target_recall`.
    pub nprobe: Option<usize>,
    /// Best codes looked up in the matrix, a vector's codes in two lists counted as two; at least `k` times
    /// the copies are. Default: from `target_recall`.
    pub rescore: Option<usize>,
    /// Share of the true `k` best that must be found on average, as measured on the index's own sample, 0 to 1.
    /// 1 searches exactly. Default .95.
    pub target_recall: f32,
    /// Probe lists even where comparing every wanted row should be faster. Settings given by hand imply it.
    /// Default false.
    pub always_probe: bool,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self {
            k: 10,
            nprobe: None,
            rescore: None,
            target_recall: 0.95,
            always_probe: false,
        }
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Every wanted row was scored exactly.
    Exact,
    /// Some lists were read.
    Lists {
        /// Lists read.
        probed: usize,
        /// Lists there are.
        lists: usize,
        /// Codes scored.
        scanned: usize,
        /// Rows scored exactly, those of the tail included.
        rescored: usize,
        /// Recall measured for this setting with k = 10; `None` for settings given by hand or with
        /// a filter.
        recall: Option<f32>,
    },
}

/// Hits, and how they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The best passages found with their exact scores, best first, ties by ascending id.
    pub hits: Vec<(PassageId, f32)>,
    /// How.
    pub mode: Mode,
}

/// An opened index over the matrix it was built from, which may have gained and lost rows since.
#[derive(Debug)]
pub struct Index {
    view: View,
    pub(super) matrix: Matrix,
    /// First row that is not in the lists.
    pub(super) tail: usize,
    /// First row of each segment, and the number of rows at the end.
    pub(super) starts: Vec<usize>,
    pub(super) asker: Asker,
    pub(super) scan: Scan,
    pub(super) level: Level,
}

impl Index {
    /// Opens the index file `path` over `matrix`: the one it was built from, or a later one with the same
    /// ids and vectors for the rows that are left.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Version`] or [`StorageError::Corrupt`], and
    /// [`StorageError::Invalid`] when the matrix has another dimension.
    pub fn open(path: &Path, matrix: Matrix) -> Result<Self, StorageError> {
        let view = View::open(path)?;
        let (ours, theirs) = (view.geometry.dimension, matrix.dimension());
        if ours != theirs {
            return Err(StorageError::Invalid(format!(
                "{} indexes vectors of {ours} numbers, the matrix holds {theirs}; build the index again",
                path.display()
            )));
        }
        let mut starts = vec![0];
        for segment in matrix.segments() {
            starts.push(starts[starts.len() - 1] + segment.len());
        }
        let tail = first_row_from(&matrix, view.geometry.covered);
        Ok(Self {
            asker: Asker::new(&view.model),
            view,
            matrix,
            tail,
            starts,
            scan: Scan::best(),
            level: Level::best(),
        })
    }

    /// The same index scanned with other kernels; tests compare them.
    #[must_use]
    pub fn with_scan(mut self, scan: Scan) -> Self {
        self.scan = scan;
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.view.path()
    }

    /// The metric it answers for.
    pub fn metric(&self) -> Metric {
        self.view.geometry.metric
    }

    /// Number of lists.
    pub fn lists(&self) -> usize {
        self.view.geometry.lists
    }

    /// Vectors in the lists, those that died since included.
    pub fn vectors(&self) -> usize {
        self.view.geometry.vectors
    }

    /// Vectors taken in by folding since the model was trained.
    pub fn folded(&self) -> usize {
        self.view.geometry.folded
    }

    /// Ids below this are in the lists or were dead when they were made.
    pub fn covered(&self) -> u64 {
        self.view.geometry.covered
    }

    /// Rows of the matrix that are not in the lists and so are searched exactly.
    pub fn tail(&self) -> usize {
        self.matrix.len() - self.tail
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.view.bytes()
    }

    /// What the index measured of itself, cheapest first, and the number of queries it was measured with.
    pub fn measured(&self) -> (&[Point], usize) {
        (&self.view.points, self.view.geometry.sample)
    }

    /// The matrix behind it.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Compares every list with its checksum.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn verify(&self) -> Result<(), StorageError> {
        (0..self.lists() as u32).try_for_each(|list| self.view.list(list).map(|_| ()))
    }

    /// The rows nearest to `query` among those in `keep` (all, if not given). Dead rows must not be in `keep`.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a query of another dimension or one that is not finite, for an
    /// `nprobe` of 0 and a target that is no share; [`StorageError::Corrupt`] for a damaged list.
    pub fn search(
        &self,
        query: &[f32],
        params: &SearchParams,
        keep: Option<&PassageSet>,
    ) -> Result<Answer, StorageError> {
        flat::check(&self.matrix, query)?;
        let wanted = keep.map(PassageSet::len);
        match self.settle(params, wanted)? {
            Some(setting) => self.probe(query, params.k, setting, keep),
            None => self.exact(query, params.k, keep, wanted),
        }
    }

    /// Would a search with these parameters read lists, or compare every wanted row?
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for an `nprobe` of 0 and a target that is no share.
    pub fn probes(
        &self,
        params: &SearchParams,
        keep: Option<&PassageSet>,
    ) -> Result<bool, StorageError> {
        Ok(self.settle(params, keep.map(PassageSet::len))?.is_some())
    }

    /// [`Index::search`] for many queries, (n, dimension) row-major, shared between all threads: the same answers, sooner,
    /// because lists and rows are read once for many queries.
    ///
    /// # Errors
    /// Those of [`Index::search`], [`StorageError::Invalid`] for numbers that are no whole queries, or the caller's
    /// cancel flag.
    pub fn search_batch(
        &self,
        queries: &[f32],
        params: &SearchParams,
        keep: Option<&PassageSet>,
        task: Task<'_>,
    ) -> Result<Vec<Answer>, StorageError> {
        let dimension = self.matrix.dimension();
        flat::check_batch(queries, dimension)?;
        queries
            .chunks_exact(dimension)
            .try_for_each(|query| flat::check(&self.matrix, query))?;
        let threads = rayon::current_num_threads();
        let share = (queries.len() / dimension).div_ceil(threads);
        let share = share.clamp(batch::LEAST, batch::MOST);
        let (done, total) = (AtomicU64::new(0), (queries.len() / dimension) as u64);
        let parts: Vec<Vec<Answer>> = queries
            .par_chunks(share * dimension)
            .map(|queries| {
                task.check()?;
                let answers = self.search_some(queries, params, keep)?;
                let count = answers.len() as u64;
                let done = done.fetch_add(count, Ordering::Relaxed) + count;
                task.report("searching the index", done, total);
                Ok(answers)
            })
            .collect::<Result<_, StorageError>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The answers of one thread's queries.
    fn search_some(
        &self,
        queries: &[f32],
        params: &SearchParams,
        keep: Option<&PassageSet>,
    ) -> Result<Vec<Answer>, StorageError> {
        let dimension = self.matrix.dimension();
        let setting = self.settle(params, keep.map(PassageSet::len))?;
        match setting.filter(|_| queries.len() >= batch::LEAST * dimension) {
            Some(setting) => self.probe_many(queries, params.k, setting, keep),
            None => queries
                .chunks_exact(dimension)
                .map(|query| self.search(query, params, keep))
                .collect(),
        }
    }

    fn exact(
        &self,
        query: &[f32],
        k: usize,
        keep: Option<&PassageSet>,
        wanted: Option<usize>,
    ) -> Result<Answer, StorageError> {
        let few = wanted.is_some_and(|wanted| wanted <= self.matrix.len() / 64 || wanted <= FEW);
        let hits = match keep {
            Some(keep) if few => {
                let scorer = Scorer::new(query, self.metric());
                let mut top = TopK::new(k);
                for id in keep.iter() {
                    if let Some(row) = self.row(id.0) {
                        top.push(id.0, scorer.score_row(row));
                    }
                }
                named(top.into_sorted())
            }
            _ => flat::search(&self.matrix, query, k, self.metric(), keep)?.hits,
        };
        Ok(Answer {
            hits,
            mode: Mode::Exact,
        })
    }

    /// Segment and row of `id`.
    pub(super) fn place(&self, id: u32) -> Option<(u32, u32)> {
        let segments = self.matrix.segments();
        let at = match segments.len() {
            1 => 0,
            _ => segments.partition_point(|s| s.last().is_none_or(|last| last.0 < id)),
        };
        let row = segments.get(at)?.row_of(PassageId(id))?;
        Some((at as u32, row as u32))
    }

    fn row(&self, id: u32) -> Option<Rows<'_>> {
        self.place(id).map(|place| self.row_at(place))
    }

    pub(super) fn row_at(&self, (segment, row): (u32, u32)) -> Rows<'_> {
        let row = row as usize;
        self.matrix.segments()[segment as usize].rows_in(row..row + 1)
    }

    pub(super) fn fetch(&self, place: (u32, u32)) {
        match self.row_at(place) {
            Rows::F32(row) => lut::prefetch(bytemuck::cast_slice(row)),
            Rows::F16(row) => lut::prefetch(bytemuck::cast_slice(row)),
        }
    }
}

/// The first row of `matrix` whose id is at least `covered`.
fn first_row_from(matrix: &Matrix, covered: u64) -> usize {
    let Range { mut start, mut end } = 0..matrix.len();
    while start < end {
        let middle = start.midpoint(end);
        if u64::from(matrix.id(middle).0) < covered {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
}

pub(super) fn named(hits: impl IntoIterator<Item = (u32, f32)>) -> Vec<(PassageId, f32)> {
    hits.into_iter()
        .map(|(id, score)| (PassageId(id), score))
        .collect()
}
