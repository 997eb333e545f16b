//! What does one step of training do?
//!
//! Encode the batch, compute the loss, go backward, clip, update. A batch that does not fit the device is cut in
//! micro-batches: losses whose queries do not look at each other simply add their gradients, the others go through
//! GradCache (Gao et al. 2021): vectors of the whole batch without gradients, the loss's gradient on these vectors,
//! then each micro-batch again, backward from its share. Dropout repeats itself in the second pass.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::encoder::{
    Band, Buckets, Drops, Fused, Noise, Precision, Tape, Tokens, TrainEncoder, Weights, mix, on,
};
use crate::loss::{Labels, Loss, Objective, Vectors};
use crate::optim::{Optimizer, clip};

/// The tokens and labels of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct StepInput {
    /// B queries.
    pub queries: Vec<Tokens>,
    /// B passages: the positive of each query.
    pub positives: Vec<Tokens>,
    /// B N passages, those of a query together.
    pub negatives: Vec<Tokens>,
    /// What is known of them.
    pub labels: Labels,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Mean loss of the batch.
    pub loss: f32,
    /// Norm of the whole gradient before clipping.
    pub gradient_norm: f32,
    /// Whether the update was left out because loss or gradient was NaN or infinite.
    pub skipped: bool,
    /// Texts encoded.
    pub texts: usize,
    /// Queries that are encoded at once from now on, where more did not fit the device's memory.
    pub smaller: Option<usize>,
}

/// What a batch's gradient looks like from inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Norm of the gradient of each band, before clipping.
    pub bands: Vec<(Band, f32)>,
    /// σ(s⁻ − s⁺) of each query's own negatives, (B, N): the last layer's factor of the pairwise loss's gradient. Empty
    /// where the loss looks at no mined negatives.
    pub proxies: Vec<f32>,
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The device's answer.
    #[error("the device failed: {0}; try a smaller micro-batch, or --device cpu")]
    Device(String),
    /// Loss or gradient was NaN or infinite in several steps running.
    #[error(
        "loss or gradient was not finite in {0} steps running; lower the learning rate, or resume from the last checkpoint with --device cpu"
    )]
    NotFinite(u32),
}

/// Steps without an update in a row after which a run is given up.
const PATIENCE: u32 = 3;

/// The model and its optimiser on one device.
pub struct Stepper {
    encoder: Arc<TrainEncoder>,
    /// The device, tracking gradients.
    device: Device,
    /// All trained numbers; never tracked.
    weights: Tensor<1>,
    optimizer: Optimizer,
    settings: StepSettings,
    /// The encoder in kernels of our own; `None` for burn's plain operations.
    kernels: Option<Kernels>,
    failures: u32,
}

/// A step on kernels of our own.
#[derive(Debug, Clone)]
struct Kernels {
    encoder: Arc<Fused>,
    precision: Precision,
    /// Factor of gradients on their way back. Halved when they overflow, never raised again, so that a run is the same
    /// each time.
    scale: f32,
}

impl Kernels {
    /// The first factor: it lifts gradients of 1e-8 into the range of f16.
    const SCALE: f32 = 65_536.0;

    fn new(encoder: Arc<Fused>, precision: Precision) -> Self {
        let scale = match precision {
            Precision::F32 => 1.0,
            Precision::F16 => Self::SCALE,
        };
        Self {
            encoder,
            precision,
            scale,
        }
    }

    /// Whether a smaller factor would help: the loss is a number and its gradient is not.
    fn overflows(&self, loss: f32, gradient: &[f32]) -> bool {
        self.scale > 1.0 && loss.is_finite() && gradient.iter().any(|g| !g.is_finite())
    }
}

/// How steps are made.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSettings {
    /// What is minimised.
    pub loss: Loss,
    /// Queries encoded at once with gradients; at least 1.
    pub micro_batch: usize,
    /// Longest gradient.
    pub clip: f64,
    /// Dropout of hidden activations and of attention probabilities.
    pub dropout: [f64; 2],
    /// Recompute cheap activations in the backward pass instead of keeping them.
    pub checkpoint_activations: bool,
    /// Seed of all dropout.
    pub seed: u64,
    /// How batches are padded.
    pub buckets: Buckets,
}

