//! How does each token of a text look at all others, on the tiles of this CPU?
//!
//! softmax(Q Kᵀ / √D) V for each head, in blocks of queries whose scores stay in the nearest cache. Keys and values of
//! a head are laid out in the panels that `tile` reads: keys as outputs with D inputs, then D outputs with a key as
//! input each. The same code runs on f32 and on pairs of bf16, the word of `tile` being what is moved about.
#![allow(unsafe_code)]

use super::dot::{Dot, even_share, most_rows};
use super::lanes::{self, Fused};
#[cfg(target_arch = "x86_64")]
use super::level;
use super::level::Level;
use super::lines::Lines;
#[cfg(target_arch = "aarch64")]
use super::tile::neon;
use super::tile::{MOST_ROWS, NR, Rows};
#[cfg(target_arch = "x86_64")]
use super::tile::{avx2, avx512};
#[cfg(target_arch = "x86_64")]
use super::weigh::{weigh_bf16, weigh_f32};

/// Buffers of one head.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Queries, keys and values of a text in bf16.
    halves: Lines,
    keys: Lines,
    values: Lines,
    /// (tokens of a tile, keys up to a whole panel).
    scores: Lines,
    /// `scores` in bf16.
    weights: Lines,
}

/// Sizes of one text's attention.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// t.
    pub(super) tokens: usize,
    heads: usize,
    /// D.
    pub(super) width: usize,
}

/// `context`, (t, H), from `qkv`, (t, 3H): queries, keys, values side by side. H is a multiple of `heads`; in bf16 D
/// is even. `level` is one of those of `dot`, which is not int8.
pub(crate) fn attention(
    dot: Dot,
    level: Level,
    qkv: &[f32],
    heads: usize,
    hidden: usize,
    buffers: &mut Buffers,
    context: &mut [f32],
) {
    assert!(level.is_available() && qkv.len() == 3 * context.len());
    let shape = Shape {
        tokens: context.len() / hidden,
        heads,
        width: hidden / heads,
    };
    let words = bytemuck::cast_slice(qkv);
    // SAFETY, for all arms: the CPU has the level, and `dot` a tile on it.
    match (dot, level) {
        #[cfg(target_arch = "x86_64")]
        (Dot::F32, Level::Avx512) => unsafe { avx512_f32(shape, words, buffers, context) },
        #[cfg(target_arch = "x86_64")]
        (Dot::Bf16, Level::Avx512) => {
            assert!(shape.width.is_multiple_of(2));
            let mut lines = std::mem::take(&mut buffers.halves);
            let halves = lines.words(qkv.len() / 2);
            level::to_bf16(level, qkv, bytemuck::cast_slice_mut(halves));
            // SAFETY: as above.
            unsafe { avx512_bf16(shape, halves, buffers, context) };
            buffers.halves = lines;
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Dot::F32, Level::Avx2) => unsafe { avx2_f32(shape, words, buffers, context) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        (Dot::F32, Level::Base) => unsafe { neon_f32(shape, words, buffers, context) },
        _ => unreachable!(
            "attention over {} tokens in {dot:?} on {level:?}",
            words.len()
        ),
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

/// Stamps out the loops for one tile.
macro_rules! heads {
    ($name:ident, $features:literal, $level:path, $tile:path, $per_word:literal, $pack_values:ident, $weigh:ident) => {
        #[target_feature(enable = $features)]
        fn $name(shape: Shape, qkv: &[u32], buffers: &mut Buffers, context: &mut [f32]) {
            let (steps, key_steps) = (shape.width / $per_word, shape.tokens.div_ceil($per_word));
            let padded = shape.tokens.next_multiple_of(NR);
            let rows_at_once = even_share(shape.tokens, most_rows($level));
            let Buffers {
                keys,
                values,
                scores,
                weights,
                ..
            } = buffers;
            let (zeros, scores) = ([0.0; NR], scores.numbers(rows_at_once * padded));
            let mut aside = [0.0; MOST_ROWS * NR];
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
                        $tile(
                            rows,
                            queries,
                            head.stride,
                            panel,
                            &zeros,
                            Rows { to, stride },
                        );
                    }
                    let mut sums = [0.0; MOST_ROWS];
                    let scores = &mut scores[..rows * padded];
                    let weights = $weigh(scores, padded, shape, weights, &mut sums);
                    let out = &mut context[start * shape.heads * shape.width + head.column..];
                    for (panel, column) in
                        values.chunks_exact(key_steps * NR).zip((0..).step_by(NR))
                    {
                        let (to, stride) = (&mut aside[..], NR);
                        let out_rows = Rows { to, stride };
                        $tile(rows, weights, padded / $per_word, panel, &zeros, out_rows);
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

#[cfg(target_arch = "x86_64")]
heads!(
    avx512_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    Level::Avx512,
    avx512::f32,
    1,
    pack_values_f32,
    weigh_f32
);
#[cfg(target_arch = "x86_64")]
heads!(
    avx512_bf16,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16",
    Level::Avx512,
    avx512::bf16,
    2,
    pack_values_bf16,
    weigh_bf16
);
#[cfg(target_arch = "x86_64")]
heads!(
    avx2_f32,
    "avx2,fma",
    Level::Avx2,
    avx2::f32,
    1,
    pack_values_f32,
    weigh_in_place
);
#[cfg(target_arch = "aarch64")]
heads!(
    neon_f32,
    "neon",
    Level::Base,
    neon::f32,
    1,
    pack_values_f32,
    weigh_in_place
);

/// Each row of `scores` ← e^(score / √D - the largest), zero past the last key; the rows' sums go to `sums`.
#[inline(always)]
fn weigh_in_place<'a>(
    scores: &'a mut [f32],
    padded: usize,
    shape: Shape,
    _: &mut Lines,
    sums: &mut [f32; MOST_ROWS],
) -> &'a [u32] {
    let scale = 1.0 / (shape.width as f32).sqrt();
    for (row, sum) in scores.chunks_exact_mut(padded).zip(sums) {
        *sum = lanes::weigh::<Fused>(row, shape.tokens, scale);
    }
    bytemuck::cast_slice(scores)
}

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
#[cfg(target_arch = "x86_64")]
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
