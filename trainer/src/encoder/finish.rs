//! What happens to a vector after pooling, with gradients?

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use engine::encoder::blueprint::{FinishStep, StoredTensor};
use rand::Rng;

use super::layout::{Band, Kind, Layout, Weights};
use super::ops::{LinearSlots, NormSlots, unit_rows};

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finish {
    Normalize,
    Dense { linear: LinearSlots, tanh: bool },
    LayerNorm(NormSlots),
}

impl Finish {
    /// Takes a step's tensors into the layout.
    pub(super) fn open(step: FinishStep, layout: &mut Layout, values: &mut Vec<f32>) -> Self {
        let mut add = |tensor, kind| layout.add(tensor, kind, Band::Head, values);
        match step {
            FinishStep::Normalize => Self::Normalize,
            FinishStep::Dense { weight, bias, tanh } => Self::Dense {
                linear: LinearSlots {
                    weight: add(weight, Kind::Matrix),
                    bias: bias.map(|b| add(b, Kind::Bias)),
                },
                tanh,
            },
            FinishStep::LayerNorm { gain, bias, eps } => Self::LayerNorm(NormSlots {
                gain: add(gain, Kind::Norm),
                bias: add(bias, Kind::Norm),
                eps: f64::from(eps),
            }),
        }
    }

    /// The step's result for vectors (B, width).
    pub(super) fn apply(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Normalize => unit_rows(x),
            Self::Dense { linear, tanh } => {
                let y = linear.apply(weights, x);
                if *tanh { y.tanh() } else { y }
            }
            Self::LayerNorm(norm) => norm.apply(weights, x),
        }
    }
}

/// Deviation of the head's first weights: the initialiser of BERT and of the reference code.
const HEAD_DEVIATION: f32 = 0.02;

/// The folders of a new head below the model folder.
pub(super) const HEAD_FOLDERS: [(&str, &str); 2] =
    [("ance_Dense", "Dense"), ("ance_LayerNorm", "LayerNorm")];

/// The head of the paper (A.1): a linear layer of `width` to `width` numbers, drawn from N(0, 0.02), and a LayerNorm.
pub(super) fn ance_head(dir: &Path, width: usize, rng: &mut impl Rng) -> Vec<FinishStep> {
    let folder = |i: usize| dir.join(HEAD_FOLDERS[i].0);
    let tensor = |folder: PathBuf, name: &str, shape: Vec<usize>, values| StoredTensor {
        folder,
        name: name.into(),
        shape,
        values,
    };
    let weight = (0..width * width)
        .map(|_| normal(rng) * HEAD_DEVIATION)
        .collect();
    vec![
        FinishStep::Dense {
            weight: tensor(folder(0), "linear.weight", vec![width, width], weight),
            bias: Some(tensor(
                folder(0),
                "linear.bias",
                vec![width],
                vec![0.0; width],
            )),
            tanh: false,
        },
        FinishStep::LayerNorm {
            gain: tensor(folder(1), "norm.weight", vec![width], vec![1.0; width]),
            bias: tensor(folder(1), "norm.bias", vec![width], vec![0.0; width]),
            eps: 1e-5,
        },
    ]
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
