//! Does this generation keep an IVF-PQ index of its vectors, and which?
//!
//! Few vectors are compared one by one. Many get an index; it is carried over from generation to generation as it is
//! while little changes (new rows are searched exactly beside it, dead ones are left out), folded when more did, and
//! built anew when the collection has outgrown it.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage::flat::Metric;
use storage::generation::{GenerationBuilder, Manifest};
use storage::ivfpq::{BuildParams, Index, build, fold};
use storage::matrix::{Matrix, MatrixSegment};
use storage::{PassageId, PassageSet, StorageError, Task};

use super::asking::questions;
use super::session::Session;
use crate::bm25::Bm25Index;
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::report::IndexReport;
use crate::threads;

/// Passages from which on vectors are indexed: from here a search through the index takes half the time of comparing every
/// vector, or less (`benches/RESULTS.md`).
pub const INDEX_FROM: u64 = 20_000;
/// Below this share of [`INDEX_FROM`] a collection that shrank loses its index again.
const KEEP_SHARE: f64 = 0.5;
/// Rows that came or went since the index was made, as a share of the live ones, above which it is folded.
const FOLD_SHARE: f64 = 0.05;
/// Vectors taken in by folding, as a share of all, above which the model is trained anew.
const STALE_SHARE: f64 = 0.5;

/// Which collections get an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum IndexPolicy {
    /// Those with [`INDEX_FROM`] passages and more.
    #[default]
    WherePays,
    /// All with vectors.
    Always,
    /// As [`IndexPolicy::WherePays`], and what is there is not to be trusted.
    Anew,
}

/// When a generation is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// In the middle of a run: searchable soon counts, the index can wait.
    Underway,
    /// At its end.
    Finished,
}

/// What happens to the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is none.
    Without,
    Keep,
    Fold,
    Build,
}

/// What decides about the index.
#[derive(Debug, Clone, Copy)]
struct State {
    live: u64,
    /// Rows behind the lists.
    tail: u64,
    /// Vectors in the lists that died.
    dead: u64,
    /// Those of them whose rows have left the matrix.
    gone: u64,
    /// Vectors in the lists, and those that came by folding.
    indexed: u64,
    folded: u64,
}

impl State {
    fn of(index: &Index, live: &RoaringBitmap) -> Self {
        let below = u32::try_from(index.covered()).map_or(live.len(), |end| {
            end.checked_sub(1).map_or(0, |last| live.rank(last))
        });
        let indexed = index.vectors() as u64;
        Self {
            live: live.len(),
            tail: live.len() - below,
            dead: indexed.saturating_sub(below),
            gone: indexed.saturating_sub((index.matrix().len() - index.tail()) as u64),
            indexed,
            folded: index.folded() as u64,
        }
    }

    /// What an index in this state needs.
    fn step(&self) -> Step {
        let share = |part: u64| part as f64 / self.live.max(1) as f64;
        let after = (self.folded + self.tail) as f64 / (self.indexed + self.tail).max(1) as f64;
        // What was dropped from the matrix must not live on as a code.
        match self.gone > 0 || share(self.tail + self.dead) > FOLD_SHARE {
            true if after > STALE_SHARE => Step::Build,
            true => Step::Fold,
            false => Step::Keep,
        }
    }
}

fn step(policy: IndexPolicy, occasion: Occasion, live: u64, old: Option<State>) -> Step {
    let least = match old {
        Some(_) => INDEX_FROM as f64 * KEEP_SHARE,
        None => INDEX_FROM as f64,
    };
    let wanted = policy == IndexPolicy::Always || live as f64 >= least;
    match (wanted && live > 0, occasion, old) {
        (false, ..) | (true, Occasion::Underway, None) => Step::Without,
        (true, Occasion::Finished, None) => Step::Build,
        (true, Occasion::Underway, Some(_)) => Step::Keep,
        (true, Occasion::Finished, Some(state)) => state.step(),
    }
}

