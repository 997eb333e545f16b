//! What do the JSON files of a model folder ask for?
//!
//! Two layers: `config.json` describes the transformer ([`BertConfig`]); the sentence-transformers files
//! (`modules.json` and what it names) describe what is done around it ([`Pipeline`]). A folder without
//! `modules.json` is read as sentence-transformers does: mean pooling, no normalisation.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ModelError, read};

mod pipeline;
mod pooling;

pub use pipeline::{Pipeline, Step};
pub use pooling::{Pooling, PoolingConfig};

/// Non-linearity of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x · Φ(x) with the exact error function.
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`).
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// How tensors are named and positions counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// BERT: positions from 0, token type 0 is added.
    Bert,
    /// RoBERTa and XLM-RoBERTa: as BERT, positions from `pad_token_id` + 1.
    Roberta,
    /// DistilBERT: other tensor names, no token types.
    DistilBert,
}

/// The shape of a BERT-style encoder, from `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Names and positions.
    pub naming: Naming,
    /// V: rows of the word embedding table.
    pub vocabulary: usize,
    /// H: width of the residual stream.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// A: attention heads; divides H.
    pub heads: usize,
    /// F: width of the feed-forward block.
    pub intermediate: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Row of the position table that the first token takes.
    pub first_position: usize,
    /// Rows of the token type table; 0 for none.
    pub token_types: usize,
    /// ε of every LayerNorm.
    pub layer_norm_eps: f32,
    /// Non-linearity of the feed-forward block.
    pub activation: Activation,
}

impl BertConfig {
    /// Longest input in tokens the position table allows.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// `config.json` as written, with DistilBERT's names for the same things.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation", default = "gelu")]
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "default_eps")]
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn gelu() -> String {
    "gelu".into()
}

fn default_eps() -> f32 {
    1e-12
}

/// What a folder's `config.json` says it is.
#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

/// `model_type` of `dir/config.json`; `None` if the file or the field is absent.
///
/// # Errors
/// A `config.json` that is not JSON.
pub(crate) fn model_type(dir: &Path) -> Result<Option<String>, ModelError> {
    let found: Option<ModelType> = optional_json(&dir.join("config.json"))?;
    Ok(found.and_then(|c| c.model_type))
}

impl BertConfig {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// Missing or broken file, an architecture other than BERT, RoBERTa, XLM-RoBERTa or DistilBERT, sizes that
    /// contradict each other.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let raw: RawConfig = json(&path, "the sizes of the model")?;
        let naming = naming(&path, &raw.model_type)?;
        absolute_positions(&path, raw.position_embedding_type.as_deref())?;
        let config = Self {
            naming,
            vocabulary: raw.vocab_size,
            hidden: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate: raw.intermediate_size,
            positions: raw.max_position_embeddings,
            first_position: match naming {
                Naming::Roberta => raw.pad_token_id.unwrap_or(1) + 1,
                Naming::Bert | Naming::DistilBert => 0,
            },
            token_types: match naming {
                Naming::DistilBert => 0,
                Naming::Bert | Naming::Roberta => raw.type_vocab_size,
            },
            layer_norm_eps: raw.layer_norm_eps,
            activation: activation(&path, &raw.hidden_act)?,
        };
        config.consistent(&path)?;
        Ok(config)
    }

    fn consistent(&self, path: &Path) -> Result<(), ModelError> {
        let bad = |detail: String| Err(ModelError::malformed(path, detail));
        for (field, value) in [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("intermediate_size", self.intermediate),
        ] {
            if value == 0 || value > 1 << 24 {
                return bad(format!("{field} is {value}, expected 1 to 16777216"));
            }
        }
        if !self.hidden.is_multiple_of(self.heads) {
            return bad(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden, self.heads
            ));
        }
        if self.positions <= self.first_position + 2 || self.positions > 1 << 20 {
            return bad(format!(
                "max_position_embeddings {} leaves no room for a text, the first position is {}",
                self.positions, self.first_position
            ));
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps < 1.0) {
            return bad(format!(
                "layer_norm_eps is {}, expected 0 to 1",
                self.layer_norm_eps
            ));
        }
        Ok(())
    }
}

fn naming(path: &Path, model_type: &str) -> Result<Naming, ModelError> {
    match model_type {
        "bert" => Ok(Naming::Bert),
        "roberta" | "xlm-roberta" | "camembert" => Ok(Naming::Roberta),
        "distilbert" => Ok(Naming::DistilBert),
        other => Err(ModelError::unsupported(
            path,
            format!("model_type \"{other}\""),
            "bert, roberta, xlm-roberta, camembert, distilbert and model2vec are",
        )),
    }
}

fn activation(path: &Path, name: &str) -> Result<Activation, ModelError> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(ModelError::unsupported(
            path,
            format!("hidden_act \"{other}\""),
            "gelu, gelu_new and relu are",
        )),
    }
}

fn absolute_positions(path: &Path, kind: Option<&str>) -> Result<(), ModelError> {
    match kind {
        None | Some("absolute") => Ok(()),
        Some(other) => Err(ModelError::unsupported(
            path,
            format!("position_embedding_type \"{other}\""),
            "absolute is",
        )),
    }
}

/// Parses the JSON file `path`, which holds `purpose`.
pub(crate) fn json<T: DeserializeOwned>(
    path: &Path,
    purpose: &'static str,
) -> Result<T, ModelError> {
    let bytes = read(path, purpose)?;
    serde_json::from_slice(&bytes).map_err(|e| ModelError::malformed(path, e.to_string()))
}

/// As [`json`], `None` if there is no such file.
pub(crate) fn optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    if path.exists() {
        json(path, "").map(Some)
    } else {
        Ok(None)
    }
}
