//! How does each token of a text look at all others, on a CPU with AVX-512?
//!
//! softmax(Q Kᵀ / √D) V for each head, in blocks of queries whose scores stay in the nearest cache. Keys and values of
//! a head are laid out in the panels that `tile` reads: keys as outputs with D inputs, then D outputs with a key as
//! input each. The same code runs on f32 and on pairs of bf16, the word of `tile` being what is moved about.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::level::{self, Level};
use super::lines::Lines;
use super::packed::{Dot, even_share, tile_of};
use super::tile::{MR, NR, Rows, tile_bf16, tile_f32};

/// Buffers of one head.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Queries, keys and values of a text in bf16.
    halves: Lines,
    keys: Lines,
    values: Lines,
    /// (MR, keys up to a whole panel).
    scores: Lines,
    /// `scores` in bf16.
    weights: Lines,
}

/// Sizes of one text's attention.
#[derive(Clone, Copy)]
struct Shape {
    /// t.
    tokens: usize,
    heads: usize,
    /// D.
    width: usize,
}

/// `context`, (t, H), from `qkv`, (t, 3H): queries, keys, values side by side. H is a multiple of `heads`; in bf16 D
/// is even. The CPU has the instructions of `dot`, which is not int8.
pub(crate) fn attention(
    dot: Dot,
    qkv: &[f32],
    heads: usize,
    hidden: usize,
    buffers: &mut Buffers,
    context: &mut [f32],
) {
    assert!(dot.is_available() && qkv.len() == 3 * context.len());
    let shape = Shape {
        tokens: context.len() / hidden,
        heads,
        width: hidden / heads,
    };
    match dot {
        // SAFETY: the CPU has the instructions, by the assertion above.
        Dot::F32 => unsafe { heads_f32(shape, bytemuck::cast_slice(qkv), buffers, context) },
        Dot::Bf16 => {
            assert!(shape.width.is_multiple_of(2));
            let mut lines = std::mem::take(&mut buffers.halves);
            let halves = lines.words(qkv.len() / 2);
            level::to_bf16(Level::Avx512, qkv, bytemuck::cast_slice_mut(halves));
            // SAFETY: as above.
            unsafe { heads_bf16(shape, halves, buffers, context) };
            buffers.halves = lines;
        }
        Dot::Int8 => unreachable!("attention runs on f32 or bf16"),
    }
}

/// Where one head finds its queries, keys and values among the words of a text.
#[derive(Clone, Copy)]
struct Head {
    /// Words from one token to the next.
    stride: usize,
    /// First word of the first token's query, key and value.
    at: [usize; 3],
    /// First column of the head in `context`.
    column: usize,
}

impl Shape {
    fn head(&self, head: usize, per_word: usize) -> Head {
        let first = |which: usize| (which * self.heads + head) * self.width / per_word;
        Head {
            stride: 3 * self.heads * self.width / per_word,
            at: [first(0), first(1), first(2)],
            column: head * self.width,
        }
    }
}

/// Stamps out the loops for one kind of word.
macro_rules! heads {
    ($name:ident, $features:literal, $tile:ident, $per_word:literal, $pack_values:ident, $weigh:ident) => {
        #[target_feature(enable = $features)]
        fn $name(shape: Shape, qkv: &[u32], buffers: &mut Buffers, context: &mut [f32]) {
            let (steps, key_steps) = (shape.width / $per_word, shape.tokens.div_ceil($per_word));
            let padded = shape.tokens.next_multiple_of(NR);
            let rows_at_once = even_share(shape.tokens);
            let Buffers {
                keys,
                values,
                scores,
                weights,
                ..
            } = buffers;
            let (zeros, scores) = ([0.0; NR], scores.numbers(MR * padded));
            let mut aside = [0.0; MR * NR];
            for head in (0..shape.heads).map(|head| shape.head(head, $per_word)) {
                let keys = keys.words(padded * steps);
                pack_keys(&qkv[head.at[1]..], head.stride, shape.tokens, steps, keys);
                let values = values.words(shape.width.next_multiple_of(NR) * key_steps);
                $pack_values(&qkv[head.at[2]..], head.stride, shape, values);
                for start in (0..shape.tokens).step_by(rows_at_once) {
                    let rows = rows_at_once.min(shape.tokens - start);
                    let queries = &qkv[start * head.stride + head.at[0]..];
                    for (panel, key) in keys.chunks_exact(steps * NR).zip((0..).step_by(NR)) {
                        let (to, stride) = (&mut scores[key..], padded);
                        let out = Rows { to, stride };
                        tile_of!(rows, $tile(queries, head.stride, panel, &zeros, out));
                    }
                    let mut sums = [0.0; MR];
                    let scores = &scores[..rows * padded];
                    let weights = $weigh(scores, padded, shape, weights, &mut sums);
                    let out = &mut context[start * shape.heads * shape.width + head.column..];
                    for (panel, column) in
                        values.chunks_exact(key_steps * NR).zip((0..).step_by(NR))
                    {
                        let (to, stride) = (&mut aside[..], NR);
                        let out_rows = Rows { to, stride };
                        let stride = padded / $per_word;
                        tile_of!(rows, $tile(weights, stride, panel, &zeros, out_rows));
                        let columns = NR.min(shape.width - column);
                        for (i, (row, sum)) in aside.chunks_exact(NR).zip(&sums[..rows]).enumerate()
                        {
                            let at = i * shape.heads * shape.width + column;
                            divide(&row[..columns], *sum, &mut out[at..at + columns]);
                        }
                    }
                }
            }
        }
    };
}

