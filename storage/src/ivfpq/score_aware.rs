//! Which code keeps inner products right, rather than the vector?
//!
//! A query with a high inner product lies along the vector, so that an error along it costs more than one across it. The
//! loss of a code is |r|² + (η - 1) (u · r)², r being what the code leaves of the vector and u its direction (Guo et
//! al., "Accelerating large-scale inference with anisotropic vector quantization", ICML 2020, eq. 3). It ties the subspaces
//! together, so that codes are chosen and codewords moved for one subspace after the other.

use rayon::prelude::*;

use super::codebook::{Codebook, MOST, bounds};
use super::linear::{dot, squared};
use crate::kernels::Level;
use crate::kernels::lut;

/// Times every subspace of a code is looked at again.
const SWEEPS: usize = 3;
/// Times codes and codewords of the training sample are improved in turn.
const ROUNDS: usize = 3;
/// Vectors that codewords are moved by.
const SAMPLE: usize = 8192;

/// The direction of `vector`; zero for the zero vector.
fn direction(vector: &[f32]) -> Vec<f32> {
    let length = squared(vector).sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    vector.iter().map(|x| x * scale).collect()
}

/// Lowers the loss of `codes`, one number for each subspace, of the residual `x` of `vector`.
pub(super) fn improve(book: &Codebook, x: &[f32], vector: &[f32], weight: f32, codes: &mut [u8]) {
    let u = direction(vector);
    let entries = book.entries();
    let mut along = vec![0.0; codes.len() * entries];
    lut::tables(Level::best(), &u, book.words(), &mut along);
    let along_code = |s: usize, code: u8| along[s * entries + usize::from(code)];
    let coded: f32 = (0..codes.len()).map(|s| along_code(s, codes[s])).sum();
    // u · r of the whole residual.
    let mut left = dot(&u, x) - coded;
    for _ in 0..SWEEPS {
        let mut moved = false;
        for (s, code) in codes.iter_mut().enumerate() {
            let without = left + along_code(s, *code);
            let best = cheapest(book, x, s, weight, |code| without - along_code(s, code));
            moved |= best != *code;
            *code = best;
            left = without - along_code(s, best);
        }
        if !moved {
            break;
        }
    }
}

/// The code of subspace `s` with the least loss; `along` is u · r for a code.
fn cheapest(book: &Codebook, x: &[f32], s: usize, weight: f32, along: impl Fn(u8) -> f32) -> u8 {
    let (start, end) = bounds(&book.ends, s);
    let mut losses = [0.0; MOST];
    let losses = &mut losses[..book.entries()];
    lut::distances(Level::best(), &x[start..end], book.words_of(s), losses);
    let (mut best, mut least) = (0, f32::INFINITY);
    for (code, &mut distance) in (0u8..=u8::MAX).zip(losses) {
        let loss = distance + (weight - 1.0) * along(code) * along(code);
        if loss < least {
            (best, least) = (code, loss);
        }
    }
    best
}

/// Moves the codewords of `book` towards a lower loss on the residuals `data` (n, d) of `vectors` (n, d), of which a few
/// thousand are enough: codewords only drift.
pub(super) fn refine(book: &mut Codebook, data: &[f32], vectors: &[f32], weight: f32) {
    let (m, d) = (book.subspaces(), book.columns());
    let rows: Vec<usize> = crate::flat::spread(data.len() / d, SAMPLE).collect();
    let pick = |from: &[f32]| -> Vec<f32> {
        let rows = rows.iter().flat_map(|at| &from[at * d..(at + 1) * d]);
        rows.copied().collect()
    };
    let (data, vectors) = (pick(data), pick(vectors));
    let mut codes = vec![0u8; rows.len() * m];
    for round in 0..ROUNDS {
        let rows = data.par_chunks_exact(d).zip(vectors.par_chunks_exact(d));
        rows.zip(codes.par_chunks_exact_mut(m))
            .for_each(|((x, vector), codes)| {
                if round == 0 {
                    book.encode(x, codes);
                }
                improve(book, x, vector, weight, codes);
            });
        move_words(book, &data, &vectors, weight, &codes);
    }
}

/// Solves for the codewords of one subspace after the other, the codes being given: a codeword c of members x with
/// directions u fulfils Σ (I + (η - 1) u uᵀ) c = Σ x + (η - 1) u (u · x + the rest of u · r).
fn move_words(book: &mut Codebook, data: &[f32], vectors: &[f32], weight: f32, codes: &[u8]) {
    let (m, d) = (book.subspaces(), book.columns());
    let directions: Vec<f32> = vectors.chunks_exact(d).flat_map(direction).collect();
    let mut left: Vec<f32> = left_along(book, data, &directions, codes);
    for s in 0..m {
        let (start, end) = bounds(&book.ends, s);
        let w = end - start;
        let entries = book.entries();
        let mut systems = vec![System::new(w); entries];
        let rows = data.chunks_exact(d).zip(directions.chunks_exact(d));
        for ((x, u), (codes, left)) in rows.zip(codes.chunks_exact(m).zip(&left)) {
            let (x, u, code) = (&x[start..end], &u[start..end], usize::from(codes[s]));
            let rest = left + along(u, book, start, code);
            systems[code].add(x, u, weight - 1.0, rest);
        }
        let old = book.words_of(s).to_vec();
        for (code, system) in systems.into_iter().enumerate() {
            let Some(word) = system.solve() else { continue };
            for (i, x) in word.into_iter().enumerate() {
                book.words[(start + i) * entries + code] = x as f32;
            }
        }
        for ((u, codes), left) in directions
            .chunks_exact(d)
            .zip(codes.chunks_exact(m))
            .zip(&mut left)
        {
            let (u, code) = (&u[start..end], usize::from(codes[s]));
            let before: f32 = (0..w).map(|i| u[i] * old[i * entries + code]).sum();
            *left += before - along(u, book, start, code);
        }
    }
}

