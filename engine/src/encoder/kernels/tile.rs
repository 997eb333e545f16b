//! How are the products of a few tokens with a panel of outputs summed up in registers?
//!
//! Three kinds of number, one way of summing. A *word* is 32 bits of neighbouring inputs of one token: one f32, two bf16 or
//! four u8. A panel holds [`NR`] outputs; its step s is the s-th word of each output. The tile adds, for M tokens and
//! all steps, `dot(word of the token, word of the output)` into M × NR sums that stay in registers. Int8 leaves the
//! registers once in [`GROUP`] words, because each group of a token's numbers has a grid of its own.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::scalar::Grid;

/// Words of a token on one grid: 128 numbers of 8 bits.
pub(crate) const GROUP: usize = super::quantize::GROUP_INPUTS / 4;

/// Outputs of a panel: two registers of 16 lanes.
pub(crate) const NR: usize = 32;

/// Most tokens of a tile: 2 × 14 sums, two registers of the panel and one word leave one register of 32 free.
pub(crate) const MR: usize = 14;

/// Where the sums of a tile go: row i begins at `i * stride`.
pub(crate) struct Rows<'a> {
    pub(crate) to: &'a mut [f32],
    pub(crate) stride: usize,
}

impl Rows<'_> {
    /// Panics unless M rows of NR numbers fit.
    fn assert_room<const M: usize>(&self) {
        const { assert!(0 < M && M <= MR) };
        assert!(self.to.len() >= (M - 1) * self.stride + NR);
    }
}

/// Stamps out the tile for one dot instruction.
macro_rules! tile {
    ($name:ident, $features:literal, $doc:literal, $dot:expr) => {
        #[doc = $doc]
        ///
        /// `tokens` holds M rows of `stride` words, of which the first `panel.len() / NR` are used.
        /// Writes `start` + the sums of token i to row i of `out`.
        #[target_feature(enable = $features)]
        pub(crate) fn $name<const M: usize>(
            tokens: &[u32],
            stride: usize,
            panel: &[u32],
            start: &[f32; NR],
            out: Rows<'_>,
        ) {
            out.assert_room::<M>();
            let steps = panel.len() / NR;
            assert!(steps <= stride && tokens.len() >= (M - 1) * stride + steps);
            // SAFETY: `start` holds two registers of 16.
            let start = unsafe {
                [
                    _mm512_loadu_ps(start.as_ptr()),
                    _mm512_loadu_ps(start.as_ptr().add(NR / 2)),
                ]
            };
            let mut sums = [start; M];
            for step in 0..steps {
                // SAFETY: `panel` holds `steps` × NR words.
                let (left, right) = unsafe {
                    let at = panel.as_ptr().add(step * NR);
                    (
                        _mm512_loadu_si512(at.cast()),
                        _mm512_loadu_si512(at.add(NR / 2).cast()),
                    )
                };
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                    let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                    let word = _mm512_set1_epi32(word as i32);
                    sum[0] = $dot(sum[0], word, left);
                    sum[1] = $dot(sum[1], word, right);
                }
            }
            for (i, sum) in sums.iter().enumerate() {
                // SAFETY: i < M, so the row lies inside `out` by its assertion.
                unsafe {
                    let to = out.to.as_mut_ptr().add(i * out.stride);
                    _mm512_storeu_ps(to, sum[0]);
                    _mm512_storeu_ps(to.add(NR / 2), sum[1]);
                }
            }
        }
    };
}

tile!(
    tile_f32,
    "avx512f",
    "Words are one f32 each.",
    |sum, word, panel| _mm512_fmadd_ps(_mm512_castsi512_ps(word), _mm512_castsi512_ps(panel), sum)
);
tile!(
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

/// What an int8 tile knows of its tokens and its panel besides the words.
#[derive(Clone, Copy)]
pub(crate) struct Grids<'a> {
    /// Of each group of each token: (M, groups).
    pub(crate) tokens: &'a [Grid],
    /// Scale of the weights of each group of each output: (groups, NR).
    pub(crate) scales: &'a [f32],
    /// scale · Σ q of each group of each output: (groups, NR).
    pub(crate) totals: &'a [f32],
}

/// Words are four numbers each: u8 of the token, i8 of the panel.
///
/// Writes `start` + Σ over groups of (step · scale · Σ u q + low · scale · Σ q) of token i to row i of `out`.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(crate) fn tile_int8<const M: usize>(
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
    assert!(steps <= stride && tokens.len() >= (M - 1) * stride + steps);
    assert!(grids.tokens.len() >= M * groups);
    let halves = |numbers: &[f32], at: usize| {
        let numbers = &numbers[at..at + NR];
        // SAFETY: NR = 32 numbers are two registers of 16.
        unsafe {
            [
                _mm512_loadu_ps(numbers.as_ptr()),
                _mm512_loadu_ps(numbers.as_ptr().add(NR / 2)),
            ]
        }
    };
    let mut whole = [halves(start, 0); M];
    for group in 0..groups {
        let mut sums = [[_mm512_setzero_si512(); 2]; M];
        for step in group * GROUP..steps.min((group + 1) * GROUP) {
            // SAFETY: `panel` holds `steps` × NR words.
            let (left, right) = unsafe {
                let at = panel.as_ptr().add(step * NR);
                (
                    _mm512_loadu_si512(at.cast()),
                    _mm512_loadu_si512(at.add(NR / 2).cast()),
                )
            };
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: i < M and step < steps, inside `tokens` by the assertion above.
                let word = unsafe { *tokens.as_ptr().add(i * stride + step) };
                let word = _mm512_set1_epi32(word as i32);
                sum[0] = _mm512_dpbusd_epi32(sum[0], word, left);
                sum[1] = _mm512_dpbusd_epi32(sum[1], word, right);
            }
        }
        let (scales, totals) = (
            halves(grids.scales, group * NR),
            halves(grids.totals, group * NR),
        );
        for (i, (whole, sum)) in whole.iter_mut().zip(sums).enumerate() {
            // SAFETY: M × `groups` grids, by the assertion above.
            let grid = unsafe { *grids.tokens.as_ptr().add(i * groups + group) };
            let (low, step) = (_mm512_set1_ps(grid.low), _mm512_set1_ps(grid.step));
            for half in 0..2 {
                let constant = _mm512_fmadd_ps(low, totals[half], whole[half]);
                let scale = _mm512_mul_ps(step, scales[half]);
                whole[half] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum[half]), constant);
            }
        }
    }
    for (i, whole) in whole.iter().enumerate() {
        // SAFETY: i < M, so the row lies inside `out` by its assertion.
        unsafe {
            let to = out.to.as_mut_ptr().add(i * out.stride);
            _mm512_storeu_ps(to, whole[0]);
            _mm512_storeu_ps(to.add(NR / 2), whole[1]);
        }
    }
}
