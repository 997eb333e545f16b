//! How wrong are these vectors?
//!
//! Letters: B queries of a batch, N negatives a query, D dimension. Scores are dot products times `scale`: with unit
//! vectors and scale 20 that is cosine over a temperature of .05, with the head of the paper and scale 1 its plain dot
//! product. Every loss is a mean over the batch, so that the learning rate does not follow the batch size.

#[cfg(test)]
mod tests;

use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use crate::encoder::unit_rows;

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// −log σ(s⁺ − s⁻), averaged over all pairs of a positive and one of its own negatives (Xiong et al. 2021, §2).
    Pairwise,
    /// −log softmax of the positive among the positives of the whole batch (InfoNCE, van den Oord et al. 2018). Mined
    /// negatives are not looked at.
    InBatch,
    /// As `in-batch`, with the mined negatives of the whole batch among the candidates.
    InBatchAndMined,
    /// ((s⁺ − s⁻) − (t⁺ − t⁻))² with a teacher's scores t (Hofstätter et al. 2020).
    MarginMse,
    /// KL(softmax(t) ‖ softmax(s)) over the positive and its negatives.
    Distil,
}

impl Objective {
    /// Whether a query's loss depends on other queries of the batch. Then the batch cannot simply be cut.
    pub fn couples_queries(self) -> bool {
        matches!(self, Self::InBatch | Self::InBatchAndMined)
    }

    /// Whether it needs a teacher's scores.
    pub fn needs_teacher(self) -> bool {
        matches!(self, Self::MarginMse | Self::Distil)
    }

    /// Whether it looks at mined negatives.
    pub fn uses_negatives(self) -> bool {
        self != Self::InBatch
    }
}

/// A loss, ready to be computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// What is minimised.
    pub objective: Objective,
    /// Factor of every score; above 0.
    pub scale: f64,
    /// Vectors have unit length, and so must their prefixes.
    pub unit: bool,
    /// Prefix lengths whose losses are added to that of the whole vector (Matryoshka, Kusupati et al. 2022); empty for none.
    pub prefixes: Vec<usize>,
}

/// The vectors of a batch.
#[derive(Debug, Clone)]
pub struct Vectors {
    /// (B, D).
    pub queries: Tensor<2>,
    /// (B, D): row i answers query i.
    pub positives: Tensor<2>,
    /// (B N, D): rows i N to (i + 1) N belong to query i; `None` for N = 0.
    pub negatives: Option<Tensor<2>>,
}

/// What is known of a batch's texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// 1 where a query has a negative, 0 where it has fewer than N, (B, N).
    pub present: Vec<f32>,
    /// 1 where a passage must not count as wrong for a query, (B, B + B N): a known positive of it, or no passage at all.
    /// The columns are the positives, then the negatives, in the order of [`Vectors`].
    pub excused: Vec<f32>,
    /// The teacher's scores of the positive and the negatives, (B, 1 + N).
    pub teacher: Option<Vec<f32>>,
}

/// Added to the score of a passage that does not take part.
const EXCLUDED: f32 = -1e9;

impl Loss {
    /// The loss, one number.
    pub fn compute(&self, vectors: &Vectors, labels: &Labels) -> Tensor<1> {
        let dimension = vectors.queries.dims()[1];
        let whole = self.of(vectors, labels);
        self.prefixes
            .iter()
            .filter(|p| **p < dimension)
            .fold(whole, |sum, prefix| {
                sum + self.of(&vectors.prefix(*prefix, self.unit), labels)
            })
    }

    fn of(&self, vectors: &Vectors, labels: &Labels) -> Tensor<1> {
        match self.objective {
            Objective::Pairwise => self.pairwise(vectors, labels),
            Objective::InBatch => self.in_batch(vectors, labels, None),
            Objective::InBatchAndMined => {
                self.in_batch(vectors, labels, vectors.negatives.as_ref())
            }
            Objective::MarginMse => self.margin_mse(vectors, labels),
            Objective::Distil => self.distil(vectors, labels),
        }
    }

    /// softplus(s⁻ − s⁺) over the pairs there are.
    fn pairwise(&self, vectors: &Vectors, labels: &Labels) -> Tensor<1> {
        let (positive, negative) = self.own_scores(vectors);
        mean_of_present(activation::softplus(negative - positive, 1.0), labels)
    }