/// u · c of the part `u` of a direction from coordinate `start` on.
fn along(u: &[f32], book: &Codebook, start: usize, code: usize) -> f32 {
    let word = |i: usize| book.words[(start + i) * book.entries() + code];
    u.iter().enumerate().map(|(i, u)| u * word(i)).sum()
}

/// u · r of each row.
fn left_along(book: &Codebook, data: &[f32], directions: &[f32], codes: &[u8]) -> Vec<f32> {
    let (m, d) = (book.subspaces(), book.columns());
    let mut decoded = vec![0.0; d];
    let rows = data.chunks_exact(d).zip(directions.chunks_exact(d));
    rows.zip(codes.chunks_exact(m))
        .map(|((x, u), codes)| {
            book.decode(codes, &mut decoded);
            dot(u, x) - dot(u, &decoded)
        })
        .collect()
}

/// The equations of one codeword.
#[derive(Clone)]
struct System {
    /// (w, w) row-major.
    a: Vec<f64>,
    b: Vec<f64>,
    members: usize,
}

impl System {
    fn new(w: usize) -> Self {
        Self {
            a: vec![0.0; w * w],
            b: vec![0.0; w],
            members: 0,
        }
    }

    /// Adds a member: part `x` of its residual, part `u` of its direction, and u · r without this subspace's share of
    /// the code.
    fn add(&mut self, x: &[f32], u: &[f32], weight: f32, rest: f32) {
        let w = x.len();
        let weight = f64::from(weight);
        for i in 0..w {
            let ui = f64::from(u[i]);
            self.b[i] += f64::from(x[i]) + weight * ui * f64::from(rest);
            self.a[i * w + i] += 1.0;
            for (sum, &uj) in self.a[i * w..].iter_mut().zip(u) {
                *sum += weight * ui * f64::from(uj);
            }
        }
        self.members += 1;
    }

    /// The codeword, by elimination: the matrix is the identity plus a positive part, so that no pivot is small. `None`
    /// without members.
    fn solve(mut self) -> Option<Vec<f64>> {
        let w = self.b.len();
        if self.members == 0 {
            return None;
        }
        for i in 0..w {
            for row in i + 1..w {
                let factor = self.a[row * w + i] / self.a[i * w + i];
                for j in i..w {
                    self.a[row * w + j] -= factor * self.a[i * w + j];
                }
                self.b[row] -= factor * self.b[i];
            }
        }
        for i in (0..w).rev() {
            let known: f64 = (i + 1..w).map(|j| self.a[i * w + j] * self.b[j]).sum();
            self.b[i] = (self.b[i] - known) / self.a[i * w + i];
        }
        Some(self.b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ivfpq::rng::Rng;
    use crate::kernels::scan::Width;

    fn loss(book: &Codebook, x: &[f32], vector: &[f32], weight: f32, codes: &[u8]) -> f32 {
        let mut decoded = vec![0.0; x.len()];
        book.decode(codes, &mut decoded);
        let r: Vec<f32> = x.iter().zip(&decoded).map(|(x, c)| x - c).collect();
        let along = dot(&direction(vector), &r);
        squared(&r) + (weight - 1.0) * along * along
    }

    fn sample(n: usize, d: usize) -> (Vec<f32>, Vec<f32>) {
        let mut rng = Rng::new(3, 7);
        let residuals = (0..n * d).map(|_| rng.normal()).collect();
        (residuals, (0..n * d).map(|_| rng.normal()).collect())
    }

    #[test]
    fn every_sweep_and_every_move_of_the_codewords_lowers_the_loss() {
        let (n, d, m, weight) = (600, 20, 8, 6.0);
        let (data, vectors) = sample(n, d);
        let mut book = Codebook::train(&data, d, m, Width::Four, 1);
        let mut codes = vec![0u8; n * m];
        let total = |book: &Codebook, codes: &[u8]| -> f32 {
            let rows = data.chunks_exact(d).zip(vectors.chunks_exact(d));
            rows.zip(codes.chunks_exact(m))
                .map(|((x, v), codes)| loss(book, x, v, weight, codes))
                .sum()
        };
        for (x, codes) in data.chunks_exact(d).zip(codes.chunks_exact_mut(m)) {
            book.encode(x, codes);
        }
        let mut before = total(&book, &codes);
        for _ in 0..3 {
            let rows = data.chunks_exact(d).zip(vectors.chunks_exact(d));
            for ((x, v), codes) in rows.zip(codes.chunks_exact_mut(m)) {
                let single = loss(&book, x, v, weight, codes);
                improve(&book, x, v, weight, codes);
                assert!(loss(&book, x, v, weight, codes) <= single * 1.0001);
            }
            let chosen = total(&book, &codes);
            move_words(&mut book, &data, &vectors, weight, &codes);
            let moved = total(&book, &codes);
            assert!(
                chosen < before && moved < chosen * 1.0001,
                "{before} {chosen} {moved}"
            );
            before = moved;
        }
    }

    #[test]
    fn without_weight_the_nearest_code_stays() {
        let (data, vectors) = sample(50, 12);
        let book = Codebook::train(&data, 12, 8, Width::Four, 1);
        for (x, vector) in data.chunks_exact(12).zip(vectors.chunks_exact(12)) {
            let mut codes = [0u8; 8];
            book.encode(x, &mut codes);
            let nearest = codes;
            improve(&book, x, vector, 1.0, &mut codes);
            assert_eq!(codes, nearest);
        }
    }
}
