//! What do the paper's figures look like on this data?
//!
//! Xiong et al. (2021): how much the training negatives overlap with the top of the ranking at test time (figure 3), scores by
//! rank (figure 3), how informative negatives of each kind are (figure 4, by the last layer's factor of the gradient,
//! σ(s⁻ - s⁺)), overlap with BM25 and unjudged hits (table 6), and a map of one query's surroundings (figures 1, 6, 7).

use std::collections::{BTreeMap, HashSet};

use rand::seq::index;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use storage::matrix::Matrix;
use storage::{PassageId, StorageError, Task};

use crate::examples::TrainQuery;
use crate::negatives::bm25::{Bm25MineError, Searcher};
use crate::negatives::dense::Vectors;
use crate::negatives::{Draw, Mixture, Negatives, Source};

#[cfg(test)]
mod tests;
mod tsne;

/// Depth at which rankings are compared.
const TOP: usize = 100;
/// Depth at which unjudged hits are counted.
const HOLES: usize = 10;
/// Negatives drawn for a query, as the reference code draws them.
const DRAWS: usize = 20;
/// Queries whose scores are drawn by rank, and those that are drawn as a map.
const CURVES: usize = 10;
const MAPPED_QUERIES: usize = 6;
/// Passages of each kind on the map, for a query.
const MAPPED_PASSAGES: usize = 8;

/// The figures for one encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// Steps it was trained.
    pub step: u64,
    /// Share of the negatives drawn from each source that stand among the [`Diagnostics::top`] best passages of their query
    /// now, positives left out, 0 to 1. ANCE starts below 1 because its index is behind the encoder.
    pub overlap_with_top: BTreeMap<Source, f64>,
    /// Share of the best by this encoder that BM25 has among its best too, over the dev queries, 0 to 1; `None` without BM25.
    pub overlap_with_bm25: Option<f64>,
    /// Depth of the two.
    pub top: usize,
    /// Share of the ten best on the dev queries that nobody judged, 0 to 1.
    pub hole_rate: f64,
    /// Scores of a few dev queries by rank, best first.
    pub curves: Vec<Vec<f32>>,
    /// σ(s⁻ - s⁺) over the negatives drawn from each source.
    pub proxy: BTreeMap<Source, Spread>,
    /// A few training queries and their surroundings in two dimensions.
    pub map: Vec<Dot>,
}

/// Where the values of a set lie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// The value that a tenth of them are below.
    pub p10: f64,
    /// The middle.
    pub p50: f64,
    /// The value that nine tenths are below.
    pub p90: f64,
}

impl Spread {
    /// Of `values`; all 0 without any.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1) as f64;
        let at = |share: f64| {
            values
                .get((last * share).round() as usize)
                .copied()
                .unwrap_or(0.0)
        };
        Self {
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            p10: at(0.1),
            p50: at(0.5),
            p90: at(0.9),
        }
    }
}

/// What a dot of the map stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A query.
    Query,
    /// A passage labelled relevant.
    Relevant,
    /// Near by the index in force.
    Ance,
    /// Among the best by BM25.
    Bm25,
    /// Any passage.
    Random,
}

/// One dot of the map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dot {
    /// Coordinates; only distances mean something.
    pub x: f32,
    /// See `x`.
    pub y: f32,
    /// What it is.
    pub kind: Kind,
    /// Number of the query it belongs to, from 0.
    pub query: usize,
}

/// What the figures are made from.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Steps the encoder was trained.
    pub step: u64,
    /// Passages under this encoder.
    pub vectors: Vectors<'a>,
    /// What a score is multiplied with to become a logit.
    pub scale: f32,
    /// The pools training drew from up to now.
    pub negatives: Negatives<'a>,
    /// Places of some training queries, a few hundred.
    pub train: &'a [u32],
    /// Their vectors under this encoder, row-major.
    pub train_vectors: &'a [f32],
    /// Vectors of all dev queries under this encoder, row-major.
    pub dev_vectors: &'a [f32],
    /// BM25 over the same passages, where there is one.
    pub bm25: Option<&'a Searcher>,
    /// Decides what is drawn.
    pub seed: u64,
}

/// The figures could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiagnosticsError {
    /// The vectors or their index.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The full-text index.
    #[error(transparent)]
    Bm25(#[from] Bm25MineError),
}

