//! Which integers stand for the weights of an int8 layer?
//!
//! Int8 spends its 8 bits where they count. Inputs are divided, and their weights multiplied, by a factor each that
//! evens out large inputs against large weights (as in SmoothQuant, Xiao et al. 2023, but from the weights alone, so
//! that no texts are needed); then each group of 128 inputs gets a grid of its own in each token, x = low + step · u
//! with u8, and a scale of its own in each output, w = scale · q with i8. So y = Σ over groups (step · scale · Σ u q +
//! low · scale · Σ q) + b, where the second sum is known at load.

use super::lanes::ROUND;
use super::lines::Slab;
use super::quantize::GROUP_INPUTS;
use super::tile::NR;

/// How i8 weights stand for numbers.
pub(crate) struct WeightGrid {
    /// Of the weights of each group of each output: (panels, groups, NR).
    pub(crate) scales: Slab,
    /// scale · Σ q likewise.
    pub(crate) totals: Slab,
    /// What each input is multiplied by before it is rounded.
    pub(crate) factors: Slab,
}

impl WeightGrid {
    /// Of W, (out, in) row-major, with `padded` outputs in whole panels; scales are still to be noted.
    pub(crate) fn new(weight: &[f32], inputs: usize, padded: usize) -> Self {
        let groups = inputs.div_ceil(GROUP_INPUTS);
        Self {
            scales: Slab::zeroed(padded * groups),
            totals: Slab::zeroed(padded * groups),
            factors: Slab::of_numbers(&factors(weight, inputs), inputs),
        }
    }

    /// The weights of one output, divided by the factors of their inputs, as integers; notes their scales and sums.
    pub(crate) fn integers(&mut self, output: usize, row: &[f32]) -> Vec<i8> {
        let groups = row.len().div_ceil(GROUP_INPUTS);
        let factors = self.factors.numbers();
        let scaled: Vec<f32> = row.iter().zip(factors).map(|(w, f)| w / f).collect();
        let mut integers = Vec::with_capacity(row.len());
        for (group, weights) in scaled.chunks(GROUP_INPUTS).enumerate() {
            let largest = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            // `round` is a call on x86-64.
            let integer = |w: &f32| ((w * (1.0 / scale) + ROUND).to_bits() as u8).cast_signed();
            let first = integers.len();
            integers.extend(weights.iter().map(integer));
            let total: i32 = integers[first..].iter().map(|q| i32::from(*q)).sum();
            let place = (output / NR * groups + group) * NR + output % NR;
            self.scales.numbers_mut()[place] = scale;
            self.totals.numbers_mut()[place] = scale * total as f32;
        }
        integers
    }
}

/// The square root of the deviation of each input's weights: half way between evening out the weights of all inputs
/// and leaving them as they are. 1 for inputs that no output looks at.
fn factors(weight: &[f32], inputs: usize) -> Vec<f32> {
    let mut squares = vec![0.0; inputs];
    for row in weight.chunks_exact(inputs) {
        squares.iter_mut().zip(row).for_each(|(s, w)| *s += w * w);
    }
    let outputs = (weight.len() / inputs) as f32;
    let factor = |s: &f32| (s / outputs).sqrt().sqrt();
    squares
        .iter()
        .map(factor)
        .map(|f| if f > 1e-6 { f } else { 1.0 })
        .collect()
}
