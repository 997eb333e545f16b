//! How does a linear layer run on the dot-product instructions of a CPU with AVX-512?
//!
//! y = x Wᵀ + b. W is rearranged once, when the model is opened, into the panels that `tile` reads from end to end.
//! A panel stays in the cache while all tokens pass it; bias, scales and the activation are applied to the sums
//! before they are stored. With u8 inputs x = low + step · u and i8 weights w = scale · q,
//! y = step · scale · Σ u q + low · scale · Σ q + b, where the second sum is known at load.
#![allow(unsafe_code)]

use super::lanes::{self, Fused, Grid};
use super::level::{self, Level};
use super::tile::{MR, NR, tile_bf16, tile_f32, tile_int8};
use crate::encoder::config::Activation;

/// The numbers a layer multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dot {
    /// f32 × f32.
    F32,
    /// bf16 × bf16, summed in f32 (AVX512-BF16).
    Bf16,
    /// u8 × i8, summed in i32 (AVX512-VNNI).
    Int8,
}

impl Dot {
    /// Numbers in a word of 32 bits.
    pub(crate) fn per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Whether this CPU has the instructions.
    pub(crate) fn is_available(self) -> bool {
        Level::best() == Level::Avx512
            && match self {
                Self::F32 => true,
                Self::Bf16 => is_x86_feature_detected!("avx512bf16"),
                Self::Int8 => is_x86_feature_detected!("avx512vnni"),
            }
    }
}

/// A linear layer in panels.
pub(crate) struct Packed {
    dot: Dot,
    /// Panels of `steps` × NR words one after another; outputs and inputs past the end are zero.
    panels: Vec<u32>,
    /// Words of a token.
    steps: usize,
    outputs: usize,
    /// b, then zeros up to a whole panel.
    bias: Vec<f32>,
    /// Scale of each output's weights (int8; otherwise unused).
    scale: Vec<f32>,
    /// `scale` · Σ q of each output (int8; otherwise unused).
    sum: Vec<f32>,
}

/// Tokens in the numbers a layer multiplies, kept between calls.
#[derive(Default)]
pub(crate) struct Words {
    words: Vec<u32>,
    /// Of each token (int8 only).
    grids: Vec<Grid>,
}

impl Packed {
    /// Packs W, (out, in) row-major, with `bias.len()` outputs. The CPU has the instructions of `dot`.
    pub(crate) fn new(dot: Dot, weight: &[f32], bias: &[f32]) -> Self {
        assert!(dot.is_available(), "callers ask for what the CPU has");
        let inputs = weight.len() / bias.len();
        let steps = inputs.div_ceil(dot.per_word());
        let padded = bias.len().next_multiple_of(NR);
        let mut packed = Self {
            dot,
            panels: vec![0; padded * steps],
            steps,
            outputs: bias.len(),
            bias: vec![0.0; padded],
            scale: vec![0.0; padded],
            sum: vec![0.0; padded],
        };
        packed.bias[..bias.len()].copy_from_slice(bias);
        let mut words = Vec::with_capacity(steps);
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            words.clear();
            packed.row_words(output, row, &mut words);
            let panel = &mut packed.panels[output / NR * steps * NR..][..steps * NR];
            for (step, word) in words.iter().enumerate() {
                panel[step * NR + output % NR] = *word;
            }
        }
        packed
    }

    /// The weights of one output as words; notes their scale and sum.
    fn row_words(&mut self, output: usize, row: &[f32], words: &mut Vec<u32>) {
        match self.dot {
            Dot::F32 => words.extend(row.iter().map(|w| w.to_bits())),
            Dot::Bf16 => {
                let half = |w: &f32| u32::from(half::bf16::from_f32(*w).to_bits());
                words.extend(
                    row.chunks(2)
                        .map(|w| half(&w[0]) | w.get(1).map_or(0, half) << 16),
                );
            }
            Dot::Int8 => {
                let largest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
                let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
                // Adding 1.5 · 2^23 leaves the nearest integer in the low byte; `round` is a call on x86-64.
                let byte = |w: &f32| (w * (1.0 / scale) + 12_582_912.0).to_bits() as u8;
                let mut sum = 0;
                words.extend(row.chunks(4).map(|w| {
                    let mut bytes = [0; 4];
                    bytes.iter_mut().zip(w).for_each(|(b, w)| *b = byte(w));
                    sum += bytes
                        .iter()
                        .map(|b| i32::from(b.cast_signed()))
                        .sum::<i32>();
                    u32::from_le_bytes(bytes)
                }));
                self.scale[output] = scale;
                self.sum[output] = scale * sum as f32;
            }
        }
    }

    /// `y`, (t, out), from `x`, (t, in), then `activation` of it. On the calling thread.
    pub(crate) fn apply(
        &self,
        x: &[f32],
        inputs: usize,
        buffer: &mut Words,
        activation: Option<Activation>,
        y: &mut [f32],
    ) {
        let tokens = x.len() / inputs;
        assert!(
            y.len() == tokens * self.outputs && self.steps == inputs.div_ceil(self.dot.per_word())
        );
        // SAFETY: `new` made sure that the CPU has the instructions.
        match self.dot {
            Dot::F32 => unsafe { linear_f32(self, bytemuck::cast_slice(x), &[], activation, y) },
            Dot::Bf16 => {
                buffer.fill_bf16(x, inputs);
                // SAFETY: as above.
                unsafe { linear_bf16(self, &buffer.words, &[], activation, y) }
            }
            Dot::Int8 => {
                buffer.fill_int8(x, inputs);
                // SAFETY: as above.
                unsafe { linear_int8(self, &buffer.words, &buffer.grids, activation, y) }
            }
        }
    }
}

