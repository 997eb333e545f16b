//! How does a linear layer run on the dot-product instructions of a CPU with AVX-512?
//!
//! y = x Wᵀ + b. W is rearranged once, when the model is opened, into the panels that `tile` reads from end to end.
//! A panel stays in the cache while all tokens pass it; bias, scales and the activation are applied to the sums
//! before they are stored.
//!
//! Int8 spends its 8 bits where they count. Inputs are divided, and their weights multiplied, by a factor each that
//! evens out large inputs against large weights (as in SmoothQuant, Xiao et al. 2023, but from the weights alone, so
//! that no texts are needed); then each group of 128 inputs gets a grid of its own in each token, x = low + step · u
//! with u8, and a scale of its own in each output, w = scale · q with i8. So y = Σ over groups (step · scale · Σ u q +
//! low · scale · Σ q) + b, where the second sum is known at load.
#![allow(unsafe_code)]

use super::lanes::{self, Fused};
use super::level::{self, Level};
use super::lines::Lines;
use super::quantize::{GROUP_INPUTS, quantize};
use super::scalar::Grid;
use super::tile::{GROUP, Grids, MR, NR, Rows, tile_bf16, tile_f32, tile_int8};
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
    panels: Lines,
    /// Words of a token.
    steps: usize,
    outputs: usize,
    /// b, then zeros up to a whole panel.
    bias: Vec<f32>,
    /// What int8 needs besides.
    grid: Option<WeightGrid>,
}

/// How i8 weights stand for numbers.
struct WeightGrid {
    /// Of the weights of each group of each output: (panels, groups, NR).
    scales: Vec<f32>,
    /// scale · Σ q likewise.
    totals: Vec<f32>,
    /// What each input is multiplied by before it is rounded.
    factors: Vec<f32>,
}

