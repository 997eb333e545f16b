//! What can be set about a training run, and what is it if nobody sets it?
//!
//! One flat structure, so that a file, the command line and the log name a setting alike. A preset comes with each
//! [`Method`]; a file or the command line changes single settings of it.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::encoder::{Fused, Precision, TrainEncoder};
use crate::gate::GateConfig;
use crate::guards::GuardConfig;
use crate::loss::Objective;
use crate::negatives::Method;
use crate::optim::{Algorithm, OptimizerConfig};

/// What computes on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compute {
    /// The fastest way that passes the test of the device.
    #[default]
    Auto,
    /// Kernels of our own, activations in f16, weights and sums in f32.
    F16,
    /// Kernels of our own in f32.
    F32,
    /// burn's plain operations in f32.
    Plain,
}

impl Compute {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F16, Self::F32, Self::Plain];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Plain => "plain",
        }
    }

    /// The fastest of it that this model and device can run, tested or not; `None` for plain operations.
    pub fn fastest(
        self,
        encoder: &TrainEncoder,
        device: &Device,
    ) -> Option<(Arc<Fused>, Precision)> {
        let ways = self.ways();
        ways.into_iter()
            .find_map(|way| way.kernels(encoder, device))?
    }

    /// What may be tried, the fastest first.
    pub(crate) fn ways(self) -> Vec<Way> {
        let own = |precision| Way(Some(precision));
        match self {
            Self::Auto => vec![own(Precision::F16), own(Precision::F32), Way(None)],
            Self::F16 => vec![own(Precision::F16)],
            Self::F32 => vec![own(Precision::F32)],
            Self::Plain => vec![Way(None)],
        }
    }
}

/// One way of computing: kernels of our own with activations of this precision, or plain operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way(Option<Precision>);

impl Way {
    /// What runs it; `None` if this model or device cannot.
    #[allow(clippy::type_complexity)]
    pub(crate) fn kernels(
        self,
        encoder: &TrainEncoder,
        device: &Device,
    ) -> Option<Option<(Arc<Fused>, Precision)>> {
        match self.0 {
            None => Some(None),
            Some(precision) => {
                let able = precision == Precision::F32 || device.supports_dtype(DType::F16);
                let fused = able.then(|| encoder.kernels(device)).flatten()?;
                Some(Some((fused, precision)))
            }
        }
    }

    /// What it is called in front of people.
    pub(crate) fn name(self) -> &'static str {
        self.0.map_or("plain operations", Precision::name)
    }
}