impl Stepper {
    /// A model with the weights `values` on `device`.
    pub fn new(
        encoder: Arc<TrainEncoder>,
        values: &[f32],
        optimizer: Optimizer,
        device: &Device,
        settings: StepSettings,
    ) -> Self {
        let tracking = device.clone().autodiff();
        Self {
            weights: crate::encoder::to_device(values, device),
            encoder,
            device: if settings.checkpoint_activations {
                tracking.gradient_checkpointing()
            } else {
                tracking
            },
            optimizer,
            settings,
            kernels: None,
            failures: 0,
        }
    }

    /// From now on by kernels of our own with activations of this precision, or by burn's plain operations.
    pub fn use_kernels(&mut self, kernels: Option<(Arc<Fused>, Precision)>) {
        self.kernels = kernels.map(|(encoder, precision)| Kernels::new(encoder, precision));
    }

    /// All trained numbers, on the device.
    pub fn weights(&self) -> &Tensor<1> {
        &self.weights
    }

    /// All trained numbers.
    ///
    /// # Errors
    /// The device.
    pub fn values(&self) -> Result<Vec<f32>, StepError> {
        read(self.weights.clone())
    }

    /// The optimiser.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The optimiser's moments; `None` before its first step.
    ///
    /// # Errors
    /// The device.
    pub fn moment_values(&self) -> Result<Option<[Vec<f32>; 2]>, StepError> {
        match self.optimizer.moments() {
            None => Ok(None),
            Some([m, v]) => Ok(Some([read(m.clone())?, read(v.clone())?])),
        }
    }

    /// Continues from other weights and moments.
    pub fn restore(&mut self, values: &[f32], moments: Option<[Vec<f32>; 2]>, steps: u64) {
        let device = self.weights.device();
        let up = |values: &[f32]| crate::encoder::to_device(values, &device);
        self.weights = up(values);
        self.optimizer
            .restore(moments.map(|[m, v]| [up(&m), up(&v)]), steps);
        self.failures = 0;
    }

    /// One step with learning rate `rate`; `number` seeds its dropout.
    ///
    /// # Errors
    /// The device, or values that stay NaN or infinite.
    pub fn step(
        &mut self,
        input: &StepInput,
        rate: f64,
        number: u64,
    ) -> Result<StepReport, StepError> {
        let before = self.settings.micro_batch;
        let (loss, gradient, norm) = self.fitting(input, number)?;
        let finite = loss.is_finite() && norm.is_finite();
        if finite {
            self.failures = 0;
            let weights = self.weights.clone();
            self.weights = self
                .optimizer
                .step(rate, weights, gradient, self.encoder.layout());
        } else {
            self.failures += 1;
        }
        if self.failures >= PATIENCE {
            return Err(StepError::NotFinite(self.failures));
        }
        Ok(StepReport {
            loss,
            gradient_norm: norm,
            skipped: !finite,
            texts: input.queries.len() + input.positives.len() + input.negatives.len(),
            smaller: (self.settings.micro_batch < before).then_some(self.settings.micro_batch),
        })
    }

    /// [`Stepper::clipped`]; a batch that does not fit the device's memory is cut in halves until it does.
    fn fitting(
        &mut self,
        input: &StepInput,
        number: u64,
    ) -> Result<(f32, Tensor<1>, f32), StepError> {
        loop {
            let queries = self.settings.micro_batch.min(input.queries.len());
            match self.clipped(input, number) {
                Err(StepError::Device(detail)) if queries > 1 && is_full(&detail) => {
                    self.settings.micro_batch = queries.div_ceil(2);
                }
                other => return other,
            }
        }
    }

