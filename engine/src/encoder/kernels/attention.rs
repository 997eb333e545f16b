//! How does each token of a text look at all others, on a CPU with AVX-512?
//!
//! softmax(Q Kᵀ / √D) V for each head, in blocks of queries whose scores stay in the nearest cache. Keys and values of
//! a head are laid out in the panels that `tile` reads: keys as outputs with D inputs, then D outputs with a key as
//! input each. The same code runs on f32 and on pairs of bf16, the word of `tile` being what is moved about.
#![allow(unsafe_code)]

use super::lanes::{self, Fused};
use super::level::{self, Level};
use super::packed::{Dot, even_share, tile_of};
use super::tile::{MR, NR, tile_bf16, tile_f32};

/// Buffers of one head.
#[derive(Default)]
pub(crate) struct Buffers {
    /// Queries, keys and values of a text in bf16.
    halves: Vec<u32>,
    keys: Vec<u32>,
    values: Vec<u32>,
    /// (MR, keys up to a whole panel).
    scores: Vec<f32>,
    /// `scores` in bf16.
    weights: Vec<u32>,
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
            let mut halves = std::mem::take(&mut buffers.halves);
            halves.resize(qkv.len() / 2, 0);
            level::to_bf16(Level::Avx512, qkv, bytemuck::cast_slice_mut(&mut halves));
            // SAFETY: as above.
            unsafe { heads_bf16(shape, &halves, buffers, context) };
            buffers.halves = halves;
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
            scores.resize(MR * padded, 0.0);
            let mut sums = [[0.0; NR]; MR];
            for head in (0..shape.heads).map(|head| shape.head(head, $per_word)) {
                pack_keys(&qkv[head.at[1]..], head.stride, shape.tokens, steps, keys);
                $pack_values(&qkv[head.at[2]..], head.stride, shape, values);
                for start in (0..shape.tokens).step_by(rows_at_once) {
                    let rows = rows_at_once.min(shape.tokens - start);
                    let queries = &qkv[start * head.stride + head.at[0]..];
                    for (panel, key) in keys.chunks_exact(steps * NR).zip((0..).step_by(NR)) {
                        tile_of!(rows, $tile(queries, head.stride, panel, &mut sums));
                        store(&sums[..rows], &mut scores[key..], padded, NR);
                    }
                    let weights = $weigh(&mut scores[..rows * padded], padded, shape, weights);
                    let out = &mut context[start * shape.heads * shape.width + head.column..];
                    for (panel, column) in
                        values.chunks_exact(key_steps * NR).zip((0..).step_by(NR))
                    {
                        tile_of!(rows, $tile(weights, padded / $per_word, panel, &mut sums));
                        let columns = NR.min(shape.width - column);
                        store(
                            &sums[..rows],
                            &mut out[column..],
                            shape.heads * shape.width,
                            columns,
                        );
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

/// Writes the first `columns` of each row of `sums` to `out`, whose rows are `stride` apart.
#[inline(always)]
fn store(sums: &[[f32; NR]], out: &mut [f32], stride: usize, columns: usize) {
    for (i, row) in sums.iter().enumerate() {
        out[i * stride..i * stride + columns].copy_from_slice(&row[..columns]);
    }
}

/// Keys as outputs: word s of key j goes to place s, j of its panel. Keys past the end stay zero.
#[inline(always)]
fn pack_keys(words: &[u32], stride: usize, tokens: usize, steps: usize, panels: &mut Vec<u32>) {
    panels.clear();
    panels.resize(tokens.next_multiple_of(NR) * steps, 0);
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
fn pack_values_f32(words: &[u32], stride: usize, shape: Shape, panels: &mut Vec<u32>) {
    let Shape { tokens, width, .. } = shape;
    panels.clear();
    panels.resize(width.next_multiple_of(NR) * tokens, 0);
    for key in 0..tokens {
        let row = &words[key * stride..key * stride + width];
        for (part, panel) in row.chunks(NR).zip(panels.chunks_exact_mut(tokens * NR)) {
            panel[key * NR..key * NR + part.len()].copy_from_slice(part);
        }
    }
}

/// As [`pack_values_f32`] with two keys in a word.
#[inline(always)]
fn pack_values_bf16(words: &[u32], stride: usize, shape: Shape, panels: &mut Vec<u32>) {
    let Shape { tokens, width, .. } = shape;
    let steps = tokens.div_ceil(2);
    panels.clear();
    panels.resize(width.next_multiple_of(NR) * steps, 0);
    for key in 0..tokens {
        let row = &words[key * stride..key * stride + width / 2];
        let shift = 16 * (key % 2);
        for (part, panel) in row.chunks(NR / 2).zip(panels.chunks_exact_mut(steps * NR)) {
            let places = panel[key / 2 * NR..][..NR].as_chunks_mut::<2>().0;
            for (place, word) in places.iter_mut().zip(part) {
                place[0] |= (word & 0xffff) << shift;
                place[1] |= (word >> 16) << shift;
            }
        }
    }
}

/// Scores to weights: softmax over the keys, zero past the end.
#[inline(always)]
fn weigh_f32<'a>(
    scores: &'a mut [f32],
    padded: usize,
    shape: Shape,
    _: &'a mut Vec<u32>,
) -> &'a [u32] {
    let scale = 1.0 / (shape.width as f32).sqrt();
    for row in scores.chunks_exact_mut(padded) {
        let (keys, rest) = row.split_at_mut(shape.tokens);
        lanes::softmax::<Fused>(keys, scale);
        rest.fill(0.0);
    }
    bytemuck::cast_slice(scores)
}

/// As [`weigh_f32`], then rounded to bf16.
#[inline(always)]
fn weigh_bf16<'a>(
    scores: &'a mut [f32],
    padded: usize,
    shape: Shape,
    weights: &'a mut Vec<u32>,
) -> &'a [u32] {
    weigh_f32(scores, padded, shape, &mut Vec::new());
    weights.resize(scores.len() / 2, 0);
    lanes::to_bf16::<Fused>(scores, bytemuck::cast_slice_mut(weights));
    weights
}