/// Tokens in the numbers a layer multiplies, kept between calls.
#[derive(Default)]
pub(crate) struct Words {
    words: Vec<u32>,
    /// Of each group of each token (int8 only).
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
            panels: Lines::zeroed(padded * steps),
            steps,
            outputs: bias.len(),
            bias: vec![0.0; padded],
            grid: (dot == Dot::Int8).then(|| WeightGrid::new(weight, inputs, padded, steps)),
        };
        packed.bias[..bias.len()].copy_from_slice(bias);
        let mut words = Vec::with_capacity(steps);
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            words.clear();
            packed.row_words(output, row, &mut words);
            let panels = packed.panels.words(padded * steps);
            let panel = &mut panels[output / NR * steps * NR..][..steps * NR];
            for (step, word) in words.iter().enumerate() {
                panel[step * NR + output % NR] = *word;
            }
        }
        packed
    }

    /// The weights of one output as words; int8 notes their scale and sums.
    fn row_words(&mut self, output: usize, row: &[f32], words: &mut Vec<u32>) {
        match &mut self.grid {
            Some(grid) => grid.row_words(output, row, words),
            None if self.dot == Dot::Bf16 => {
                let half = |w: &f32| u32::from(half::bf16::from_f32(*w).to_bits());
                words.extend(
                    row.chunks(2)
                        .map(|w| half(&w[0]) | w.get(1).map_or(0, half) << 16),
                );
            }
            None => words.extend(row.iter().map(|w| w.to_bits())),
        }
    }

    fn panel(&self, panel: usize) -> &[u32] {
        let words = self.steps * NR;
        &self.panels.all()[panel * words..(panel + 1) * words]
    }

    /// What an int8 tile needs of `panel` and of tokens with the grids `tokens`.
    fn grids<'a>(&'a self, panel: usize, tokens: &'a [Grid]) -> Grids<'a> {
        let grid = self.grid.as_ref().expect("`new` makes one for int8");
        let each = self.steps.div_ceil(GROUP) * NR;
        Grids {
            tokens,
            scales: &grid.scales[panel * each..(panel + 1) * each],
            totals: &grid.totals[panel * each..(panel + 1) * each],
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
                let grid = self.grid.as_ref().expect("`new` makes one for int8");
                buffer.fill_int8(x, inputs, &grid.factors);
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

    fn fill_int8(&mut self, x: &[f32], inputs: usize, factors: &[f32]) {
        let stride = inputs.div_ceil(4);
        self.words.resize(x.len() / inputs * stride, 0);
        let groups = stride.div_ceil(GROUP);
        self.grids
            .resize(x.len() / inputs * groups, Grid::default());
        for ((row, words), grids) in x
            .chunks_exact(inputs)
            .zip(self.words.chunks_exact_mut(stride))
            .zip(self.grids.chunks_exact_mut(groups))
        {
            words[stride - 1] = 0;
            let bytes = bytemuck::cast_slice_mut(words);
            // SAFETY: only a layer packed for int8 calls this, so the CPU has AVX-512.
            unsafe { quantize(row, factors, bytes, grids) };
        }
    }
}

impl WeightGrid {
    fn new(weight: &[f32], inputs: usize, padded: usize, steps: usize) -> Self {
        Self {
            scales: vec![0.0; padded * steps.div_ceil(GROUP)],
            totals: vec![0.0; padded * steps.div_ceil(GROUP)],
            factors: factors(weight, inputs),
        }
    }

    /// The weights of one output, divided by the factors of their inputs, as words; notes their scales and sums.
    fn row_words(&mut self, output: usize, row: &[f32], words: &mut Vec<u32>) {
        let groups = row.len().div_ceil(GROUP_INPUTS);
        let scaled: Vec<f32> = row.iter().zip(&self.factors).map(|(w, f)| w / f).collect();
        for (group, weights) in scaled.chunks(GROUP_INPUTS).enumerate() {
            let largest = weights.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            // Adding 1.5 · 2^23 leaves the nearest integer in the low byte; `round` is a call on x86-64.
            let byte = |w: &f32| (w * (1.0 / scale) + 12_582_912.0).to_bits() as u8;
            let mut total = 0;
            words.extend(weights.chunks(4).map(|w| {
                let mut bytes = [0; 4];
                bytes.iter_mut().zip(w).for_each(|(b, w)| *b = byte(w));
                total += bytes
                    .iter()
                    .map(|b| i32::from(b.cast_signed()))
                    .sum::<i32>();
                u32::from_le_bytes(bytes)
            }));
            let place = (output / NR * groups + group) * NR + output % NR;
            self.scales[place] = scale;
            self.totals[place] = scale * total as f32;
        }
    }
}

/// The square root of the deviation of each input's weights: half way between evening out the weights of all inputs
/// and leaving them as they are. 1 for inputs that no output looks at.
fn factors(weight: &[f32], inputs: usize) -> Vec<f32> {
    let mut squares = vec![0.0; inputs];
    for row in weight.chunks_exact(inputs) {
        squares.iter_mut().zip(row).for_each(|(s, w)| *s += w * w);
    }
    let outputs = (weight.len() / inputs) as f32;
    let factor = |s: &f32| (s / outputs).sqrt().sqrt();
    squares
        .iter()
        .map(factor)
        .map(|f| if f > 1e-6 { f } else { 1.0 })
        .collect()
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

/// Tokens of a tile, so that all tiles are about equally full: 20 tokens are 10 and 10, not 14 and 6.
pub(crate) fn even_share(tokens: usize) -> usize {
    tokens.div_ceil(tokens.div_ceil(MR).max(1)).max(1)
}

/// Stamps out the driver of a layer for one kind of number; `$sums` runs a tile.
macro_rules! linear {
    ($name:ident, $features:literal, $sums:ident) => {
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
            let mut aside = [0.0; MR * NR];
            for panel in 0..layer.bias.len() / NR {
                let first = panel * NR;
                let is_whole = first + NR <= n;
                for start in (0..tokens).step_by(rows_at_once) {
                    let rows = rows_at_once.min(tokens - start);
                    let words = &words[start * steps..];
                    if is_whole && activation.is_none() {
                        let (to, stride) = (&mut y[start * n + first..], n);
                        $sums!(layer, panel, rows, words, grids, start, Rows { to, stride });
                        continue;
                    }
                    let (to, stride) = (&mut aside[..], NR);
                    $sums!(layer, panel, rows, words, grids, start, Rows { to, stride });
                    activate(activation, &mut aside[..rows * NR]);
                    let columns = NR.min(n - first);
                    for (row, sums) in (start..).zip(aside[..rows * NR].chunks_exact(NR)) {
                        let at = row * n + first;
                        y[at..at + columns].copy_from_slice(&sums[..columns]);
                    }
                }
            }
        }
    };
}

macro_rules! sums_f32 {
    ($layer:ident, $panel:ident, $rows:ident, $words:ident, $grids:ident, $start:ident, $out:expr) => {{
        let (panel, bias) = ($layer.panel($panel), part(&$layer.bias, $panel));
        debug_assert!($grids.is_empty(), "only int8 has grids");
        tile_of!($rows, tile_f32($words, $layer.steps, panel, bias, $out));
    }};
}

macro_rules! sums_bf16 {
    ($layer:ident, $panel:ident, $rows:ident, $words:ident, $grids:ident, $start:ident, $out:expr) => {{
        let (panel, bias) = ($layer.panel($panel), part(&$layer.bias, $panel));
        debug_assert!($grids.is_empty(), "only int8 has grids");
        tile_of!($rows, tile_bf16($words, $layer.steps, panel, bias, $out));
    }};
}

macro_rules! sums_int8 {
    ($layer:ident, $panel:ident, $rows:ident, $words:ident, $grids:ident, $start:ident, $out:expr) => {{
        let (panel, bias) = ($layer.panel($panel), part(&$layer.bias, $panel));
        let grids = $layer.grids($panel, &$grids[$start * $layer.steps.div_ceil(GROUP)..]);
        tile_of!(
            $rows,
            tile_int8($words, $layer.steps, panel, grids, bias, $out)
        );
    }};
}

linear!(
    linear_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    sums_f32
);
linear!(
    linear_bf16,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16",
    sums_bf16
);
linear!(
    linear_int8,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512vnni",
    sums_int8
);

/// The numbers of one panel's outputs.
#[inline(always)]
fn part(all: &[f32], panel: usize) -> &[f32; NR] {
    &all.as_chunks::<NR>().0[panel]
}

#[inline(always)]
fn activate(activation: Option<Activation>, out: &mut [f32]) {
    match activation {
        None => {}
        Some(Activation::Gelu) => lanes::gelu::<Fused>(out),
        Some(Activation::GeluTanh) => lanes::gelu_tanh::<Fused>(out),
        Some(Activation::Relu) => out.iter_mut().for_each(|x| *x = x.max(0.0)),
    }
}
