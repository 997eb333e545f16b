//! Which centroids are nearest, without comparing with all of them?
//!
//! Few centroids are all compared. Many are gathered around about √L *heads*; a vector is compared with the heads, and then
//! with the centroids of those nearest. The oracle is [`kmeans::nearest`].

use rayon::prelude::*;

use super::kmeans::{self, half_squares, row};
use super::linear::times_transposed;

/// Up to this many centroids are all compared.
const FEW: usize = 4096;
/// One of so many heads is looked into, and never fewer than [`LEAST`].
const SHARE: usize = 5;
const LEAST: usize = 8;

/// Centroids ready to be compared with.
pub(super) struct Near<'a> {
    /// (L, d) row-major.
    pub(super) rows: &'a [f32],
    pub(super) d: usize,
    /// Half the squared length of each.
    halves: Vec<f32>,
    /// None where there are few.
    heads: Vec<Head>,
    /// (h, d), and half the squared length of each.
    centers: Vec<f32>,
    center_halves: Vec<f32>,
}

/// The centroids around one head.
struct Head {
    ids: Vec<u32>,
    rows: Vec<f32>,
    halves: Vec<f32>,
}

impl<'a> Near<'a> {
    /// Gathers `rows` (L, d) around heads where they are many.
    pub(super) fn new(rows: &'a [f32], d: usize, seed: u64) -> Self {
        let mut near = Self {
            rows,
            d,
            halves: half_squares(rows, d),
            heads: Vec::new(),
            centers: Vec::new(),
            center_halves: Vec::new(),
        };
        if near.len() > FEW {
            near.gather(seed);
        }
        near
    }

    /// Number of centroids.
    pub(super) fn len(&self) -> usize {
        self.halves.len()
    }

    fn gather(&mut self, seed: u64) {
        let (rows, d) = (self.rows, self.d);
        let count = (self.len() as f64).sqrt().round() as usize;
        let centers = kmeans::few(rows, d, count, seed);
        let nearest = kmeans::nearest_of_all(rows, d, &centers);
        let members = kmeans::members(&nearest, count);
        for (ids, center) in members.into_iter().zip(centers.chunks_exact(d)) {
            if ids.is_empty() {
                continue;
            }
            let own = ids.iter().flat_map(|&id| row(rows, d, id as usize));
            self.centers.extend_from_slice(center);
            self.heads.push(Head {
                rows: own.copied().collect(),
                halves: ids.iter().map(|&id| self.halves[id as usize]).collect(),
                ids,
            });
        }
        self.center_halves = half_squares(&self.centers, d);
    }

    /// The `count` nearest centroids of each vector of `block`, nearest first: (n, count), as far as the heads tell. `count`
    /// must not exceed the number of centroids.
    pub(super) fn nearest(&self, block: &[f32], count: usize) -> Vec<u32> {
        if self.heads.is_empty() {
            return kmeans::nearest(block, self.d, self.rows, &self.halves, count);
        }
        let mut best = vec![(f32::NEG_INFINITY, 0u32); block.len() / self.d * count];
        for (head, rows) in self.heads.iter().zip(self.rows_of_heads(block)) {
            self.compare(block, head, &rows, count, &mut best);
        }
        let mut found: Vec<u32> = best.iter().map(|&(_, id)| id).collect();
        // Heads with fewer centroids than wanted: rare, and worth a full comparison.
        for (at, best) in best.chunks_exact(count).enumerate() {
            if best[count - 1].0 == f32::NEG_INFINITY {
                let x = row(block, self.d, at);
                let all = kmeans::nearest(x, self.d, self.rows, &self.halves, count);
                found[at * count..(at + 1) * count].copy_from_slice(&all);
            }
        }
        found
    }

    /// For each head the numbers of those rows of `block` that look into it.
    fn rows_of_heads(&self, block: &[f32]) -> Vec<Vec<u32>> {
        let count = (self.heads.len() / SHARE).max(LEAST).min(self.heads.len());
        let chosen = kmeans::nearest(block, self.d, &self.centers, &self.center_halves, count);
        let mut rows = vec![Vec::new(); self.heads.len()];
        for (at, heads) in (0u32..).zip(chosen.chunks_exact(count)) {
            for &head in heads {
                rows[head as usize].push(at);
            }
        }
        rows
    }

    /// Offers the centroids of `head` to the best of `rows`.
    fn compare(
        &self,
        block: &[f32],
        head: &Head,
        rows: &[u32],
        count: usize,
        best: &mut [(f32, u32)],
    ) {
        let gathered: Vec<f32> = rows
            .iter()
            .flat_map(|&at| row(block, self.d, at as usize))
            .copied()
            .collect();
        let mut scores = vec![0.0; rows.len() * head.ids.len()];
        if rows.is_empty() {
            return;
        }
        times_transposed(&gathered, &head.rows, self.d, &mut scores);
        for (&at, scores) in rows.iter().zip(scores.chunks_exact(head.ids.len())) {
            let best = &mut best[at as usize * count..][..count];
            for ((score, half), &id) in scores.iter().zip(&head.halves).zip(&head.ids) {
                kmeans::offer(best, score - half, id);
            }
        }
    }
}

/// The nearest of `centroids` (k, d) to each vector of `data` (n, d), as far as heads tell.
pub(super) fn nearest_of_all(data: &[f32], d: usize, centroids: &[f32], seed: u64) -> Vec<u32> {
    let near = Near::new(centroids, d, seed);
    data.par_chunks(kmeans::ROWS * d)
        .flat_map_iter(|block| near.nearest(block, 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ivfpq::rng::Rng;

    #[test]
    fn heads_lead_to_nearly_the_same_centroids() {
        let (d, count) = (12, 5000);
        let mut rng = Rng::new(1, 60);
        let middles: Vec<f32> = (0..60 * d).map(|_| 3.0 * rng.normal()).collect();
        let mut around = |n: usize| -> Vec<f32> {
            let at = |i: usize| row(&middles, d, i * 7 % 60).to_vec();
            (0..n).flat_map(at).map(|x| x + rng.normal()).collect()
        };
        let (centroids, block) = (around(count), around(400));
        let near = Near::new(&centroids, d, 3);
        assert!(!near.heads.is_empty());
        let ids: usize = near.heads.iter().map(|head| head.ids.len()).sum();
        assert_eq!(ids, count);
        let found = near.nearest(&block, 10);
        let all = kmeans::nearest(&block, d, &centroids, &near.halves, 10);
        let first = |ids: &[u32]| ids.iter().step_by(10).copied().collect::<Vec<_>>();
        let same = first(&found)
            .iter()
            .zip(first(&all))
            .filter(|(a, b)| **a == *b)
            .count();
        assert!(same >= 380, "{same} of 400");
        for (found, all) in found.chunks_exact(10).zip(all.chunks_exact(10)) {
            let mut distinct = found.to_vec();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), 10, "{found:?} {all:?}");
        }
    }

    #[test]
    fn equal_centroids_all_count() {
        let centroids = vec![1.0; 4 * 4200];
        let near = Near::new(&centroids, 4, 0);
        let mut found = near.nearest(&[1.0; 4], 20);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 20);
    }

    #[test]
    fn few_centroids_are_found_exactly() {
        let mut rng = Rng::new(2, 61);
        let centroids: Vec<f32> = (0..50 * 4).map(|_| rng.normal()).collect();
        let block: Vec<f32> = (0..9 * 4).map(|_| rng.normal()).collect();
        let near = Near::new(&centroids, 4, 0);
        let all = kmeans::nearest(&block, 4, &centroids, &near.halves, 3);
        assert_eq!(near.nearest(&block, 3), all);
    }
}