/// Every setting of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Where negatives come from. Default `ance`: the index of the encoder itself, with in-batch negatives.
    pub method: Method,
    /// What is minimised. Preset by the method: with in-batch negatives where it has them, else pairwise as in the paper.
    pub objective: Objective,
    /// Factor of every score in the loss, above 0. Default `null`: 20 for unit vectors (a temperature of .05), 1 for others.
    pub scale: Option<f64>,
    /// Prefix lengths that must work by themselves, 1 or more each (Matryoshka). Default none.
    pub matryoshka: Vec<usize>,
    /// Put the paper's head (Linear, LayerNorm) after pooling, drawn at random, in place of what the model has there.
    /// Default no: it undoes what a trained encoder knows. For encoders that start from a language model.
    pub ance_head: bool,
    /// Folder of an encoder whose scores are the target of `margin-mse` and `distil`. Default none.
    pub teacher: Option<PathBuf>,

    /// Negatives a pair of query and positive, 1 or more. Default 1, as in the paper.
    pub negatives: usize,
    /// Best passages of a source that negatives are drawn from, 1 or more. Default 200, as in the paper.
    pub depth: usize,
    /// What no negative may be. Default: see [`GuardConfig`].
    pub guards: GuardConfig,
    /// How the corpus is searched for negatives. Default `auto`.
    pub index: IndexChoice,
    /// Share of the true best that a search in an IVF-PQ index should find, 0 to 1. Default .9: drawing evenly from 200
    /// does not mind the rest.
    pub target_recall: f32,
    /// Steps on BM25 negatives alone before the method's own. Default 0: the encoders people have are past that.
    pub bm25_steps: u64,

    /// Rule of the updates. Default `adam-w`; `lamb` is the paper's, for large batches.
    pub optimizer: Algorithm,
    /// Highest learning rate, above 0. Default `null`: 2e-5 for a transformer with AdamW, 1e-6 with LAMB (the paper), 2e-3
    /// for the static family, whose rows move only when their token is read.
    pub learning_rate: Option<f64>,
    /// Share of all steps in which the rate rises to its highest, 0 to 1; then it falls to 0. Default .1.
    pub warm_up: f64,
    /// Decay of matrices and tables, 0 or more. Default 0, as in the reference code.
    pub weight_decay: f64,
    /// Longest gradient, above 0; longer ones are shortened. Default 1.
    pub clip: f64,
    /// Dropout of hidden activations and attention, 0 to below 1. Default `null`: what the model's config.json says.
    pub dropout: Option<f64>,
    /// Times every pair is seen, above 0. Default 3.
    pub epochs: f64,
    /// Most steps, 1 or more. Default `null`: what `epochs` comes to.
    pub max_steps: Option<u64>,
    /// Most pairs, chosen once, 1 or more. Default `null`: all. For data with hundreds of positives a query.
    pub max_pairs: Option<usize>,
    /// Pairs a step, 1 or more. Default 64.
    pub batch: usize,
    /// Pairs encoded at once, 1 or more. Default `null`: the whole batch. Smaller ones give the same gradient in less memory,
    /// for one more forward pass where the loss couples queries.
    pub micro_batch: Option<usize>,
    /// Compute cheap activations again in the backward pass, for less memory. Default no.
    pub checkpoint_activations: bool,
    /// What computes on a GPU: `f16`, `f32` (kernels of our own) or `plain` (burn's operations). Default `auto`: the first
    /// of them that agrees with the CPU on a few of the run's own texts.
    pub compute: Compute,
    /// Longest query in training, in tokens, 8 or more. Default 64, as in the paper.
    pub query_tokens: usize,
    /// Longest passage in training, in tokens, 8 or more. Default 256: most gain of 512 at half its cost.
    pub passage_tokens: usize,
    /// Vectors a long document may have, 1 or more; above 1 a document scores as its best chunk does (MaxP). Default 1
    /// (FirstP).
    pub chunks: usize,

    /// Steps between two encodings of the corpus: new negatives, dev scores, a checkpoint. 1 or more. Default 100.
    pub refresh_every: u64,
    /// Whether training waits for the encoding. Default `auto`.
    pub refresh: RefreshMode,
    /// Most steps that negatives may be behind; training waits then. Default `null`: twice `refresh_every`.
    pub max_staleness: Option<u64>,
    /// Checkpoints kept, 1 or more. Default 2.
    pub keep_checkpoints: usize,

    /// Share of the training queries that only choose between checkpoints, 0 to below 1; data with a dev split needs none.
    /// Default .1.
    pub held_out: f64,
    /// Most dev queries. Default 500.
    pub dev_at_most: usize,
    /// When the result is taken on. Default: see [`GateConfig`].
    pub gate: GateConfig,
    /// Seed of everything random. Default 0.
    pub seed: u64,
}

/// How the corpus is searched for negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexChoice {
    /// Exactly below [`EXACT_BELOW`] passages, by IVF-PQ from there on.
    #[default]
    Auto,
    /// Every vector.
    Exact,
    /// The served index.
    Ivfpq,
}

/// Passages from which on building an index costs less than it saves.
pub const EXACT_BELOW: usize = 50_000;

impl IndexChoice {
    /// Whether a corpus of `passages` is searched by an index.
    pub fn builds_index(self, passages: usize) -> bool {
        match self {
            Self::Auto => passages >= EXACT_BELOW,
            Self::Exact => false,
            Self::Ivfpq => true,
        }
    }
}