impl Diagnostics {
    /// Makes all figures.
    ///
    /// # Errors
    /// A damaged index, or the caller's cancel flag.
    pub fn measure(inputs: &Inputs<'_>, task: Task<'_>) -> Result<Self, DiagnosticsError> {
        let examples = inputs.negatives.examples;
        let top = inputs.vectors.search(inputs.train_vectors, TOP, task)?;
        let top: Vec<Vec<u32>> = top.into_iter().map(passages).collect();
        let dev = inputs.vectors.search(inputs.dev_vectors, TOP, task)?;
        let drawn = drawn(inputs);
        let overlap = |(source, draws): (&Source, &Vec<Vec<u32>>)| {
            let wrong = inputs.train.iter().zip(&top).map(|(query, top)| {
                let query = &examples.queries[*query as usize];
                let wrong = |p: &&u32| !query.is_positive(examples.document_of(**p));
                top.iter().filter(wrong).copied().collect()
            });
            (
                *source,
                mean_overlap(draws, &wrong.collect::<Vec<Vec<u32>>>()),
            )
        };
        let ranked: Vec<Vec<u32>> = dev.iter().cloned().map(passages).collect();
        let documents = |list: &Vec<u32>| list.iter().map(|p| examples.document_of(*p)).collect();
        let ranked_documents: Vec<Vec<u32>> = ranked.iter().map(documents).collect();
        let curve = |list: &Vec<(u32, f32)>| list.iter().map(|(_, score)| *score).collect();
        Ok(Self {
            step: inputs.step,
            overlap_with_top: drawn.iter().map(overlap).collect(),
            overlap_with_bm25: bm25_overlap(inputs, &ranked, task)?,
            top: TOP,
            hole_rate: hole_rate(&examples.dev, &ranked_documents),
            curves: dev.iter().take(CURVES).map(curve).collect(),
            proxy: drawn
                .iter()
                .map(|(source, draws)| (*source, proxy(inputs, draws)))
                .collect(),
            map: map(inputs, &drawn),
        })
    }
}

fn passages(hits: Vec<(u32, f32)>) -> Vec<u32> {
    hits.into_iter().map(|(passage, _)| passage).collect()
}

