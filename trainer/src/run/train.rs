//! What does a run do in a step, besides the step itself?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::Run;
use crate::config::Way;
use crate::encoder::{Band, Fused, Precision};
use crate::error::TrainError;
use crate::log::{self, Event};
use crate::negatives::{Negatives, Source};
use crate::sampler::Batch;
use crate::selftest::{Reference, SelfTest};
use crate::step::{Measured, StepInput};

/// Pairs and tokens of the batch that the device is tested with.
const TEST_PAIRS: usize = 2;
const TEST_TOKENS: usize = 32;

impl Run<'_> {
    /// Draws a batch, takes a step, writes its line.
    ///
    /// # Errors
    /// The device, or numbers that stay NaN or infinite.
    pub(crate) fn train_step(&mut self) -> Result<(), TrainError> {
        let begun = Instant::now();
        let step = self.step();
        let negatives = Negatives {
            examples: &self.examples,
            guards: &self.guards,
            mixture: &self.mixture,
            pools: &self.pools,
            count: self.config.negatives,
        };
        let batch = self.sampler.next(&negatives);
        let input = self
            .texts
            .input(&batch, &self.guards, self.teacher.as_ref())?;
        let (mut measured, mut norms) = (None, BTreeMap::new());
        if self.is_measured(step) {
            measured = Some(self.stepper.measure(&input, step)?);
            norms = self.norms_by_source(&batch, &input, step)?;
        }
        let rate = self.schedule.rate(step);
        let report = self.stepper.step(&input, rate, step)?;
        if let Some(queries) = report.smaller {
            self.note(format!(
                "step {step} did not fit the device's memory; from here on {queries} queries at once"
            ))?;
        }
        if report.skipped {
            self.note(format!(
                "step {step} left out: its loss or gradient was not finite"
            ))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let line = log::Step {
            step,
            loss: f64::from(report.loss),
            lr: rate,
            grad_norm: f64::from(report.gradient_norm),
            grad_norm_by_layers: measured.as_ref().map(bands).unwrap_or_default(),
            proxy_by_source: measured.map(|m| proxies(&batch, &m)).unwrap_or_default(),
            grad_norm_by_source: norms,
            negatives: count_by_source(&batch),
            sequences_per_second: report.texts as f64 / seconds.max(1e-9),
            staleness: if self.pools.ance.is_some() {
                step - self.mined_at
            } else {
                0
            },
        };
        self.tell(Event::Step(line))
    }

    /// Norm of the gradient with the negatives of one source alone, for each source of the batch.
    fn norms_by_source(
        &self,
        batch: &Batch,
        input: &StepInput,
        step: u64,
    ) -> Result<BTreeMap<Source, f64>, TrainError> {
        let sources = count_by_source(batch);
        let norm = |source: Source| {
            let alone = input.without(|pair, negative| {
                let drawn = batch.negatives[pair].get(negative);
                drawn.is_some_and(|drawn| drawn.source != source)
            });
            let (_, gradient) = self.stepper.gradient_values(&alone, step)?;
            let squares: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum();
            Ok((source, squares.sqrt()))
        };
        sources.into_keys().map(norm).collect()
    }

    /// Gradient norms cost passes of their own: they are measured four times a round.
    fn is_measured(&self, step: u64) -> bool {
        step.is_multiple_of((self.config.refresh_every / 4).max(1))
    }

    /// Compares a device other than the CPU with the CPU, on the first pairs of the data, and goes on with the fastest way
    /// of computing that passes.
    ///
    /// # Errors
    /// No way passes.
    pub(super) fn test_device(&mut self, values: &[f32]) -> Result<(), TrainError> {
        if self.device.adapter.is_none() {
            return Ok(());
        }
        let input = self.texts.sample(TEST_PAIRS, TEST_TOKENS)?;
        let encoder = Arc::clone(&self.encoder);
        let reference = Reference::new(&encoder, values, self.stepper.settings(), &input)?;
        let mut refused = None;
        for way in self.config.compute.ways() {
            let Some(kernels) = way.kernels(&encoder, &self.device.device) else {
                continue;
            };
            match reference.check(&self.device.device, &self.device.name, kernels.clone()) {
                Ok(test) => return self.compute_by(way, kernels, test),
                Err(error) => {
                    self.note(format!("{} are not used: {error}", way.name()))?;
                    refused = Some(error);
                }
            }
        }
        match refused {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn compute_by(
        &mut self,
        way: Way,
        kernels: Option<(Arc<Fused>, Precision)>,
        test: SelfTest,
    ) -> Result<(), TrainError> {
        self.stepper.use_kernels(kernels.clone());
        self.inferencer.use_kernels(kernels);
        let (name, by) = (self.device.name.clone(), way.name());
        let (difference, seconds) = (test.gradient_difference, test.seconds);
        self.note(format!(
            "{name} agrees with the CPU by {by}: gradients differ by {difference:.1e} of their length ({seconds:.1} s)"
        ))
    }
}

/// "embeddings", "layers 1-2", ..., "head": the layers in three bands, as in the paper's figure 4.
fn bands(measured: &Measured) -> BTreeMap<String, f64> {
    let layers = measured
        .bands
        .iter()
        .filter_map(|(band, _)| match band {
            Band::Layer(i) => Some(i + 1),
            Band::Embeddings | Band::Head => None,
        })
        .max()
        .unwrap_or(0);
    let mut squares: BTreeMap<String, f64> = BTreeMap::new();
    for (band, norm) in &measured.bands {
        let name = match band {
            Band::Embeddings => "embeddings".to_owned(),
            Band::Head => "head".to_owned(),
            Band::Layer(i) => third(*i, layers),
        };
        *squares.entry(name).or_default() += f64::from(*norm).powi(2);
    }
    squares
        .into_iter()
        .map(|(name, sum)| (name, sum.sqrt()))
        .collect()
}

/// The name of the third that layer `i` of `layers` belongs to.
fn third(i: usize, layers: usize) -> String {
    let size = layers.div_ceil(3);
    let first = i / size * size;
    let last = (first + size).min(layers);
    if first + 1 == last {
        format!("layer {last}")
    } else {
        format!("layers {}-{last}", first + 1)
    }
}

/// Mean of σ(s⁻ − s⁺) over the negatives of each source.
fn proxies(batch: &Batch, measured: &Measured) -> BTreeMap<Source, f64> {
    let columns = measured.proxies.len() / batch.len().max(1);
    let mut sums: BTreeMap<Source, (f64, f64)> = BTreeMap::new();
    for (row, drawn) in batch.negatives.iter().enumerate() {
        for (column, negative) in drawn.iter().enumerate().take(columns) {
            let sum = sums.entry(negative.source).or_default();
            sum.0 += f64::from(measured.proxies[row * columns + column]);
            sum.1 += 1.0;
        }
    }
    sums.into_iter()
        .map(|(source, (sum, count))| (source, sum / count))
        .collect()
}

fn count_by_source(batch: &Batch) -> BTreeMap<Source, u64> {
    let mut counts = BTreeMap::new();
    for negative in batch.negatives.iter().flatten() {
        *counts.entry(negative.source).or_default() += 1;
    }
    counts
}
