//! What vector does a text have, and how does it change with the weights?
//!
//! [`TrainEncoder`] is the model that is trained: the same families, layouts and results as `engine::encoder`, on burn
//! and with gradients. Text goes downward: `batch` pads ids, `transformer` gives token vectors, pooling and `finish`
//! give one vector; `save` writes a folder that `engine` and sentence-transformers open.

// The trained numbers.
mod layout;

// Ids to vectors.
mod batch;
mod finish;
mod ops;
mod transformer;

// The same on a GPU, in kernels of our own.
mod fused;
pub(crate) mod kernels;
mod packed;

// In and out of the process.
mod infer;
mod save;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, module};
use engine::encoder::blueprint::{Blueprint, Family, FinishStep};
use engine::encoder::config::Pooling;
use engine::encoder::{EncodeError, ModelError, Role};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

pub use batch::{Buckets, TokenBatch, Tokens};
pub(crate) use fused::{Drops, Tape};
pub use fused::{Fused, Precision};
pub use infer::DeviceEncoder;
pub(crate) use layout::on;
pub use layout::{Band, Entry, Kind, Layout, Weights, to_device};
pub use ops::Noise;
pub(crate) use ops::{mix, unit_rows};
pub use save::SaveError;
pub(crate) use save::{quantized, quantized_table};

use finish::{Finish, ance_head};
use layout::Slot;
use transformer::Transformer;

/// How a model is opened for training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// Replace what follows pooling by the head of the paper: Linear and LayerNorm, drawn at random.
    pub ance_head: bool,
    /// Seed of the head's first weights.
    pub seed: u64,
    /// Lengths of batches.
    pub buckets: Buckets,
}

/// A model ready to be trained. It holds no numbers: they are passed in, so that any checkpoint can be run.
pub struct TrainEncoder {
    dir: PathBuf,
    blueprint: Blueprint,
    layout: Layout,
    body: Body,
    finish: Vec<Finish>,
    new_head: bool,
    dimension: usize,
    buckets: Buckets,
    dropout: Dropout,
}

enum Body {
    Transformer(Box<Transformer>),
    Table {
        table: Slot,
        mapping: Vec<u32>,
        factors: Vec<f32>,
    },
}

/// The dropout shares of `config.json`, BERT's or DistilBERT's names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Dropout {
    /// Of hidden activations, 0 to 1.
    #[serde(default, alias = "dropout", rename = "hidden_dropout_prob")]
    pub hidden: f64,
    /// Of attention probabilities, 0 to 1.
    #[serde(
        default,
        alias = "attention_dropout",
        rename = "attention_probs_dropout_prob"
    )]
    pub attention: f64,
}

impl TrainEncoder {
    /// Opens the model in `dir`. Returns it with its weights, in the order of its [`Layout`].
    ///
    /// # Errors
    /// As `engine::encoder::load`.
    pub fn open(dir: &Path, options: OpenOptions) -> Result<(Self, Vec<f32>), ModelError> {
        let blueprint = Blueprint::open(dir)?;
        let (mut layout, mut values) = (Layout::default(), Vec::new());
        let (body, width) = match blueprint.family() {
            Family::Bert(config) => {
                let body = Transformer::open(&blueprint, config, &mut layout, &mut values)?;
                let width = config.hidden * blueprint.pipeline().pooling.modes.len();
                (Body::Transformer(Box::new(body)), width)
            }
            Family::Static(parts) => {
                let table = parts.table.clone();
                let width = table.shape[1];
                let body = Body::Table {
                    table: layout.add(table, Kind::Table, Band::Embeddings, &mut values),
                    mapping: parts.mapping.clone(),
                    factors: parts.factors.clone(),
                };
                (body, width)
            }
        };
        let steps = if options.ance_head {
            ance_head(dir, width, &mut ChaCha8Rng::seed_from_u64(options.seed))
        } else {
            blueprint.finish().to_vec()
        };
        let dimension = steps.iter().fold(width, |width, step| match step {
            FinishStep::Dense { weight, .. } => weight.shape[0],
            FinishStep::Normalize | FinishStep::LayerNorm { .. } => width,
        });
        let finish = steps
            .into_iter()
            .map(|step| Finish::open(step, &mut layout, &mut values))
            .collect();
        let dropout = match body {
            Body::Transformer(_) => read_dropout(&blueprint.pipeline().model_dir),
            Body::Table { .. } => Dropout::default(),
        };
        let encoder = Self {
            dir: dir.to_path_buf(),
            blueprint,
            layout,
            body,
            finish,
            new_head: options.ance_head,
            dimension,
            buckets: options.buckets,
            dropout,
        };
        Ok((encoder, values))
    }