    fn margin_mse(&self, vectors: &Vectors, labels: &Labels) -> Tensor<1> {
        let (positive, negative) = self.own_scores(vectors);
        let teacher = teacher(labels, &vectors.queries);
        let n = teacher.dims()[1] - 1;
        let margin = teacher.clone().narrow(1, 0, 1) - teacher.narrow(1, 1, n);
        mean_of_present(((positive - negative) - margin).square(), labels)
    }

    /// Divergence of the own distribution from the teacher's, a mean over queries.
    fn distil(&self, vectors: &Vectors, labels: &Labels) -> Tensor<1> {
        let (positive, negative) = self.own_scores(vectors);
        let absent = (present(labels, &negative) - 1.0) * -EXCLUDED;
        let own = Tensor::cat(vec![positive.clone(), negative + absent.clone()], 1);
        let teacher = teacher(labels, &vectors.queries)
            + Tensor::cat(vec![positive.detach().zeros_like(), absent], 1);
        let wanted = activation::softmax(teacher.clone(), 1);
        let difference = activation::log_softmax(teacher, 1) - activation::log_softmax(own, 1);
        // An absent passage has probability 0 with the teacher; its term is 0 · (finite).
        (wanted * difference).sum_dim(1).mean()
    }

    /// −log softmax of each query's own positive among all passages of the batch.
    fn in_batch(
        &self,
        vectors: &Vectors,
        labels: &Labels,
        negatives: Option<&Tensor<2>>,
    ) -> Tensor<1> {
        let b = vectors.queries.dims()[0];
        let device = vectors.queries.device();
        let passages = match negatives {
            Some(negatives) => Tensor::cat(vec![vectors.positives.clone(), negatives.clone()], 0),
            None => vectors.positives.clone(),
        };
        let width = passages.dims()[0];
        let scores = vectors.queries.clone().matmul(passages.transpose()) * self.scale;
        let stride = labels.excused.len() / b;
        let excluded: Vec<f32> = labels
            .excused
            .chunks_exact(stride)
            .flat_map(|row| row[..width].iter().map(|e| e * EXCLUDED))
            .collect();
        let logits = scores + constant(excluded, [b, width], &device);
        let own = Tensor::<2>::eye(b, &device);
        let log_probabilities = activation::log_softmax(logits, 1).narrow(1, 0, b);
        (log_probabilities * own).sum() / -(b as f64)
    }

    /// Scores of each query with its positive (B, 1) and with its negatives (B, N).
    pub(crate) fn own_scores(&self, vectors: &Vectors) -> (Tensor<2>, Tensor<2>) {
        let [b, d] = vectors.queries.dims();
        let queries = vectors.queries.clone();
        let positive = (queries.clone() * vectors.positives.clone()).sum_dim(1) * self.scale;
        let negatives = vectors
            .negatives
            .clone()
            .expect("a batch for a loss over negatives has at least one a query");
        let n = negatives.dims()[0] / b;
        let products = negatives.reshape([b, n, d]) * queries.unsqueeze_dim::<3>(1);
        let negative = products.sum_dim(2).reshape([b, n]) * self.scale;
        (positive, negative)
    }
}

impl Vectors {
    /// The first `length` numbers of every vector, at unit length if `unit`.
    fn prefix(&self, length: usize, unit: bool) -> Self {
        let cut = |x: &Tensor<2>| {
            let x = x.clone().narrow(1, 0, length);
            if unit { unit_rows(x) } else { x }
        };
        Self {
            queries: cut(&self.queries),
            positives: cut(&self.positives),
            negatives: self.negatives.as_ref().map(cut),
        }
    }
}

/// The mean of `values` (B, N) over the pairs there are; 0 if there are none.
fn mean_of_present(values: Tensor<2>, labels: &Labels) -> Tensor<1> {
    let count = labels.present.iter().sum::<f32>().max(1.0);
    let present = present(labels, &values);
    (values * present).sum() / count
}

fn present(labels: &Labels, like: &Tensor<2>) -> Tensor<2> {
    constant(labels.present.clone(), like.dims(), &like.device())
}

/// The teacher's scores (B, 1 + N).
fn teacher(labels: &Labels, queries: &Tensor<2>) -> Tensor<2> {
    let b = queries.dims()[0];
    let values = labels
        .teacher
        .clone()
        .expect("the configuration gives a teacher to every loss that needs one");
    let width = values.len() / b;
    constant(values, [b, width], &queries.device())
}

fn constant(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
