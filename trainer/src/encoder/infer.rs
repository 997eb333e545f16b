//! How does the model under training encode a whole corpus on its own device?

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use engine::encoder::{Embeddings, EncodeError, Encoder, EncoderIdentity, Role};
use storage::Task;

use super::{Drops, Fused, Noise, Precision, Tokens, TrainEncoder, Weights};

/// Tokens in one forward pass without gradients; a few hundred MB of activations for a base model.
const TOKENS_A_PASS: usize = 16_384;

/// Texts tokenised before they are sorted by length.
const WINDOW: usize = 4096;

/// A [`TrainEncoder`] with fixed weights, as `engine` wants an encoder.
pub struct DeviceEncoder {
    model: Arc<TrainEncoder>,
    weights: Weights,
    /// All weights, and the model in kernels of our own.
    kernels: Option<(Tensor<1>, Arc<Fused>, Precision)>,
    identity: EncoderIdentity,
}

impl DeviceEncoder {
    /// The model with the weights `values`, all trained numbers on the device that computes; `hash` is theirs. Computed by
    /// `kernels` of our own, or by burn's plain operations.
    pub fn new(
        model: Arc<TrainEncoder>,
        values: &Tensor<1>,
        hash: &str,
        kernels: Option<(Arc<Fused>, Precision)>,
    ) -> Self {
        let weights = match &kernels {
            Some(_) => Weights::of_head(model.layout(), values, None),
            None => Weights::new(model.layout(), values, None),
        };
        let identity = EncoderIdentity {
            hash: hash.into(),
            name: "in training".into(),
            family: model.family().into(),
            dimension: model.dimension(),
            max_tokens: model.max_tokens(),
        };
        Self {
            model,
            weights,
            kernels: kernels.map(|(fused, precision)| (values.clone(), fused, precision)),
            identity,
        }
    }

    fn encode_window(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let longest = self.model.max_tokens();
        let tokens: Vec<Tokens> = texts
            .iter()
            .map(|t| self.model.tokens(t, role, longest))
            .collect::<Result<_, _>>()?;
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(tokens[*i].ids.len()));
        let d = self.model.dimension();
        let mut rest = order.as_slice();
        while let Some(first) = rest.first() {
            task.check()?;
            let rows = match self.kernels {
                Some(_) => packed_rows(rest.iter().map(|i| tokens[*i].ids.len())),
                None => (TOKENS_A_PASS / tokens[*first].ids.len().max(1)).clamp(1, rest.len()),
            };
            let (chunk, after) = rest.split_at(rows);
            let vectors = self.encode_batch(chunk.iter().map(|i| &tokens[*i]).collect())?;
            for (at, vector) in chunk.iter().zip(vectors.chunks_exact(d)) {
                out[at * d..(at + 1) * d].copy_from_slice(vector);
            }
            rest = after;
        }
        Ok(())
    }

    fn encode_batch(&self, tokens: Vec<&Tokens>) -> Result<Vec<f32>, EncodeError> {
        let vectors = match &self.kernels {
            Some((values, fused, precision)) => {
                let (pooled, _) = fused.forward(values, &tokens, *precision, Drops::NONE, false);
                self.model.finish(&self.weights, pooled)
            }
            None => {
                let batch = self.model.batch(&tokens);
                self.model
                    .forward(&self.weights, &batch, &mut Noise::NONE.clone())
            }
        };
        vectors
            .try_into_vec_as::<f32>()
            .map_err(|e| EncodeError::Device {
                name: self.identity.name.clone(),
                detail: e.to_string(),
            })
    }

    /// The device the weights are on.
    pub fn device(&self) -> Device {
        self.weights.device()
    }
}

/// How many texts of these lengths fill a pass that pads nothing; at least 1.
fn packed_rows(lengths: impl Iterator<Item = usize>) -> usize {
    let mut tokens = 0;
    let fitting = lengths.take_while(|length| {
        tokens += length;
        tokens <= TOKENS_A_PASS
    });
    fitting.count().max(1)
}

impl Encoder for DeviceEncoder {
    fn identity(&self) -> &EncoderIdentity {
        &self.identity
    }

    fn encode(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
    ) -> Result<Embeddings, EncodeError> {
        let dimension = self.model.dimension();
        let mut values = vec![0.0; texts.len() * dimension];
        let mut done = 0;
        for (window, out) in texts
            .chunks(WINDOW)
            .zip(values.chunks_mut(WINDOW * dimension))
        {
            self.encode_window(window, role, task, out)?;
            done += window.len();
            task.report("encoding", done as u64, texts.len() as u64);
        }
        Ok(Embeddings { dimension, values })
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.model
            .tokens(text, Role::Passage, usize::MAX)
            .map_or(0, |t| t.ids.len())
    }
}
