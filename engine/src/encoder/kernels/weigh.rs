//! How do scores become weights with AVX-512?
//!
//! e^x as 2^n by the exponent and 2^f by a polynomial, sixteen scores at a time.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::attention::Shape;
use super::lines::Lines;
use super::tile::MOST_ROWS;

/// 2^f - 1 over f by powers of f, highest first, for f from -½ to ½: Taylor's series, relative error 1.2e-7.
const EXP2: [f32; 6] = [
    1.540_353e-4,
    1.333_355_8e-3,
    9.618_129e-3,
    5.550_411e-2,
    0.240_226_5,
    std::f32::consts::LN_2,
];

/// 2^x; 0 where x is below -150.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp2(x: __m512) -> __m512 {
    let n = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let f = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(EXP2[0]);
    for c in &EXP2[1..] {
        p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(*c));
    }
    _mm512_scalef_ps(_mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0)), n)
}

/// Each row of `scores` ← e^(scale · (score - largest)) for the text's keys, handed on register by register; the rows'
/// sums go to `sums`. Dividing by them is left to the D numbers that come of a row, which are fewer than its keys.
#[inline]
#[target_feature(enable = "avx512f")]
fn weigh(
    scores: &[f32],
    padded: usize,
    shape: Shape,
    sums: &mut [f32; MOST_ROWS],
    mut hand_on: impl FnMut(usize, __m512),
) {
    let scale = std::f32::consts::LOG2_E / (shape.width as f32).sqrt();
    for (r, (row, sum)) in scores.chunks_exact(padded).zip(sums).enumerate() {
        let registers = row.as_chunks::<16>().0;
        let inside = |register: usize| lanes_below(shape.tokens.saturating_sub(16 * register));
        let load = |register: usize| {
            // SAFETY: sixteen numbers are one register.
            unsafe { _mm512_loadu_ps(registers[register].as_ptr()) }
        };
        let mut largest = _mm512_set1_ps(f32::NEG_INFINITY);
        for register in 0..registers.len() {
            largest = _mm512_mask_max_ps(largest, inside(register), largest, load(register));
        }
        let largest = _mm512_set1_ps(scale * _mm512_reduce_max_ps(largest));
        let mut total = _mm512_setzero_ps();
        for register in 0..registers.len() {
            let x = _mm512_fmsub_ps(load(register), _mm512_set1_ps(scale), largest);
            let weight = _mm512_maskz_mov_ps(inside(register), exp2(x));
            total = _mm512_add_ps(total, weight);
            hand_on(r * padded + 16 * register, weight);
        }
        *sum = _mm512_reduce_add_ps(total);
    }
}

/// The mask of the first `count` of sixteen lanes.
#[inline(always)]
fn lanes_below(count: usize) -> __mmask16 {
    if count < 16 { (1 << count) - 1 } else { !0 }
}

/// Scores to weights, zero past the last key; see [`weigh`].
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn weigh_f32<'a>(
    scores: &mut [f32],
    padded: usize,
    shape: Shape,
    weights: &'a mut Lines,
    sums: &mut [f32; MOST_ROWS],
) -> &'a [u32] {
    let weights = weights.numbers(scores.len());
    weigh(scores, padded, shape, sums, |at, weight| {
        // SAFETY: `weights` is as long as `scores`, in which `at` begins a register.
        unsafe { _mm512_storeu_ps(weights[at..at + 16].as_mut_ptr(), weight) };
    });
    bytemuck::cast_slice(weights)
}

/// As [`weigh_f32`], rounded to bf16.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) fn weigh_bf16<'a>(
    scores: &mut [f32],
    padded: usize,
    shape: Shape,
    weights: &'a mut Lines,
    sums: &mut [f32; MOST_ROWS],
) -> &'a [u32] {
    let weights = weights.words(scores.len() / 2);
    weigh(scores, padded, shape, sums, |at, weight| {
        let words = &mut weights[at / 2..at / 2 + 8];
        // SAFETY: sixteen halves are eight words, and both types are 256 bits of plain numbers.
        unsafe {
            let halves = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(weight));
            _mm256_storeu_si256(words.as_mut_ptr().cast(), halves);
        }
    });
    weights
}
