//! What do the `Dense` and `LayerNorm` modules of sentence-transformers do to a vector?

use std::path::Path;

use serde::Deserialize;

use super::config::json;
use super::error::ModelError;
use super::weights::Weights;

/// y = activation(W x + b).
pub(crate) struct Dense {
    /// W, (out, in) row-major.
    weight: Vec<f32>,
    /// b, (out).
    bias: Vec<f32>,
    tanh: bool,
}

/// `config.json` of the module.
#[derive(Deserialize)]
pub(crate) struct DenseConfig {
    in_features: usize,
    pub(crate) out_features: usize,
    #[serde(default = "yes")]
    pub(crate) bias: bool,
    #[serde(default = "tanh")]
    activation_function: String,
    #[serde(default)]
    use_residual: bool,
}

fn yes() -> bool {
    true
}

fn tanh() -> String {
    "torch.nn.modules.activation.Tanh".into()
}

impl DenseConfig {
    /// The settings of the module in `dir`, which gets vectors of `width` numbers, and whether it ends in tanh.
    ///
    /// # Errors
    /// Missing or broken file, another width, what this encoder does not compute.
    pub(crate) fn read(dir: &Path, width: usize) -> Result<(Self, bool), ModelError> {
        let path = dir.join("config.json");
        let config: Self = json(&path, "the sizes of the Dense module")?;
        if config.in_features != width {
            return Err(ModelError::malformed(
                &path,
                format!(
                    "in_features is {}, the step before gives {width} numbers",
                    config.in_features
                ),
            ));
        }
        if config.use_residual {
            return Err(ModelError::unsupported(&path, "use_residual", "false is"));
        }
        let tanh = has_tanh(&path, &config.activation_function)?;
        Ok((config, tanh))
    }
}

impl Dense {
    /// Opens the module in `dir`, which gets vectors of `width` numbers. Returns it with the digest of its weights.
    ///
    /// # Errors
    /// Missing or broken files, another width, an activation other than Tanh and Identity.
    pub(crate) fn open(dir: &Path, width: usize) -> Result<(Self, blake3::Hash), ModelError> {
        let (config, tanh) = DenseConfig::read(dir, width)?;
        let weights = Weights::open(dir)?;
        let weight = weights.tensor("linear.weight", &[config.out_features, width])?;
        let bias = if config.bias {
            weights
                .tensor("linear.bias", &[config.out_features])?
                .to_f32()
        } else {
            vec![0.0; config.out_features]
        };
        let dense = Self {
            weight: weight.to_f32(),
            bias,
            tanh,
        };
        Ok((dense, weights.digest()?))
    }

    /// Numbers in a result.
    pub(crate) fn width(&self) -> usize {
        self.bias.len()
    }

    /// Whether the result goes through tanh.
    pub(crate) fn tanh(&self) -> bool {
        self.tanh
    }

    /// The layer's result for `x`.
    pub(crate) fn apply(&self, x: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(x.len());
        rows.zip(&self.bias)
            .map(|(row, bias)| {
                let y = bias + row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
                if self.tanh { y.tanh() } else { y }
            })
            .collect()
    }
}

/// y = gain · (x − mean) / √(variance + ε) + bias: the end of the paper's ANCE head.
pub(crate) struct LayerNorm {
    gain: Vec<f32>,
    bias: Vec<f32>,
}

/// ε of PyTorch's `LayerNorm`, which the module does not store.
pub(crate) const LAYER_NORM_EPS: f32 = 1e-5;

impl LayerNorm {
    /// Opens the module in `dir`, which gets vectors of `width` numbers. Returns it with the digest of its weights.
    ///
    /// # Errors
    /// Missing or broken file, another width.
    pub(crate) fn open(dir: &Path, width: usize) -> Result<(Self, blake3::Hash), ModelError> {
        let weights = Weights::open(dir)?;
        let norm = Self {
            gain: weights.tensor("norm.weight", &[width])?.to_f32(),
            bias: weights.tensor("norm.bias", &[width])?.to_f32(),
        };
        Ok((norm, weights.digest()?))
    }

    /// Normalises `x` in place.
    pub(crate) fn apply(&self, x: &mut [f32]) {
        let n = x.len() as f32;
        let mean = x.iter().sum::<f32>() / n;
        let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
        let scale = 1.0 / (variance + LAYER_NORM_EPS).sqrt();
        for ((x, gain), bias) in x.iter_mut().zip(&self.gain).zip(&self.bias) {
            *x = (*x - mean) * scale * gain + bias;
        }
    }
}

fn has_tanh(path: &Path, name: &str) -> Result<bool, ModelError> {
    match name.rsplit('.').next() {
        Some("Tanh") => Ok(true),
        Some("Identity") => Ok(false),
        _ => Err(ModelError::unsupported(
            path,
            format!("activation_function \"{name}\""),
            "Tanh and Identity are",
        )),
    }
}