impl Session<'_> {
    /// Gives the generation in the making the index that suits its `segments`. One that was stopped or is damaged is
    /// reported and left for the next run: search compares every vector until then.
    pub(super) fn finish_index(
        &self,
        builder: &GenerationBuilder<'_>,
        manifest: &mut Manifest,
        segments: Vec<Arc<MatrixSegment>>,
        occasion: Occasion,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let old = self.vectors.as_ref().and_then(|v| v.index.as_deref());
        let least = INDEX_FROM as f64 * KEEP_SHARE;
        let many = self.tally.passages as f64 >= least || self.index_policy == IndexPolicy::Always;
        let Some(dimension) = segments.first().map(|s| s.dimension()).filter(|_| many) else {
            return Ok(());
        };
        let passages = Bm25Index::open(&builder.dir().join("bm25"))?;
        let work = Making {
            builder,
            matrix: Matrix::new(dimension, segments)?,
            live: passages.live().clone(),
            passages,
            encoder: self.vectors.as_ref().and_then(|v| v.encoder.clone()),
            task,
        };
        let old = match self.index_policy {
            IndexPolicy::Anew => None,
            _ => old.and_then(|path| work.open(path, report)),
        };
        let state = old.as_ref().map(|old| State::of(old, &work.live));
        let step = step(self.index_policy, occasion, work.live.len(), state);
        manifest.index = match work.make(step, old.as_ref(), report) {
            Ok(name) => name,
            Err(EngineError::Cancelled(_)) => {
                report.interrupted = true;
                report.warnings.push(
                    "stopped before the index of the vectors was made; the next run makes it"
                        .into(),
                );
                // Codes of rows that have left the matrix are not carried on.
                match old.as_ref().filter(|_| state.is_some_and(|s| s.gone == 0)) {
                    Some(old) => work.make(Step::Keep, Some(old), report)?,
                    None => None,
                }
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Whether the published generation has an index of its vectors.
    pub(crate) fn has_index(&self) -> bool {
        let base = self.base.as_ref();
        base.is_some_and(|base| base.manifest.index.is_some())
    }

    /// Whether the published generation lacks an index that it should have, or has one that should be renewed.
    pub(super) fn index_is_due(&self) -> Result<bool, EngineError> {
        let (Some(base), Some(vectors)) = (&self.base, &self.vectors) else {
            return Ok(false);
        };
        let few = self.tally.passages < INDEX_FROM && vectors.index.is_none();
        let Some(matrix) = vectors.base.as_ref().filter(|_| !few) else {
            return Ok(false);
        };
        let live = Bm25Index::open(&base.dir.join("bm25"))?.live().clone();
        let old = vectors.index.as_deref();
        let old = old.and_then(|path| Index::open(path, matrix.clone()).ok());
        let state = old.map(|old| State::of(&old, &live));
        let step = step(
            IndexPolicy::WherePays,
            Occasion::Finished,
            live.len(),
            state,
        );
        // A small collection that was given one keeps it until something changes.
        Ok(matches!(step, Step::Build | Step::Fold))
    }
}

/// The makings of an index file.
struct Making<'a> {
    builder: &'a GenerationBuilder<'a>,
    matrix: Matrix,
    live: RoaringBitmap,
    passages: Bm25Index,
    /// Asks the questions that recall is measured with; a session that merely removes has none.
    encoder: Option<Arc<dyn Encoder>>,
    task: Task<'a>,
}

impl Making<'_> {
    fn open(&self, path: &Path, report: &mut IndexReport) -> Option<Index> {
        match Index::open(path, self.matrix.clone()) {
            Ok(index) => Some(index),
            Err(error) => {
                report.warnings.push(format!("{error}; it is made again"));
                None
            }
        }
    }

    /// The name of the file in the generation's folder, if it has one after `step`.
    fn make(
        &self,
        step: Step,
        old: Option<&Index>,
        report: &mut IndexReport,
    ) -> Result<Option<String>, EngineError> {
        let name = self.builder.index_name();
        let path = self.builder.dir().join(&name);
        match (step, old) {
            (Step::Without, _) => Ok(None),
            (Step::Keep, Some(old)) => Ok(Some(self.link(old)?)),
            (Step::Fold, Some(old)) => {
                let questions = self.questions(report)?;
                let questions = questions.as_deref();
                match self.try_new(&path, |keep| fold(&path, old, keep, questions, self.task)) {
                    Err(EngineError::Storage(error @ StorageError::Corrupt { .. })) => {
                        report.warnings.push(format!("{error}; it is made again"));
                        self.make(Step::Build, None, report)
                    }
                    made => made.map(|()| Some(name)),
                }
            }
            (Step::Build, _) | (_, None) => {
                let params = BuildParams {
                    metric: Metric::InnerProduct,
                    queries: self.questions(report)?,
                    ..BuildParams::default()
                };
                self.try_new(&path, |keep| {
                    build(&path, &self.matrix, keep, &params, self.task)
                })?;
                Ok(Some(name))
            }
        }
    }

    /// What recall is measured with; vectors of the collection itself where no questions can be had.
    fn questions(&self, report: &mut IndexReport) -> Result<Option<Vec<f32>>, EngineError> {
        let Some(encoder) = &self.encoder else {
            return Ok(None);
        };
        match questions(&self.passages, &**encoder, self.task) {
            Err(error) if !matches!(error, EngineError::Cancelled(_)) => {
                report.warnings.push(format!(
                    "{error}; the index measures its recall with vectors of its own"
                ));
                Ok(None)
            }
            questions => questions,
        }
    }

    /// Takes the published file over.
    fn link(&self, old: &Index) -> Result<String, EngineError> {
        let name = old.path().file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        self.builder.link(old.path(), &name)?;
        Ok(name)
    }

    /// Runs `make` on the live rows, on the threads of indexing; what it leaves behind when it fails is removed.
    fn try_new(
        &self,
        path: &Path,
        make: impl FnOnce(Option<&PassageSet>) -> Result<(), StorageError> + Send,
    ) -> Result<(), EngineError> {
        let pool = threads::indexing(self.builder.dir())?;
        let all = self.live.len() == self.matrix.len() as u64;
        let keep: Option<PassageSet> = (!all).then(|| self.live.iter().map(PassageId).collect());
        let made = pool.install(|| make(keep.as_ref()));
        if made.is_err() {
            // Not there if it failed early.
            let _ = std::fs::remove_file(path);
        }
        Ok(made?)
    }
}

#[cfg(test)]
mod tests;
