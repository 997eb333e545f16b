//! Which wrong passages are nearest to the query under the encoder in force?
//!
//! The served index itself is asked (IVF-PQ, its candidates scored again exactly), or every vector; how much of the exact
//! answer the index found is measured on a sample and given back with the pool.

use std::collections::HashSet;
use std::time::Instant;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use storage::flat::{self, Metric};
use storage::ivfpq::{Index, SearchParams};
use storage::kernels::Kernels;
use storage::matrix::Matrix;
use storage::{PassageId, StorageError, Task};

use super::{Candidate, Found, Pool};
use crate::examples::{Examples, TrainQuery};
use crate::guards::{GuardCounts, Guards};

/// Queries the recall of the index is measured with.
const SAMPLE: usize = 100;

/// Vectors of all passages, and how they are searched. The row of a passage has its place as id.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    /// One row for each passage.
    pub matrix: &'a Matrix,
    /// What the encoder was trained to make near.
    pub metric: Metric,
    /// `None` compares every vector.
    pub index: Option<&'a Index>,
    /// Share of the true best that a search in the index should find, 0 to 1.
    pub target_recall: f32,
}

/// What a mining run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mining {
    /// "exact" or "ivfpq".
    pub index: String,
    /// Mean share of the exact answer that was found, 0 to 1.
    pub recall: f64,
    /// Queries `recall` is over; 0 for exact search, which needs no measuring.
    pub recall_queries: usize,
    /// Candidates asked for a query.
    pub depth: usize,
    /// Seconds it took, measuring included.
    pub seconds: f64,
    /// What the guards did.
    pub guards: GuardCounts,
}

