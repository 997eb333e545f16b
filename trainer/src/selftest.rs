//! Does this device compute the same losses and gradients as the CPU?
//!
//! GPU drivers and kernel compilers have given wrong gradients without a word (burn issues 5162, 5257, 5352). So before
//! a run, a few of its own texts go forward and backward through its own model on the device and on the CPU; a device
//! whose gradient points elsewhere is refused.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::encoder::TrainEncoder;
use crate::optim::{Algorithm, Optimizer, OptimizerConfig};
use crate::step::{StepError, StepInput, StepSettings, Stepper};

/// Largest difference of the loss, as a share of it. f32 sums in another order differ by 1e-5; a kernel that quietly
/// rounds to f16 by 1e-2.
pub const LOSS_BOUND: f64 = 2e-3;

/// Largest length of the difference of both gradients, as a share of the CPU's.
pub const GRADIENT_BOUND: f64 = 1e-2;

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
        "{device} computes wrong gradients: loss off by {:.2e} of itself (limit {LOSS_BOUND}), gradient by {:.2e} (limit {GRADIENT_BOUND}); update its driver, or choose --device cpu",
        test.loss_difference, test.gradient_difference
    )]
    Wrong {
        /// Its name.
        device: String,
        /// The differences.
        test: SelfTest,
    },
    /// It failed outright.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Compares `device`, called `name`, with the CPU on `input`, a small batch. Dropout is left out: devices draw other
/// numbers.
///
/// # Errors
/// A device that differs beyond the bounds, or fails.
pub fn check(
    encoder: &Arc<TrainEncoder>,
    values: &[f32],
    device: &Device,
    name: &str,
    settings: &StepSettings,
    input: &StepInput,
) -> Result<SelfTest, SelfTestError> {
    let settings = StepSettings {
        dropout: [0.0, 0.0],
        ..settings.clone()
    };
    let run = |device: &Device| -> Result<(f32, Vec<f32>), StepError> {
        let optimizer = Optimizer::new(
            OptimizerConfig::new(Algorithm::AdamW),
            encoder.layout(),
            device,
        );
        let stepper = Stepper::new(
            Arc::clone(encoder),
            values,
            optimizer,
            device,
            settings.clone(),
        );
        stepper.gradient_values(input, 0)
    };
    let (wanted_loss, wanted) = run(&Device::flex())?;
    let begun = Instant::now();
    let (loss, gradient) = run(device)?;
    let test = SelfTest {
        loss_difference: relative(f64::from(loss - wanted_loss), f64::from(wanted_loss)),
        gradient_difference: relative(distance(&gradient, &wanted), length(&wanted)),
        seconds: begun.elapsed().as_secs_f64(),
    };
    if test.loss_difference <= LOSS_BOUND && test.gradient_difference <= GRADIENT_BOUND {
        Ok(test)
    } else {
        Err(SelfTestError::Wrong {
            device: name.to_owned(),
            test,
        })
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
