//! Which few points stand for many?
//!
//! Lloyd's algorithm on squared distance. Many centroids are found in two levels: about √k clusters
//! first, then k-means inside each, which costs √k times less than k-means with all k from the
//! start; a few rounds with all centroids repair the borders ([`super::near`]). Sums run over members in ascending
//! order, one thread a centroid.

use rayon::prelude::*;

use super::linear::{squared, times_transposed};
use super::near;
use super::rng::Rng;
use crate::{StorageError, Task};

/// Vectors whose scores are computed together.
pub(super) const ROWS: usize = 1024;
/// Centroids whose scores are computed together: (1024, 256) f32 fit a core's cache.
const TILE: usize = 256;
/// Above this many centroids, two levels.
const ONE_LEVEL: usize = 64;
const ROUNDS: usize = 8;
const POLISH: usize = 3;
/// Rounds of [`few`].
const FEW_ROUNDS: usize = 4;
/// Of the heads that centroids are gathered around.
const SEED: u64 = 11;

/// `k` centroids (k, d) of `data` (n, d), n at least 1. Empty clusters take half of the largest.
pub(super) fn train(
    data: &[f32],
    d: usize,
    k: usize,
    seed: u64,
    task: Task<'_>,
) -> Result<Vec<f32>, StorageError> {
    if k <= ONE_LEVEL || data.len() / d < 4 * k {
        return lloyd(data, d, spread(data, d, k, seed), ROUNDS, task);
    }
    let top = (k as f64).sqrt().round() as usize;
    let heads = lloyd(data, d, spread(data, d, top, seed), ROUNDS, task)?;
    let members = members(&nearest_of_all(data, d, &heads), top);
    let shares = shares(&members, k);
    let parts: Vec<Vec<f32>> = members
        .par_iter()
        .zip(&shares)
        .enumerate()
        .map(|(at, (members, &share))| {
            if share == 0 {
                return Ok(Vec::new());
            }
            let part: Vec<f32> = members
                .iter()
                .flat_map(|&m| row(data, d, m as usize))
                .copied()
                .collect();
            let start = spread(&part, d, share, seed ^ (at as u64 + 1));
            lloyd(&part, d, start, ROUNDS, task)
        })
        .collect::<Result<_, StorageError>>()?;
    lloyd(data, d, parts.concat(), POLISH, task)
}

/// Row `at` of (n, d) numbers.
pub(super) fn row(data: &[f32], d: usize, at: usize) -> &[f32] {
    &data[at * d..(at + 1) * d]
}

/// How many of `k` centroids each cluster gets: in proportion to its size, by largest remainder.
fn shares(members: &[Vec<u32>], k: usize) -> Vec<usize> {
    let n: usize = members.iter().map(Vec::len).sum();
    let mut shares: Vec<usize> = members.iter().map(|m| m.len() * k / n).collect();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(members[at].len() * k % n), at));
    let missing = k - shares.iter().sum::<usize>();
    for &at in order.iter().take(missing) {
        shares[at] += 1;
    }
    shares
}

/// `k` starting points by k-means++ (Arthur, Vassilvitskii 2007) on a sample; repeated when there
/// are fewer distinct ones.
fn spread(data: &[f32], d: usize, k: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed, 1);
    let pool = rng.sample(data.len() / d, 32 * k + 256);
    let mut far = vec![f32::INFINITY; pool.len()];
    let mut centroids = Vec::with_capacity(k * d);
    let mut next = pool[rng.below(pool.len())];
    for _ in 0..k {
        let chosen = row(data, d, next);
        centroids.extend_from_slice(chosen);
        let distances = pool
            .par_iter()
            .with_min_len(64)
            .map(|&at| distance(row(data, d, at), chosen));
        far.par_iter_mut()
            .with_min_len(64)
            .zip(distances)
            .for_each(|(far, new)| *far = far.min(new));
        next = pool[draw(&far, &mut rng)];
    }
    centroids
}

fn distance(x: &[f32], y: &[f32]) -> f32 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// A position drawn with probability proportional to its weight.
fn draw(weights: &[f32], rng: &mut Rng) -> usize {
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let mut left = rng.unit() * total;
    for (at, &weight) in weights.iter().enumerate() {
        left -= f64::from(weight);
        if left < 0.0 {
            return at;
        }
    }
    weights.len() - 1
}

/// `k` centroids, which are few, in a few rounds.
pub(super) fn few(data: &[f32], d: usize, k: usize, seed: u64) -> Vec<f32> {
    let mut centroids = spread(data, d, k, seed);
    for _ in 0..FEW_ROUNDS {
        let members = members(&nearest_of_all(data, d, &centroids), k);
        step(data, d, &mut centroids, &members);
    }
    centroids
}