    /// Loss, clipped gradient and its norm before. Gradients too large for f16 are computed again at half the scale.
    fn clipped(
        &mut self,
        input: &StepInput,
        number: u64,
    ) -> Result<(f32, Tensor<1>, f32), StepError> {
        loop {
            let (loss, gradient) = self.gradient(self.kernels.as_ref(), input, number);
            let (gradient, norm) = clip(gradient, self.settings.clip);
            // One look at the device a step: everything before it is queued without waiting.
            let read = read(Tensor::cat(vec![loss, norm], 0))?;
            let (loss, norm) = (read[0], read[1]);
            match &mut self.kernels {
                Some(kernels) if kernels.overflows(loss, &[norm]) => kernels.scale /= 2.0,
                _ => return Ok((loss, gradient, norm)),
            }
        }
    }

    /// Loss (one number) and gradient of a batch, no update.
    fn gradient(
        &self,
        kernels: Option<&Kernels>,
        input: &StepInput,
        number: u64,
    ) -> (Tensor<1>, Tensor<1>) {
        if let Some(kernels) = kernels {
            return self.kernel_gradient(kernels, input, number);
        }
        let weights = Weights::new(self.encoder.layout(), &self.weights, Some(&self.device));
        let parts = input.chunks(self.settings.micro_batch);
        if parts.len() == 1 {
            let loss = self.loss(&weights, input, number, 0);
            return (loss.clone().inner(), weights.gradient(loss.backward()));
        }
        if self.settings.loss.objective.couples_queries() {
            self.cached_gradient(&parts, &input.labels, number)
        } else {
            self.summed_gradient(&parts, number)
        }
    }

    /// How steps are made.
    pub fn settings(&self) -> &StepSettings {
        &self.settings
    }