heads!(
    heads_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    tile_f32,
    1,
    pack_values_f32,
    weigh_f32
);
heads!(
    heads_bf16,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16",
    tile_bf16,
    2,
    pack_values_bf16,
    weigh_bf16
);

/// `out` ← `row` / `sum`.
#[inline(always)]
fn divide(row: &[f32], sum: f32, out: &mut [f32]) {
    let factor = 1.0 / sum;
    out.iter_mut().zip(row).for_each(|(o, x)| *o = factor * x);
}

/// Keys as outputs: word s of key j goes to place s, j of its panel. Keys past the end stay zero.
#[inline(always)]
fn pack_keys(words: &[u32], stride: usize, tokens: usize, steps: usize, panels: &mut [u32]) {
    panels.fill(0);
    for key in 0..tokens {
        let panel = &mut panels[key / NR * steps * NR + key % NR..];
        let words = &words[key * stride..key * stride + steps];
        for (place, word) in panel.iter_mut().step_by(NR).zip(words) {
            *place = *word;
        }
    }
}

/// D outputs with a key as input each.
#[inline(always)]
fn pack_values_f32(words: &[u32], stride: usize, shape: Shape, panels: &mut [u32]) {
    let Shape { tokens, width, .. } = shape;
    panels.fill(0);
    for key in 0..tokens {
        let row = &words[key * stride..key * stride + width];
        for (part, panel) in row.chunks(NR).zip(panels.chunks_exact_mut(tokens * NR)) {
            panel[key * NR..key * NR + part.len()].copy_from_slice(part);
        }
    }
}

/// As [`pack_values_f32`] with two keys in a word.
#[inline(always)]
fn pack_values_bf16(words: &[u32], stride: usize, shape: Shape, panels: &mut [u32]) {
    let Shape { tokens, width, .. } = shape;
    let steps = tokens.div_ceil(2);
    panels.fill(0);
    let row = |key: usize| -> &[u16] {
        bytemuck::cast_slice(&words[key * stride..key * stride + width / 2])
    };
    for step in 0..steps {
        let even = row(2 * step).chunks(NR);
        let mut odd = (2 * step + 1 < tokens).then(|| row(2 * step + 1).chunks(NR));
        for (even, panel) in even.zip(panels.chunks_exact_mut(steps * NR)) {
            let places = &mut panel[step * NR..(step + 1) * NR];
            match odd.as_mut().and_then(Iterator::next) {
                Some(odd) => {
                    for ((place, even), odd) in places.iter_mut().zip(even).zip(odd) {
                        *place = u32::from(*even) | u32::from(*odd) << 16;
                    }
                }
                None => {
                    for (place, even) in places.iter_mut().zip(even) {
                        *place = u32::from(*even);
                    }
                }
            }
        }
    }
}

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
    sums: &mut [f32; MR],
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
fn weigh_f32<'a>(
    scores: &[f32],
    padded: usize,
    shape: Shape,
    weights: &'a mut Lines,
    sums: &mut [f32; MR],
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
fn weigh_bf16<'a>(
    scores: &[f32],
    padded: usize,
    shape: Shape,
    weights: &'a mut Lines,
    sums: &mut [f32; MR],
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
