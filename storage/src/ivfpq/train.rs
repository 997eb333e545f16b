//! What does a sample teach: which coordinates matter, where do vectors gather, which codewords fit?

use half::f16;
use rayon::prelude::*;

use super::build::BuildParams;
use super::codebook::Codebook;
use super::kmeans::{self, row};
use super::model::{self, turned};
use super::near::Near;
use super::rng::Rng;
use super::source::Source;
use crate::flat::Metric;
use crate::kernels::scan::{BLOCK, GROUP, Width};
use crate::{StorageError, Task};

/// Most bytes of training vectors held at a time.
const SAMPLE_BYTES: usize = 512 << 20;
/// Training vectors a list.
const SAMPLE_PER_LIST: usize = 48;

/// What the sample taught.
pub(super) struct Trained {
    /// R, (e, d).
    pub(super) rotation: Vec<f16>,
    /// (L, e).
    pub(super) centroids: Vec<f32>,
    pub(super) lists: Codebook,
    pub(super) subspaces: usize,
    /// Bits of a number of a vector's code.
    pub(super) width: Width,
    pub(super) copies: usize,
    pub(super) anisotropy: f32,
    pub(super) metric: Metric,
    pub(super) seed: u64,
    pub(super) e: usize,
}

pub(super) fn train(
    source: &Source<'_>,
    params: &BuildParams,
    task: Task<'_>,
) -> Result<Trained, StorageError> {
    let (n, d) = (source.len(), source.dimension());
    let wanted = params.lists.unwrap_or_else(|| default_lists(n));
    let count = wanted.min(n).max(1);
    task.report("reading a sample", 0, 0);
    let sample = sample(source, (count * SAMPLE_PER_LIST).max(1 << 14), params.seed)?;
    let principal = model::components(&sample, d)?;
    let e = principal.len() / d;
    let reduced = turned(&sample, d, &principal);
    drop(sample);
    task.report("finding lists", 0, 0);
    let centroids = kmeans::train(&reduced, e, count, params.seed, task)?;
    let subspaces = params.subspaces.unwrap_or_else(|| {
        // The same bytes whatever the bits of a number.
        whole_groups(e * 3 / 2 / params.width.bits(), params.width)
    });
    let residuals = residuals(&reduced, e, &centroids, params.seed);
    let turn = model::rotation(&residuals, e, subspaces, params.seed, task)?;
    let centroids = turned(&centroids, e, &turn);
    let list_subspaces = params
        .list_subspaces
        .unwrap_or_else(|| whole_groups(e.div_ceil(2), Width::Four));
    Ok(Trained {
        rotation: model::compose(&turn, &principal, e)
            .into_iter()
            .map(f16::from_f32)
            .collect(),
        lists: Codebook::train(&centroids, e, list_subspaces, Width::Four, params.seed),
        centroids,
        subspaces,
        width: params.width,
        copies: params.copies.min(count),
        anisotropy: params.weight_along(),
        metric: params.metric,
        seed: params.seed,
        e,
    })
}

fn default_lists(n: usize) -> usize {
    let many = (10.0 * (n as f64).sqrt()) as usize;
    many.min(n / 8).next_multiple_of(BLOCK)
}

fn whole_groups(m: usize, width: Width) -> usize {
    m.next_multiple_of(GROUP)
        .clamp(GROUP, width.most() - 2 * GROUP)
}

/// Up to `count` live rows; one zero vector when there are none.
fn sample(source: &Source<'_>, count: usize, seed: u64) -> Result<Vec<f32>, StorageError> {
    if source.len() == 0 {
        return Ok(vec![0.0; source.dimension()]);
    }
    let most = (SAMPLE_BYTES / 4 / source.dimension()).max(1);
    let rows = Rng::new(seed, 3).sample(source.len(), count.min(most));
    source.read(rows.into_iter())
}

/// Residuals of up to [`model::ROTATION_SAMPLE`] rows of `data` from their nearest centroids.
fn residuals(data: &[f32], e: usize, centroids: &[f32], seed: u64) -> Vec<f32> {
    let rows = Rng::new(seed, 4).sample(data.len() / e, model::ROTATION_SAMPLE);
    let mut chosen: Vec<f32> = rows
        .iter()
        .flat_map(|&at| row(data, e, at))
        .copied()
        .collect();
    let near = Near::new(centroids, e, seed);
    chosen.par_chunks_mut(kmeans::ROWS * e).for_each(|block| {
        let lists = near.nearest(block, 1);
        for (x, list) in block.chunks_exact_mut(e).zip(lists) {
            subtract(x, row(centroids, e, list as usize));
        }
    });
    chosen
}

/// x - y, into `x`.
pub(super) fn subtract(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x -= y);
}
