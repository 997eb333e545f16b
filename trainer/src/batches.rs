//! How does a batch of places become token ids and labels?

use std::sync::{Arc, OnceLock};

use engine::encoder::{EncodeError, Encoder, Role};
use rayon::prelude::*;
use storage::Task;

use crate::encoder::{Tokens, TrainEncoder};
use crate::examples::{Examples, TrainQuery};
use crate::guards::Guards;
use crate::loss::Labels;
use crate::sampler::Batch;
use crate::step::StepInput;

/// Texts of the examples as ids, made when first needed.
pub struct Texts {
    encoder: Arc<TrainEncoder>,
    examples: Arc<Examples>,
    query_tokens: usize,
    passage_tokens: usize,
    queries: Vec<OnceLock<Tokens>>,
    passages: Vec<OnceLock<Tokens>>,
}

impl Texts {
    /// Nothing is read yet. Texts are cut to so many tokens.
    pub fn new(
        encoder: Arc<TrainEncoder>,
        examples: Arc<Examples>,
        [query_tokens, passage_tokens]: [usize; 2],
    ) -> Self {
        let empty = |count| (0..count).map(|_| OnceLock::new()).collect();
        Self {
            queries: empty(examples.queries.len()),
            passages: empty(examples.passages.len()),
            encoder,
            examples,
            query_tokens,
            passage_tokens,
        }
    }

    fn query(&self, place: u32) -> Result<Tokens, EncodeError> {
        let text = &self.examples.queries[place as usize].text;
        let cell = &self.queries[place as usize];
        self.kept(cell, text, Role::Query, self.query_tokens)
    }

    fn passage(&self, place: u32) -> Result<Tokens, EncodeError> {
        let text = &self.examples.passages[place as usize].text;
        let cell = &self.passages[place as usize];
        self.kept(cell, text, Role::Passage, self.passage_tokens)
    }

    fn kept(
        &self,
        cell: &OnceLock<Tokens>,
        text: &str,
        role: Role,
        longest: usize,
    ) -> Result<Tokens, EncodeError> {
        if let Some(tokens) = cell.get() {
            return Ok(tokens.clone());
        }
        let tokens = self.encoder.tokens(text, role, longest)?;
        Ok(cell.get_or_init(|| tokens).clone())
    }

    /// A small batch to test a device with: the first `pairs` queries with their first positives, each beside a passage of
    /// another, cut to `longest` tokens.
    ///
    /// # Errors
    /// As [`Texts::input`].
    pub fn sample(&self, pairs: usize, longest: usize) -> Result<StepInput, EncodeError> {
        let queries = &self.examples.queries[..pairs.min(self.examples.queries.len())];
        let (b, count) = (queries.len(), self.examples.passages.len());
        let passage = |place: usize| {
            let text = &self.examples.passages[place % count].text;
            self.encoder.tokens(text, Role::Passage, longest)
        };
        let first = |q: &TrainQuery| self.examples.first_passage(q.positives[0]) as usize;
        let ids = |q: &TrainQuery| self.encoder.tokens(&q.text, Role::Query, longest);
        Ok(StepInput {
            queries: queries.iter().map(ids).collect::<Result<_, _>>()?,
            positives: queries
                .iter()
                .map(|q| passage(first(q)))
                .collect::<Result<_, _>>()?,
            negatives: queries
                .iter()
                .map(|q| passage(first(q) + 1))
                .collect::<Result<_, _>>()?,
            labels: Labels {
                present: vec![1.0; b],
                excused: vec![0.0; b * 2 * b],
                teacher: Some((0..2 * b).map(|i| i as f32).collect()),
            },
        })
    }

    /// What a step needs of `batch`. Every query gets as many negatives as the query with most; those that are not there
    /// repeat the positive and count for nothing.
    ///
    /// # Errors
    /// The tokenizer refuses a text; opening the model makes that all but impossible.
    pub fn input(
        &self,
        batch: &Batch,
        guards: &Guards,
        teacher: Option<&Teacher>,
    ) -> Result<StepInput, EncodeError> {
        let columns = Columns::new(batch);
        let passages = |places: &[u32]| -> Result<Vec<Tokens>, EncodeError> {
            places.par_iter().map(|p| self.passage(*p)).collect()
        };
        let queries = batch.queries.par_iter().map(|q| self.query(*q));
        Ok(StepInput {
            queries: queries.collect::<Result<_, _>>()?,
            positives: passages(&batch.positives)?,
            negatives: passages(&columns.negatives)?,
            labels: Labels {
                excused: columns.excused(batch, &self.examples, guards),
                teacher: teacher.map(|t| columns.taught(batch, t)),
                present: columns.present,
            },
        })
    }
}

