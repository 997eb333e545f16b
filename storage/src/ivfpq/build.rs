//! How does a matrix become an index?
//!
//! Training looks at a sample ([`super::train`]); then two passes over the rows, in order: one assigns each to its lists
//! ([`super::place`]), one encodes ([`super::encode`]). Rows are read in blocks of fixed size, worked on by all threads and
//! joined in order, so that the same seed gives the same bytes for any number of threads.
//!
//! Memory: the finished file, 12 bytes a vector, and the sample (at most 512 MiB) about twice; the matrix itself stays on
//! disk.

use std::path::Path;

use super::encode::{Drawn, encode};
use super::layout::Geometry;
use super::place::{Placed, place};
use super::recall;
use super::source::Source;
use super::train::{Trained, train};
use super::writer::write;
use crate::flat::Metric;
use crate::kernels::scan::{GROUP, Width};
use crate::matrix::Matrix;
use crate::{PassageSet, StorageError, Task};

/// See [`BuildParams::anisotropy`].
const ANISOTROPY: f32 = 2.5;

/// What to build. The defaults suit sentence embeddings.
#[derive(Debug, Clone)]
pub struct BuildParams {
    /// What "near" means; the index answers for this metric only. Default: cosine.
    pub metric: Metric,
    /// Number of lists, 1 to 2^24; never more than vectors. Default `None`: 10 √n. More lists cost time to
    /// choose from, fewer cost time to scan.
    pub lists: Option<usize>,
    /// Bits of the numbers that a vector's code is made of. Default [`Width::Four`]; [`Width::Eight`] loses a little less with
    /// the same bytes, at two thirds of the rate (`benches/RESULTS.md`).
    pub width: Width,
    /// Numbers a vector's code has, a multiple of 8 up to 496 of 4 bits, 240 of 8 bits. Default `None`: three bytes for
    /// every sixteen coordinates kept. More make candidates better and scanning slower.
    pub subspaces: Option<usize>,
    /// 4-bit numbers a centroid's code has, a multiple of 8 up to 496. Default `None`: one for every two coordinates.
    pub list_subspaces: Option<usize>,
    /// Lists a vector stands in, 1 or 2. Default 2: half the lists need probing, for twice the bytes.
    pub copies: usize,
    /// How much more an error along a vector weighs than one across it when its code is chosen, 1 (none) to 100: the
    /// score-aware loss of Guo et al. 2020, eq. 3, for inner product and cosine alone. Default `None`: 2.5 for those, with
    /// which the best 36 codes of 100 lists found .925 of the ten nearest of 25,000 where those of plain codes found .911.
    pub anisotropy: Option<f32>,
    /// Same seed and vectors, same bytes. Default 0.
    pub seed: u64,
    /// Queries the index measures its recall with: (n, d) row-major. Default `None`: 256 of the vectors themselves,
    /// disturbed so that they are as far from their neighbours as questions are.
    pub queries: Option<Vec<f32>>,
}

impl Default for BuildParams {
    fn default() -> Self {
        Self {
            metric: Metric::Cosine,
            lists: None,
            width: Width::Four,
            subspaces: None,
            list_subspaces: None,
            copies: 2,
            anisotropy: None,
            seed: 0,
            queries: None,
        }
    }
}

impl BuildParams {
    /// The anisotropy meant.
    pub(super) fn weight_along(&self) -> f32 {
        let suits = match self.metric {
            Metric::InnerProduct | Metric::Cosine => ANISOTROPY,
            Metric::L2 => 1.0,
        };
        self.anisotropy.unwrap_or(suits)
    }
}

/// Builds the index of the live rows of `matrix` (all, or those in `keep`) as the new file `path`, which is
/// on the disk when this returns.
///
/// # Errors
/// [`StorageError::Invalid`] for parameters out of range and vectors that are not finite,
/// [`StorageError::Io`], or the caller's cancel flag; an unfinished file may then be left at `path`.
pub fn build(
    path: &Path,
    matrix: &Matrix,
    keep: Option<&PassageSet>,
    params: &BuildParams,
    task: Task<'_>,
) -> Result<(), StorageError> {
    check(params, matrix.dimension())?;
    let source = Source::new(matrix, params.metric, keep);
    let trained = train(&source, params, task)?;
    let placed = place(&source, &trained, task)?;
    let drawn = encode(&source, &trained, &placed, task)?;
    let mut geometry = geometry(&source, matrix, params, &trained, &placed, &drawn);
    write(
        path,
        &mut geometry,
        &placed.model,
        &drawn.lists,
        &drawn.slots,
        &[],
    )?;
    let (points, sample) = recall::measure(
        path,
        matrix,
        keep,
        params.queries.as_deref(),
        params.seed,
        task,
    )?;
    geometry.sample = sample;
    std::fs::remove_file(path).map_err(StorageError::io("replace", path))?;
    write(
        path,
        &mut geometry,
        &placed.model,
        &drawn.lists,
        &drawn.slots,
        &points,
    )
}

fn check(params: &BuildParams, dimension: usize) -> Result<(), StorageError> {
    let bad = |message: String| Err(StorageError::Invalid(message));
    let codes = [
        (params.subspaces, params.width),
        (params.list_subspaces, Width::Four),
    ];
    for (m, width) in codes {
        let most = width.most() - 2 * GROUP;
        if m.is_some_and(|m| !(GROUP..=most).contains(&m) || !m.is_multiple_of(GROUP)) {
            return bad(format!(
                "{} subspaces; a multiple of 8 from 8 to {most} is needed",
                m.unwrap_or_default()
            ));
        }
    }
    if params
        .lists
        .is_some_and(|lists| !(1..=1 << 24).contains(&lists))
    {
        return bad("an index has 1 to 2^24 lists".into());
    }
    if !(1..=2).contains(&params.copies) {
        return bad(format!(
            "{} copies of each vector; 1 or 2 are possible",
            params.copies
        ));
    }
    if !(1.0..=100.0).contains(&params.weight_along()) {
        return bad(format!(
            "an anisotropy of {}; 1 to 100 is possible",
            params.weight_along()
        ));
    }
    if params.weight_along() > 1.0 && params.metric == Metric::L2 {
        return bad("score-aware codes are for inner product and cosine, not for distances".into());
    }
    match &params.queries {
        Some(queries)
            if queries.len() % dimension != 0 || queries.iter().any(|x| !x.is_finite()) =>
        {
            bad(format!(
                "queries must be whole vectors of {dimension} finite numbers"
            ))
        }
        _ => Ok(()),
    }
}

fn geometry(
    source: &Source<'_>,
    matrix: &Matrix,
    params: &BuildParams,
    trained: &Trained,
    placed: &Placed,
    drawn: &Drawn,
) -> Geometry {
    Geometry {
        metric: params.metric,
        dimension: source.dimension(),
        inner: trained.e,
        subspaces: trained.subspaces,
        list_subspaces: trained.lists.subspaces(),
        lists: placed.counts.len(),
        blocks: drawn.slots.blocks(),
        vectors: source.len(),
        copies: trained.copies,
        covered: covered(matrix),
        seed: params.seed,
        norm: if params.metric == Metric::L2 {
            placed.norm
        } else {
            (0.0, 0.0)
        },
        points: 0,
        sample: 0,
        model_crc: 0,
        lists_crc: 0,
        recall_crc: 0,
        folded: 0,
        anisotropy: params.weight_along(),
        width: params.width,
    }
}

/// Ids below this are in the index or dead.
pub(super) fn covered(matrix: &Matrix) -> u64 {
    match matrix.len() {
        0 => 0,
        n => u64::from(matrix.id(n - 1).0) + 1,
    }
}