/// Moves every centroid to the middle of its members.
fn step(data: &[f32], d: usize, centroids: &mut [f32], members: &[Vec<u32>]) {
    centroids
        .par_chunks_exact_mut(d)
        .zip(members)
        .for_each(|(centroid, members)| mean(data, d, members, centroid));
    split_largest(centroids, d, members);
}

fn lloyd(
    data: &[f32],
    d: usize,
    mut centroids: Vec<f32>,
    rounds: usize,
    task: Task<'_>,
) -> Result<Vec<f32>, StorageError> {
    let k = centroids.len() / d;
    for _ in 0..rounds {
        task.check()?;
        let members = members(&near::nearest_of_all(data, d, &centroids, SEED), k);
        step(data, d, &mut centroids, &members);
    }
    Ok(centroids)
}

/// Replaces `centroid` by the mean of its members, if it has any.
fn mean(data: &[f32], d: usize, members: &[u32], centroid: &mut [f32]) {
    if members.is_empty() {
        return;
    }
    centroid.fill(0.0);
    for &member in members {
        for (sum, x) in centroid.iter_mut().zip(row(data, d, member as usize)) {
            *sum += x;
        }
    }
    let share = 1.0 / members.len() as f32;
    centroid.iter_mut().for_each(|sum| *sum *= share);
}

/// Moves each empty centroid next to that of the largest cluster left, the two a hair apart.
fn split_largest(centroids: &mut [f32], d: usize, members: &[Vec<u32>]) {
    let empty: Vec<usize> = (0..members.len())
        .filter(|&c| members[c].is_empty())
        .collect();
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&c| (std::cmp::Reverse(members[c].len()), c));
    for (&hole, &large) in empty.iter().zip(&order) {
        for i in 0..d {
            let nudge = if i % 2 == 0 { 1.0 + 1e-3 } else { 1.0 - 1e-3 };
            centroids[hole * d + i] = centroids[large * d + i] * nudge;
            centroids[large * d + i] *= 2.0 - nudge;
        }
    }
}

/// The members of each of `k` clusters, ascending.
pub(super) fn members(nearest: &[u32], k: usize) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); k];
    for (&cluster, at) in nearest.iter().zip(0u32..) {
        members[cluster as usize].push(at);
    }
    members
}

/// Half the squared length of each centroid: what its inner product is lowered by to rank by distance.
pub(super) fn half_squares(centroids: &[f32], d: usize) -> Vec<f32> {
    centroids
        .chunks_exact(d)
        .map(|c| squared(c) / 2.0)
        .collect()
}

/// The nearest centroid of each vector; the lower number wins a tie.
pub(super) fn nearest_of_all(data: &[f32], d: usize, centroids: &[f32]) -> Vec<u32> {
    let halves = half_squares(centroids, d);
    data.par_chunks(ROWS * d)
        .flat_map_iter(|block| nearest(block, d, centroids, &halves, 1))
        .collect()
}

/// The `count` nearest centroids of each vector of `block`, nearest first: (n, count).
/// `count` must not exceed the number of centroids.
pub(super) fn nearest(
    block: &[f32],
    d: usize,
    centroids: &[f32],
    halves: &[f32],
    count: usize,
) -> Vec<u32> {
    let n = block.len() / d;
    let mut scores = vec![0.0; n * TILE.min(halves.len())];
    let mut best = vec![(f32::NEG_INFINITY, 0u32); n * count];
    for (tile, (centroids, halves)) in centroids
        .chunks(TILE * d)
        .zip(halves.chunks(TILE))
        .enumerate()
    {
        let scores = &mut scores[..n * halves.len()];
        times_transposed(block, centroids, d, scores);
        for (scores, best) in scores
            .chunks_exact(halves.len())
            .zip(best.chunks_exact_mut(count))
        {
            for ((score, half), id) in scores.iter().zip(halves).zip((tile * TILE) as u32..) {
                offer(best, score - half, id);
            }
        }
    }
    best.into_iter().map(|(_, id)| id).collect()
}

/// Puts (score, id) in its place among the best, which stand in descending order.
#[inline(always)]
pub(super) fn offer(best: &mut [(f32, u32)], score: f32, id: u32) {
    let last = best.len() - 1;
    if score <= best[last].0 {
        return;
    }
    let mut at = last;
    while at > 0 && best[at - 1].0 < score {
        best[at] = best[at - 1];
        at -= 1;
    }
    best[at] = (score, id);
}
