//! Which pairs of query and positive make up the next batch?
//!
//! An endless stream: pairs are shuffled anew each epoch, and a batch never holds a query twice, nor, where it can be
//! avoided, two queries that share a positive. A pair that has to wait goes first in the next batch, so that every pair
//! comes once an epoch and batches are full. The negatives of step t depend on the seed and t alone; so a saved
//! [`Position`] is all that resuming needs.

use std::collections::HashSet;
use std::mem;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::examples::Examples;
use crate::negatives::{Drawn, Negatives};

#[cfg(test)]
mod tests;

/// Pairs looked at for each place of a batch before shared positives are put up with.
const PATIENCE: usize = 4;
/// Streams of the generator: epochs have their own, far from those of the steps.
const EPOCHS: u64 = 1 << 63;

/// How to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerConfig {
    /// Pairs a batch. Fewer come where there are fewer queries.
    pub batch: usize,
    /// Most pairs an epoch, chosen once; `None` takes all. For data with many positives a query.
    pub max_pairs: Option<usize>,
    /// Same seed and examples, same batches.
    pub seed: u64,
}

/// What one step trains on. All lists run side by side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u64,
    /// Places of the queries in [`Examples::queries`], all different.
    pub queries: Vec<u32>,
    /// Places of the positive passages.
    pub positives: Vec<u32>,
    /// Negatives of each pair; no document twice within one.
    pub negatives: Vec<Vec<Drawn>>,
}

impl Batch {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether it holds no pair.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }
}

/// Where a sampler stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Batches given out.
    pub step: u64,
    /// Epoch being read, from 0.
    pub epoch: u64,
    /// Pairs of that epoch read.
    pub read: usize,
    /// Pairs read that still wait for their batch.
    pub waiting: Vec<u32>,
}

/// There is nothing to sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// An option is out of range.
    #[error("{name} is 0; it has to be 1 or more")]
    Zero {
        /// The option.
        name: &'static str,
    },
    /// More negatives are asked for than documents can give.
    #[error(
        "{wanted} negatives a query are asked for and the corpus has {documents} documents, of which one is the positive; lower --negatives"
    )]
    FewDocuments {
        /// Negatives a query.
        wanted: usize,
        /// Documents with text.
        documents: usize,
    },
    /// A position does not belong to these examples.
    #[error(
        "the saved place in the training data does not fit these examples ({found} of {pairs} pairs read); start anew without --resume"
    )]
    Position {
        /// Pairs read by the position.
        found: usize,
        /// Pairs there are.
        pairs: usize,
    },
}

/// A query and one of its labelled documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    query: u32,
    document: u32,
}

/// Gives out batches without end.
#[derive(Debug, Clone)]
pub struct Sampler {
    pairs: Vec<Pair>,
    /// Labelled documents of each query.
    labelled: Vec<Vec<u32>>,
    batch: usize,
    seed: u64,
    position: Position,
    /// Order of the pairs in the epoch being read.
    order: Vec<u32>,
}

impl Sampler {
    /// Starts at the beginning. `negatives` is how many a query is going to be asked for.
    ///
    /// # Errors
    /// A batch of 0, more negatives than documents.
    pub fn new(
        examples: &Examples,
        config: SamplerConfig,
        negatives: usize,
    ) -> Result<Self, SamplerError> {
        if config.batch == 0 {
            return Err(SamplerError::Zero { name: "the batch" });
        }
        if config.max_pairs == Some(0) {
            return Err(SamplerError::Zero {
                name: "the number of pairs",
            });
        }
        if negatives >= examples.documents.len() {
            return Err(SamplerError::FewDocuments {
                wanted: negatives,
                documents: examples.documents.len(),
            });
        }
        let pairs = pairs(examples, config);
        let queries: HashSet<u32> = pairs.iter().map(|pair| pair.query).collect();
        let mut sampler = Self {
            batch: config.batch.min(queries.len()),
            pairs,
            labelled: examples
                .queries
                .iter()
                .map(|query| query.positives.clone())
                .collect(),
            seed: config.seed,
            position: Position::default(),
            order: Vec::new(),
        };
        sampler.order = sampler.shuffled(0);
        Ok(sampler)
    }

