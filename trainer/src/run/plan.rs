//! What is a run going to do, and what will it take?

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Job, mixture, open_model, sampler, steps};
use crate::config::TrainConfig;
use crate::device::{self, Opened};
use crate::encoder::TrainEncoder;
use crate::error::TrainError;
use crate::examples::Examples;
use crate::sampler::Sampler;

/// A run that is not begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every setting by name, those that were left open filled in, and what they meet: device, parameters, texts.
    pub settings: Value,
    /// Steps in all.
    pub steps: u64,
    /// Times the corpus is encoded, the start and the end included.
    pub encodings: u64,
    /// What it takes on the device that trains.
    pub memory: Memory,
}

/// An estimate, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Weights, gradient and the two moments.
    pub parameters: u64,
    /// What the forward pass keeps for the backward pass, for batches of the longest texts.
    pub activations: u64,
    /// Vectors of the corpus, on disk and mapped.
    pub vectors: u64,
}

impl Plan {
    /// What `job` is going to do. Nothing is written.
    ///
    /// # Errors
    /// What would keep the run from beginning.
    pub fn of(job: &Job<'_>) -> Result<Self, TrainError> {
        let config = &job.config;
        config.check()?;
        let device = device::open(job.device)?;
        let (encoder, _) = open_model(job.model, config, &device)?;
        let mixture = mixture(config, encoder.normalizes())?;
        let sampler = sampler(config, &job.examples, &mixture)?;
        let steps = steps(config, &sampler);
        Ok(Self {
            settings: resolved(config, &encoder, &device, &job.examples, &sampler),
            steps,
            encodings: 1 + steps.div_ceil(config.refresh_every),
            memory: memory(config, &encoder, &job.examples),
        })
    }
}

/// The settings with what they come to.
pub(super) fn resolved(
    config: &TrainConfig,
    encoder: &TrainEncoder,
    device: &Opened,
    examples: &Examples,
    sampler: &Sampler,
) -> Value {
    // Through text, which writes an f32 as short as it is: .8 and not .800000011920929.
    let text = serde_json::to_string(config).unwrap_or_default();
    let mut settings: Value = serde_json::from_str(&text).unwrap_or_default();
    let dropout = encoder.dropout();
    let more = json!({
        "learning_rate": config.rate(encoder.family()),
        "scale": config.scale(encoder.normalizes()),
        "dropout": config.dropout.unwrap_or(dropout.hidden),
        "max_staleness": config.staleness(),
        "micro_batch": config.micro_batch.unwrap_or(config.batch),
        "device": device.name,
        "family": encoder.family(),
        "dimension": encoder.dimension(),
        "parameters": encoder.layout().count(),
        "pairs": sampler.pairs(),
        "queries": examples.queries.len(),
        "passages": examples.passages.len(),
        "dev_queries": examples.dev.len(),
        "dev_source": examples.dev_source,
    });
    if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
        settings.extend(more);
    }
    settings
}

/// Numbers are f32. Activations are those of the plain operations: about 16 H + 2 F a token and layer, and three times the
/// attention scores.
fn memory(config: &TrainConfig, encoder: &TrainEncoder, examples: &Examples) -> Memory {
    let [layers, hidden, heads, wide] = encoder.sizes().map(|n| n as u64);
    let pairs = config.micro_batch.unwrap_or(config.batch).min(config.batch) as u64;
    let negatives = if config.objective.uses_negatives() {
        config.negatives as u64
    } else {
        0
    };
    let texts = [
        (pairs, config.query_tokens),
        (pairs * (1 + negatives), config.passage_tokens),
    ];
    let kept: u64 = texts
        .iter()
        .map(|(texts, longest)| {
            let length = (*longest).min(encoder.max_tokens()) as u64;
            let token = 16 * hidden + 2 * wide + 3 * heads * length;
            texts * length * (layers * token + 4 * hidden)
        })
        .sum();
    Memory {
        parameters: 4 * 5 * encoder.layout().count() as u64,
        activations: 4 * kept,
        vectors: 4 * (examples.passages.len() * encoder.dimension()) as u64,
    }
}
