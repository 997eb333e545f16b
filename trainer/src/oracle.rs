//! What do the tests of this crate share? The tiny models of the repository and what PyTorch computed for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use engine::encoder::Role;
use serde::Deserialize;

use crate::encoder::{Buckets, OpenOptions, Tokens, TrainEncoder};
use crate::loss::{Labels, Loss, Objective};
use crate::optim::{Algorithm, Optimizer, OptimizerConfig};
use crate::step::{StepInput, StepSettings, Stepper};

/// Models of tests/golden/encoder that PyTorch was asked about.
pub(crate) const MODELS: [&str; 4] = ["bert", "roberta", "distilbert", "static"];

/// `golden/expected.json`.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) queries: Vec<String>,
    pub(crate) positives: Vec<String>,
    pub(crate) negatives: Vec<String>,
    pub(crate) rate: f64,
    pub(crate) decay: f64,
    pub(crate) models: std::collections::BTreeMap<String, GoldenModel>,
}

#[derive(Deserialize)]
pub(crate) struct GoldenModel {
    pub(crate) scale: f64,
    pub(crate) in_batch: f64,
    pub(crate) pairwise: f64,
    /// Norm of each parameter's gradient, by its name in PyTorch.
    pub(crate) norms: std::collections::BTreeMap<String, f64>,
    pub(crate) steps: Vec<f64>,
}

pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

pub(crate) fn golden() -> Golden {
    let text = std::fs::read(golden_dir().join("expected.json")).expect("the golden file");
    serde_json::from_slice(&text).expect("what make.py writes")
}

/// A tiny model of the repository.
pub(crate) fn model_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/encoder")
        .join(name)
}

pub(crate) const PLAIN: OpenOptions = OpenOptions {
    ance_head: false,
    seed: 0,
    buckets: Buckets::Fine,
};

pub(crate) fn open(name: &str) -> (Arc<TrainEncoder>, Vec<f32>) {
    let (encoder, values) = TrainEncoder::open(&model_dir(name), PLAIN).expect("a golden model");
    (Arc::new(encoder), values)
}

pub(crate) fn tokens(encoder: &TrainEncoder, texts: &[String], role: Role) -> Vec<Tokens> {
    texts
        .iter()
        .map(|t| encoder.tokens(t, role, 64).expect("a text"))
        .collect()
}

/// Labels of B queries with N negatives each, no passage excused but a query's own.
pub(crate) fn plain_labels(b: usize, n: usize) -> Labels {
    Labels {
        present: vec![1.0; b * n],
        excused: vec![0.0; b * (b + b * n)],
        teacher: None,
    }
}

/// The golden batch for `encoder`.
pub(crate) fn golden_input(encoder: &TrainEncoder, golden: &Golden) -> StepInput {
    let n = golden.negatives.len() / golden.queries.len();
    StepInput {
        queries: tokens(encoder, &golden.queries, Role::Query),
        positives: tokens(encoder, &golden.positives, Role::Passage),
        negatives: tokens(encoder, &golden.negatives, Role::Passage),
        labels: plain_labels(golden.queries.len(), n),
    }
}

pub(crate) fn settings(objective: Objective, scale: f64) -> StepSettings {
    StepSettings {
        loss: Loss {
            objective,
            scale,
            unit: true,
            prefixes: Vec::new(),
        },
        micro_batch: usize::MAX,
        clip: 1.0,
        dropout: [0.0, 0.0],
        checkpoint_activations: false,
        seed: 0,
        buckets: Buckets::Fine,
    }
}

/// A stepper on `device` with AdamW and weight decay `decay`.
pub(crate) fn stepper(
    (encoder, values): (Arc<TrainEncoder>, Vec<f32>),
    settings: StepSettings,
    decay: f64,
    device: &Device,
) -> Stepper {
    let config = OptimizerConfig {
        weight_decay: decay,
        ..OptimizerConfig::new(Algorithm::AdamW)
    };
    let optimizer = Optimizer::new(config, encoder.layout(), device);
    Stepper::new(encoder, &values, optimizer, device, settings)
}

/// Largest absolute difference.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// Says on stderr that a test had nothing to run on.
pub(crate) fn skipped(why: &str) {
    say(&format!("skipped: {why}"));
}

/// Says a line on stderr.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let line = format!("{line}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
}
