//! How does a CPU with AVX-512 sum products? Two registers of 16 lanes a token, bf16 by AVX512-BF16, int8 by VNNI.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::quantize::GROUP_INPUTS;
use super::{Grids, MOST_ROWS, NR, Rows, assert_tokens, by_rows};

/// Words of a token on one grid.
const GROUP: usize = GROUP_INPUTS / 4;

/// Most tokens of a tile: 2 × 14 sums, two registers of the panel and one word leave one register of 32 free.
pub(crate) const MR: usize = 14;
const _: () = assert!(MR <= MOST_ROWS);

/// Stamps out the tile for one dot instruction.
macro_rules! tile {
    ($name:ident, $tile:ident, $features:literal, $doc:literal, $dot:expr) => {
        #[doc = $doc]
        ///
        /// `tokens` holds `rows` rows, 1 to [`MR`], of `stride` words, of which the first `panel.len() / NR` are used.
        /// Writes `start` + the sums of token i to row i of `out`.
        #[inline]
        #[target_feature(enable = $features)]
        pub(crate) fn $name(
            rows: usize,
            tokens: &[u32],
            stride: usize,
            panel: &[u32],
            start: &[f32; NR],
            out: Rows<'_>,
        ) {
            by_rows!(rows, $tile(tokens, stride, panel, start, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
        }

        #[target_feature(enable = $features)]
        fn $tile<const M: usize>(
            tokens: &[u32],
            stride: usize,
            panel: &[u32],
            start: &[f32; NR],
            out: Rows<'_>,
        ) {
            out.assert_room::<M>();
            let steps = panel.len() / NR;
            assert_tokens::<M>(tokens, stride, steps);
            let mut sums = [halves(start, 0); M];
            for step in 0..steps {
                let [left, right] = words(panel, step);
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                    let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                    let word = _mm512_set1_epi32(word as i32);
                    sum[0] = $dot(sum[0], word, left);
                    sum[1] = $dot(sum[1], word, right);
                }
            }
            store(&sums, out);
        }
    };
}

tile!(
    f32,
    tile_f32,
    "avx512f",
    "Words are one f32 each.",
    |sum, word, panel| _mm512_fmadd_ps(_mm512_castsi512_ps(word), _mm512_castsi512_ps(panel), sum)
);
tile!(
    bf16,
    tile_bf16,
    "avx512f,avx512bf16",
    "Words are two bf16 each.",
    |sum, word: __m512i, panel: __m512i| {
        // SAFETY: both types are 512 bits of plain numbers.
        let (word, panel) = unsafe {
            (
                std::mem::transmute::<__m512i, __m512bh>(word),
                std::mem::transmute::<__m512i, __m512bh>(panel),
            )
        };
        _mm512_dpbf16_ps(sum, word, panel)
    }
);

/// Words are four numbers each: u8 of the token, i8 of the panel.
///
/// Writes `start` + Σ over groups of (step · scale · Σ u q + low · scale · Σ q) of token i to row i of `out`; `rows` as
/// for [`f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
pub(crate) fn int8(
    rows: usize,
    tokens: &[u32],
    stride: usize,
    panel: &[u32],
    grids: Grids<'_>,
    start: &[f32; NR],
    out: Rows<'_>,
) {
    by_rows!(rows, tile_int8(tokens, stride, panel, grids, start, out), 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
}

#[target_feature(enable = "avx512f,avx512vnni")]
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
    let mut whole = [halves(start, 0); M];
    for group in 0..groups {
        let mut sums = [[_mm512_setzero_si512(); 2]; M];
        for step in group * GROUP..steps.min((group + 1) * GROUP) {
            let [left, right] = words(panel, step);
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                let word = _mm512_set1_epi32(word as i32);
                sum[0] = _mm512_dpbusd_epi32(sum[0], word, left);
                sum[1] = _mm512_dpbusd_epi32(sum[1], word, right);
            }
        }
        let (scales, totals) = (halves(grids.scales, group), halves(grids.totals, group));
        for (i, (whole, sum)) in whole.iter_mut().zip(sums).enumerate() {
            let grid = grids.tokens[i * groups + group];
            let (low, step) = (_mm512_set1_ps(grid.low), _mm512_set1_ps(grid.step));
            for half in 0..2 {
                let constant = _mm512_fmadd_ps(low, totals[half], whole[half]);
                let scale = _mm512_mul_ps(step, scales[half]);
                whole[half] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[half]), constant);
            }
        }
    }
    store(&whole, out);
}

/// The NR numbers of `group`.
#[inline]
#[target_feature(enable = "avx512f")]
fn halves(numbers: &[f32], group: usize) -> [__m512; 2] {
    let numbers = &numbers[group * NR..(group + 1) * NR];
    // SAFETY: NR = 32 numbers are two registers of 16.
    unsafe {
        [
            _mm512_loadu_ps(numbers.as_ptr()),
            _mm512_loadu_ps(numbers.as_ptr().add(NR / 2)),
        ]
    }
}

/// The NR words of `step`, which is below `panel.len() / NR`.
#[inline]
#[target_feature(enable = "avx512f")]
fn words(panel: &[u32], step: usize) -> [__m512i; 2] {
    debug_assert!((step + 1) * NR <= panel.len());
    // SAFETY: both registers lie inside `panel`, as its only callers loop over the steps it holds.
    unsafe {
        let at = panel.as_ptr().add(step * NR);
        [
            _mm512_loadu_si512(at.cast()),
            _mm512_loadu_si512(at.add(NR / 2).cast()),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store<const M: usize>(sums: &[[__m512; 2]; M], out: Rows<'_>) {
    out.assert_room::<M>();
    for (i, sum) in sums.iter().enumerate() {
        // SAFETY: i < M, so the row lies inside `out` by its assertion.
        unsafe {
            let to = out.to.as_mut_ptr().add(i * out.stride);
            _mm512_storeu_ps(to, sum[0]);
            _mm512_storeu_ps(to.add(NR / 2), sum[1]);
        }
    }
}
