//! How do the token vectors of a text become its one vector?

use super::config::Pooling;
use super::dense::{Dense, LayerNorm};
use super::kernels::level::{self, Level};

/// Pools `tokens`, (t, H) row-major, into `out`, one H-wide part a mode. The first `skip` tokens (a prompt that does
/// not take part) are left out unless nothing else is there.
pub(crate) fn pool(tokens: &[f32], hidden: usize, skip: usize, modes: &[Pooling], out: &mut [f32]) {
    let count = tokens.len() / hidden;
    let first = if skip < count { skip } else { 0 };
    let kept = &tokens[first * hidden..];
    for (mode, part) in modes.iter().zip(out.chunks_exact_mut(hidden)) {
        pool_one(kept, first, *mode, part);
    }
}

/// One mode; `first` is the position of the first row of `kept` in the text.
fn pool_one(kept: &[f32], first: usize, mode: Pooling, out: &mut [f32]) {
    let hidden = out.len();
    let rows = kept.chunks_exact(hidden);
    let n = rows.len() as f32;
    match mode {
        Pooling::Cls => out.copy_from_slice(&kept[..hidden]),
        Pooling::LastToken => out.copy_from_slice(&kept[kept.len() - hidden..]),
        Pooling::Max => {
            out.fill(f32::NEG_INFINITY);
            for row in rows {
                out.iter_mut().zip(row).for_each(|(o, x)| *o = o.max(*x));
            }
        }
        Pooling::Mean => weighted_sum(rows.map(|r| (1.0, r)), n, out),
        Pooling::MeanSqrtLen => weighted_sum(rows.map(|r| (1.0, r)), n.sqrt(), out),
        Pooling::WeightedMean => {
            let weights = (0..rows.len()).map(|i| (first + i + 1) as f32);
            let total = weights.clone().sum();
            weighted_sum(weights.zip(rows), total, out);
        }
    }
}

/// Σ weight · row / `total`, into `out`.
fn weighted_sum<'a>(rows: impl Iterator<Item = (f32, &'a [f32])>, total: f32, out: &mut [f32]) {
    out.fill(0.0);
    for (weight, row) in rows {
        out.iter_mut().zip(row).for_each(|(o, x)| *o += weight * x);
    }
    out.iter_mut().for_each(|o| *o /= total);
}

/// Divides `vector` by its Euclidean length; the zero vector stays zero, as in PyTorch's `normalize`.
pub(crate) fn normalize(vector: &mut [f32]) {
    level::normalize(Level::best(), vector, 1e-12);
}

/// A step after pooling, ready to run.
pub(crate) enum Finish {
    /// Divide by the Euclidean length.
    Normalize,
    /// A linear layer.
    Dense(Dense),
    /// Mean 0, variance 1, then gain and bias.
    LayerNorm(LayerNorm),
}

impl Finish {
    /// Replaces `vector` by the result of this step.
    pub(crate) fn apply(&self, vector: &mut Vec<f32>) {
        match self {
            Self::Normalize => normalize(vector),
            Self::Dense(dense) => *vector = dense.apply(vector),
            Self::LayerNorm(norm) => norm.apply(vector),
        }
    }
}