impl Words {
    fn fill_bf16(&mut self, x: &[f32], inputs: usize) {
        let stride = inputs.div_ceil(2);
        self.words.resize(x.len() / inputs * stride, 0);
        for (row, words) in x
            .chunks_exact(inputs)
            .zip(self.words.chunks_exact_mut(stride))
        {
            words[stride - 1] = 0;
            level::to_bf16(Level::Avx512, row, bytemuck::cast_slice_mut(words));
        }
    }

    fn fill_int8(&mut self, x: &[f32], inputs: usize) {
        let stride = inputs.div_ceil(4);
        self.words.resize(x.len() / inputs * stride, 0);
        self.grids.clear();
        for (row, words) in x
            .chunks_exact(inputs)
            .zip(self.words.chunks_exact_mut(stride))
        {
            words[stride - 1] = 0;
            let grid = level::quantize(Level::Avx512, row, bytemuck::cast_slice_mut(words));
            self.grids.push(grid);
        }
    }
}

/// Runs `$tile` for a number of tokens known at run time.
macro_rules! tile_of {
    ($rows:expr, $tile:ident $arguments:tt) => {
        tile_of!(@ $rows, $tile $arguments, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
    (@ $rows:expr, $tile:ident $arguments:tt, $($m:literal)*) => {
        match $rows {
            $($m => $tile::<$m> $arguments,)*
            other => unreachable!("a tile has 1 to {MR} tokens, not {other}"),
        }
    };
}
pub(crate) use tile_of;

/// Stamps out the driver of a layer for one kind of number; `$finish` turns sums into outputs.
macro_rules! linear {
    ($name:ident, $features:literal, $tile:ident, $sum:ty, $finish:expr) => {
        #[target_feature(enable = $features)]
        fn $name(
            layer: &Packed,
            words: &[u32],
            grids: &[Grid],
            activation: Option<Activation>,
            y: &mut [f32],
        ) {
            let (n, steps) = (layer.outputs, layer.steps);
            let tokens = y.len() / n;
            let rows_at_once = even_share(tokens);
            let mut sums = [[<$sum>::default(); NR]; MR];
            for (panel, first) in layer.panels.chunks_exact(steps * NR).zip((0..).step_by(NR)) {
                for start in (0..tokens).step_by(rows_at_once) {
                    let rows = rows_at_once.min(tokens - start);
                    tile_of!(
                        rows,
                        $tile(&words[start * steps..], steps, panel, &mut sums)
                    );
                    for (row, sums) in (start..).zip(&sums[..rows]) {
                        let mut out = [0.0; NR];
                        $finish(layer, first, grids.get(row), sums, &mut out);
                        activate(activation, &mut out);
                        store(&out, &mut y[row * n + first..(row + 1) * n]);
                    }
                }
            }
        }
    };
}

linear!(
    linear_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    tile_f32,
    f32,
    add_bias
);
linear!(
    linear_bf16,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16",
    tile_bf16,
    f32,
    add_bias
);
linear!(
    linear_int8,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512vnni",
    tile_int8,
    i32,
    rescale
);

/// Writes `out` to the start of `to`, as far as there is room.
#[inline(always)]
fn store(out: &[f32; NR], to: &mut [f32]) {
    match to.first_chunk_mut::<NR>() {
        Some(whole) => *whole = *out,
        None => to.copy_from_slice(&out[..to.len()]),
    }
}

/// Tokens of a tile, so that all tiles are about equally full: 20 tokens are 10 and 10, not 14 and 6.
pub(crate) fn even_share(tokens: usize) -> usize {
    tokens.div_ceil(tokens.div_ceil(MR).max(1)).max(1)
}

#[inline(always)]
fn add_bias(layer: &Packed, first: usize, _: Option<&Grid>, sums: &[f32; NR], out: &mut [f32; NR]) {
    let bias = &layer.bias[first..first + NR];
    for ((o, s), b) in out.iter_mut().zip(sums).zip(bias) {
        *o = s + b;
    }
}

#[inline(always)]
fn rescale(
    layer: &Packed,
    first: usize,
    grid: Option<&Grid>,
    sums: &[i32; NR],
    out: &mut [f32; NR],
) {
    let Grid { low, step } = grid.copied().unwrap_or_default();
    let part = |all: &Vec<f32>| <[f32; NR]>::try_from(&all[first..first + NR]).unwrap_or([0.0; NR]);
    let (bias, scale, sum) = (part(&layer.bias), part(&layer.scale), part(&layer.sum));
    for i in 0..NR {
        let product = sums[i] as f32 * scale[i];
        out[i] = product.mul_add(step, low.mul_add(sum[i], bias[i]));
    }
}

#[inline(always)]
fn activate(activation: Option<Activation>, out: &mut [f32; NR]) {
    match activation {
        None => {}
        Some(Activation::Gelu) => lanes::gelu::<Fused>(out),
        Some(Activation::GeluTanh) => lanes::gelu_tanh::<Fused>(out),
        Some(Activation::Relu) => out.iter_mut().for_each(|x| *x = x.max(0.0)),
    }
}
