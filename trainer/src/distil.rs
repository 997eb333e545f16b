//! How does a transformer become a table of token vectors that is read a thousand times faster?
//!
//! Three steps, each on the CPU in minutes. `teacher`: the transformer encodes every token of its vocabulary by itself, the
//! passages' beginnings and the training queries; the leading principal axes of these vectors are the table's dimensions, and
//! a token counts the less the more often it occurs (Arora et al. 2017; the recipe is model2vec's). `copy`: the table is
//! moved until texts have the vectors, and the likenesses to each other, that the transformer gives them. `contrast`: it is
//! moved on until training queries find their passages among those of the batch and among those that the table itself
//! wrongly finds near (ANCE), while it is still held to the transformer's vectors; the copy it began from says which of them may be
//! answers that nobody marked. What is written is whole numbers of 8
//! bits and a weight a token.

use std::path::{Path, PathBuf};

use engine::encoder::blueprint::StaticTokens;
use engine::encoder::{EncodeError, Encoder, ModelError};
use serde::{Deserialize, Serialize};
use storage::{Cancelled, StorageError, Task};

use crate::encoder::SaveError;
use crate::examples::ExamplesError;
use crate::gate;
use crate::pairs::PairsError;

mod axes;
mod contrast;
mod lessons;
mod mine;
mod products;
mod table;
mod teacher;
#[cfg(test)]
mod tests;
mod write;

use contrast::Contrast;
use lessons::Lessons;
use table::Table;

/// Every setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistilConfig {
    /// Length of a vector, from 8 to the teacher's. Default 256.
    pub dimension: usize,
    /// Letters of a passage that the teacher reads, 40 or more. Default 240: the time is the teacher's.
    pub passage_letters: usize,
    /// Most passages, evenly spaced, that the teacher reads of a data set without training queries; of others it reads all.
    /// Default 1,000.
    pub passages_at_most: usize,
    /// Tokens of a passage that are learned from, 8 or more. Default 256.
    pub passage_tokens: usize,
    /// Times every text is seen while the teacher's vectors are copied. Default 3.
    pub copy_epochs: usize,
    /// Times every pair is seen while queries are held against passages. Default 3.
    pub pair_epochs: usize,
    /// Most pairs of one data set in an epoch, drawn anew each time. Default 12,000.
    pub pairs_at_most: usize,
    /// Whether the texts' own structure asks as well (titles, headings, sentences). Default yes.
    pub structure: bool,
    /// Texts, or pairs, a step. Default 512.
    pub batch: usize,
    /// Highest learning rate while the vectors are copied; it falls to 0. Default 2e-3.
    pub copy_rate: f32,
    /// Highest learning rate while queries are held against passages; it falls to 0. Default 1e-3.
    pub pair_rate: f32,
    /// Factor of scores in the losses. Default 20.
    pub scale: f32,
    /// Weight of the likenesses between texts beside their vectors while copying. Default .5.
    pub likeness: f32,
    /// Weight of the teacher's vectors while queries are held against passages. Default 1.
    pub hold: f32,
    /// Best passages that a query's mined negative is drawn from; 0 mines none. Default 50.
    pub depth: usize,
    /// A passage is no negative if the table that copied the teacher scores it this share of the positive or more. Default
    /// .95.
    pub margin: f32,
    /// Seed of everything random. Default 0.
    pub seed: u64,
}

impl Default for DistilConfig {
    fn default() -> Self {
        Self {
            dimension: 256,
            passage_letters: 240,
            passages_at_most: 1000,
            passage_tokens: 256,
            copy_epochs: 3,
            pair_epochs: 3,
            pairs_at_most: 12_000,
            structure: true,
            batch: 512,
            copy_rate: 2e-3,
            pair_rate: 1e-3,
            scale: 20.0,
            likeness: 0.5,
            hold: 1.0,
            depth: 50,
            margin: 0.95,
            seed: 0,
        }
    }
}

/// What to make a table of, and from what.
pub struct Job<'a> {
    /// Settings.
    pub config: DistilConfig,
    /// The transformer.
    pub teacher: &'a dyn Encoder,
    /// Its folder: the table reads texts with its tokenizer.
    pub teacher_dir: &'a Path,
    /// Data sets in BEIR layout. One without training queries gives its texts alone. Test queries are never read.
    pub sets: &'a [PathBuf],
    /// Folder of the run: the teacher's vectors, which another run on the same texts reads again, and `model`.
    pub out: &'a Path,
    /// Told of every epoch.
    pub observe: &'a (dyn Fn(&Epoch) + Sync),
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Epoch {
    /// "start", "copy", "contrast" or "whole numbers".
    pub stage: &'static str,
    /// Counted from 1 in each stage.
    pub epoch: usize,
    /// Mean loss of the epoch; none where nothing was trained.
    pub loss: Option<f32>,
    /// nDCG@10 on the dev queries of each set that has them.
    pub dev: Vec<(String, f64)>,
}

impl Epoch {
    /// Mean of `dev`; 0 without.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.dev.iter().map(|(_, ndcg)| ndcg).sum();
        sum / self.dev.len().max(1) as f64
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Folder of the encoder.
    pub model: PathBuf,
    /// Texts that the teacher encoded, now or in an earlier run, and pairs that were learned from.
    pub texts: usize,
    /// See `texts`.
    pub pairs: usize,
    /// Tokens with a vector.
    pub tokens: usize,
    /// The last epoch: the table as it was written.
    pub last: Epoch,
}

