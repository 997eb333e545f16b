//! How does a 64-bit Arm CPU sum products? Half a panel at a time, in four registers of 4 lanes a token; int8 by the dot
//! products of FEAT_DotProd, which takes signed bytes on both sides.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::quantize::GROUP_INPUTS;
use super::{Grids, MOST_ROWS, NR, Rows, assert_tokens, by_rows};

/// Words of a token on one grid.
const GROUP: usize = GROUP_INPUTS / 4;

/// Most tokens of a tile: 4 × 6 sums, four registers of the panel and one word leave three registers of 32 free.
pub(crate) const MR: usize = 6;
const _: () = assert!(MR <= MOST_ROWS);

/// Outputs summed at a time.
const HALF: usize = NR / 2;

/// Words are one f32 each.
///
/// `tokens` holds `rows` rows, 1 to [`MR`], of `stride` words, of which the first `panel.len() / NR` are used.
/// Writes `start` + the sums of token i to row i of `out`.
#[inline]
#[target_feature(enable = "neon")]
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

#[target_feature(enable = "neon")]
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
        let mut sums = [quad(start, column); M];
        for step in 0..steps {
            let panel = words(panel, step, column);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                let word = f32::from_bits(unsafe { *tokens.as_ptr().add(i * stride + step) });
                for (sum, panel) in sum.iter_mut().zip(panel) {
                    *sum = vfmaq_n_f32(*sum, vreinterpretq_f32_u32(panel), word);
                }
            }
        }
        store(&sums, out.to, out.stride, column);
    }
}

/// Words are four numbers each: i8 of the token, 128 below the place on its grid, and i8 of the panel.
///
/// Writes `start` + Σ over groups of (step · scale · Σ u q + low · scale · Σ q) of token i to row i of `out`, `low` being
/// what the byte 0 stands for; `rows` as for [`f32`].
#[inline]
#[target_feature(enable = "neon,dotprod")]
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

#[target_feature(enable = "neon,dotprod")]
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
        let mut whole = [quad(start, column); M];
        for group in 0..groups {
            let mut sums = [[vdupq_n_s32(0); 4]; M];
            for step in group * GROUP..steps.min((group + 1) * GROUP) {
                let panel = words(panel, step, column);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                    let word = vdupq_n_u32(unsafe { *tokens.as_ptr().add(i * stride + step) });
                    for (sum, panel) in sum.iter_mut().zip(panel) {
                        *sum = dot(*sum, word, panel);
                    }
                }
            }
            let place = group * NR + column;
            let (scales, totals) = (quad(grids.scales, place), quad(grids.totals, place));
            for (i, (whole, sum)) in whole.iter_mut().zip(sums).enumerate() {
                let grid = grids.tokens[i * groups + group];
                for part in 0..4 {
                    let constant = vfmaq_n_f32(whole[part], totals[part], grid.low);
                    let scale = vmulq_n_f32(scales[part], grid.step);
                    whole[part] = vfmaq_f32(constant, scale, vcvtq_f32_s32(sum[part]));
                }
            }
        }
        store(&whole, out.to, out.stride, column);
    }
}

/// `sum` + the four products of signed bytes in each lane.
#[inline]
#[target_feature(enable = "neon,dotprod")]
fn dot(mut sum: int32x4_t, a: uint32x4_t, b: uint32x4_t) -> int32x4_t {
    // SAFETY: one instruction of FEAT_DotProd on registers; its intrinsic is not stable yet.
    unsafe {
        asm!(
            "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}

/// HALF numbers from `first` on.
#[inline]
#[target_feature(enable = "neon")]
fn quad(numbers: &[f32], first: usize) -> [float32x4_t; 4] {
    let numbers = numbers[first..first + HALF].as_ptr();
    // SAFETY: HALF = 16 numbers are four registers of 4.
    unsafe {
        [
            vld1q_f32(numbers),
            vld1q_f32(numbers.add(4)),
            vld1q_f32(numbers.add(8)),
            vld1q_f32(numbers.add(12)),
        ]
    }
}

/// HALF words of `step`, which is below `panel.len() / NR`, from `column` on.
#[inline]
#[target_feature(enable = "neon")]
fn words(panel: &[u32], step: usize, column: usize) -> [uint32x4_t; 4] {
    debug_assert!((step + 1) * NR <= panel.len() && column + HALF <= NR);
    // SAFETY: the registers lie inside `panel`, as its only callers loop over the steps it holds.
    unsafe {
        let at = panel.as_ptr().add(step * NR + column);
        [
            vld1q_u32(at),
            vld1q_u32(at.add(4)),
            vld1q_u32(at.add(8)),
            vld1q_u32(at.add(12)),
        ]
    }
}

/// Half a row a token, from `column` on.
#[inline]
#[target_feature(enable = "neon")]
fn store<const M: usize>(
    sums: &[[float32x4_t; 4]; M],
    out: &mut [f32],
    stride: usize,
    column: usize,
) {
    for (i, sum) in sums.iter().enumerate() {
        let row = out[i * stride + column..][..HALF].chunks_exact_mut(4);
        for (four, sum) in row.zip(sum) {
            // SAFETY: four numbers are one register.
            unsafe { vst1q_f32(four.as_mut_ptr(), *sum) };
        }
    }
}
