//! What does a `Dense` module of sentence-transformers do to a vector?

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
struct DenseConfig {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
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

impl Dense {
    /// Opens the module in `dir`, which gets vectors of `width` numbers. Returns it with the digest of its weights.
    ///
    /// # Errors
    /// Missing or broken files, another width, an activation other than Tanh and Identity.
    pub(crate) fn open(dir: &Path, width: usize) -> Result<(Self, blake3::Hash), ModelError> {
        let path = dir.join("config.json");
        let config: DenseConfig = json(&path, "the sizes of the Dense module")?;
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