impl Vectors<'_> {
    /// How they are searched, in one word.
    pub fn mode(&self) -> &'static str {
        match self.index {
            None => "exact",
            Some(_) => "ivfpq",
        }
    }

    /// The best `k` passages for each of `queries`, (n, d) row-major: place and score, best first, ties by ascending place.
    ///
    /// # Errors
    /// Queries of another dimension or that are not finite, a damaged index, or the caller's cancel flag.
    pub fn search(
        &self,
        queries: &[f32],
        k: usize,
        task: Task<'_>,
    ) -> Result<Vec<Vec<(u32, f32)>>, StorageError> {
        match self.index {
            None => self.exact(queries, k, task),
            Some(index) => self.probed(index, queries, k, task),
        }
    }

    /// Score of one passage for the query `vector` by the metric; a passage without a row scores as the zero vector.
    pub fn score(&self, vector: &[f32], passage: u32) -> f32 {
        Query::new(self, vector).scored(passage).score
    }

    fn exact(
        &self,
        queries: &[f32],
        k: usize,
        task: Task<'_>,
    ) -> Result<Vec<Vec<(u32, f32)>>, StorageError> {
        let answers = flat::search_batch(self.matrix, queries, k, self.metric, None, task)?;
        Ok(answers
            .into_iter()
            .map(|answer| places(answer.hits))
            .collect())
    }

    fn probed(
        &self,
        index: &Index,
        queries: &[f32],
        k: usize,
        task: Task<'_>,
    ) -> Result<Vec<Vec<(u32, f32)>>, StorageError> {
        let params = SearchParams {
            k,
            target_recall: self.target_recall,
            ..SearchParams::default()
        };
        let answers = index.search_batch(queries, &params, None, task)?;
        Ok(answers
            .into_iter()
            .map(|answer| places(answer.hits))
            .collect())
    }

    /// Candidates for every training query: the nearest `depth` passages that the guards let through. `queries` are the
    /// vectors of the training queries in order; `wanted` is how many negatives a pair is going to be asked for, `seed`
    /// chooses the sample that recall is measured on.
    ///
    /// # Errors
    /// As [`Vectors::search`].
    pub fn mine(
        &self,
        examples: &Examples,
        guards: &Guards,
        queries: &[f32],
        (depth, wanted, seed): (usize, usize, u64),
        task: Task<'_>,
    ) -> Result<(Pool, Mining), StorageError> {
        let begun = Instant::now();
        let hits = self.search(queries, depth, task)?;
        let (recall, recall_queries) = self.recall(queries, &hits, depth, seed, task)?;
        let dimension = self.matrix.dimension();
        let mined: Vec<(Found, GuardCounts)> = hits
            .into_par_iter()
            .zip(queries.par_chunks(dimension))
            .enumerate()
            .map(|(at, (hits, vector))| {
                task.check()?;
                let query = Query::new(self, vector);
                let positives = query.positives(examples, &examples.queries[at]);
                let hits = hits
                    .into_iter()
                    .map(|(passage, score)| query.candidate(passage, score));
                let (candidates, counts) = sift(examples, guards, at as u32, hits);
                Ok((
                    Found {
                        positives,
                        candidates,
                    },
                    counts,
                ))
            })
            .collect::<Result<_, StorageError>>()?;
        let (pool, mut counts) = joined(mined);
        count_margin(&pool, guards, wanted, &mut counts);
        let mining = Mining {
            index: self.mode().to_owned(),
            recall,
            recall_queries,
            depth,
            seconds: begun.elapsed().as_secs_f64(),
            guards: counts,
        };
        Ok((pool, mining))
    }

    /// Mean share of the exact best `k` among `hits`, over a sample of the queries, and its size.
    fn recall(
        &self,
        queries: &[f32],
        hits: &[Vec<(u32, f32)>],
        k: usize,
        seed: u64,
        task: Task<'_>,
    ) -> Result<(f64, usize), StorageError> {
        if self.index.is_none() || hits.is_empty() {
            return Ok((1.0, 0));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sample = index::sample(&mut rng, hits.len(), SAMPLE.min(hits.len())).into_vec();
        let dimension = self.matrix.dimension();
        let rows = sample
            .iter()
            .flat_map(|at| &queries[at * dimension..(at + 1) * dimension]);
        let truth = self.exact(&rows.copied().collect::<Vec<f32>>(), k, task.quiet())?;
        let shares = sample
            .iter()
            .zip(&truth)
            .map(|(at, truth)| share_found(&hits[*at], truth));
        Ok((shares.sum::<f64>() / sample.len() as f64, sample.len()))
    }
}

fn places(hits: Vec<(PassageId, f32)>) -> Vec<(u32, f32)> {
    hits.into_iter().map(|(id, score)| (id.0, score)).collect()
}

fn share_found(hits: &[(u32, f32)], truth: &[(u32, f32)]) -> f64 {
    let found: HashSet<u32> = hits.iter().map(|(passage, _)| *passage).collect();
    let common = truth
        .iter()
        .filter(|(passage, _)| found.contains(passage))
        .count();
    common as f64 / truth.len().max(1) as f64
}

/// One query's vector among those of the passages.
struct Query<'a> {
    vectors: &'a Vectors<'a>,
    kernels: Kernels,
    vector: &'a [f32],
    length: f32,
}

impl<'a> Query<'a> {
    fn new(vectors: &'a Vectors<'a>, vector: &'a [f32]) -> Self {
        let kernels = Kernels::best();
        Self {
            vectors,
            kernels,
            vector,
            length: kernels.dot(vector, vector).sqrt(),
        }
    }

    /// The best passage of each labelled document.
    fn positives(&self, examples: &Examples, query: &TrainQuery) -> Vec<Candidate> {
        let best = |document: &u32| {
            let passages = examples.documents[*document as usize].passages.clone();
            let scored = passages.map(|passage| self.scored(passage));
            scored.max_by(|a, b| a.score.total_cmp(&b.score).then(b.passage.cmp(&a.passage)))
        };
        query.positives.iter().filter_map(best).collect()
    }