/// No table was made. The teacher's vectors stay in the run's folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistilError {
    /// A setting is out of range.
    #[error("{name} is {value}; it has to be {range}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is possible.
        range: String,
    },
    /// Nothing to learn from.
    #[error(
        "no data set was given; name folders in BEIR layout (corpus.jsonl, queries.jsonl, qrels/train.tsv)"
    )]
    NoSets,
    /// The teacher's file of tokens.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A data set.
    #[error(transparent)]
    Examples(#[from] ExamplesError),
    /// A data set's texts.
    #[error(transparent)]
    Pairs(#[from] PairsError),
    /// The teacher.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The disk.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The table cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl DistilError {
    /// Whether the caller asked for it.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled(_)
                | Self::Encode(EncodeError::Cancelled(_))
                | Self::Storage(StorageError::Cancelled(_))
        )
    }
}

/// Makes a table of `job.teacher` and writes it to the folder `model` of the run.
///
/// # Errors
/// See [`DistilError`].
pub fn distil(job: &Job<'_>, task: Task<'_>) -> Result<Outcome, DistilError> {
    let config = &job.config;
    check(config, job.teacher.identity().dimension)?;
    let tokens = StaticTokens::open(job.teacher_dir)?;
    let lessons = Lessons::read(job.sets, &tokens, config, task)?;
    let taught = teacher::Vectors::new(job, &lessons, task)?;
    let vocabulary = tokens.vocabulary();
    let alone = teacher::alone(job.teacher, &vocabulary, task)?;
    let axes = axes::leading(&taught.values, taught.width, config.dimension)?;
    let wanted = axes.unit_rows(&taught.values);
    let mut table = Table::new(axes.rows(&centred(&alone, taught.width)), config.dimension);
    table.weigh(&lessons.frequencies(vocabulary.len()));

    let tell = |stage, epoch, loss, table: &Table| -> Result<Epoch, DistilError> {
        let dev = lessons.score(table, task)?;
        let epoch = Epoch {
            stage,
            epoch,
            loss,
            dev,
        };
        (job.observe)(&epoch);
        Ok(epoch)
    };
    tell("start", 0, None, &table)?;
    let contrast = Contrast::new(config, &lessons, &wanted);
    for epoch in 1..=config.copy_epochs {
        let loss = contrast.copy(&mut table, epoch, task)?;
        tell("copy", epoch, Some(loss), &table)?;
    }
    table.forget_moments();
    let judge = mine::Judge::new(&table, &lessons, config.margin);
    for epoch in 1..=config.pair_epochs {
        let mined = mine::negatives(&table, &lessons, &judge, config.depth, task)?;
        let loss = contrast.pairs(&mut table, &mined, &judge, epoch, task)?;
        tell("contrast", epoch, Some(loss), &table)?;
    }
    let model = job.out.join("model");
    write::model(&table, job.teacher_dir, &model)?;
    let last = tell("whole numbers", 1, None, &table.rounded())?;
    Ok(Outcome {
        model,
        texts: taught.values.len() / taught.width,
        pairs: lessons.pairs(),
        tokens: vocabulary.iter().filter(|token| !token.is_empty()).count(),
        last,
    })
}

fn check(config: &DistilConfig, widest: usize) -> Result<(), DistilError> {
    let counts = [
        ("dimension", config.dimension, 8, widest),
        ("passage_letters", config.passage_letters, 40, usize::MAX),
        ("passages_at_most", config.passages_at_most, 1, usize::MAX),
        ("passage_tokens", config.passage_tokens, 8, usize::MAX),
        ("pairs_at_most", config.pairs_at_most, 1, usize::MAX),
        ("batch", config.batch, 2, 8192),
    ];
    for (name, value, least, most) in counts {
        if !(least..=most).contains(&value) {
            return Err(DistilError::Range {
                name,
                value: value.to_string(),
                range: match most {
                    usize::MAX => format!("{least} or more"),
                    _ => format!("from {least} to {most}"),
                },
            });
        }
    }
    let factors = [
        ("copy_rate", config.copy_rate),
        ("pair_rate", config.pair_rate),
        ("scale", config.scale),
    ];
    match factors
        .into_iter()
        .find(|(_, v)| !v.is_finite() || *v <= 0.0)
    {
        None => Ok(()),
        Some((name, value)) => Err(DistilError::Range {
            name,
            value: value.to_string(),
            range: "above 0".to_owned(),
        }),
    }
}

/// `rows` of `width` numbers less their mean, where they are not zero.
fn centred(rows: &[f32], width: usize) -> Vec<f32> {
    let present: Vec<&[f32]> = rows
        .chunks_exact(width)
        .filter(|row| row.iter().any(|v| *v != 0.0))
        .collect();
    let mut mean = vec![0.0f32; width];
    for row in &present {
        mean.iter_mut().zip(*row).for_each(|(m, v)| *m += v);
    }
    let n = present.len().max(1) as f32;
    let mut out = rows.to_vec();
    for row in out.chunks_exact_mut(width) {
        if row.iter().any(|v| *v != 0.0) {
            row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m / n);
        }
    }
    out
}

/// Mean nDCG@10 of `rankings` for the dev queries of `examples`.
fn ndcg(examples: &crate::examples::Examples, rankings: &[Vec<(u32, f32)>]) -> f64 {
    gate::score(examples, &examples.dev, rankings).0.mean()
}
