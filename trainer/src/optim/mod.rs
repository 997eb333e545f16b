//! How do the weights follow the gradient?
//!
//! Optimisers work on the vector of all trained numbers (see `encoder::layout`): one step is about ten operations on
//! one long tensor. Only LAMB's trust ratios look at tensors one by one.

mod schedule;

#[cfg(test)]
mod tests;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::encoder::{Kind, Layout};

pub use schedule::Schedule;

/// Which rule turns gradients into updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// AdamW as PyTorch defines it (Loshchilov and Hutter 2019): bias-corrected moments, decay decoupled.
    AdamW,
    /// LAMB as the code of the ANCE paper ships it: no bias correction, trust ratio min(‖w‖, 10) / ‖u‖ a tensor.
    Lamb,
}

/// Settings of an optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule.
    pub algorithm: Algorithm,
    /// Decay of the first moment, 0 to 1.
    pub beta1: f64,
    /// Decay of the second moment, 0 to 1.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decay of matrices and tables a step, as a factor of the learning rate; biases and LayerNorms do not decay.
    pub weight_decay: f64,
}

impl OptimizerConfig {
    /// The usual settings: β .9 and .999, ε 1e-8 (both PyTorch and the reference code), no decay.
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// An optimiser with its moments.
#[derive(Debug, Clone)]
pub struct Optimizer {
    config: OptimizerConfig,
    /// First and second moment of every trained number.
    moments: Option<[Tensor<1>; 2]>,
    /// 1 for numbers that decay.
    decaying: Option<Tensor<1>>,
    steps: u64,
}

impl Optimizer {
    /// An optimiser that has seen nothing.
    pub fn new(config: OptimizerConfig, layout: &Layout, device: &Device) -> Self {
        let decaying = (config.weight_decay != 0.0).then(|| {
            let mask: Vec<f32> = layout
                .entries()
                .iter()
                .flat_map(|e| {
                    let decays = matches!(e.kind, Kind::Matrix | Kind::Table);
                    std::iter::repeat_n(f32::from(u8::from(decays)), e.count())
                })
                .collect();
            let count = mask.len();
            Tensor::from_data(TensorData::new(mask, [count]), device)
        });
        Self {
            config,
            moments: None,
            decaying,
            steps: 0,
        }
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First and second moment; `None` before the first step.
    pub fn moments(&self) -> Option<&[Tensor<1>; 2]> {
        self.moments.as_ref()
    }

    /// Continues where another optimiser of the same settings stood.
    pub fn restore(&mut self, moments: Option<[Tensor<1>; 2]>, steps: u64) {
        self.moments = moments;
        self.steps = steps;
    }

    /// The weights after one step with learning rate `rate` against `gradient`.
    pub fn step(
        &mut self,
        rate: f64,
        weights: Tensor<1>,
        gradient: Tensor<1>,
        layout: &Layout,
    ) -> Tensor<1> {
        self.steps += 1;
        let OptimizerConfig { beta1, beta2, .. } = self.config;
        let [m, v] = self
            .moments
            .take()
            .unwrap_or_else(|| [gradient.zeros_like(), gradient.zeros_like()]);
        let m = m * beta1 + gradient.clone() * (1.0 - beta1);
        let v = v * beta2 + gradient.square() * (1.0 - beta2);
        self.moments = Some([m.clone(), v.clone()]);
        match self.config.algorithm {
            Algorithm::AdamW => self.adamw(rate, weights, m, v),
            Algorithm::Lamb => self.lamb(rate, weights, m, v, layout),
        }
    }

    /// w ← w (1 − rate · decay) − rate · m̂ / (√v̂ + ε).
    fn adamw(&self, rate: f64, weights: Tensor<1>, m: Tensor<1>, v: Tensor<1>) -> Tensor<1> {
        let OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.config;
        let corrected = |beta: f64| 1.0 - beta.powf(self.steps as f64);
        let root = v.sqrt() / corrected(beta2).sqrt() + epsilon;
        let update = m / root * (rate / corrected(beta1));
        let kept = match &self.decaying {
            Some(decaying) => weights.clone() - weights * decaying.clone() * (rate * weight_decay),
            None => weights,
        };
        kept - update
    }

    /// w ← w − rate · trust · u with u = m / (√v + ε) + decay · w, the trust ratio by tensor.
    fn lamb(
        &self,
        rate: f64,
        weights: Tensor<1>,
        m: Tensor<1>,
        v: Tensor<1>,
        layout: &Layout,
    ) -> Tensor<1> {
        let mut update = m / (v.sqrt() + self.config.epsilon);
        if let Some(decaying) = &self.decaying {
            update = update + weights.clone() * decaying.clone() * self.config.weight_decay;
        }
        let scaled = layout
            .entries()
            .iter()
            .map(|entry| {
                let range = entry.start..entry.start + entry.count();
                let part = update.clone().slice(range.clone());
                let trust = trust_ratio(weights.clone().slice(range), part.clone());
                part * trust
            })
            .collect();
        weights - Tensor::cat(scaled, 0) * rate
    }
}

/// min(‖w‖, 10) / ‖u‖, or 1 if either norm is 0; one number.
fn trust_ratio(weights: Tensor<1>, update: Tensor<1>) -> Tensor<1> {
    let norm = |x: Tensor<1>| x.square().sum().sqrt();
    let (w, u) = (norm(weights).clamp_max(10.0), norm(update));
    let either_zero = (w.clone() * u.clone()).equal_scalar(0.0);
    (w / u).mask_fill(either_zero, 1.0)
}

/// `gradient` with its Euclidean norm brought down to `longest`, and that norm before (one number). PyTorch's
/// `clip_grad_norm_`.
pub fn clip(gradient: Tensor<1>, longest: f64) -> (Tensor<1>, Tensor<1>) {
    let norm = gradient.clone().square().sum().sqrt();
    let factor = (norm.clone() + 1e-6).recip() * longest;
    (gradient * factor.clamp_max(1.0), norm)
}
