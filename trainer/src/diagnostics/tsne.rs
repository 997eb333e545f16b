//! Where do these vectors go in two dimensions, neighbours staying neighbours?
//!
//! Exact t-SNE (van der Maaten and Hinton 2008): n² pairs a round, so for a few hundred points. Squared Euclidean distances
//! of the vectors scaled to unit length.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// About how many neighbours a point has; less where there are few points.
const PERPLEXITY: f64 = 20.0;
const ROUNDS: usize = 600;
/// Rounds in which the similarities count more, so that clusters form first, and how much more.
const EARLY: usize = 150;
const EXAGGERATION: f64 = 8.0;

/// Places of the rows of `vectors`, (n, `dimension`) row-major, each coordinate within -1 to 1. The same seed gives the same
/// places.
pub(super) fn layout(vectors: &[f32], dimension: usize, seed: u64) -> Vec<[f32; 2]> {
    let n = vectors.len() / dimension.max(1);
    if n < 3 {
        return (0..n).map(|at| [at as f32, 0.0]).collect();
    }
    let similarities = similarities(&squared_distances(vectors, dimension), n);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<[f64; 2]> = (0..n)
        .map(|_| [0; 2].map(|_| 1e-4 * (rng.random::<f64>() - 0.5)))
        .collect();
    let mut speed = vec![[0.0; 2]; n];
    let mut gains = vec![[1.0f64; 2]; n];
    let rate = (n as f64 / EXAGGERATION / 4.0).max(10.0);
    for round in 0..ROUNDS {
        let early = round < EARLY;
        let factor = if early { EXAGGERATION } else { 1.0 };
        let momentum = if early { 0.5 } else { 0.8 };
        let gradient = gradient(&similarities, &places, factor);
        for at in 0..n {
            for axis in 0..2 {
                let (slope, speed) = (gradient[at][axis], &mut speed[at][axis]);
                let gain = &mut gains[at][axis];
                // Steps grow while the direction stays and shrink when it turns (Jacobs 1988).
                *gain = if (slope > 0.0) == (*speed > 0.0) {
                    *gain * 0.8
                } else {
                    *gain + 0.2
                };
                *gain = gain.max(0.01);
                *speed = momentum * *speed - rate * *gain * slope;
                places[at][axis] += *speed;
            }
        }
    }
    within_one(&places)
}

fn squared_distances(vectors: &[f32], dimension: usize) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = vectors.chunks_exact(dimension).map(unit).collect();
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
    let rows = &rows;
    rows.par_iter()
        .flat_map_iter(|a| rows.iter().map(move |b| distance(a, b)))
        .collect()
}

fn unit(row: &[f32]) -> Vec<f64> {
    let length = row
        .iter()
        .map(|x| f64::from(*x) * f64::from(*x))
        .sum::<f64>()
        .sqrt();
    let factor = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(|x| f64::from(*x) * factor).collect()
}

/// Joint similarities p_ij, (n, n), summing to 1: Gaussian around each point, as wide as its perplexity asks for, made
/// symmetric.
fn similarities(distances: &[f64], n: usize) -> Vec<f64> {
    let perplexity = PERPLEXITY.min((n - 1) as f64 / 3.0).max(1.0);
    let rows: Vec<Vec<f64>> = distances
        .par_chunks(n)
        .enumerate()
        .map(|(at, row)| conditional(row, at, perplexity))
        .collect();
    let pair = |i: usize, j: usize| ((rows[i][j] + rows[j][i]) / (2 * n) as f64).max(1e-12);
    let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    pairs
        .map(|(i, j)| if i == j { 0.0 } else { pair(i, j) })
        .collect()
}

/// p_j|i for point `at`: the precision is found by halving until the entropy is that of `perplexity`.
fn conditional(distances: &[f64], at: usize, perplexity: f64) -> Vec<f64> {
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0);
    let mut row = gaussian(distances, at, precision);
    for _ in 0..64 {
        let entropy: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        if (entropy - perplexity.ln()).abs() < 1e-6 {
            break;
        }
        if entropy > perplexity.ln() {
            low = precision;
            precision = if high.is_finite() {
                f64::midpoint(low, high)
            } else {
                precision * 2.0
            };
        } else {
            high = precision;
            precision = f64::midpoint(low, high);
        }
        row = gaussian(distances, at, precision);
    }
    row
}

