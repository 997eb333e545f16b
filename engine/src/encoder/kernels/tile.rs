//! How are the products of a few tokens with a panel of outputs summed up in registers?
//!
//! One loop for three kinds of number. A *word* is 32 bits of neighbouring inputs of one token: one f32, two bf16 or
//! four u8. A panel holds [`NR`] outputs; its step s is the s-th word of each output. The tile adds, for M tokens and
//! all steps, `dot(word of the token, word of the output)` into M × NR sums that stay in registers.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

/// Outputs of a panel: two registers of 16 lanes.
pub(crate) const NR: usize = 32;

/// Most tokens of a tile: 2 × 14 sums, two registers of the panel and one word leave one register of 32 free.
pub(crate) const MR: usize = 14;

/// Stamps out the tile for one dot instruction.
macro_rules! tile {
    ($name:ident, $features:literal, $sum:ty, $doc:literal, $dot:expr) => {
        #[doc = $doc]
        ///
        /// `tokens` holds M rows of `stride` words, of which the first `panel.len() / NR` are used.
        /// Writes row i of the sums to `out[i]`.
        #[target_feature(enable = $features)]
        pub(crate) fn $name<const M: usize>(
            tokens: &[u32],
            stride: usize,
            panel: &[u32],
            out: &mut [[$sum; NR]; MR],
        ) {
            const { assert!(0 < M && M <= MR) };
            let steps = panel.len() / NR;
            assert!(steps <= stride && tokens.len() >= (M - 1) * stride + steps);
            // SAFETY: all-zero bits are a valid register of numbers.
            let mut sums = [[unsafe { std::mem::zeroed() }; 2]; M];
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
            for (row, sum) in out.iter_mut().zip(sums) {
                // SAFETY: a row holds NR = 32 sums, two registers of 16.
                unsafe {
                    let to = row.as_mut_ptr();
                    std::ptr::write_unaligned(to.cast(), sum[0]);
                    std::ptr::write_unaligned(to.add(NR / 2).cast(), sum[1]);
                }
            }
        }
    };
}

tile!(
    tile_f32,
    "avx512f",
    f32,
    "Words are one f32 each.",
    |sum, word, panel| _mm512_fmadd_ps(_mm512_castsi512_ps(word), _mm512_castsi512_ps(panel), sum)
);
tile!(
    tile_bf16,
    "avx512f,avx512bf16",
    f32,
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
tile!(
    tile_int8,
    "avx512f,avx512vnni",
    i32,
    "Words are four numbers each: u8 of the token, i8 of the panel.",
    |sum, word, panel| _mm512_dpbusd_epi32(sum, word, panel)
);
