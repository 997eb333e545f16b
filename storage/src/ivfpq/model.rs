//! What has to be learned before a vector can be encoded?
//!
//! R, (e, d): the leading principal components of the vectors, turned so that codes lose least
//! (OPQ); codebooks of the centroids and of the residuals, in R's coordinates.

use half::f16;
use rayon::prelude::*;

use super::codebook::{Codebook, allocate, learn_rotation, turn};
use super::layout::Geometry;
use super::linear::{add_transposed_times, eigen, times_transposed};
use crate::StorageError;
use crate::Task;
use crate::kernels::scan::Width;

/// Share of the squared lengths that the kept components must hold.
const KEPT: f64 = 0.96;
const ROUNDS: usize = 8;
/// Vectors the rotation is learned from.
pub(super) const ROTATION_SAMPLE: usize = 16_384;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    /// Numbers of a vector, d.
    pub(super) dimension: usize,
    /// R, (e, d) row-major.
    pub(super) rotation: Vec<f16>,
    /// Of centroids.
    pub(super) lists: Codebook,
    /// Of residuals.
    pub(super) codes: Codebook,
}

impl Model {
    /// Coordinates after turning, e.
    pub(super) fn inner(&self) -> usize {
        self.rotation.len() / self.dimension
    }

    /// R as f32.
    pub(super) fn rotation(&self) -> Vec<f32> {
        self.rotation.iter().map(|x| x.to_f32()).collect()
    }

    /// The section "model".
    pub(super) fn bytes(&self) -> Vec<u8> {
        let numbers = |book: &Codebook| {
            let mut bytes = bytemuck::cast_slice::<u32, u8>(&book.ends).to_vec();
            bytes.extend_from_slice(bytemuck::cast_slice(&book.words));
            bytes
        };
        let mut bytes = numbers(&self.lists);
        bytes.extend(numbers(&self.codes));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.rotation));
        bytes
    }

    /// Reads [`Model::bytes`]; `bytes` has exactly the length that `geometry` says. `None` when the
    /// subspaces do not cover the coordinates in order.
    pub(super) fn read(geometry: &Geometry, bytes: &[u8]) -> Option<Self> {
        let e = geometry.inner;
        let mut rest = bytes;
        let mut book = |m: usize, width: Width| {
            let (ends, after) = rest.split_at_checked(4 * m)?;
            let (words, after) = after.split_at_checked(4 * width.entries() * e)?;
            rest = after;
            let ends: Vec<u32> = numbers(ends);
            let covers = ends.is_sorted() && ends.last() == Some(&(e as u32));
            let words = numbers(words);
            covers.then_some(Codebook { ends, words, width })
        };
        let lists = book(geometry.list_subspaces, Width::Four)?;
        let codes = book(geometry.subspaces, geometry.width)?;
        let rotation = numbers(rest);
        Some(Self {
            dimension: geometry.dimension,
            rotation,
            lists,
            codes,
        })
    }
}

fn numbers<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes
        .chunks_exact(size_of::<T>())
        .map(bytemuck::pod_read_unaligned)
        .collect()
}

/// The leading principal components of `data` (n, d) around the origin, (e, d), with e the least
/// multiple of 8 that keeps [`KEPT`] of the squared lengths (all, where d is small).
pub(super) fn components(data: &[f32], d: usize) -> Result<Vec<f32>, StorageError> {
    // Fixed cuts, added in order: the same bits for any number of threads.
    let cut = (data.len() / d).div_ceil(16).max(1) * d;
    let parts: Vec<Vec<f32>> = data
        .par_chunks(cut)
        .map(|part| {
            let mut sum = vec![0.0; d * d];
            add_transposed_times(part, part, d, d, &mut sum);
            sum
        })
        .collect();
    let mut total = vec![0.0; d * d];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    let (values, mut vectors) = eigen(&total, d)?;
    vectors.truncate(kept(&values) * d);
    Ok(vectors)
}

fn kept(values: &[f64]) -> usize {
    let all: f64 = values.iter().map(|v| v.max(0.0)).sum();
    let mut held = 0.0;
    let enough = values.iter().position(|v| {
        held += v.max(0.0);
        held >= KEPT * all
    });
    let least = enough.map_or(values.len(), |at| at + 1);
    least.next_multiple_of(8).min(values.len())
}

/// Turns residuals (n, e) for `m` subspaces: starts from their own principal components, spread
/// over the subspaces.
pub(super) fn rotation(
    residuals: &[f32],
    e: usize,
    m: usize,
    seed: u64,
    task: Task<'_>,
) -> Result<Vec<f32>, StorageError> {
    let mut moments = vec![0.0; e * e];
    add_transposed_times(residuals, residuals, e, e, &mut moments);
    let (values, vectors) = eigen(&moments, e)?;
    let order = allocate(&values, m);
    let start: Vec<f32> = order
        .iter()
        .flat_map(|&at| &vectors[at * e..(at + 1) * e])
        .copied()
        .collect();
    learn_rotation(residuals, e, m, start, ROUNDS, seed, task)
}

/// Q · P for `q` (e, e) and `p` (e, d).
pub(super) fn compose(q: &[f32], p: &[f32], e: usize) -> Vec<f32> {
    let d = p.len() / e;
    let columns: Vec<f32> = (0..d)
        .flat_map(|j| (0..e).map(move |i| p[i * d + j]))
        .collect();
    let mut out = vec![0.0; e * d];
    times_transposed(q, &columns, e, &mut out);
    out
}

/// `data` (n, d) in R's coordinates, (n, e).
pub(super) fn turned(data: &[f32], d: usize, rotation: &[f32]) -> Vec<f32> {
    turn(data, d, rotation)
}