fn gaussian(distances: &[f64], at: usize, precision: f64) -> Vec<f64> {
    let others = || {
        distances
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
    };
    // Less the nearest, so that not all underflow.
    let nearest = others().map(|(_, d)| *d).fold(f64::INFINITY, f64::min);
    let mut row = vec![0.0; distances.len()];
    others().for_each(|(other, d)| row[other] = (-precision * (d - nearest)).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
    row
}

/// Slope of KL(P ‖ Q) at each place, similarities counted `factor` times: 4 Σ_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|²).
fn gradient(similarities: &[f64], places: &[[f64; 2]], factor: f64) -> Vec<[f64; 2]> {
    let n = places.len();
    let closeness = |a: &[f64; 2], b: &[f64; 2]| {
        1.0 / (1.0 + (a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]))
    };
    let rows: Vec<f64> = places
        .par_iter()
        .map(|a| places.iter().map(|b| closeness(a, b)).sum::<f64>() - 1.0)
        .collect();
    // Summed in order, so that the result does not depend on the number of threads.
    let total: f64 = rows.iter().sum();
    (0..n)
        .into_par_iter()
        .map(|i| {
            let mut slope = [0.0; 2];
            for j in (0..n).filter(|j| *j != i) {
                let close = closeness(&places[i], &places[j]);
                let pull = 4.0 * (factor * similarities[i * n + j] - close / total) * close;
                slope[0] += pull * (places[i][0] - places[j][0]);
                slope[1] += pull * (places[i][1] - places[j][1]);
            }
            slope
        })
        .collect()
}

/// Moves and scales the places so that the larger extent is -1 to 1.
fn within_one(places: &[[f64; 2]]) -> Vec<[f32; 2]> {
    let range = |axis: usize| {
        let values = places.iter().map(|place| place[axis]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        })
    };
    let ranges = [range(0), range(1)];
    let half = ranges
        .iter()
        .map(|(low, high)| (high - low) / 2.0)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scaled = |place: &[f64; 2], axis: usize| {
        ((place[axis] - f64::midpoint(ranges[axis].0, ranges[axis].1)) / half) as f32
    };
    places
        .iter()
        .map(|place| [scaled(place, 0), scaled(place, 1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KL(P ‖ Q), the slow way.
    fn divergence(similarities: &[f64], places: &[[f64; 2]]) -> f64 {
        let n = places.len();
        let close = |i: usize, j: usize| {
            let [dx, dy] = [0, 1].map(|axis| places[i][axis] - places[j][axis]);
            1.0 / (1.0 + dx * dx + dy * dy)
        };
        let pairs: Vec<(usize, usize)> = (0..n)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .filter(|(i, j)| i != j)
            .collect();
        let total: f64 = pairs.iter().map(|(i, j)| close(*i, *j)).sum();
        let term = |(i, j): &(usize, usize)| {
            let p = similarities[i * n + j];
            p * (p / (close(*i, *j) / total)).ln()
        };
        pairs.iter().map(term).sum()
    }

    fn random(n: usize, dimension: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        (0..n * dimension)
            .map(|_| rng.random::<f32>() - 0.5)
            .collect()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        let n = 9;
        let similarities = similarities(&squared_distances(&random(n, 5), 5), n);
        assert!((similarities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let mut places: Vec<[f64; 2]> = random(n, 2)
            .chunks(2)
            .map(|p| [f64::from(p[0]), f64::from(p[1])])
            .collect();
        let slopes = gradient(&similarities, &places, 1.0);
        for (at, slope) in slopes.iter().enumerate() {
            for axis in 0..2 {
                let step = 1e-5;
                places[at][axis] += step;
                let after = divergence(&similarities, &places);
                places[at][axis] -= 2.0 * step;
                let before = divergence(&similarities, &places);
                places[at][axis] += step;
                let measured = (after - before) / (2.0 * step);
                assert!(
                    (slope[axis] - measured).abs() < 1e-6,
                    "{} {measured}",
                    slope[axis]
                );
            }
        }
    }

    #[test]
    fn each_point_has_the_perplexity_asked_for() {
        let n = 40;
        let distances = squared_distances(&random(n, 6), 6);
        for at in 0..n {
            let row = conditional(&distances[at * n..(at + 1) * n], at, 7.0);
            let entropy: f64 = row.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
            assert!((entropy.exp() - 7.0).abs() < 1e-3, "{}", entropy.exp());
            assert_eq!(row[at], 0.0);
        }
    }

    #[test]
    fn clusters_stay_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut vectors = Vec::new();
        for at in 0..90 {
            let noise = (0..3).map(|_| 0.1 * rng.random::<f32>());
            vectors.extend(
                noise
                    .enumerate()
                    .map(|(axis, x)| x + f32::from(axis == at % 3)),
            );
        }
        let places = layout(&vectors, 3, 0);
        let distance = |a: usize, b: usize| {
            let [dx, dy] = [0, 1].map(|axis| places[a][axis] - places[b][axis]);
            dx.hypot(dy)
        };
        for at in 0..90 {
            let mut others: Vec<usize> = (0..90).filter(|other| *other != at).collect();
            others.sort_by(|a, b| distance(at, *a).total_cmp(&distance(at, *b)));
            let own = others
                .iter()
                .take(10)
                .filter(|other| *other % 3 == at % 3)
                .count();
            assert!(own >= 9, "{at} has {own} of its own among its nearest");
        }
        assert_eq!(places, layout(&vectors, 3, 0));
    }

    #[test]
    fn few_and_equal_points_have_places() {
        assert!(layout(&[], 4, 0).is_empty());
        assert_eq!(layout(&[1.0, 0.0], 2, 0).len(), 1);
        let equal = layout(&[0.5; 40], 4, 0);
        assert!(equal.iter().flatten().all(|x| x.is_finite()));
    }
}
