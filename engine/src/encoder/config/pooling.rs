//! How do token vectors become one vector, by sentence-transformers' `1_Pooling/config.json`?

use std::path::Path;

use super::json;
use crate::encoder::error::ModelError;

/// How token vectors become one vector; several modes are concatenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token.
    Cls,
    /// The largest value of each dimension.
    Max,
    /// The mean.
    Mean,
    /// The sum over the square root of the count.
    MeanSqrtLen,
    /// The mean weighted by position, 1 for the first token.
    WeightedMean,
    /// The last token.
    LastToken,
}

/// Pooling modes by the names of sentence-transformers, in the order in which it concatenates.
const POOLING_NAMES: [(&str, &str, Pooling); 6] = [
    ("cls", "pooling_mode_cls_token", Pooling::Cls),
    ("max", "pooling_mode_max_tokens", Pooling::Max),
    ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    (
        "mean_sqrt_len_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        Pooling::MeanSqrtLen,
    ),
    (
        "weightedmean",
        "pooling_mode_weightedmean_tokens",
        Pooling::WeightedMean,
    ),
    ("lasttoken", "pooling_mode_lasttoken", Pooling::LastToken),
];

/// `1_Pooling/config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolingConfig {
    /// Modes to concatenate; never empty.
    pub modes: Vec<Pooling>,
    /// Whether the tokens of a prompt take part. Default true.
    pub include_prompt: bool,
    /// Width of the token vectors as the file states it.
    pub hidden: Option<usize>,
}

impl Default for PoolingConfig {
    fn default() -> Self {
        Self {
            modes: vec![Pooling::Mean],
            include_prompt: true,
            hidden: None,
        }
    }
}

pub(super) fn read_pooling(folder: &Path) -> Result<PoolingConfig, ModelError> {
    let path = folder.join("config.json");
    let raw: serde_json::Map<String, serde_json::Value> =
        json(&path, "how token vectors become one vector")?;
    let modes = match raw.get("pooling_mode") {
        Some(named) => named_modes(&path, named)?,
        None => flagged_modes(&raw),
    };
    let width = raw
        .get("embedding_dimension")
        .or_else(|| raw.get("word_embedding_dimension"));
    Ok(PoolingConfig {
        modes,
        include_prompt: raw
            .get("include_prompt")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(true),
        hidden: width
            .and_then(serde_json::Value::as_u64)
            .map(|n| n as usize),
    })
}

/// `"pooling_mode": "mean"` or a list of names.
fn named_modes(path: &Path, value: &serde_json::Value) -> Result<Vec<Pooling>, ModelError> {
    let names = match value {
        serde_json::Value::Array(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let modes: Option<Vec<Pooling>> = names
        .iter()
        .map(|n| POOLING_NAMES.iter().find(|m| n == m.0).map(|m| m.2))
        .collect();
    modes.filter(|m| !m.is_empty()).ok_or_else(|| {
        ModelError::unsupported(
            path,
            format!("pooling_mode {value}"),
            "cls, max, mean, mean_sqrt_len_tokens, weightedmean and lasttoken are",
        )
    })
}

/// `"pooling_mode_mean_tokens": true` and its siblings; none set means mean.
fn flagged_modes(raw: &serde_json::Map<String, serde_json::Value>) -> Vec<Pooling> {
    let set = |flag: &str| raw.get(flag) == Some(&serde_json::Value::Bool(true));
    let modes: Vec<Pooling> = POOLING_NAMES
        .iter()
        .filter(|m| set(m.1))
        .map(|m| m.2)
        .collect();
    if modes.is_empty() {
        vec![Pooling::Mean]
    } else {
        modes
    }
}
