//! How does a CPU with AVX2 sum products? Half a panel at a time, in two registers of 8 lanes a token.
//!
//! Its only instruction for bytes saturates, so int8 is multiplied in words of two 16-bit integers, which is exact and
//! does as many products for a multiplication as the bytes would.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::quantize::GROUP_INPUTS;
use super::{Grids, MOST_ROWS, NR, Rows, assert_tokens, by_rows};

/// Words of a token on one grid.
const GROUP: usize = GROUP_INPUTS / 2;

/// Most tokens of a tile: 2 × 6 sums, two registers of the panel and two for products are the 16 there are.
pub(crate) const MR: usize = 6;
const _: () = assert!(MR <= MOST_ROWS);

/// Outputs summed at a time.
const HALF: usize = NR / 2;

/// Words are one f32 each.
///
/// `tokens` holds `rows` rows, 1 to [`MR`], of `stride` words, of which the first `panel.len() / NR` are used.
/// Writes `start` + the sums of token i to row i of `out`.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn f32(
    rows: usize,
    tokens: &[u32],
    stride: usize,
    panel: &[u32],
    start: &[f32; NR],
    out: Rows<'_>,
) {
    by_rows!(rows, tile_f32(tokens, stride, panel, start, out), 1 2 3 4 5 6)
}

#[target_feature(enable = "avx2,fma")]
fn tile_f32<const M: usize>(
    tokens: &[u32],
    stride: usize,
    panel: &[u32],
    start: &[f32; NR],
    out: Rows<'_>,
) {
    out.assert_room::<M>();
    let steps = panel.len() / NR;
    assert_tokens::<M>(tokens, stride, steps);
    for column in [0, HALF] {
        let mut sums = [pair(start, column); M];
        for step in 0..steps {
            let [left, right] = words(panel, step, column);
            let (left, right) = (_mm256_castsi256_ps(left), _mm256_castsi256_ps(right));
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                let word = _mm256_castsi256_ps(_mm256_set1_epi32(word as i32));
                sum[0] = _mm256_fmadd_ps(word, left, sum[0]);
                sum[1] = _mm256_fmadd_ps(word, right, sum[1]);
            }
        }
        store(&sums, out.to, out.stride, column);
    }
}

/// Words are two numbers each in 16 bits: 0 to 255 of the token, -127 to 127 of the panel.
///
/// Writes `start` + Σ over groups of (step · scale · Σ u q + low · scale · Σ q) of token i to row i of `out`; `rows` as
/// for [`f32`].
#[inline]
#[target_feature(enable = "avx2,fma")]
pub(crate) fn int8(
    rows: usize,
    tokens: &[u32],
    stride: usize,
    panel: &[u32],
    grids: Grids<'_>,
    start: &[f32; NR],
    out: Rows<'_>,
) {
    by_rows!(rows, tile_int8(tokens, stride, panel, grids, start, out), 1 2 3 4 5 6)
}

#[target_feature(enable = "avx2,fma")]
fn tile_int8<const M: usize>(
    tokens: &[u32],
    stride: usize,
    panel: &[u32],
    grids: Grids<'_>,
    start: &[f32; NR],
    out: Rows<'_>,
) {
    out.assert_room::<M>();
    let steps = panel.len() / NR;
    let groups = steps.div_ceil(GROUP);
    assert_tokens::<M>(tokens, stride, steps);
    grids.assert_room::<M>(groups);
    for column in [0, HALF] {
        let mut whole = [pair(start, column); M];
        for group in 0..groups {
            let mut sums = [[_mm256_setzero_si256(); 2]; M];
            for step in group * GROUP..steps.min((group + 1) * GROUP) {
                let [left, right] = words(panel, step, column);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                    let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                    let word = _mm256_set1_epi32(word as i32);
                    sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(word, left));
                    sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(word, right));
                }
            }
            let place = group * NR + column;
            let (scales, totals) = (pair(grids.scales, place), pair(grids.totals, place));
            for (i, (whole, sum)) in whole.iter_mut().zip(sums).enumerate() {
                let grid = grids.tokens[i * groups + group];
                let (low, step) = (_mm256_set1_ps(grid.low), _mm256_set1_ps(grid.step));
                for half in 0..2 {
                    let constant = _mm256_fmadd_ps(low, totals[half], whole[half]);
                    let scale = _mm256_mul_ps(step, scales[half]);
                    whole[half] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum[half]), constant);
                }
            }
        }
        store(&whole, out.to, out.stride, column);
    }
}

/// HALF numbers from `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(numbers: &[f32], first: usize) -> [__m256; 2] {
    let numbers = &numbers[first..first + HALF];
    // SAFETY: HALF = 16 numbers are two registers of 8.
    unsafe {
        [
            _mm256_loadu_ps(numbers.as_ptr()),
            _mm256_loadu_ps(numbers.as_ptr().add(HALF / 2)),
        ]
    }
}

/// HALF words of `step`, which is below `panel.len() / NR`, from `column` on.
#[inline]
#[target_feature(enable = "avx2")]
fn words(panel: &[u32], step: usize, column: usize) -> [__m256i; 2] {
    debug_assert!((step + 1) * NR <= panel.len() && column + HALF <= NR);
    // SAFETY: both registers lie inside `panel`, as its only callers loop over the steps it holds.
    unsafe {
        let at = panel.as_ptr().add(step * NR + column);
        [
            _mm256_loadu_si256(at.cast()),
            _mm256_loadu_si256(at.add(HALF / 2).cast()),
        ]
    }
}

/// Half a row a token, from `column` on.
#[inline]
#[target_feature(enable = "avx2")]
fn store<const M: usize>(sums: &[[__m256; 2]; M], out: &mut [f32], stride: usize, column: usize) {
    for (i, sum) in sums.iter().enumerate() {
        let row = &mut out[i * stride + column..][..HALF];
        // SAFETY: HALF = 16 numbers are two registers of 8.
        unsafe {
            _mm256_storeu_ps(row.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(row.as_mut_ptr().add(HALF / 2), sum[1]);
        }
    }
}