/// Whether training waits for the encoding of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefreshMode {
    /// `synchronous`: on one device the two only slow each other down, and a run can be repeated.
    #[default]
    Auto,
    /// Training waits, and the device that trains encodes.
    Synchronous,
    /// The CPU encodes a recent checkpoint while a GPU trains on, as in the paper.
    Asynchronous,
}

/// A setting is out of range.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not what it should be.
    #[error(
        "the configuration cannot be read: {0}; see what `--dry-run` prints for the names and forms of all settings"
    )]
    Syntax(#[from] serde_json::Error),
    /// A value that makes no sense.
    #[error("{name} is {value}; it has to be {range}")]
    Range {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is possible.
        range: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self::preset(Method::Ance)
    }
}

impl TrainConfig {
    /// The settings that come with `method`.
    pub fn preset(method: Method) -> Self {
        let objective = match (method.in_batch(), method) {
            (true, Method::Inbatch) => Objective::InBatch,
            (true, _) => Objective::InBatchAndMined,
            (false, _) => Objective::Pairwise,
        };
        Self {
            method,
            objective,
            scale: None,
            matryoshka: Vec::new(),
            ance_head: false,
            teacher: None,
            negatives: 1,
            depth: 200,
            guards: GuardConfig::default(),
            index: IndexChoice::Auto,
            target_recall: 0.9,
            bm25_steps: 0,
            optimizer: Algorithm::AdamW,
            learning_rate: None,
            warm_up: 0.1,
            weight_decay: 0.0,
            clip: 1.0,
            dropout: None,
            epochs: 3.0,
            max_steps: None,
            max_pairs: None,
            batch: 64,
            micro_batch: None,
            checkpoint_activations: false,
            compute: Compute::Auto,
            query_tokens: 64,
            passage_tokens: 256,
            chunks: 1,
            refresh_every: 100,
            refresh: RefreshMode::Auto,
            max_staleness: None,
            keep_checkpoints: 2,
            held_out: 0.1,
            dev_at_most: 500,
            gate: GateConfig::default(),
            seed: 0,
        }
    }

