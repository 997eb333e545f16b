//! How does a LayerNorm run in one launch, with what goes into it?
//!
//! One cube a row, one unit for every N numbers of it. T rows, H their width.

use burn_cubecl::cubecl;
use cubecl::prelude::*;

use super::common::{across, dropped, total};

/// LayerNorm of `dropout(product + bias) + residual`. Keeps the normalised rows and one over their deviation.
#[cube(launch)]
pub(super) fn add_norm<F: Float, N: Size>(
    product: &[Vector<F, N>],
    residual: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    normal: &mut [Vector<F, N>],
    scale: &mut [f32],
    bias_at: u32,
    gain_at: u32,
    shift_at: u32,
    rows: u32,
    epsilon: f32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let at = CUBE_POS * units + unit;
    let mut shared = Shared::<[f32]>::new_slice(units);
    let y = Vector::<f32, N>::cast_from(product[at]) + weights[bias_at as usize + unit];
    let kept = dropped::<N>(y, (at * N::value()) as u32, seed, threshold, keep);
    let sum = kept + Vector::<f32, N>::cast_from(residual[at]);
    let width = (units * N::value()) as f32;
    let mean = total(across::<N>(sum), &mut shared, units) / width;
    let centred = sum - Vector::new(mean);
    let variance = total(across::<N>(centred * centred), &mut shared, units) / width;
    let rate = 1.0f32 / (variance + epsilon).sqrt();
    let x = centred * Vector::new(rate);
    normal[at] = Vector::cast_from(x);
    out[at] =
        Vector::cast_from(x * weights[gain_at as usize + unit] + weights[shift_at as usize + unit]);
    if unit == 0 {
        scale[CUBE_POS] = rate;
    }
}

/// Dropout of the LayerNorm of the sum of a word's, a position's and a type's row.
#[cube(launch)]
pub(super) fn embed_norm<F: Float, N: Size>(
    ids: &[u32],
    positions: &[u32],
    weights: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    normal: &mut [Vector<F, N>],
    scale: &mut [f32],
    words_at: u32,
    positions_at: u32,
    types_at: u32,
    gain_at: u32,
    shift_at: u32,
    rows: u32,
    epsilon: f32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] units: usize,
    #[comptime] typed: bool,
) {
    if CUBE_POS >= rows as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let at = CUBE_POS * units + unit;
    let mut shared = Shared::<[f32]>::new_slice(units);
    let word = words_at as usize + ids[CUBE_POS] as usize * units + unit;
    let place = positions_at as usize + positions[CUBE_POS] as usize * units + unit;
    let mut sum = weights[word] + weights[place];
    if typed {
        sum += weights[types_at as usize + unit];
    }
    let width = (units * N::value()) as f32;
    let mean = total(across::<N>(sum), &mut shared, units) / width;
    let centred = sum - Vector::new(mean);
    let variance = total(across::<N>(centred * centred), &mut shared, units) / width;
    let rate = 1.0f32 / (variance + epsilon).sqrt();
    let x = centred * Vector::new(rate);
    normal[at] = Vector::cast_from(x);
    let y = x * weights[gain_at as usize + unit] + weights[shift_at as usize + unit];
    out[at] = Vector::cast_from(dropped::<N>(
        y,
        (at * N::value()) as u32,
        seed,
        threshold,
        keep,
    ));
    if unit == 0 {
        scale[CUBE_POS] = rate;
    }
}

/// Backward through [`add_norm`] (`outer` false) or [`embed_norm`] (`outer` true): the gradient of the sum before the
/// norm, that of the product (dropout undone), and for every `each` rows the sums that make up the gradients of gain,
/// shift and bias, (chunks, 3, H). The gradient that arrives is `d_out`, plus `d_more` if `two`. `each` divides T.
#[cube(launch)]
pub(super) fn norm_backward<F: Float, N: Size>(
    d_out: &[Vector<F, N>],
    d_more: &[Vector<F, N>],
    normal: &[Vector<F, N>],
    scale: &[f32],
    weights: &[Vector<f32, N>],
    d_sum: &mut [Vector<F, N>],
    d_product: &mut [Vector<F, N>],
    partial: &mut [Vector<f32, N>],
    gain_at: u32,
    seed: u32,
    threshold: u32,
    keep: f32,
    #[comptime] units: usize,
    #[comptime] each: usize,
    #[comptime] two: bool,
    #[comptime] outer: bool,
) {
    let unit = UNIT_POS as usize;
    let width = (units * N::value()) as f32;
    let mut shared = Shared::<[f32]>::new_slice(units);
    let gain = weights[gain_at as usize + unit];
    let mut d_gain = Vector::<f32, N>::new(0.0f32);
    let mut d_shift = Vector::<f32, N>::new(0.0f32);
    let mut d_bias = Vector::<f32, N>::new(0.0f32);
    for i in 0..each {
        let row = CUBE_POS * each + i;
        let at = row * units + unit;
        let index = (at * N::value()) as u32;
        let mut d = Vector::<f32, N>::cast_from(d_out[at]);
        if two {
            d += Vector::<f32, N>::cast_from(d_more[at]);
        }
        if outer {
            d = dropped::<N>(d, index, seed, threshold, keep);
        }
        let x = Vector::<f32, N>::cast_from(normal[at]);
        d_gain += d * x;
        d_shift += d;
        let d_normal = d * gain;
        let along_ones = total(across::<N>(d_normal), &mut shared, units) / width;
        let along_x = total(across::<N>(d_normal * x), &mut shared, units) / width;
        let d_before = (d_normal - Vector::new(along_ones) - x * Vector::new(along_x))
            * Vector::new(scale[row]);
        d_sum[at] = Vector::cast_from(d_before);
        if !outer {
            let d_y = dropped::<N>(d_before, index, seed, threshold, keep);
            d_product[at] = Vector::cast_from(d_y);
            d_bias += d_y;
        }
    }
    let place = CUBE_POS * 3 * units + unit;
    partial[place] = d_gain;
    partial[place + units] = d_shift;
    partial[place + 2 * units] = d_bias;
}
