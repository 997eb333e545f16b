//! How many texts a second does this device train on?
//!
//! Steps as a run takes them, forward, backward, clipping and AdamW with in-batch negatives, on texts of random tokens:
//! half of them queries, half their passages, every third a quarter shorter than the others.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use storage::{Cancelled, Task};

use crate::config::Compute;
use crate::device::{self, Choice, DeviceError};
use crate::encoder::{Buckets, OpenOptions, Tokens, TrainEncoder};
use crate::loss::{Labels, Loss, Objective};
use crate::optim::{Algorithm, Optimizer, OptimizerConfig};
use crate::step::{StepError, StepInput, StepSettings, Stepper};

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Texts a step, at least 2.
    pub batch: usize,
    /// Tokens of a text, at least 1.
    pub length: usize,
    /// Steps that are timed, at least 1; three go before them.
    pub steps: u64,
    /// What computes, untested.
    pub compute: Compute,
    /// Where.
    pub device: Choice,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// Name of the device.
    pub device: String,
    /// What computed: "f16 kernels", "f32 kernels" or "plain operations".
    pub by: &'static str,
    /// Texts a second.
    pub sequences_per_second: f64,
    /// Seconds of the first three steps, compiling and tuning included.
    pub first_steps_s: f64,
    /// Loss of the last step.
    pub loss: f32,
}

/// Measuring failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpeedError {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] engine::encoder::ModelError),
    /// The device failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Steps before those that are timed.
const FIRST: u64 = 3;

/// Trains the encoder in `model` on random texts, and forgets it.
///
/// # Errors
/// No such device, a model that cannot be opened, a device that fails, or the caller's cancel flag.
pub fn measure(model: &Path, load: Load, task: Task<'_>) -> Result<Speed, SpeedError> {
    let opened = device::open(load.device)?;
    let options = OpenOptions {
        ance_head: false,
        seed: 0,
        buckets: Buckets::Coarse,
    };
    let (encoder, values) = TrainEncoder::open(model, options)?;
    let encoder = Arc::new(encoder);
    let optimizer = Optimizer::new(
        OptimizerConfig::new(Algorithm::AdamW),
        encoder.layout(),
        &opened.device,
    );
    let settings = settings(&encoder);
    let way = load.compute.fastest(&encoder, &opened.device);
    let by = way.as_ref().map_or("plain operations", |w| w.1.name());
    let mut stepper = Stepper::new(
        Arc::clone(&encoder),
        &values,
        optimizer,
        &opened.device,
        settings,
    );
    stepper.use_kernels(way);
    let words = encoder.layout().entries().first().map_or(1, |e| e.shape[0]);
    let length = load.length.clamp(1, encoder.max_tokens());
    let input = input(load.batch.max(2), length, words);
    let (mut begun, mut first, mut loss) = (Instant::now(), 0.0, 0.0);
    for step in 0..FIRST + load.steps {
        task.check()?;
        if step == FIRST {
            first = begun.elapsed().as_secs_f64();
            begun = Instant::now();
        }
        loss = stepper.step(&input, 2e-5, step)?.loss;
        task.report("training", step + 1, FIRST + load.steps);
    }
    let texts = (input.queries.len() + input.positives.len()) as f64;
    Ok(Speed {
        device: opened.name,
        by,
        sequences_per_second: texts * load.steps as f64 / begun.elapsed().as_secs_f64(),
        first_steps_s: first,
        loss,
    })
}

fn settings(encoder: &TrainEncoder) -> StepSettings {
    let dropout = encoder.dropout();
    StepSettings {
        loss: Loss {
            objective: Objective::InBatch,
            scale: 20.0,
            unit: encoder.normalizes(),
            prefixes: Vec::new(),
        },
        micro_batch: usize::MAX,
        clip: 1.0,
        dropout: [dropout.hidden, dropout.attention],
        checkpoint_activations: false,
        seed: 0,
        buckets: Buckets::Coarse,
    }
}

/// Texts of tokens below `words`.
fn input(batch: usize, length: usize, words: usize) -> StepInput {
    let text = |row: usize| {
        let length = match row % 3 {
            0 => length - length / 4,
            _ => length,
        };
        let id = |i: usize| ((row * 7919 + i * 104_729) % words) as u32;
        Tokens {
            ids: (0..length).map(id).collect(),
            skipped: 0,
        }
    };
    let half = batch / 2;
    StepInput {
        queries: (0..half).map(text).collect(),
        positives: (half..2 * half).map(text).collect(),
        negatives: Vec::new(),
        labels: Labels {
            present: Vec::new(),
            excused: vec![0.0; half * half],
            teacher: None,
        },
    }
}

#[cfg(test)]
mod tests;