    /// Settings from JSON: those of the preset of its `method` (or the default one) but for what it names.
    ///
    /// # Errors
    /// Not JSON, an unknown name, a value of another form.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let given: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
        let method = match given.get("method") {
            Some(method) => serde_json::from_value(method.clone())?,
            None => Method::Ance,
        };
        let mut whole = serde_json::to_value(Self::preset(method))?;
        if let Some(settings) = whole.as_object_mut() {
            settings.extend(given);
        }
        Ok(serde_json::from_value(whole)?)
    }

    /// Checks the settings against their ranges and each other.
    ///
    /// # Errors
    /// The first that does not fit, by name.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_counts()?;
        let real = |name, value: f64, fits: bool, range| {
            let fits = fits && value.is_finite();
            fits.then_some(()).ok_or_else(|| ConfigError::Range {
                name,
                value: value.to_string(),
                range,
            })
        };
        let rate = self.learning_rate.unwrap_or(1.0);
        real("learning_rate", rate, rate > 0.0, "above 0")?;
        let scale = self.scale.unwrap_or(1.0);
        real("scale", scale, scale > 0.0, "above 0")?;
        real("clip", self.clip, self.clip > 0.0, "above 0")?;
        real("epochs", self.epochs, self.epochs > 0.0, "above 0")?;
        real(
            "weight_decay",
            self.weight_decay,
            self.weight_decay >= 0.0,
            "0 or more",
        )?;
        let share = (0.0..=1.0).contains(&self.warm_up);
        real("warm_up", self.warm_up, share, "from 0 to 1")?;
        let dropout = self.dropout.unwrap_or(0.0);
        real(
            "dropout",
            dropout,
            (0.0..1.0).contains(&dropout),
            "from 0 to below 1",
        )?;
        let recall = f64::from(self.target_recall);
        real(
            "target_recall",
            recall,
            recall > 0.0 && recall <= 1.0,
            "above 0 and at most 1",
        )?;
        self.check_conflicts()
    }

    fn check_counts(&self) -> Result<(), ConfigError> {
        let counts = [
            ("negatives", self.negatives as u64, 1),
            ("depth", self.depth as u64, 1),
            ("batch", self.batch as u64, 1),
            ("micro_batch", self.micro_batch.unwrap_or(1) as u64, 1),
            ("max_steps", self.max_steps.unwrap_or(1), 1),
            ("max_pairs", self.max_pairs.unwrap_or(1) as u64, 1),
            ("query_tokens", self.query_tokens as u64, 8),
            ("passage_tokens", self.passage_tokens as u64, 8),
            ("chunks", self.chunks as u64, 1),
            ("refresh_every", self.refresh_every, 1),
            ("keep_checkpoints", self.keep_checkpoints as u64, 1),
            (
                "matryoshka",
                self.matryoshka.iter().copied().min().unwrap_or(1) as u64,
                1,
            ),
        ];
        match counts.into_iter().find(|(_, value, least)| value < least) {
            None => Ok(()),
            Some((name, value, least)) => Err(ConfigError::Range {
                name,
                value: value.to_string(),
                range: if least == 1 { "1 or more" } else { "8 or more" },
            }),
        }
    }

    fn check_conflicts(&self) -> Result<(), ConfigError> {
        let mined = self.objective.uses_negatives();
        let conflict = if self.objective.needs_teacher() && self.teacher.is_none() {
            "this objective needs `teacher`: the folder of an encoder whose scores are its target"
        } else if mined && self.method == Method::Inbatch {
            "method inbatch has no mined negatives, which this objective needs; choose objective in-batch"
        } else if !mined && self.method != Method::Inbatch {
            "objective in-batch looks at no mined negatives; choose method inbatch, or objective in-batch-and-mined"
        } else {
            return Ok(());
        };
        Err(ConfigError::Conflict(conflict))
    }

    /// The highest learning rate for an encoder of `family`.
    pub fn rate(&self, family: &str) -> f64 {
        self.learning_rate
            .unwrap_or(match (family, self.optimizer) {
                ("static", _) => 2e-3,
                (_, Algorithm::AdamW) => 2e-5,
                (_, Algorithm::Lamb) => 1e-6,
            })
    }

    /// The factor of scores for an encoder whose vectors have unit length or not.
    pub fn scale(&self, unit: bool) -> f64 {
        self.scale.unwrap_or(if unit { 20.0 } else { 1.0 })
    }

    /// Steps that negatives may be behind.
    pub fn staleness(&self) -> u64 {
        self.max_staleness.unwrap_or(2 * self.refresh_every)
    }

    /// Settings of the optimiser.
    pub fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            weight_decay: self.weight_decay,
            ..OptimizerConfig::new(self.optimizer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_in_range_and_survives_json() {
        for method in Method::ALL {
            let preset = TrainConfig::preset(method);
            preset.check().expect("a preset in range");
            let text = serde_json::to_string(&preset).expect("JSON");
            assert_eq!(
                TrainConfig::from_json(&text).expect("what was written"),
                preset
            );
        }
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = r#"{"method": "inbatch", "batch": 8, "learning_rate": 1e-4}"#;
        let config = TrainConfig::from_json(text).expect("settings");
        assert_eq!((config.batch, config.objective), (8, Objective::InBatch));
        assert_eq!(config.rate("bert"), 1e-4);
        assert!(TrainConfig::from_json(r#"{"bach": 8}"#).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let refused = |text: &str| {
            let config = TrainConfig::from_json(text).expect("settings");
            config.check().expect_err("out of range").to_string()
        };
        assert!(refused(r#"{"batch": 0}"#).contains("batch is 0"));
        assert!(refused(r#"{"clip": 0.0}"#).contains("clip is 0"));
        assert!(refused(r#"{"dropout": 1.0}"#).contains("dropout is 1"));
        assert!(refused(r#"{"objective": "margin-mse"}"#).contains("teacher"));
        assert!(refused(r#"{"method": "inbatch", "objective": "pairwise"}"#).contains("inbatch"));
    }
}
