//! What does a linear layer do to every token, and in which numbers?
//!
//! Where the CPU has AVX-512, AVX2 or NEON the layer is packed for the kernels of this crate: measured on Zen 4 they run
//! near the peak of the instruction (see benches/RESULTS.md) and apply bias and activation while the sums are in the
//! cache. Everywhere else faer's GEMM does the work, in f32.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::config::Activation;
use super::error::ModelError;
use super::kernels::dot::Dot;
use super::kernels::level::{self, Level};
use super::kernels::packed::Packed;
use super::ready::Ready;
use super::weights::Weights;

/// The numbers that weights are kept and multiplied in. Sums, residuals, LayerNorm and softmax are f32 in all of
/// them; attention is bf16 where the CPU has it, unless the precision is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As the model was trained; on every CPU.
    #[default]
    F32,
    /// 8 bits of mantissa, on CPUs with AVX512-BF16.
    Bf16,
    /// Weights and activations rounded to 8 bits on grids of 128 inputs, on CPUs with AVX512-VNNI, AVX2, or Arm's dot
    /// products.
    Int8,
}

impl Precision {
    /// The precisions this CPU has instructions for, the most exact first.
    pub fn available() -> Vec<Self> {
        [Self::F32, Self::Bf16, Self::Int8]
            .into_iter()
            .filter(|p| p.is_available())
            .collect()
    }

    /// "f32", "bf16" or "int8".
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Whether this CPU has the instructions.
    pub(crate) fn is_available(self) -> bool {
        self == Self::F32 || self.dot().widest().is_some()
    }

    /// Multiplications and additions a second that one thread can do in registers, measured; `None` where that is
    /// not AVX-512. The top of a roofline.
    #[cfg(target_arch = "x86_64")]
    pub fn peak(self) -> Option<f64> {
        super::kernels::peak::peak(self.dot())
    }

    /// Not measured here.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn peak(self) -> Option<f64> {
        None
    }

    /// The instruction set that its layers are packed for; "none" if they are not.
    pub(crate) fn packed_for(self) -> String {
        let widest = self.dot().widest();
        widest.map_or_else(|| "none".to_owned(), |level| format!("{level:?}"))
    }

    /// The numbers its layers multiply.
    fn dot(self) -> Dot {
        match self {
            Self::F32 => Dot::F32,
            Self::Bf16 => Dot::Bf16,
            Self::Int8 => Dot::Int8,
        }
    }

    /// The numbers attention over heads of `width` runs on and the instructions, if the kernels of this crate run it.
    pub(crate) fn attention(self, width: usize) -> Option<(Dot, Level)> {
        let halves = self != Self::F32 && width.is_multiple_of(2);
        let wanted = if halves { Dot::Bf16 } else { Dot::F32 };
        [wanted, Dot::F32]
            .into_iter()
            .find_map(|dot| dot.widest().map(|level| (dot, level)))
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Buffers of a layer's input, kept between calls.
pub(crate) use super::kernels::packed::Words;

/// y = activation(x Wᵀ + b) for each token.
pub(crate) enum Linear {
    /// Through faer.
    Plain(Plain),
    /// Through this crate's kernels.
    Packed(Packed),
}

/// A layer as the files store it.
pub(crate) struct Plain {
    /// W, (out, in) row-major.
    weight: Vec<f32>,
    /// b, (out).
    bias: Vec<f32>,
    inputs: usize,
}

impl Linear {
    /// Layers named `names`, each of `shape` (out, in), stacked into one with their outputs in a row.
    ///
    /// # Errors
    /// A missing tensor or another shape.
    pub(crate) fn stacked(
        weights: &Weights,
        names: &[String],
        shape: [usize; 2],
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let mut plain = Plain {
            weight: Vec::with_capacity(names.len() * shape[0] * shape[1]),
            bias: Vec::with_capacity(names.len() * shape[0]),
            inputs: shape[1],
        };
        for name in names {
            let weight = weights.tensor(&format!("{name}.weight"), &shape)?;
            let bias = weights.tensor(&format!("{name}.bias"), &shape[..1])?;
            weight.append_to(&mut plain.weight);
            bias.append_to(&mut plain.bias);
        }
        Ok(Self::in_precision(plain, precision))
    }

    /// A layer of `shape` (out, in) as it was kept; `None` if `ready` does not hold one.
    pub(crate) fn kept(ready: &mut Ready, shape: [usize; 2], precision: Precision) -> Option<Self> {
        let dot = precision.dot();
        let packed = Packed::stored(dot, dot.widest()?, shape, |words| ready.slab(words))?;
        Some(Self::Packed(packed))
    }

    /// What [`Linear::kept`] takes; `None` of a layer that is not packed.
    pub(crate) fn slabs(&self) -> Option<Vec<&[u32]>> {
        match self {
            Self::Plain(_) => None,
            Self::Packed(packed) => Some(packed.slabs()),
        }
    }

    fn in_precision(plain: Plain, precision: Precision) -> Self {
        let dot = precision.dot();
        match dot.widest() {
            Some(level) => Self::Packed(Packed::new(dot, level, &plain.weight, &plain.bias)),
            None => Self::Plain(plain),
        }
    }

    /// `y`, (t, out), from `x`, (t, in). On the calling thread: the cores work on different batches.
    pub(crate) fn apply(
        &self,
        x: &[f32],
        buffer: &mut Words,
        activation: Option<Activation>,
        y: &mut [f32],
    ) {
        match self {
            Self::Plain(plain) => plain.apply(x, activation, y),
            Self::Packed(packed) => packed.apply(x, buffer, activation, y),
        }
    }
}

impl Plain {
    fn apply(&self, x: &[f32], activation: Option<Activation>, y: &mut [f32]) {
        let (n, k) = (self.bias.len(), self.inputs);
        let tokens = x.len() / k;
        y.chunks_exact_mut(n)
            .for_each(|row| row.copy_from_slice(&self.bias));
        matmul(
            MatMut::from_row_major_slice_mut(y, tokens, n),
            Accum::Add,
            MatRef::from_row_major_slice(x, tokens, k),
            MatRef::from_row_major_slice(&self.weight, n, k).transpose(),
            1.0,
            Par::Seq,
        );
        let level = Level::best();
        match activation {
            None => {}
            Some(Activation::Gelu) => level::gelu(level, y),
            Some(Activation::GeluTanh) => level::gelu_tanh(level, y),
            Some(Activation::Relu) => y.iter_mut().for_each(|x| *x = x.max(0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::scalar;
    use super::*;

    #[test]
    fn a_layer_through_faer_equals_its_definition() {
        let (tokens, inputs, outputs) = (5, 7, 11);
        let values = |n: usize, seed: usize| -> Vec<f32> {
            (0..n)
                .map(|i| ((i * 29 + seed * 13) % 17) as f32 / 8.0 - 1.0)
                .collect()
        };
        let (x, weight, bias) = (values(35, 1), values(77, 2), values(11, 3));
        let mut wanted = Vec::new();
        for token in x.chunks_exact(inputs) {
            for (row, bias) in weight.chunks_exact(inputs).zip(&bias) {
                let sum: f32 = token.iter().zip(row).map(|(x, w)| x * w).sum();
                wanted.push(scalar::gelu(sum + bias));
            }
        }
        let plain = Plain {
            weight,
            bias,
            inputs,
        };
        let mut found = vec![0.0; tokens * outputs];
        plain.apply(&x, Some(Activation::Gelu), &mut found);
        for (f, w) in found.iter().zip(&wanted) {
            assert!((f - w).abs() < 1e-5, "{f} {w}");
        }
    }
}
