//! How are a few hundred numbers written in a few dozen bytes?
//!
//! Product quantisation (Jégou, Douze, Schmid 2011): coordinates are cut into subspaces and each
//! part is replaced by the nearest of 16 codewords, four bits.

use rayon::prelude::*;

use super::linear::{add_transposed_times, procrustes, times_transposed};
use super::rng::Rng;
use crate::kernels::Level;
use crate::kernels::lut::{self, ENTRIES};
use crate::kernels::scan::{BLOCK, GROUP, GROUP_CODE_BYTES};
use crate::{StorageError, Task};

const ROUNDS: usize = 12;

/// Codewords of m subspaces of d coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Codebook {
    /// End of each subspace's coordinates, (m); the last is d. Subspaces may be empty when m > d.
    pub(super) ends: Vec<u32>,
    /// (d, 16) row-major: the codewords of subspace s are the columns of its rows.
    pub(super) words: Vec<f32>,
}

/// Ends of `m` subspaces over `d` coordinates, as even as can be.
pub(super) fn even_ends(d: usize, m: usize) -> Vec<u32> {
    (1..=m).map(|s| (s * d / m) as u32).collect()
}

impl Codebook {
    /// Trains on `data` (n, d), n at least 1: k-means in each subspace.
    pub(super) fn train(data: &[f32], d: usize, m: usize, seed: u64) -> Self {
        let ends = even_ends(d, m);
        let mut words = vec![0.0; d * ENTRIES];
        let mut rest = words.as_mut_slice();
        let mut parts = Vec::with_capacity(m);
        for s in 0..m {
            let (start, end) = bounds(&ends, s);
            let (part, after) = rest.split_at_mut((end - start) * ENTRIES);
            parts.push((start, end, part));
            rest = after;
        }
        parts.into_par_iter().for_each(|(start, end, words)| {
            let width = end - start;
            let columns: Vec<f32> = data
                .chunks_exact(d)
                .flat_map(|x| &x[start..end])
                .copied()
                .collect();
            init(&columns, width, words, seed ^ start as u64);
            (0..ROUNDS).for_each(|_| refine(&columns, width, words));
        });
        Self { ends, words }
    }

    /// Moves the codewords towards `data` without starting over.
    fn refine(&mut self, data: &[f32], d: usize) {
        let trained = self.ends.len();
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
                let mut words = self.words[start * ENTRIES..end * ENTRIES].to_vec();
                refine(&columns, end - start, &mut words);
                words
            })
            .collect();
        self.words = parts.concat();
    }

    /// Number of subspaces, a multiple of 8.
    pub(super) fn subspaces(&self) -> usize {
        self.ends.len()
    }

    /// Writes the code of `x` (d) to `codes` (m), one number below 16 each.
    pub(super) fn encode(&self, x: &[f32], codes: &mut [u8]) {
        let level = Level::best();
        for (s, code) in codes.iter_mut().enumerate() {
            let (start, end) = bounds(&self.ends, s);
            let words = &self.words[start * ENTRIES..end * ENTRIES];
            let mut distances = [0.0; ENTRIES];
            lut::distances(level, &x[start..end], words, &mut distances);
            *code = least(&distances);
        }
    }

    /// Writes the codewords behind `codes` to `x` (d).
    pub(super) fn decode(&self, codes: &[u8], x: &mut [f32]) {
        for (s, &code) in codes.iter().enumerate() {
            let (start, end) = bounds(&self.ends, s);
            let words = self.words[start * ENTRIES..end * ENTRIES].chunks_exact(ENTRIES);
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

fn least(distances: &[f32; ENTRIES]) -> u8 {
    let (mut best, mut code) = (f32::INFINITY, 0);
    for (&distance, c) in distances.iter().zip(0u8..) {
        if distance < best {
            (best, code) = (distance, c);
        }
    }
    code
}

/// Sixteen rows of `data` as the first codewords.
fn init(data: &[f32], width: usize, words: &mut [f32], seed: u64) {
    if width == 0 {
        return;
    }
    let mut rng = Rng::new(seed, 2);
    let n = data.len() / width;
    for c in 0..ENTRIES {
        let chosen = rng.below(n);
        for i in 0..width {
            words[i * ENTRIES + c] = data[chosen * width + i];
        }
    }
}

/// One round of Lloyd's algorithm in one subspace; unused codewords become a random-looking member.
fn refine(data: &[f32], width: usize, words: &mut [f32]) {
    if width == 0 {
        return;
    }
    let level = Level::best();
    let (mut sums, mut counts) = (vec![0.0f64; words.len()], [0usize; ENTRIES]);
    let mut distances = [0.0; ENTRIES];
    for x in data.chunks_exact(width) {
        lut::distances(level, x, words, &mut distances);
        let code = usize::from(least(&distances));
        counts[code] += 1;
        for (i, &x) in x.iter().enumerate() {
            sums[i * ENTRIES + code] += f64::from(x);
        }
    }
    let n = data.len() / width;
    for (c, count) in counts.into_iter().enumerate() {
        let stray = (c * 7919 + 13) % n;
        for i in 0..width {
            words[i * ENTRIES + c] = match count {
                0 => data[stray * width + i],
                count => (sums[i * ENTRIES + c] / count as f64) as f32,
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
    let mut book = Codebook::train(&turned, d, m, seed);
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

/// Puts the code of vector `at` of a list into its `blocks`; `codes` are nibbles one a byte (m).
pub(super) fn put_code(blocks: &mut [u8], at: usize, codes: &[u8]) {
    let groups = codes.len() / GROUP;
    let (block, lane) = (at / BLOCK, at % BLOCK);
    for (group, codes) in codes.chunks_exact(GROUP).enumerate() {
        let start = (block * groups + group) * GROUP_CODE_BYTES + 4 * lane;
        let (low, high) = codes.split_at(4);
        for (byte, (low, high)) in blocks[start..start + 4]
            .iter_mut()
            .zip(low.iter().zip(high))
        {
            *byte = low | high << 4;
        }
    }
}

/// The code of vector `at` of a list: [`put_code`] undone.
pub(super) fn get_code(blocks: &[u8], at: usize, codes: &mut [u8]) {
    let groups = codes.len() / GROUP;
    let (block, lane) = (at / BLOCK, at % BLOCK);
    for (group, codes) in codes.chunks_exact_mut(GROUP).enumerate() {
        let start = (block * groups + group) * GROUP_CODE_BYTES + 4 * lane;
        let (low, high) = codes.split_at_mut(4);
        for (byte, (low, high)) in blocks[start..start + 4]
            .iter()
            .zip(low.iter_mut().zip(high))
        {
            (*low, *high) = (byte & 15, byte >> 4);
        }
    }
}
