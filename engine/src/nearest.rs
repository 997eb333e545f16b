//! Which passages lie nearest to a vector, and was every vector looked at to tell?

use storage::flat::{self, FlatHits, Metric};
use storage::ivfpq::{Answer, Index, Mode, SearchParams};
use storage::matrix::Matrix;
use storage::{PassageSet, StorageError};

use crate::error::EngineError;
use crate::fuse;
use crate::request::{SearchRequest, VectorSearch};

/// Rows that the mean and deviation of an indexed search's scores are estimated from: their standard errors are then 3
/// and 2 hundredths of the deviation, which moves no fused score by more.
const MOMENTS_SAMPLE: usize = 1024;

/// The vectors of a generation.
pub(crate) struct Vectors {
    pub(crate) matrix: Matrix,
    pub(crate) index: Option<Index>,
    /// Why there is an index and it cannot be used.
    pub(crate) damage: Option<String>,
}

/// The nearest passages, and how they were found.
pub(crate) struct Nearest {
    pub(crate) hits: FlatHits,
    /// "exact", or "ivfpq, 300 of 3168 lists probed".
    pub(crate) how: String,
    /// What a person should know of it.
    pub(crate) warning: Option<String>,
}

impl Vectors {
    /// Opens the index at `path`, if there is one, over `matrix`. One that cannot be opened is remembered as damage:
    /// every search says that it did without.
    pub(crate) fn open(matrix: Matrix, path: Option<&std::path::Path>) -> Self {
        let opened = path.map(|path| Index::open(path, matrix.clone()));
        let (index, damage) = match opened {
            Some(Ok(index)) => (Some(index), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        Self {
            matrix,
            index,
            damage,
        }
    }

    /// The [`fuse::DEPTH`] passages of `keep` nearest to `vector`.
    pub(crate) fn nearest(
        &self,
        vector: &[f32],
        keep: &PassageSet,
        request: &SearchRequest,
    ) -> Result<Nearest, EngineError> {
        // A scan that needs no bitmap is faster; it needs none when every row is wanted.
        let keep = (keep.len() < self.matrix.len()).then_some(keep);
        let mut warning = self.damage.as_ref().map(|damage| without_index(damage));
        if let Some(index) = self.wanted_index(request)? {
            match self.through(index, vector, keep, request) {
                Ok(Some(nearest)) => return Ok(nearest),
                Ok(None) => {}
                Err(error @ StorageError::Corrupt { .. }) => {
                    warning = Some(without_index(&error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let hits = flat::search(
            &self.matrix,
            vector,
            fuse::DEPTH,
            Metric::InnerProduct,
            keep,
        )?;
        Ok(Nearest {
            hits,
            how: "exact".to_owned(),
            warning,
        })
    }

    fn wanted_index(&self, request: &SearchRequest) -> Result<Option<&Index>, EngineError> {
        match (request.vectors, &self.index) {
            (VectorSearch::Exact, _) => Ok(None),
            (VectorSearch::Auto, index) => Ok(index.as_ref()),
            (VectorSearch::Ivfpq, Some(index)) => Ok(Some(index)),
            (VectorSearch::Ivfpq, None) => Err(EngineError::NoIndex),
        }
    }

    /// `None` where comparing every vector is the better way.
    fn through(
        &self,
        index: &Index,
        vector: &[f32],
        keep: Option<&PassageSet>,
        request: &SearchRequest,
    ) -> Result<Option<Nearest>, StorageError> {
        let params = SearchParams {
            k: fuse::DEPTH,
            target_recall: request.target_recall,
            always_probe: request.vectors == VectorSearch::Ivfpq,
            ..SearchParams::default()
        };
        if !index.probes(&params, keep)? {
            return Ok(None);
        }
        let Answer { hits, mode } = index.search(vector, &params, keep)?;
        let metric = index.metric();
        let (mean, deviation) = flat::moments(&self.matrix, vector, metric, keep, MOMENTS_SAMPLE)?;
        let scanned = keep.map_or(self.matrix.len(), PassageSet::len) as u64;
        Ok(Some(Nearest {
            hits: FlatHits {
                hits,
                mean,
                deviation,
                scanned,
            },
            how: describe(&mode),
            warning: None,
        }))
    }
}

fn without_index(problem: &str) -> String {
    format!("every vector was compared, since the index is not usable: {problem}")
}

fn describe(mode: &Mode) -> String {
    match mode {
        Mode::Exact => "exact".to_owned(),
        Mode::Lists { probed, lists, .. } => format!("ivfpq, {probed} of {lists} lists probed"),
    }
}
