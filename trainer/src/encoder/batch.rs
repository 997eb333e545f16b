//! How do texts of different lengths become one rectangle?
//!
//! Ids are padded to a length from a short list of buckets: kernels are tuned anew for each shape, so that few shapes
//! must serve all batches. Pooling and masks are worked out here, as weights: a pooled vector is a weighted sum of
//! token vectors, and the forward pass is one product.

use burn::tensor::{Device, Int, Tensor, TensorData};
use engine::encoder::config::Pooling;

/// Which lengths a batch may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// Multiples of 8: little padding, many shapes. For the CPU, where shapes cost nothing.
    Fine,
    /// 16, 32, 64, 96, 128 and then multiples of 64: few shapes. For a GPU, where each is tuned once.
    Coarse,
}

impl Buckets {
    /// The shortest bucket that holds `length` tokens, at most `longest` of them.
    pub fn round(self, length: usize, longest: usize) -> usize {
        let rounded = match self {
            Self::Fine => length.max(1).next_multiple_of(8),
            Self::Coarse => match length {
                0..=16 => 16,
                17..=32 => 32,
                33..=128 => length.next_multiple_of(32),
                _ => length.next_multiple_of(64),
            },
        };
        rounded.min(longest).max(length)
    }
}

/// The ids of one text and what pooling leaves out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// Leading tokens that pooling leaves out unless nothing else is there.
    pub skipped: usize,
}

/// A padded batch: B texts of L tokens.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    /// Rows of the token table, (B, L).
    pub(super) ids: Vec<i32>,
    /// 0 for tokens, a large negative number for padding, (B, L); `None` if there is no padding.
    pub(super) padding: Option<Vec<f32>>,
    /// Weights of the token vectors for each pooling mode, (B, M, L). Not used for [`Pooling::Max`].
    pub(super) pooling: Vec<f32>,
    /// B.
    pub(super) rows: usize,
    /// L.
    pub(super) length: usize,
}

/// Added to the score of a padded key; its probability is then 0 in f32.
const MASKED: f32 = -1e9;

impl TokenBatch {
    /// Pads `texts` for a transformer whose token vectors are pooled by `modes`.
    pub(super) fn new(texts: &[&Tokens], modes: &[Pooling], length: usize) -> Self {
        let mut batch = Self::empty(texts.len(), length);
        let mut padding = Vec::with_capacity(texts.len() * length);
        for text in texts {
            let count = text.ids.len();
            batch.push_ids(text.ids.iter().map(|id| *id as i32), count);
            padding.extend((0..length).map(|i| if i < count { 0.0 } else { MASKED }));
            for mode in modes {
                batch.push_pooling(&pooling_weights(*mode, count, text.skipped));
            }
        }
        let padded = texts.iter().any(|t| t.ids.len() < length);
        batch.padding = padded.then_some(padding);
        batch
    }

    /// Pads `texts` for the static family: the mean of `factors`-weighted rows.
    pub(super) fn of_rows(
        texts: &[&Tokens],
        mapping: &[u32],
        factors: &[f32],
        length: usize,
    ) -> Self {
        let mut batch = Self::empty(texts.len(), length);
        for text in texts {
            let row = |id: &u32| mapping.get(*id as usize).map_or(*id, |r| *r) as i32;
            batch.push_ids(text.ids.iter().map(row), text.ids.len());
            let n = text.ids.len().max(1) as f32;
            let weights: Vec<f32> = text
                .ids
                .iter()
                .map(|id| factors.get(*id as usize).copied().unwrap_or(1.0) / n)
                .collect();
            batch.push_pooling(&weights);
        }
        batch
    }

    fn empty(rows: usize, length: usize) -> Self {
        Self {
            ids: Vec::with_capacity(rows * length),
            padding: None,
            pooling: Vec::with_capacity(rows * length),
            rows,
            length,
        }
    }

    fn push_ids(&mut self, ids: impl Iterator<Item = i32>, count: usize) {
        self.ids.extend(ids);
        self.ids.extend(std::iter::repeat_n(0, self.length - count));
    }

    fn push_pooling(&mut self, weights: &[f32]) {
        self.pooling.extend(weights);
        self.pooling
            .extend(std::iter::repeat_n(0.0, self.length - weights.len()));
    }

    /// Texts of the batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Tokens of a text, padding included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// (B, L).
    pub(super) fn ids_on(&self, device: &Device) -> Tensor<2, Int> {
        Tensor::from_data(
            TensorData::new(self.ids.clone(), [self.rows, self.length]),
            device,
        )
    }

    /// (B, 1, 1, L), to add to attention scores.
    pub(super) fn padding_on(&self, device: &Device) -> Option<Tensor<4>> {
        self.padding.as_ref().map(|p| {
            Tensor::from_data(
                TensorData::new(p.clone(), [self.rows, 1, 1, self.length]),
                device,
            )
        })
    }

    /// (B, M, L).
    pub(super) fn pooling_on(&self, device: &Device) -> Tensor<3> {
        let modes = self.pooling.len() / (self.rows * self.length).max(1);
        Tensor::from_data(
            TensorData::new(self.pooling.clone(), [self.rows, modes, self.length]),
            device,
        )
    }
}

/// Weights of the `count` token vectors of a text; the first `skipped` are left out unless nothing else is there.
pub(super) fn pooling_weights(mode: Pooling, count: usize, skipped: usize) -> Vec<f32> {
    let first = if skipped < count { skipped } else { 0 };
    let kept = (count - first) as f32;
    let weight = |i: usize| match mode {
        _ if i < first => 0.0,
        Pooling::Cls => f32::from(u8::from(i == first)),
        Pooling::LastToken => f32::from(u8::from(i + 1 == count)),
        Pooling::Mean => 1.0 / kept,
        Pooling::MeanSqrtLen => 1.0 / kept.sqrt(),
        Pooling::WeightedMean => {
            let total: f32 = (first..count).map(|i| (i + 1) as f32).sum();
            (i + 1) as f32 / total
        }
        // 1 marks the tokens that the maximum ranges over.
        Pooling::Max => 1.0,
    };
    (0..count).map(weight).collect()
}