    /// Goes to a saved position, from which the same batches follow as followed then.
    ///
    /// # Errors
    /// The position is of other examples.
    pub fn resume(&mut self, position: Position) -> Result<(), SamplerError> {
        let pairs = self.pairs.len();
        if position.read > pairs || position.waiting.iter().any(|at| *at as usize >= pairs) {
            return Err(SamplerError::Position {
                found: position.read,
                pairs,
            });
        }
        self.order = self.shuffled(position.epoch);
        self.position = position;
        Ok(())
    }

    /// Where it stands: what a checkpoint holds.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Pairs an epoch.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Steps that `epochs` take, at least 1.
    pub fn steps(&self, epochs: f64) -> u64 {
        let steps = epochs * self.pairs.len() as f64 / self.batch as f64;
        (steps.ceil() as u64).max(1)
    }

    /// The next batch; never empty.
    pub fn next(&mut self, negatives: &Negatives<'_>) -> Batch {
        let pairs = self.gather();
        let step = self.position.step;
        self.position.step += 1;
        let mut rng = self.rng(step);
        let mut batch = Batch {
            step,
            ..Batch::default()
        };
        for Pair { query, document } in pairs {
            batch.queries.push(query);
            batch.positives.push(negatives.positive(query, document));
            batch
                .negatives
                .push(negatives.draw(query, document, step, &mut rng));
        }
        batch
    }

    fn gather(&mut self) -> Vec<Pair> {
        let mut chosen = Chosen::new(self.batch);
        let mut looked = 0;
        for at in mem::take(&mut self.position.waiting) {
            looked += 1;
            self.offer(at, looked, &mut chosen);
        }
        loop {
            while !chosen.is_full()
                && let Some(at) = self.read()
            {
                looked += 1;
                self.offer(at, looked, &mut chosen);
            }
            // At the end of an epoch those that waited for company of their own get any.
            for at in mem::take(&mut self.position.waiting) {
                self.offer(at, usize::MAX, &mut chosen);
            }
            // Going on into the next epoch would make the queue grow where one query has most of the pairs.
            if chosen.is_full() || self.position.waiting.len() >= self.batch {
                return chosen.pairs;
            }
            self.position.epoch += 1;
            self.position.read = 0;
            self.order = self.shuffled(self.position.epoch);
        }
    }

    fn read(&mut self) -> Option<u32> {
        let at = self.order.get(self.position.read).copied();
        self.position.read += usize::from(at.is_some());
        at
    }

    /// Takes pair `at` into the batch or lets it wait.
    fn offer(&mut self, at: u32, looked: usize, chosen: &mut Chosen) {
        let pair = self.pairs[at as usize];
        let labelled = &self.labelled[pair.query as usize];
        let patient = looked < PATIENCE * self.batch;
        if chosen.is_full()
            || chosen.queries.contains(&pair.query)
            || (patient
                && labelled
                    .iter()
                    .any(|document| chosen.documents.contains(document)))
        {
            self.position.waiting.push(at);
        } else {
            chosen.take(pair, labelled);
        }
    }

    fn shuffled(&self, epoch: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.pairs.len() as u32).collect();
        order.shuffle(&mut self.rng(EPOCHS + epoch));
        order
    }

    fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }
}

/// Every query with each of its labelled documents, thinned out to `max_pairs`.
fn pairs(examples: &Examples, config: SamplerConfig) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = examples
        .queries
        .iter()
        .zip(0..)
        .flat_map(|(from, query)| {
            from.positives
                .iter()
                .map(move |&document| Pair { query, document })
        })
        .collect();
    if let Some(most) = config.max_pairs.filter(|most| *most < pairs.len()) {
        pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
        pairs.truncate(most);
        pairs.sort_unstable_by_key(|pair| (pair.query, pair.document));
    }
    pairs
}

/// A batch being filled.
struct Chosen {
    room: usize,
    pairs: Vec<Pair>,
    queries: HashSet<u32>,
    /// Documents labelled for a query of the batch.
    documents: HashSet<u32>,
}

impl Chosen {
    fn new(room: usize) -> Self {
        Self {
            room,
            pairs: Vec::with_capacity(room),
            queries: HashSet::with_capacity(room),
            documents: HashSet::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.pairs.len() >= self.room
    }

    fn take(&mut self, pair: Pair, labelled: &[u32]) {
        self.queries.insert(pair.query);
        self.documents.extend(labelled);
        self.pairs.push(pair);
    }
}