    /// What the paper's figure 4 shows of a batch. One more pass forward and backward.
    ///
    /// # Errors
    /// The device.
    pub fn measure(&self, input: &StepInput, number: u64) -> Result<Measured, StepError> {
        let (_, gradient) = self.gradient_values(input, number)?;
        let parts = input.chunks(self.settings.micro_batch);
        let mut proxies = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let vectors = self.fixed_vectors(part, number, i as u64);
            proxies.extend(self.proxies(&vectors)?);
        }
        Ok(Measured {
            bands: self.encoder.layout().band_norms(&gradient),
            proxies,
        })
    }

    /// The vectors of a part, without gradients.
    fn fixed_vectors(&self, part: &StepInput, number: u64, place: u64) -> Vectors {
        let Some(kernels) = &self.kernels else {
            let fixed = Weights::new(self.encoder.layout(), &self.weights, None);
            return self.vectors(&fixed, part, number, place);
        };
        let (pooled, _) = self.pooled(kernels, part, number, place, false);
        let head = Weights::of_head(self.encoder.layout(), &self.weights, None);
        part.vectors(
            self.encoder.finish(&head, pooled),
            self.negatives_of(part).len(),
        )
    }

    /// σ(s⁻ − s⁺) of each query's own negatives, (B, N).
    fn proxies(&self, vectors: &Vectors) -> Result<Vec<f32>, StepError> {
        if vectors.negatives.is_none() {
            return Ok(Vec::new());
        }
        let (positive, negative) = self.settings.loss.own_scores(vectors);
        let sigmoid = burn::tensor::activation::sigmoid(negative - positive);
        let count = sigmoid.dims().iter().product::<usize>();
        read(sigmoid.reshape([count]))
    }

    /// Loss of a batch, and its gradient in the order of the layout; no update.
    ///
    /// # Errors
    /// The device.
    pub fn gradient_values(
        &self,
        input: &StepInput,
        number: u64,
    ) -> Result<(f32, Vec<f32>), StepError> {
        let mut kernels = self.kernels.clone();
        loop {
            let (loss, gradient) = self.gradient(kernels.as_ref(), input, number);
            let (loss, gradient) = (scalar(loss)?, read(gradient)?);
            match &mut kernels {
                Some(kernels) if kernels.overflows(loss, &gradient) => kernels.scale /= 2.0,
                _ => return Ok((loss, gradient)),
            }
        }
    }

    fn loss(&self, weights: &Weights, input: &StepInput, number: u64, part: u64) -> Tensor<1> {
        let vectors = self.vectors(weights, input, number, part);
        self.settings.loss.compute(&vectors, &input.labels)
    }

    /// Gradients of parts that do not look at each other, weighted by their share of the loss's mean.
    fn summed_gradient(&self, parts: &[StepInput], number: u64) -> (Tensor<1>, Tensor<1>) {
        let weight = |part: &StepInput| part.weight(self.settings.loss.objective);
        let total: f32 = parts.iter().map(weight).sum();
        let (mut value, mut sum) = (None, None);
        for (i, part) in parts.iter().enumerate() {
            let weights = Weights::new(self.encoder.layout(), &self.weights, Some(&self.device));
            let share = f64::from(weight(part) / total.max(1.0));
            let loss = self.loss(&weights, part, number, i as u64) * share;
            value = Some(added(value, loss.clone().inner()));
            sum = Some(added(sum, weights.gradient(loss.backward())));
        }
        let zero = || Tensor::zeros([1], &self.weights.device());
        (
            value.unwrap_or_else(zero),
            sum.unwrap_or_else(|| self.weights.zeros_like()),
        )
    }

    /// GradCache.
    fn cached_gradient(
        &self,
        parts: &[StepInput],
        labels: &Labels,
        number: u64,
    ) -> (Tensor<1>, Tensor<1>) {
        let fixed = Weights::new(self.encoder.layout(), &self.weights, None);
        let leaf = |x: Tensor<2>| on(x, &self.device).require_grad();
        let leaves: Vec<Vectors> = parts
            .iter()
            .enumerate()
            .map(|(i, part)| self.vectors(&fixed, part, number, i as u64).map(leaf))
            .collect();
        let loss = self.settings.loss.compute(&Vectors::cat(&leaves), labels);
        let value = loss.clone().inner();
        let mut cached = loss.backward();
        let mut sum = None;
        for (i, (part, leaf)) in parts.iter().zip(leaves).enumerate() {
            let weights = Weights::new(self.encoder.layout(), &self.weights, Some(&self.device));
            let vectors = self.vectors(&weights, part, number, i as u64);
            let surrogate = vectors
                .iter()
                .zip(leaf.iter())
                .filter_map(|(x, leaf)| {
                    let gradient = leaf.grad_remove(&mut cached)?;
                    Some((x.clone() * on(gradient, &self.device)).sum())
                })
                .reduce(|a, b| a + b);
            if let Some(surrogate) = surrogate {
                sum = Some(added(sum, weights.gradient(surrogate.backward())));
            }
        }
        (value, sum.unwrap_or_else(|| self.weights.zeros_like()))
    }

    /// By kernels of our own. The loss looks at the whole batch; a batch of several parts goes forward twice, first for
    /// the vectors that the loss needs, then part by part with what the way back needs (GradCache).
    fn kernel_gradient(
        &self,
        kernels: &Kernels,
        input: &StepInput,
        number: u64,
    ) -> (Tensor<1>, Tensor<1>) {
        let parts = input.chunks(self.settings.micro_batch);
        let taped = parts.len() == 1;
        let layout = self.encoder.layout();
        let head = Weights::of_head(layout, &self.weights, Some(&self.device));
        let (mut leaves, mut tapes, mut vectors) = (Vec::new(), Vec::new(), Vec::new());
        for (i, part) in parts.iter().enumerate() {
            let (pooled, tape) = self.pooled(kernels, part, number, i as u64, taped);
            let leaf = on(pooled, &self.device).require_grad();
            let finished = self.encoder.finish(&head, leaf.clone());
            vectors.push(part.vectors(finished, self.negatives_of(part).len()));
            leaves.push(leaf);
            tapes.push(tape);
        }
        let loss = self
            .settings
            .loss
            .compute(&Vectors::cat(&vectors), &input.labels);
        let value = loss.clone().inner();
        let mut gradients = loss.backward();
        let mut sum = None;
        for (i, (part, leaf)) in parts.iter().zip(leaves).enumerate() {
            let Some(arriving) = leaf.grad_remove(&mut gradients) else {
                continue;
            };
            let tape = tapes[i]
                .take()
                .or_else(|| self.pooled(kernels, part, number, i as u64, true).1);
            if let Some(tape) = tape {
                let encoder = &kernels.encoder;
                let part = encoder.backward(&self.weights, &tape, &arriving, kernels.scale);
                sum = Some(added(sum, part));
            }
        }
        let sum = sum.unwrap_or_else(|| self.weights.zeros_like());
        (value, head.add_gradient(layout, &mut gradients, sum))
    }

    /// Pooled vectors of a part's queries, positives and negatives, in that order.
    fn pooled(
        &self,
        kernels: &Kernels,
        part: &StepInput,
        number: u64,
        place: u64,
        taped: bool,
    ) -> (Tensor<2>, Option<Tape>) {
        let texts: Vec<&Tokens> = part
            .queries
            .iter()
            .chain(&part.positives)
            .chain(self.negatives_of(part))
            .collect();
        let [hidden, attention] = self.settings.dropout;
        let drops = Drops {
            hidden,
            attention,
            seed: self.seed(number, place),
        };
        kernels
            .encoder
            .forward(&self.weights, &texts, kernels.precision, drops, taped)
    }

    fn seed(&self, number: u64, part: u64) -> u64 {
        mix(self.settings.seed ^ mix(number ^ mix(part)))
    }

    /// The negatives that the loss looks at.
    fn negatives_of<'a>(&self, part: &'a StepInput) -> &'a [Tokens] {
        if self.settings.loss.objective.uses_negatives() {
            &part.negatives
        } else {
            &[]
        }
    }

    /// The vectors of a part; the same numbers for the same `number` and `part`.
    fn vectors(&self, weights: &Weights, input: &StepInput, number: u64, part: u64) -> Vectors {
        let [hidden, attention] = self.settings.dropout;
        let mut noise = Noise::new(hidden, attention, self.seed(number, part));
        let queries = self.embed(weights, input.queries.iter().collect(), &mut noise);
        let negatives = self.negatives_of(input);
        let b = input.positives.len();
        let passages = input.positives.iter().chain(negatives).collect();
        let passages = self.embed(weights, passages, &mut noise);
        Vectors {
            queries,
            positives: passages.clone().narrow(0, 0, b),
            negatives: (!negatives.is_empty()).then(|| passages.narrow(0, b, negatives.len())),
        }
    }

    /// Vectors of `texts` in order.
    fn embed(&self, weights: &Weights, texts: Vec<&Tokens>, noise: &mut Noise) -> Tensor<2> {
        if self.settings.buckets == Buckets::Coarse || texts.len() <= SORTED_ROWS {
            return self
                .encoder
                .forward(weights, &self.encoder.batch(&texts), noise);
        }
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|i| texts[*i].ids.len());
        let parts = order
            .chunks(SORTED_ROWS)
            .map(|rows| {
                let rows: Vec<&Tokens> = rows.iter().map(|i| texts[*i]).collect();
                self.encoder
                    .forward(weights, &self.encoder.batch(&rows), noise)
            })
            .collect();
        let mut places = vec![0i32; order.len()];
        for (place, text) in order.iter().enumerate() {
            places[*text] = place as i32;
        }
        let places = TensorData::new(places, [order.len()]);
        let places = Tensor::<1, Int>::from_data(places, &weights.device());
        Tensor::cat(parts, 0).select(0, places)
    }
}

