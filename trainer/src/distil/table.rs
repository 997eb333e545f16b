//! What vector do a text's tokens give, and how does the table follow a gradient?
//!
//! A text's vector is the sum of its tokens' rows at unit length; a row's length is its token's weight. Only rows whose
//! tokens were read move: Adam (Kingma and Ba 2015) with moments and step counts a row. Rows are summed in the order of the
//! texts whatever the number of threads, so that a run can be repeated.

use rayon::prelude::*;

use crate::encoder::quantized;

/// Token ids of many texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Bags {
    ids: Vec<u32>,
    /// Where each text's ids end.
    ends: Vec<usize>,
}

impl Bags {
    pub(super) fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.ends.push(self.ids.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, text: usize) -> &[u32] {
        let from = text.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[from..self.ends[text]]
    }

    /// All ids.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }
}

/// Vectors of some texts, and what the way back needs.
pub(super) struct Forward<'a> {
    texts: Vec<&'a [u32]>,
    /// Unit vectors, (n, width).
    pub(super) vectors: Vec<f32>,
    /// Lengths before.
    lengths: Vec<f32>,
}

/// The rows and their moments.
#[derive(Clone)]
pub(super) struct Table {
    rows: Vec<f32>,
    width: usize,
    first: Vec<f32>,
    second: Vec<f32>,
    steps: Vec<i32>,
}

/// Decay of the moments, and what keeps their quotient finite.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;
/// Shortest sum that has a direction.
const SHORTEST: f32 = 1e-9;
/// Frequency at which a token counts half.
const HALF: f64 = 1e-3;

impl Table {
    /// A table of `rows`, each of `width` numbers.
    pub(super) fn new(rows: Vec<f32>, width: usize) -> Self {
        let mut table = Self {
            rows,
            width,
            first: Vec::new(),
            second: Vec::new(),
            steps: Vec::new(),
        };
        table.forget_moments();
        table
    }

    /// Begins anew with the optimiser.
    pub(super) fn forget_moments(&mut self) {
        self.first = vec![0.0; self.rows.len()];
        self.second = self.first.clone();
        self.steps = vec![0; self.rows.len() / self.width];
    }

    /// Shortens the rows of frequent tokens: by a / (a + p), p being the share of the token among all (Arora et al. 2017).
    pub(super) fn weigh(&mut self, shares: &[f64]) {
        for (row, share) in self.rows.chunks_exact_mut(self.width).zip(shares) {
            let weight = (HALF / (HALF + share)) as f32;
            row.iter_mut().for_each(|v| *v *= weight);
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The table as it reads after it was written in whole numbers.
    pub(super) fn rounded(&self) -> Self {
        let (numbers, units) = quantized(&self.rows, self.width);
        let rows = numbers
            .chunks_exact(self.width)
            .zip(units)
            .flat_map(|(row, unit)| row.iter().map(move |n| f32::from(*n) * unit));
        Self::new(rows.collect(), self.width)
    }

    /// The vectors of `texts`; zeros for a text without tokens.
    pub(super) fn forward<'a>(&self, texts: Vec<&'a [u32]>) -> Forward<'a> {
        let width = self.width;
        let mut vectors = vec![0.0; texts.len() * width];
        let lengths = vectors
            .par_chunks_exact_mut(width)
            .zip(&texts)
            .map(|(vector, text)| {
                for id in *text {
                    let row = &self.rows[*id as usize * width..][..width];
                    vector.iter_mut().zip(row).for_each(|(v, r)| *v += r);
                }
                let length = vector
                    .iter()
                    .map(|v| v * v)
                    .sum::<f32>()
                    .sqrt()
                    .max(SHORTEST);
                vector.iter_mut().for_each(|v| *v /= length);
                length
            })
            .collect();
        Forward {
            texts,
            vectors,
            lengths,
        }
    }

    /// Vectors of all of `bags`.
    pub(super) fn encode(&self, bags: &Bags) -> Vec<f32> {
        self.forward((0..bags.len()).map(|text| bags.get(text)).collect())
            .vectors
    }

    /// Moves the rows of the texts' tokens against `gradients`, those of the unit vectors.
    pub(super) fn step(&mut self, parts: &[(&Forward<'_>, &[f32])], rate: f32) {
        let sums: Vec<Vec<f32>> = parts
            .iter()
            .map(|(forward, gradient)| forward.backward(gradient, self.width))
            .collect();
        let mut reads: Vec<(u32, u32, u32)> = Vec::new();
        for (part, (forward, _)) in parts.iter().enumerate() {
            for (text, ids) in forward.texts.iter().enumerate() {
                reads.extend(ids.iter().map(|id| (*id, part as u32, text as u32)));
            }
        }
        reads.par_sort_unstable();
        let groups: Vec<&[(u32, u32, u32)]> = reads.chunk_by(|a, b| a.0 == b.0).collect();
        let width = self.width;
        let mut rows = Picked::new(&mut self.rows, width);
        let mut first = Picked::new(&mut self.first, width);
        let mut second = Picked::new(&mut self.second, width);
        let mut steps = Picked::new(&mut self.steps, 1);
        let jobs: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let at = group[0].0 as usize;
                let moved = Row {
                    values: rows.take(at),
                    first: first.take(at),
                    second: second.take(at),
                    steps: &mut steps.take(at)[0],
                };
                (group, moved)
            })
            .collect();
        jobs.into_par_iter().for_each(|(group, row)| {
            let mut gradient = vec![0.0; width];
            for (_, part, text) in group {
                let sum = &sums[*part as usize][*text as usize * width..][..width];
                gradient.iter_mut().zip(sum).for_each(|(g, s)| *g += s);
            }
            row.moved(&gradient, rate);
        });
    }
}

impl Forward<'_> {
    /// The gradient of each text's sum of rows, from that of its unit vector.
    fn backward(&self, gradient: &[f32], width: usize) -> Vec<f32> {
        let mut out = gradient.to_vec();
        out.par_chunks_exact_mut(width)
            .zip(self.vectors.par_chunks_exact(width))
            .zip(&self.lengths)
            .for_each(|((g, x), length)| {
                let along: f32 = g.iter().zip(x).map(|(g, x)| g * x).sum();
                g.iter_mut()
                    .zip(x)
                    .for_each(|(g, x)| *g = (*g - along * x) / length);
            });
        out
    }
}

/// Rows handed out one after another, ascending.
struct Picked<'a, T> {
    rows: std::slice::ChunksExactMut<'a, T>,
    next: usize,
}

impl<'a, T> Picked<'a, T> {
    fn new(values: &'a mut [T], width: usize) -> Self {
        Self {
            rows: values.chunks_exact_mut(width),
            next: 0,
        }
    }

    /// Row `at`, which lies after every row taken before.
    fn take(&mut self, at: usize) -> &'a mut [T] {
        let skipped = at - self.next;
        self.next = at + 1;
        self.rows
            .nth(skipped)
            .expect("ids come from the tokenizer whose vocabulary gave the rows")
    }
}

/// One row and its moments.
struct Row<'a> {
    values: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    steps: &'a mut i32,
}

impl Row<'_> {
    /// One step of Adam.
    fn moved(self, gradient: &[f32], rate: f32) {
        *self.steps += 1;
        let [b1, b2] = BETAS;
        let [c1, c2] = BETAS.map(|b| 1.0 - b.powi(*self.steps));
        let moments = self.first.iter_mut().zip(self.second.iter_mut());
        for ((value, (m, v)), g) in self.values.iter_mut().zip(moments).zip(gradient) {
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *value -= rate * (*m / c1) / ((*v / c2).sqrt() + EPSILON);
        }
    }
}
