//! How are a few hundred numbers written in a few dozen bytes?
//!
//! Product quantisation (Jégou, Douze, Schmid 2011): coordinates are cut into subspaces and each
//! part is replaced by the nearest of 16 codewords, four bits, or of 256, eight bits.

use rayon::prelude::*;

use super::linear::{add_transposed_times, procrustes, times_transposed};
use super::rng::Rng;
use crate::kernels::Level;
use crate::kernels::lut::{self, Words};
use crate::kernels::scan::Width;
use crate::{StorageError, Task};

const ROUNDS: usize = 12;
/// Most codewords of a subspace.
pub(super) const MOST: usize = Width::Eight.entries();

/// Codewords of m subspaces of d coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codebook {
    /// End of each subspace's coordinates, (m); the last is d. Subspaces may be empty when m > d.
    pub(super) ends: Vec<u32>,
    /// (d, 16) or (d, 256) row-major: the codewords of subspace s are the columns of its rows.
    pub(super) words: Vec<f32>,
    /// How many codewords a subspace has.
    pub(super) width: Width,
}

/// Ends of `m` subspaces over `d` coordinates, as even as can be.
pub(super) fn even_ends(d: usize, m: usize) -> Vec<u32> {
    (1..=m).map(|s| (s * d / m) as u32).collect()
}

impl Codebook {
    /// Trains on `data` (n, d), n at least 1: k-means in each subspace.
    pub(super) fn train(data: &[f32], d: usize, m: usize, width: Width, seed: u64) -> Self {
        let (ends, entries) = (even_ends(d, m), width.entries());
        let mut words = vec![0.0; d * entries];
        let mut rest = words.as_mut_slice();
        let mut parts = Vec::with_capacity(m);
        for s in 0..m {
            let (start, end) = bounds(&ends, s);
            let (part, after) = rest.split_at_mut((end - start) * entries);
            parts.push((start, end, part));
            rest = after;
        }
        parts.into_par_iter().for_each(|(start, end, words)| {
            let columns_of = end - start;
            let columns: Vec<f32> = data
                .chunks_exact(d)
                .flat_map(|x| &x[start..end])
                .copied()
                .collect();
            init(&columns, columns_of, entries, words, seed ^ start as u64);
            (0..ROUNDS).for_each(|_| refine(&columns, columns_of, entries, words));
        });
        Self { ends, words, width }
    }

    /// Moves the codewords towards `data` without starting over.
    fn refine(&mut self, data: &[f32], d: usize) {
        let (trained, entries) = (self.ends.len(), self.entries());
        let ends = &self.ends;
        let parts: Vec<Vec<f32>> = (0..trained)
            .into_par_iter()
            .map(|s| {
                let (start, end) = bounds(ends, s);
                let columns: Vec<f32> = data
                    .chunks_exact(d)
                    .flat_map(|x| &x[start..end])
                    .copied()
                    .collect();
                let mut words = self.words[start * entries..end * entries].to_vec();
                refine(&columns, end - start, entries, &mut words);
                words
            })
            .collect();
        self.words = parts.concat();
    }

    /// Number of subspaces, a multiple of 8.
    pub(super) fn subspaces(&self) -> usize {
        self.ends.len()
    }

    /// Codewords of a subspace.
    pub(super) fn entries(&self) -> usize {
        self.width.entries()
    }

    /// Coordinates covered.
    pub(super) fn columns(&self) -> usize {
        self.words.len() / self.entries()
    }

    /// What the kernels need of it.
    pub(super) fn words(&self) -> Words<'_> {
        Words {
            ends: &self.ends,
            words: &self.words,
            entries: self.entries(),
        }
    }

    /// The codewords of subspace `s`: (coordinates, entries).
    pub(super) fn words_of(&self, s: usize) -> &[f32] {
        let (start, end) = bounds(&self.ends, s);
        &self.words[start * self.entries()..end * self.entries()]
    }

    /// The largest absolute number of each coordinate's codewords, (d).
    pub(super) fn reach(&self) -> Vec<f32> {
        let rows = self.words.chunks_exact(self.entries());
        rows.map(|row| row.iter().fold(0.0, |most: f32, x| most.max(x.abs())))
            .collect()
    }

    /// Writes the code of `x` (d) to `codes` (m), one number below 16 (256) each.
    pub(super) fn encode(&self, x: &[f32], codes: &mut [u8]) {
        let level = Level::best();
        let mut distances = [0.0; MOST];
        let distances = &mut distances[..self.entries()];
        for (s, code) in codes.iter_mut().enumerate() {
            let (start, end) = bounds(&self.ends, s);
            lut::distances(level, &x[start..end], self.words_of(s), distances);
            *code = least(distances);
        }
    }

    /// Writes the codewords behind `codes` to `x` (d).
    pub(super) fn decode(&self, codes: &[u8], x: &mut [f32]) {
        for (s, &code) in codes.iter().enumerate() {
            let (start, end) = bounds(&self.ends, s);
            let words = self.words_of(s).chunks_exact(self.entries());
            for (x, words) in x[start..end].iter_mut().zip(words) {
                *x = words[usize::from(code)];
            }
        }
    }
}