/// Where shapes cost nothing, texts are sorted by length and go through in so many rows, so that little is padded.
const SORTED_ROWS: usize = 16;

impl StepInput {
    /// The same batch, and negatives that `left_out` names by pair and place do not count.
    pub(crate) fn without(&self, left_out: impl Fn(usize, usize) -> bool) -> Self {
        let mut input = self.clone();
        let b = self.queries.len();
        let n = self.negatives.len() / b.max(1);
        let stride = b + b * n;
        for at in (0..b * n).filter(|at| left_out(at / n, at % n)) {
            input.labels.present[at] = 0.0;
            for query in 0..self.labels.excused.len() / stride {
                input.labels.excused[query * stride + b + at] = 1.0;
            }
        }
        input
    }

    /// The batch in parts of at most `queries` queries, each with its own labels. Parts of a loss that couples queries
    /// are encoded apart and labelled together.
    fn chunks(&self, queries: usize) -> Vec<Self> {
        let b = self.queries.len();
        let n = self.negatives.len() / b.max(1);
        let step = queries.max(1);
        (0..b)
            .step_by(step)
            .map(|from| {
                let to = (from + step).min(b);
                Self {
                    queries: self.queries[from..to].to_vec(),
                    positives: self.positives[from..to].to_vec(),
                    negatives: self.negatives[from * n..to * n].to_vec(),
                    labels: self.labels.rows(from..to, n),
                }
            })
            .collect()
    }

