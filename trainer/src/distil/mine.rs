//! Which passages does the table wrongly find near?

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use storage::Task;

use super::DistilError;
use super::lessons::{Lessons, Set};
use super::products::times_transposed;
use super::table::Table;

/// Queries scored at once.
const QUERIES: usize = 64;

/// Passages that are near a query and no answer, for each query of each set; none for sets that no teacher watches.
pub(super) struct Mined(Vec<Vec<Vec<u32>>>);

impl Mined {
    /// One of the passages near `query` of set `set`, drawn by `seed`.
    pub(super) fn draw(&self, set: usize, query: u32, seed: u64) -> Option<u32> {
        let near = self.0[set].get(query as usize)?;
        near.choose(&mut ChaCha8Rng::seed_from_u64(seed)).copied()
    }
}

/// The table as it was before it was held against passages. What it finds as near as the positive may be an answer that nobody
/// marked.
pub(super) struct Judge {
    width: usize,
    margin: f32,
    /// Vectors of queries and passages of each set.
    sets: Vec<[Vec<f32>; 2]>,
}

impl Judge {
    pub(super) fn new(table: &Table, lessons: &Lessons, margin: f32) -> Self {
        let of = |set: &Set| [table.encode(&set.queries), table.encode(&set.passages)];
        Self {
            width: table.width(),
            margin,
            sets: lessons.sets.iter().map(of).collect(),
        }
    }

    /// Score of `passage` for `query` of set `set`.
    pub(super) fn score(&self, set: usize, query: u32, passage: u32) -> f32 {
        let row =
            |side: usize, at: u32| &self.sets[set][side][at as usize * self.width..][..self.width];
        let (query, passage) = (row(0, query), row(1, passage));
        query.iter().zip(passage).map(|(q, p)| q * p).sum()
    }

    /// The score from which on a passage is no negative of a query whose positive scores `positive`.
    pub(super) fn bar(&self, positive: f32) -> f32 {
        self.margin * positive
    }
}

/// Mines every judged set with the table as it is: `depth` passages a query, less those that are no negatives.
pub(super) fn negatives(
    table: &Table,
    lessons: &Lessons,
    judge: &Judge,
    depth: usize,
    task: Task<'_>,
) -> Result<Mined, DistilError> {
    let mut mined = Vec::new();
    for (at, set) in lessons.sets.iter().enumerate() {
        task.check()?;
        task.report("mining negatives", at as u64, lessons.sets.len() as u64);
        mined.push(match set.is_judged && depth > 0 {
            true => of_set(table, set, at, judge, depth),
            false => Vec::new(),
        });
    }
    Ok(Mined(mined))
}

fn of_set(table: &Table, set: &Set, at: usize, judge: &Judge, depth: usize) -> Vec<Vec<u32>> {
    let (queries, passages) = (table.encode(&set.queries), table.encode(&set.passages));
    nearest(&queries, &passages, table.width(), depth)
        .into_par_iter()
        .zip(&set.examples.queries)
        .enumerate()
        .map(|(query, (near, judged))| {
            let query = query as u32;
            let own = judged
                .positives
                .iter()
                .map(|document| judge.score(at, query, set.examples.first_passage(*document)));
            let bar = judge.bar(own.fold(0.0, f32::max));
            let places = near.into_iter().map(|(passage, _)| passage);
            places
                .filter(|p| !set.answers(query, *p) && judge.score(at, query, *p) < bar)
                .collect()
        })
        .collect()
}

/// The `k` of `passages` with the largest products with each of `queries`, best first, ties by ascending place.
pub(super) fn nearest(
    queries: &[f32],
    passages: &[f32],
    width: usize,
    k: usize,
) -> Vec<Vec<(u32, f32)>> {
    let count = passages.len() / width;
    let mut found = Vec::with_capacity(queries.len() / width);
    for block in queries.chunks(QUERIES * 8 * width) {
        let scores = times_transposed(block, passages, width);
        let best = scores
            .par_chunks_exact(count.max(1))
            .map(|row| largest(row, k));
        found.extend(best.collect::<Vec<_>>());
    }
    found
}

fn largest(scores: &[f32], k: usize) -> Vec<(u32, f32)> {
    let mut places: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if k < places.len() {
        places.select_nth_unstable_by(k, order);
        places.truncate(k);
    }
    places.sort_unstable_by(order);
    places
}
