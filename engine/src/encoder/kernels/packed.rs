//! How does a linear layer run on the tiles of this CPU?
//!
//! y = x Wᵀ + b. W is rearranged once, when the model is opened, into the panels that `tile` reads from end to end.
//! A panel stays in the cache while all tokens pass it; bias, scales and the activation are applied to the sums
//! before they are stored. How int8 rounds: `grid` and `quantize`.
#![allow(unsafe_code)]

use super::dot::{Dot, even_share, most_rows};
use super::grid::WeightGrid;
use super::lanes::{self, Fused};
use super::level::{self, Level};
use super::lines::Slab;
use super::quantize::{GROUP_INPUTS, quantize};
use super::scalar::Grid;
#[cfg(target_arch = "aarch64")]
use super::tile::neon;
use super::tile::{Grids, MOST_ROWS, NR, Rows};
#[cfg(target_arch = "x86_64")]
use super::tile::{avx2, avx512};
use crate::encoder::config::Activation;

/// A linear layer in panels.
pub(crate) struct Packed {
    dot: Dot,
    level: Level,
    /// Panels of `steps` × NR words one after another; outputs and inputs past the end are zero.
    panels: Slab,
    /// Words of a token.
    steps: usize,
    inputs: usize,
    outputs: usize,
    /// b, then zeros up to a whole panel.
    bias: Slab,
    /// What int8 needs besides.
    grid: Option<WeightGrid>,
}

/// Tokens in the numbers a layer multiplies, kept between calls.
#[derive(Default)]
pub(crate) struct Words {
    words: Vec<u32>,
    /// Of each group of each token (int8 only).
    grids: Vec<Grid>,
}