    /// The trained tensors.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Length of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Longest input in tokens, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.blueprint.max_tokens()
    }

    /// The dropout shares that the model's own configuration asks for.
    pub fn dropout(&self) -> Dropout {
        self.dropout
    }

    /// Whether vectors have unit length.
    pub fn normalizes(&self) -> bool {
        matches!(self.finish.last(), Some(Finish::Normalize))
    }

    /// "bert" or "static".
    pub fn family(&self) -> &'static str {
        match self.body {
            Body::Transformer(_) => "bert",
            Body::Table { .. } => "static",
        }
    }

    /// The ids of `text`, cut to `longest` tokens.
    ///
    /// # Errors
    /// The tokenizer refuses the text; opening the model makes that all but impossible.
    pub fn tokens(&self, text: &str, role: Role, longest: usize) -> Result<Tokens, EncodeError> {
        Ok(Tokens {
            ids: self.blueprint.ids(text, role, longest)?,
            skipped: self.blueprint.skipped(role),
        })
    }

    /// Pads `texts` to one rectangle.
    pub fn batch(&self, texts: &[&Tokens]) -> TokenBatch {
        let longest = texts.iter().map(|t| t.ids.len()).max().unwrap_or(0);
        let length = self.buckets.round(longest, self.max_tokens());
        match &self.body {
            Body::Transformer(_) => TokenBatch::new(texts, self.pooling(), length),
            Body::Table {
                mapping, factors, ..
            } => TokenBatch::of_rows(texts, mapping, factors, length),
        }
    }

    /// Vectors (B, D) of a batch.
    pub fn forward(&self, weights: &Weights, batch: &TokenBatch, noise: &mut Noise) -> Tensor<2> {
        let pooling = batch.pooling_on(&weights.device());
        let pooled = match &self.body {
            Body::Transformer(transformer) => {
                let tokens = transformer.forward(weights, batch, noise);
                pool(tokens, pooling, self.pooling())
            }
            Body::Table { table, .. } => {
                let ids = batch.ids_on(&weights.device());
                let tokens = module::embedding(weights.matrix(*table), ids);
                pool(tokens, pooling, &[Pooling::Mean])
            }
        };
        self.finish(weights, pooled)
    }

    /// What follows pooling: vectors (B, D) of pooled ones.
    pub(crate) fn finish(&self, weights: &Weights, pooled: Tensor<2>) -> Tensor<2> {
        self.finish
            .iter()
            .fold(pooled, |x, step| step.apply(weights, x))
    }

    /// This model in kernels of our own, if they can run it on `device`.
    pub fn kernels(&self, device: &Device) -> Option<Arc<Fused>> {
        let [pooling] = self.pooling() else {
            return None;
        };
        let fused = match &self.body {
            Body::Transformer(t) if *pooling != Pooling::Max => t.fused(&self.layout, *pooling)?,
            _ => return None,
        };
        kernels::run_on(device).then(|| Arc::new(fused))
    }

    fn pooling(&self) -> &[Pooling] {
        &self.blueprint.pipeline().pooling.modes
    }

    /// Sizes for the estimate of memory: (layers, hidden width, heads, feed-forward width); zeros for the static family.
    pub(crate) fn sizes(&self) -> [usize; 4] {
        match &self.body {
            Body::Transformer(t) => {
                let c = t.config();
                [c.layers, c.hidden, c.heads, c.intermediate]
            }
            Body::Table { .. } => [0, self.dimension, 0, 0],
        }
    }
}

/// (B, M H) from token vectors (B, L, H) and weights (B, M, L); a maximum ranges over the tokens of weight 1.
fn pool(tokens: Tensor<3>, pooling: Tensor<3>, modes: &[Pooling]) -> Tensor<2> {
    let [b, _, h] = tokens.dims();
    if !modes.contains(&Pooling::Max) {
        return pooling.matmul(tokens).reshape([b, modes.len() * h]);
    }
    let parts = modes.iter().enumerate().map(|(m, mode)| {
        let weights = pooling.clone().narrow(1, m, 1);
        if *mode == Pooling::Max {
            let left_out = (weights.swap_dims(1, 2) - 1.0) * 1e9;
            (tokens.clone() + left_out).max_dim(1)
        } else {
            weights.matmul(tokens.clone())
        }
    });
    Tensor::cat(parts.collect(), 1).reshape([b, modes.len() * h])
}

/// Shares outside 0 to 1 are read as 0.
fn read_dropout(dir: &Path) -> Dropout {
    let text = std::fs::read(dir.join("config.json")).unwrap_or_default();
    let found: Dropout = serde_json::from_slice(&text).unwrap_or_default();
    let share = |p: f64| if (0.0..1.0).contains(&p) { p } else { 0.0 };
    Dropout {
        hidden: share(found.hidden),
        attention: share(found.attention),
    }
}