/// Mean share of each list of `of` that stands in the list of `among` beside it; empty lists are left out, 0 without any.
pub fn mean_overlap(of: &[Vec<u32>], among: &[Vec<u32>]) -> f64 {
    let pairs = of.iter().zip(among).filter(|(of, _)| !of.is_empty());
    let shares = pairs.map(|(of, among)| {
        let among: HashSet<u32> = among.iter().copied().collect();
        of.iter().filter(|item| among.contains(item)).count() as f64 / of.len() as f64
    });
    let shares: Vec<f64> = shares.collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

/// Share of the ten best documents of each ranking that nobody judged for the query beside it, over all of them.
pub fn hole_rate(queries: &[TrainQuery], rankings: &[Vec<u32>]) -> f64 {
    let (mut holes, mut all) = (0usize, 0usize);
    for (query, ranking) in queries.iter().zip(rankings) {
        let best = ranking.iter().take(HOLES);
        all += best.len();
        holes += best.filter(|document| !query.is_judged(**document)).count();
    }
    holes as f64 / all.max(1) as f64
}

/// Negatives of the sampled training queries from each source that has a pool, beside their first positive.
fn drawn(inputs: &Inputs<'_>) -> BTreeMap<Source, Vec<Vec<u32>>> {
    let pools = inputs.negatives.pools;
    let sources = Source::ALL
        .into_iter()
        .filter(|s| *s == Source::Random || pools.get(*s).is_some());
    let mut rng = ChaCha8Rng::seed_from_u64(inputs.seed);
    let of_source = |source| {
        let mixture = Mixture::only(source, Draw::Uniform);
        let negatives = Negatives {
            mixture: &mixture,
            count: DRAWS,
            ..inputs.negatives
        };
        let draws = inputs.train.iter().map(|query| {
            let positive = negatives.examples.queries[*query as usize].positives[0];
            let drawn = negatives.draw(*query, positive, inputs.step, &mut rng);
            // Random passages that fill up an empty pool are none of this source.
            let own = drawn
                .into_iter()
                .filter(|negative| negative.source == source);
            own.map(|negative| negative.passage).collect()
        });
        (source, draws.collect())
    };
    sources.map(of_source).collect()
}

fn bm25_overlap(
    inputs: &Inputs<'_>,
    ranked: &[Vec<u32>],
    task: Task<'_>,
) -> Result<Option<f64>, DiagnosticsError> {
    let Some(bm25) = inputs.bm25 else {
        return Ok(None);
    };
    let mut by_words = Vec::with_capacity(ranked.len());
    for query in &inputs.negatives.examples.dev {
        task.check().map_err(Bm25MineError::from)?;
        let hits = bm25.top(&query.text, TOP).map_err(Bm25MineError::from)?;
        by_words.push(passages(hits));
    }
    Ok(Some(mean_overlap(ranked, &by_words)))
}

/// σ(s⁻ - s⁺) of every drawn negative beside the best passage of the query's first positive.
fn proxy(inputs: &Inputs<'_>, draws: &[Vec<u32>]) -> Spread {
    let examples = inputs.negatives.examples;
    let dimension = inputs.vectors.matrix.dimension();
    let queries = inputs
        .train
        .iter()
        .zip(inputs.train_vectors.chunks_exact(dimension));
    let mut values = Vec::new();
    for ((query, vector), negatives) in queries.zip(draws) {
        let document = examples.queries[*query as usize].positives[0];
        let best = examples.documents[document as usize]
            .passages
            .clone()
            .map(|passage| inputs.vectors.score(vector, passage))
            .fold(f32::NEG_INFINITY, f32::max);
        values.extend(negatives.iter().map(|passage| {
            let difference = inputs.vectors.score(vector, *passage) - best;
            sigmoid(f64::from(inputs.scale * difference))
        }));
    }
    Spread::of(values)
}

/// The factor that the pairwise loss's gradient has in common over all layers: σ(s⁻ - s⁺) of logits.
pub fn sigmoid(difference: f64) -> f64 {
    1.0 / (1.0 + (-difference).exp())
}

/// A few of the training queries with passages of each kind, laid out by t-SNE.
fn map(inputs: &Inputs<'_>, drawn: &BTreeMap<Source, Vec<Vec<u32>>>) -> Vec<Dot> {
    let mut rng = ChaCha8Rng::seed_from_u64(inputs.seed);
    let count = MAPPED_QUERIES.min(inputs.train.len());
    let chosen = index::sample(&mut rng, inputs.train.len(), count);
    let dimension = inputs.vectors.matrix.dimension();
    let (mut labels, mut rows) = (Vec::new(), Vec::new());
    for (number, at) in chosen.iter().enumerate() {
        labels.push((Kind::Query, number));
        rows.extend_from_slice(&inputs.train_vectors[at * dimension..(at + 1) * dimension]);
        for (kind, passage) in surroundings(inputs, drawn, at) {
            labels.push((kind, number));
            rows.extend(row(inputs.vectors.matrix, passage));
        }
    }
    let places = tsne::layout(&rows, dimension, rng.random());
    let dots = labels.into_iter().zip(places);
    dots.map(|((kind, query), [x, y])| Dot { x, y, kind, query })
        .collect()
}

/// Passages to draw around sampled query `at`.
fn surroundings(
    inputs: &Inputs<'_>,
    drawn: &BTreeMap<Source, Vec<Vec<u32>>>,
    at: usize,
) -> Vec<(Kind, u32)> {
    let query = inputs.train[at];
    let labelled = &inputs.negatives.examples.queries[query as usize].positives;
    let positives = labelled.iter().take(MAPPED_PASSAGES);
    let mut around: Vec<(Kind, u32)> = positives
        .map(|document| (Kind::Relevant, inputs.negatives.positive(query, *document)))
        .collect();
    for (source, draws) in drawn {
        let kind = match source {
            Source::Random => Kind::Random,
            Source::Bm25 => Kind::Bm25,
            Source::Ance => Kind::Ance,
        };
        around.extend(
            draws[at]
                .iter()
                .take(MAPPED_PASSAGES)
                .map(|passage| (kind, *passage)),
        );
    }
    around
}

fn row(matrix: &Matrix, passage: u32) -> Vec<f32> {
    matrix
        .get(PassageId(passage))
        .unwrap_or_else(|| vec![0.0; matrix.dimension()])
}