/// The negatives of a batch as a rectangle.
struct Columns {
    /// Negatives a query.
    n: usize,
    /// Their places, (B, n); the positive's where there is none.
    negatives: Vec<u32>,
    /// 1 where there is one, (B, n).
    present: Vec<f32>,
}

impl Columns {
    fn new(batch: &Batch) -> Self {
        let n = batch.negatives.iter().map(Vec::len).max().unwrap_or(0);
        let (mut negatives, mut present) = (Vec::new(), Vec::new());
        for (drawn, positive) in batch.negatives.iter().zip(&batch.positives) {
            negatives.extend(drawn.iter().map(|d| d.passage));
            negatives.extend(std::iter::repeat_n(*positive, n - drawn.len()));
            present.extend(std::iter::repeat_n(1.0, drawn.len()));
            present.extend(std::iter::repeat_n(0.0, n - drawn.len()));
        }
        Self {
            n,
            negatives,
            present,
        }
    }

    /// 1 where a passage of the batch must not count as wrong for a query: what the guards refuse as its negative, and
    /// what is not there.
    fn excused(&self, batch: &Batch, examples: &Examples, guards: &Guards) -> Vec<f32> {
        let places: Vec<u32> = batch
            .positives
            .iter()
            .chain(&self.negatives)
            .copied()
            .collect();
        let absent = |column: usize| {
            column
                .checked_sub(batch.len())
                .is_some_and(|k| self.present[k] == 0.0)
        };
        let rows = batch.queries.par_iter().enumerate().map(|(row, query)| {
            let excuse = |(column, place): (usize, &u32)| {
                let own = column == row;
                let refused = || guards.objection(examples, *query, *place).is_some();
                f32::from(u8::from(!own && (absent(column) || refused())))
            };
            places.iter().enumerate().map(excuse).collect::<Vec<f32>>()
        });
        rows.collect::<Vec<_>>().concat()
    }

    /// The teacher's scores, (B, 1 + n).
    fn taught(&self, batch: &Batch, teacher: &Teacher) -> Vec<f32> {
        let pairs = batch.queries.iter().zip(&batch.positives);
        let rows = pairs.enumerate().map(|(row, (query, positive))| {
            let negatives = &self.negatives[row * self.n..(row + 1) * self.n];
            let passages = std::iter::once(positive).chain(negatives);
            passages
                .map(|p| teacher.score(*query, *p))
                .collect::<Vec<f32>>()
        });
        rows.collect::<Vec<_>>().concat()
    }
}

/// An encoder whose scores are the target of the loss.
pub struct Teacher {
    dimension: usize,
    queries: Vec<f32>,
    passages: Vec<f32>,
    scale: f32,
}

impl Teacher {
    /// Encodes all texts once. `scale` is the factor of its scores.
    ///
    /// # Errors
    /// The encoder, or the caller's cancel flag.
    pub fn new(
        encoder: &dyn Encoder,
        examples: &Examples,
        scale: f32,
        task: Task<'_>,
    ) -> Result<Self, EncodeError> {
        let queries: Vec<&str> = examples.queries.iter().map(|q| q.text.as_str()).collect();
        let queries = encoder.encode(&queries, Role::Query, task)?;
        let passages = encoder.encode(&examples.texts(), Role::Passage, task)?;
        Ok(Self {
            dimension: queries.dimension,
            queries: queries.values,
            passages: passages.values,
            scale,
        })
    }

    fn score(&self, query: u32, passage: u32) -> f32 {
        let row = |place: u32| {
            let start = place as usize * self.dimension;
            start..start + self.dimension
        };
        let (q, p) = (&self.queries[row(query)], &self.passages[row(passage)]);
        self.scale * q.iter().zip(p).map(|(q, p)| q * p).sum::<f32>()
    }
}