    /// `vectors` of the queries, positives and negatives, in that order, told apart.
    fn vectors(&self, vectors: Tensor<2>, negatives: usize) -> Vectors {
        let b = self.queries.len();
        Vectors {
            queries: vectors.clone().narrow(0, 0, b),
            positives: vectors.clone().narrow(0, b, b),
            negatives: (negatives > 0).then(|| vectors.narrow(0, 2 * b, negatives)),
        }
    }

    /// What the loss is a mean over: queries for a distribution over passages, pairs otherwise.
    fn weight(&self, objective: Objective) -> f32 {
        match objective {
            Objective::Distil => self.queries.len() as f32,
            _ => self.labels.present.iter().sum(),
        }
    }
}

impl Labels {
    /// The labels of some queries by themselves. Excuses are between queries and stay behind.
    fn rows(&self, range: std::ops::Range<usize>, n: usize) -> Self {
        let width = 1 + n;
        Self {
            present: self.present[range.start * n..range.end * n].to_vec(),
            excused: Vec::new(),
            teacher: self
                .teacher
                .as_ref()
                .map(|t| t[range.start * width..range.end * width].to_vec()),
        }
    }
}

impl Vectors {
    fn map(self, f: impl Fn(Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            queries: f(self.queries),
            positives: f(self.positives),
            negatives: self.negatives.map(f),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Tensor<2>> {
        [&self.queries, &self.positives]
            .into_iter()
            .chain(&self.negatives)
    }

    fn cat(parts: &[Self]) -> Self {
        let cat = |part: fn(&Self) -> Option<&Tensor<2>>| {
            let tensors: Vec<Tensor<2>> = parts.iter().filter_map(part).cloned().collect();
            (!tensors.is_empty()).then(|| Tensor::cat(tensors, 0))
        };
        let all = "a batch has at least one query";
        Self {
            queries: cat(|p| Some(&p.queries)).expect(all),
            positives: cat(|p| Some(&p.positives)).expect(all),
            negatives: cat(|p| p.negatives.as_ref()),
        }
    }
}

fn added(sum: Option<Tensor<1>>, more: Tensor<1>) -> Tensor<1> {
    match sum {
        Some(sum) => sum + more,
        None => more,
    }
}

fn scalar(tensor: Tensor<1>) -> Result<f32, StepError> {
    read(tensor).map(|v| v.first().copied().unwrap_or(f32::NAN))
}

/// Whether a device failed because its memory is full. There is no type for it: drivers say it in words.
fn is_full(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    ["out of memory", "out of device memory", "out-of-memory"]
        .iter()
        .any(|words| detail.contains(words))
}

fn read(tensor: Tensor<1>) -> Result<Vec<f32>, StepError> {
    tensor
        .try_into_vec_as::<f32>()
        .map_err(|e| StepError::Device(e.to_string()))
}

#[cfg(test)]
mod tests;
