//! Does this device compute the same losses and gradients as the CPU?
//!
//! GPU drivers and kernel compilers have given wrong gradients without a word (burn issues 5162, 5257, 5352). So before
//! a run, a few of its own texts go forward and backward through its own model on the device and on the CPU; a device
//! whose gradient points elsewhere is refused.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::encoder::{Fused, Precision, TrainEncoder};
use crate::optim::{Algorithm, Optimizer, OptimizerConfig};
use crate::step::{StepError, StepInput, StepSettings, Stepper};

/// Largest difference of the loss, as a share of it, and largest length of the difference of both gradients, as a share
/// of the CPU's. f32 sums in another order differ by 1e-5 and 1e-3; activations in f16 by 1e-3 and 1e-2. A kernel that
/// is wrong is off by more than all of it.
pub fn bounds(precision: Precision) -> [f64; 2] {
    match precision {
        Precision::F32 => [2e-3, 1e-2],
        Precision::F16 => [1e-2, 5e-2],
    }
}

/// What the two devices said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// |loss − loss on the CPU| / |loss on the CPU|.
    pub loss_difference: f64,
    /// ‖gradient − gradient on the CPU‖ / ‖gradient on the CPU‖.
    pub gradient_difference: f64,
    /// Seconds the device took, compiling included.
    pub seconds: f64,
}

/// A device must not be trained on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// It computes something else than the CPU.
    #[error(
        "{device} computes wrong gradients: loss off by {:.2e} of itself (limit {}), gradient by {:.2e} (limit {}); update its driver, or choose --device cpu",
        test.loss_difference, bounds[0], test.gradient_difference, bounds[1]
    )]
    Wrong {
        /// Its name.
        device: String,
        /// The differences.
        test: SelfTest,
        /// Largest ones allowed.
        bounds: [f64; 2],
    },
    /// It failed outright.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// A batch, and what the CPU says of it.
pub struct Reference<'a> {
    encoder: &'a Arc<TrainEncoder>,
    values: &'a [f32],
    settings: StepSettings,
    input: &'a StepInput,
    loss: f32,
    gradient: Vec<f32>,
}

impl<'a> Reference<'a> {
    /// Computes `input`, a small batch, on the CPU. Dropout is left out: devices draw other numbers.
    ///
    /// # Errors
    /// The CPU path fails.
    pub fn new(
        encoder: &'a Arc<TrainEncoder>,
        values: &'a [f32],
        settings: &StepSettings,
        input: &'a StepInput,
    ) -> Result<Self, StepError> {
        let settings = StepSettings {
            dropout: [0.0, 0.0],
            ..settings.clone()
        };
        let mut reference = Self {
            encoder,
            values,
            settings,
            input,
            loss: 0.0,
            gradient: Vec::new(),
        };
        (reference.loss, reference.gradient) = reference.run(&Device::flex(), None)?;
        Ok(reference)
    }

    fn run(
        &self,
        device: &Device,
        kernels: Option<(Arc<Fused>, Precision)>,
    ) -> Result<(f32, Vec<f32>), StepError> {
        let layout = self.encoder.layout();
        let optimizer = Optimizer::new(OptimizerConfig::new(Algorithm::AdamW), layout, device);
        let encoder = Arc::clone(self.encoder);
        let settings = self.settings.clone();
        let mut stepper = Stepper::new(encoder, self.values, optimizer, device, settings);
        stepper.use_kernels(kernels);
        stepper.gradient_values(self.input, 0)
    }

    /// Compares `device`, called `name`, with the CPU; by kernels of our own, or burn's plain operations.
    ///
    /// # Errors
    /// A device that differs beyond the bounds, or fails.
    pub fn check(
        &self,
        device: &Device,
        name: &str,
        kernels: Option<(Arc<Fused>, Precision)>,
    ) -> Result<SelfTest, SelfTestError> {
        let bounds = bounds(kernels.as_ref().map_or(Precision::F32, |k| k.1));
        let begun = Instant::now();
        let (loss, gradient) = self.run(device, kernels)?;
        let wanted = f64::from(self.loss);
        let test = SelfTest {
            loss_difference: relative(f64::from(loss) - wanted, wanted),
            gradient_difference: relative(
                distance(&gradient, &self.gradient),
                length(&self.gradient),
            ),
            seconds: begun.elapsed().as_secs_f64(),
        };
        if test.loss_difference <= bounds[0] && test.gradient_difference <= bounds[1] {
            Ok(test)
        } else {
            Err(SelfTestError::Wrong {
                device: name.to_owned(),
                test,
                bounds,
            })
        }
    }
}

/// |difference| as a share of |whole|; NaN never passes a bound.
fn relative(difference: f64, whole: f64) -> f64 {
    difference.abs() / whole.abs().max(1e-6)
}

fn length(a: &[f32]) -> f64 {
    a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    squares.sum::<f64>().sqrt()
}