pub(super) fn bounds(ends: &[u32], s: usize) -> (usize, usize) {
    let start = if s == 0 { 0 } else { ends[s - 1] as usize };
    (start, ends[s] as usize)
}

/// The number of the first least distance.
fn least(distances: &[f32]) -> u8 {
    let (mut best, mut code) = (f32::INFINITY, 0);
    for (&distance, c) in distances.iter().zip(0u8..=u8::MAX) {
        if distance < best {
            (best, code) = (distance, c);
        }
    }
    code
}

/// As many rows of `data` as there are `entries` are the first codewords.
fn init(data: &[f32], width: usize, entries: usize, words: &mut [f32], seed: u64) {
    if width == 0 {
        return;
    }
    let mut rng = Rng::new(seed, 2);
    let n = data.len() / width;
    for c in 0..entries {
        let chosen = rng.below(n);
        for i in 0..width {
            words[i * entries + c] = data[chosen * width + i];
        }
    }
}

/// One round of Lloyd's algorithm in one subspace; unused codewords become a random-looking member.
fn refine(data: &[f32], width: usize, entries: usize, words: &mut [f32]) {
    if width == 0 {
        return;
    }
    let level = Level::best();
    let (mut sums, mut counts) = (vec![0.0f64; words.len()], vec![0usize; entries]);
    let mut distances = vec![0.0; entries];
    for x in data.chunks_exact(width) {
        lut::distances(level, x, words, &mut distances);
        let code = usize::from(least(&distances));
        counts[code] += 1;
        for (i, &x) in x.iter().enumerate() {
            sums[i * entries + code] += f64::from(x);
        }
    }
    let n = data.len() / width;
    for (c, count) in counts.into_iter().enumerate() {
        let stray = (c * 7919 + 13) % n;
        for i in 0..width {
            words[i * entries + c] = match count {
                0 => data[stray * width + i],
                count => (sums[i * entries + c] / count as f64) as f32,
            };
        }
    }
}

/// The rotation (d, d) that suits `data` (n, d) to m subspaces (OPQ; Ge, He, Ke, Sun 2013): codewords and
/// rotation are improved in turn for `rounds`. `start` is the rotation to begin with.
pub(super) fn learn_rotation(
    data: &[f32],
    d: usize,
    m: usize,
    start: Vec<f32>,
    rounds: usize,
    seed: u64,
    task: Task<'_>,
) -> Result<Vec<f32>, StorageError> {
    let mut rotation = start;
    let mut turned = turn(data, d, &rotation);
    let mut book = Codebook::train(&turned, d, m, Width::Four, seed);
    for round in 0..rounds {
        task.check()?;
        task.report("learning the rotation", round as u64, rounds as u64);
        let decoded = round_trip(&book, &turned, d);
        let mut correlation = vec![0.0; d * d];
        add_transposed_times(data, &decoded, d, d, &mut correlation);
        rotation = procrustes(&correlation, d)?;
        turned = turn(data, d, &rotation);
        book.refine(&turned, d);
    }
    Ok(rotation)
}

/// Every row of `data` (n, d) turned by `rotation` (e, d): (n, e).
pub(super) fn turn(data: &[f32], d: usize, rotation: &[f32]) -> Vec<f32> {
    let e = rotation.len() / d;
    let mut out = vec![0.0; data.len() / d * e];
    let rows = super::kmeans::ROWS;
    data.par_chunks(rows * d)
        .zip(out.par_chunks_mut(rows * e))
        .for_each(|(x, out)| times_transposed(x, rotation, d, out));
    out
}

/// What is left of `data` (n, d) after encoding.
pub(super) fn round_trip(book: &Codebook, data: &[f32], d: usize) -> Vec<f32> {
    let mut out = vec![0.0; data.len()];
    data.par_chunks_exact(d)
        .zip(out.par_chunks_exact_mut(d))
        .for_each(|(x, out)| {
            let mut codes = vec![0; book.subspaces()];
            book.encode(x, &mut codes);
            book.decode(&codes, out);
        });
    out
}

/// An order of coordinates that spreads their variances evenly over m subspaces: the largest left
/// goes to the subspace with the least product so far that still has room (eigenvalue allocation).
pub(super) fn allocate(variances: &[f64], m: usize) -> Vec<usize> {
    let ends = even_ends(variances.len(), m);
    let mut groups = vec![(0.0f64, Vec::new()); m];
    let room = |s: usize| {
        let (start, end) = bounds(&ends, s);
        end - start
    };
    let floor = variances
        .first()
        .copied()
        .unwrap_or(1.0)
        .max(f64::MIN_POSITIVE)
        * 1e-9;
    for (at, &variance) in variances.iter().enumerate() {
        let open = (0..m).filter(|&s| groups[s].1.len() < room(s));
        let least = open.min_by(|&a, &b| groups[a].0.total_cmp(&groups[b].0));
        if let Some(s) = least {
            groups[s].0 += (variance.max(floor) / floor).ln();
            groups[s].1.push(at);
        }
    }
    groups.into_iter().flat_map(|(_, at)| at).collect()
}
