//! What do the small operations of an encoder compute?
//!
//! Rows are the last axis but one: x is (n, width) unless said otherwise.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Distribution, Tensor, activation, module};
use engine::encoder::config::Activation;

use super::layout::{Slot, Weights};

/// A linear layer's slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearSlots {
    /// (in, out).
    pub(super) weight: Slot,
    /// (out).
    pub(super) bias: Option<Slot>,
}

impl LinearSlots {
    /// x W + b, (n, out).
    pub(super) fn apply(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let product = x.matmul(weights.matrix(self.weight));
        match self.bias {
            Some(bias) => product + weights.vector(bias).unsqueeze::<2>(),
            None => product,
        }
    }
}

/// A LayerNorm's slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormSlots {
    pub(super) gain: Slot,
    pub(super) bias: Slot,
    pub(super) eps: f64,
}

impl NormSlots {
    /// gain · (x − mean) / √(variance + ε) + bias, along each row.
    pub(super) fn apply(&self, weights: &Weights, x: Tensor<2>) -> Tensor<2> {
        let (gain, bias) = (weights.vector(self.gain), weights.vector(self.bias));
        if !x.is_autodiff() {
            return module::layer_norm(x, gain, Some(bias), self.eps);
        }
        let mean = x.clone().mean_dim(1);
        let centred = x - mean;
        let variance = centred.clone().square().mean_dim(1);
        let scaled = centred / (variance + self.eps).sqrt();
        scaled * gain.unsqueeze::<2>() + bias.unsqueeze::<2>()
    }
}

/// The feed-forward block's non-linearity.
pub(super) fn activate(kind: Activation, x: Tensor<2>) -> Tensor<2> {
    match kind {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => gelu_tanh(x),
        Activation::Relu => activation::relu(x),
    }
}

/// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). burn's own takes x³ as a power, which is NaN for negative x on some GPUs.
fn gelu_tanh(x: Tensor<2>) -> Tensor<2> {
    let cube = x.clone().square() * x.clone();
    let inner = (x.clone() + cube * 0.044_715) * (2.0 / std::f64::consts::PI).sqrt();
    x * (inner.tanh() + 1.0) * 0.5
}

/// Each row divided by its Euclidean length; a row of zeros stays, with gradient 0.
pub(crate) fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    // The bound lies on the square: the root of 0 has no finite derivative.
    let squares = x.clone().square().sum_dim(1).clamp_min(1e-24);
    x / squares.sqrt()
}

/// Dropout of one forward pass. Masks are a pure function of `seed` and of how many were drawn before, so that a
/// second pass with the same seed (GradCache, a resumed run) drops the same numbers.
#[derive(Debug, Clone)]
pub struct Noise {
    /// Share of hidden activations set to 0; 0 to 1, exclusive.
    pub hidden: f64,
    /// Share of attention probabilities set to 0.
    pub attention: f64,
    seed: u64,
    drawn: u64,
}

/// burn's generator is one per process; seeding and drawing belong together.
static GENERATOR: Mutex<()> = Mutex::new(());

impl Noise {
    /// No dropout.
    pub const NONE: Self = Self {
        hidden: 0.0,
        attention: 0.0,
        seed: 0,
        drawn: 0,
    };

    /// Dropout with these shares, reproducible from `seed`.
    pub fn new(hidden: f64, attention: f64, seed: u64) -> Self {
        Self {
            hidden,
            attention,
            seed,
            drawn: 0,
        }
    }

    /// Dropout on hidden activations.
    pub(super) fn drop_hidden<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        self.drop(x, self.hidden)
    }

    /// Dropout on attention probabilities.
    pub(super) fn drop_attention<const D: usize>(&mut self, x: Tensor<D>) -> Tensor<D> {
        self.drop(x, self.attention)
    }

    /// `x` with a share `rate` of its numbers 0 and the rest divided by 1 − `rate`.
    fn drop<const D: usize>(&mut self, x: Tensor<D>, rate: f64) -> Tensor<D> {
        if rate <= 0.0 {
            return x;
        }
        let mask = self.mask(x.dims(), 1.0 - rate, &x.device());
        x * mask
    }

    fn mask<const D: usize>(&mut self, shape: [usize; D], keep: f64, device: &Device) -> Tensor<D> {
        let seed = mix(self.seed ^ mix(self.drawn));
        self.drawn += 1;
        let _held = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        device.seed(seed);
        Tensor::random(shape, Distribution::Bernoulli(keep), device) / keep
    }
}

/// SplitMix64's finaliser (Steele et al. 2014): neighbouring seeds become unrelated ones.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