impl Packed {
    /// Packs W, (out, in) row-major, with `bias.len()` outputs, for tiles of `level`, one of [`Dot::levels`].
    pub(crate) fn new(dot: Dot, level: Level, weight: &[f32], bias: &[f32]) -> Self {
        assert!(
            dot.levels().any(|l| l == level),
            "callers ask for what the CPU has"
        );
        let (inputs, outputs) = (weight.len() / bias.len(), bias.len());
        let steps = inputs.div_ceil(dot.per_word(level));
        let padded = outputs.next_multiple_of(NR);
        let mut panels = Slab::zeroed(padded * steps);
        let mut grid = (dot == Dot::Int8).then(|| WeightGrid::new(weight, inputs, padded));
        let mut words = Vec::with_capacity(steps);
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            words.clear();
            row_words(dot, level, grid.as_mut(), output, row, &mut words);
            let panel = &mut panels.words_mut()[output / NR * steps * NR..][..steps * NR];
            for (step, word) in words.iter().enumerate() {
                panel[step * NR + output % NR] = *word;
            }
        }
        Self {
            dot,
            level,
            panels,
            steps,
            inputs,
            outputs,
            bias: Slab::of_numbers(bias, padded),
            grid,
        }
    }

    /// A layer of `inputs` and `outputs` as it lies in a file, whose parts `next` gives by their length in words, in the order
    /// of [`Packed::slabs`]; `None` if it has not enough of them.
    pub(crate) fn stored(
        dot: Dot,
        level: Level,
        [outputs, inputs]: [usize; 2],
        mut next: impl FnMut(usize) -> Option<Slab>,
    ) -> Option<Self> {
        let steps = inputs.div_ceil(dot.per_word(level));
        let padded = outputs.next_multiple_of(NR);
        let (panels, bias) = (next(padded * steps)?, next(padded)?);
        let groups = inputs.div_ceil(GROUP_INPUTS);
        let mut grid = || {
            Some(WeightGrid {
                scales: next(padded * groups)?,
                totals: next(padded * groups)?,
                factors: next(inputs)?,
            })
        };
        let grid = match dot {
            Dot::Int8 => Some(grid()?),
            Dot::F32 | Dot::Bf16 => None,
        };
        Some(Self {
            dot,
            level,
            panels,
            steps,
            inputs,
            outputs,
            bias,
            grid,
        })
    }

    /// Its parts.
    pub(crate) fn slabs(&self) -> Vec<&[u32]> {
        let grid = self.grid.iter();
        let grid = grid.flat_map(|grid| [&grid.scales, &grid.totals, &grid.factors]);
        let all = [&self.panels, &self.bias].into_iter().chain(grid);
        all.map(Slab::words).collect()
    }

    fn panel(&self, panel: usize) -> &[u32] {
        let words = self.steps * NR;
        &self.panels.words()[panel * words..(panel + 1) * words]
    }

    fn groups(&self) -> usize {
        self.inputs.div_ceil(GROUP_INPUTS)
    }

    /// What an int8 tile needs of `panel` and of tokens with the grids `tokens`.
    fn grids<'a>(&'a self, panel: usize, tokens: &'a [Grid]) -> Grids<'a> {
        let grid = self.grid.as_ref().expect("int8 layers have one");
        let each = self.groups() * NR;
        let part = panel * each..(panel + 1) * each;
        Grids {
            tokens,
            scales: &grid.scales.numbers()[part.clone()],
            totals: &grid.totals.numbers()[part],
        }
    }

    /// `y`, (t, out), from `x`, (t, in), then `activation` of it. On the calling thread.
    pub(crate) fn apply(
        &self,
        x: &[f32],
        buffer: &mut Words,
        activation: Option<Activation>,
        y: &mut [f32],
    ) {
        let tokens = x.len() / self.inputs;
        assert!(x.len() == tokens * self.inputs && y.len() == tokens * self.outputs);
        if self.dot != Dot::F32 {
            buffer.fill(self, x);
        }
        let Words { words, grids } = buffer;
        // SAFETY, for all arms: layers are made for levels and numbers of `Dot::levels`, which the CPU has.
        match (self.dot, self.level) {
            #[cfg(target_arch = "x86_64")]
            (Dot::F32, Level::Avx512) => unsafe {
                avx512_f32(self, bytemuck::cast_slice(x), &[], activation, y);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Dot::Bf16, Level::Avx512) => unsafe { avx512_bf16(self, words, &[], activation, y) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Dot::Int8, Level::Avx512) => unsafe {
                avx512_int8(self, words, grids, activation, y);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Dot::F32, Level::Avx2) => unsafe {
                avx2_f32(self, bytemuck::cast_slice(x), &[], activation, y);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Dot::Int8, Level::Avx2) => unsafe { avx2_int8(self, words, grids, activation, y) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            (Dot::F32, Level::Base) => unsafe {
                neon_f32(self, bytemuck::cast_slice(x), &[], activation, y);
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            (Dot::Int8, Level::Base) => unsafe { neon_int8(self, words, grids, activation, y) },
            (dot, level) => unreachable!(
                "{dot:?} has no tile on {level:?}: {}",
                words.len() + grids.len()
            ),
        }
    }
}

/// The weights of one output as words; int8 notes their scale and sums in `grid`.
fn row_words(
    dot: Dot,
    level: Level,
    grid: Option<&mut WeightGrid>,
    output: usize,
    row: &[f32],
    words: &mut Vec<u32>,
) {
    match (dot, grid) {
        (Dot::Int8, Some(grid)) => {
            let integers = grid.integers(output, row);
            let per_word = dot.per_word(level);
            words.extend(integers.chunks(per_word).map(|q| word(q, per_word)));
        }
        (Dot::Bf16, _) => {
            let half = |w: &f32| u32::from(half::bf16::from_f32(*w).to_bits());
            let pair = |w: &[f32]| half(&w[0]) | w.get(1).map_or(0, half) << 16;
            words.extend(row.chunks(2).map(pair));
        }
        _ => words.extend(row.iter().map(|w| w.to_bits())),
    }
}

/// `integers` in a word with room for `per_word` of them, the first in the lowest bits.
fn word(integers: &[i8], per_word: usize) -> u32 {
    let bits = 32 / per_word;
    let mask = u32::MAX >> (32 - bits);
    let places = integers.iter().zip((0..).step_by(bits));
    places.fold(0, |word, (q, at)| {
        word | (i32::from(*q).cast_unsigned() & mask) << at
    })
}

impl Words {
    /// The rows of `x` in the words of `layer`, which does not multiply f32.
    fn fill(&mut self, layer: &Packed, x: &[f32]) {
        let (stride, inputs) = (layer.steps, layer.inputs);
        self.words.resize(x.len() / inputs * stride, 0);
        let rows = x
            .chunks_exact(inputs)
            .zip(self.words.chunks_exact_mut(stride));
        let Some(grid) = &layer.grid else {
            for (row, words) in rows {
                words[stride - 1] = 0;
                level::to_bf16(layer.level, row, bytemuck::cast_slice_mut(words));
            }
            return;
        };
        let (groups, factors) = (layer.groups(), grid.factors.numbers());
        self.grids
            .resize(x.len() / inputs * groups, Grid::default());
        for ((row, words), grids) in rows.zip(self.grids.chunks_exact_mut(groups)) {
            words[stride - 1] = 0;
            quantize(layer.level, row, factors, words, grids);
        }
    }
}

/// Stamps out the driver of a layer for one tile.
macro_rules! linear {
    ($name:ident, $features:literal, $level:path, $sums:ident, $tile:path) => {
        #[target_feature(enable = $features)]
        fn $name(
            layer: &Packed,
            words: &[u32],
            grids: &[Grid],
            activation: Option<Activation>,
            y: &mut [f32],
        ) {
            let (n, steps) = (layer.outputs, layer.steps);
            let (tokens, bias) = (y.len() / n, layer.bias.numbers());
            let rows_at_once = even_share(tokens, most_rows($level));
            let mut aside = [0.0; MOST_ROWS * NR];
            for (panel, bias) in bias.as_chunks::<NR>().0.iter().enumerate() {
                let first = panel * NR;
                let is_whole = first + NR <= n;
                for start in (0..tokens).step_by(rows_at_once) {
                    let rows = rows_at_once.min(tokens - start);
                    let words = &words[start * steps..];
                    if is_whole && activation.is_none() {
                        let (to, stride) = (&mut y[start * n + first..], n);
                        let out = Rows { to, stride };
                        $sums!($tile, layer, panel, rows, words, grids, start, bias, out);
                        continue;
                    }
                    let (to, stride) = (&mut aside[..], NR);
                    let out = Rows { to, stride };
                    $sums!($tile, layer, panel, rows, words, grids, start, bias, out);
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

macro_rules! plain {
    ($tile:path, $layer:ident, $panel:ident, $rows:ident, $words:ident, $grids:ident, $start:ident, $bias:ident, $out:ident) => {{
        debug_assert!($grids.is_empty(), "only int8 has grids");
        let panel = $layer.panel($panel);
        $tile($rows, $words, $layer.steps, panel, $bias, $out);
    }};
}

macro_rules! on_grids {
    ($tile:path, $layer:ident, $panel:ident, $rows:ident, $words:ident, $grids:ident, $start:ident, $bias:ident, $out:ident) => {{
        let panel = $layer.panel($panel);
        let grids = $layer.grids($panel, &$grids[$start * $layer.groups()..]);
        $tile($rows, $words, $layer.steps, panel, grids, $bias, $out);
    }};
}

#[cfg(target_arch = "x86_64")]
linear!(
    avx512_f32,
    "avx512f,avx512bw,avx512dq,avx512vl,fma",
    Level::Avx512,
    plain,
    avx512::f32
);
#[cfg(target_arch = "x86_64")]
linear!(
    avx512_bf16,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16",
    Level::Avx512,
    plain,
    avx512::bf16
);
#[cfg(target_arch = "x86_64")]
linear!(
    avx512_int8,
    "avx512f,avx512bw,avx512dq,avx512vl,fma,avx512vnni",
    Level::Avx512,
    on_grids,
    avx512::int8
);
#[cfg(target_arch = "x86_64")]
linear!(avx2_f32, "avx2,fma", Level::Avx2, plain, avx2::f32);
#[cfg(target_arch = "x86_64")]
linear!(avx2_int8, "avx2,fma", Level::Avx2, on_grids, avx2::int8);
#[cfg(target_arch = "aarch64")]
linear!(neon_f32, "neon", Level::Base, plain, neon::f32);
#[cfg(target_arch = "aarch64")]
linear!(neon_int8, "neon,dotprod", Level::Base, on_grids, neon::int8);

#[inline(always)]
fn activate(activation: Option<Activation>, out: &mut [f32]) {
    match activation {
        None => {}
        Some(Activation::Gelu) => lanes::gelu::<Fused>(out),
        Some(Activation::GeluTanh) => lanes::gelu_tanh::<Fused>(out),
        Some(Activation::Relu) => out.iter_mut().for_each(|x| *x = x.max(0.0)),
    }
}