    fn candidate(&self, passage: u32, score: f32) -> Candidate {
        let cosine = match self.vectors.metric {
            Metric::Cosine => score,
            Metric::InnerProduct | Metric::L2 => self.scored(passage).cosine,
        };
        Candidate {
            passage,
            score,
            cosine,
        }
    }

    /// A passage with the score the metric gives it and its cosine; a passage without a row scores as the zero vector.
    fn scored(&self, passage: u32) -> Candidate {
        let row = self.vectors.matrix.get(PassageId(passage));
        let row = row.unwrap_or_else(|| vec![0.0; self.vector.len()]);
        let product = self.kernels.dot(self.vector, &row);
        let lengths = self.length * self.kernels.dot(&row, &row).sqrt();
        let cosine = if lengths > 0.0 {
            product / lengths
        } else {
            0.0
        };
        Candidate {
            passage,
            score: match self.vectors.metric {
                Metric::InnerProduct => product,
                Metric::Cosine => cosine,
                Metric::L2 => -self.kernels.squared_l2(self.vector, &row),
            },
            cosine,
        }
    }
}

/// Measures the cosines of a pool that something else mined, so that margin and SimANS apply to it; `queries` as in
/// [`Vectors::mine`]. Gives back the margin's counts.
pub fn measure(
    pool: &mut Pool,
    vectors: &Vectors<'_>,
    guards: &Guards,
    queries: &[f32],
    wanted: usize,
) -> GuardCounts {
    let dimension = vectors.matrix.dimension();
    pool.queries
        .par_iter_mut()
        .zip(queries.par_chunks(dimension))
        .for_each(|(found, vector)| {
            let query = Query::new(vectors, vector);
            for candidate in found.positives.iter_mut().chain(&mut found.candidates) {
                candidate.cosine = query.scored(candidate.passage).cosine;
            }
        });
    let mut counts = GuardCounts::default();
    count_margin(pool, guards, wanted, &mut counts);
    counts
}

/// Drops from `hits`, best first, what the guards refuse and further passages of a document that is a candidate already:
/// a document scores as its best passage does.
pub(super) fn sift(
    examples: &Examples,
    guards: &Guards,
    query: u32,
    hits: impl Iterator<Item = Candidate>,
) -> (Vec<Candidate>, GuardCounts) {
    let mut counts = GuardCounts {
        queries: 1,
        ..GuardCounts::default()
    };
    let mut documents = HashSet::new();
    let mut candidates = Vec::new();
    for hit in hits {
        counts.candidates += 1;
        match guards.objection(examples, query, hit.passage) {
            Some(objection) => counts.refuse(objection),
            None if documents.insert(examples.document_of(hit.passage)) => candidates.push(hit),
            None => counts.repeated += 1,
        }
    }
    (candidates, counts)
}

pub(super) fn joined(mined: Vec<(Found, GuardCounts)>) -> (Pool, GuardCounts) {
    let mut all = GuardCounts::default();
    let queries = mined.into_iter().map(|(found, counts)| {
        all += counts;
        found
    });
    let queries = queries.collect();
    (Pool { queries }, all)
}

/// What the margin is going to refuse, pair by pair, and which queries it leaves too little.
fn count_margin(pool: &Pool, guards: &Guards, wanted: usize, counts: &mut GuardCounts) {
    let margin = guards.config().margin;
    for found in &pool.queries {
        let allowed = found.positives.iter().map(|positive| {
            let allows = |candidate: &&Candidate| margin.allows(candidate.cosine, positive.cosine);
            found.candidates.iter().filter(allows).count()
        });
        let allowed: Vec<usize> = allowed.collect();
        let pairs = allowed.len() * found.candidates.len();
        counts.pairs += pairs as u64;
        counts.margin += (pairs - allowed.iter().sum::<usize>()) as u64;
        counts.starved_queries += u64::from(allowed.iter().any(|count| *count < wanted));
    }
}
