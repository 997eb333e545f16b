//! Each loss against its definition in plain numbers.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A batch in plain numbers.
struct Plain {
    d: usize,
    n: usize,
    queries: Vec<Vec<f64>>,
    /// Positives, then negatives.
    passages: Vec<Vec<f64>>,
    labels: Labels,
}

fn batch(b: usize, n: usize, d: usize) -> Plain {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut vectors = |count: usize| -> Vec<Vec<f64>> {
        let number = |rng: &mut ChaCha8Rng| rng.random::<f64>() * 2.0 - 1.0;
        (0..count)
            .map(|_| (0..d).map(|_| number(&mut rng)).collect())
            .collect()
    };
    let (queries, passages) = (vectors(b), vectors(b + b * n));
    let mut present = vec![1.0; b * n];
    let width = b + b * n;
    let mut excused = vec![0.0; b * width];
    if let Some(last) = present.last_mut() {
        *last = 0.0;
    }
    // Nobody takes the last negative, and the first query takes the second one's positive as its own too.
    excused[1] = 1.0;
    for row in excused.chunks_exact_mut(width).filter(|_| n > 0) {
        row[width - 1] = 1.0;
    }
    let teacher = (0..b * (1 + n))
        .map(|i| (i as f32 * 0.7).sin() * 3.0)
        .collect();
    Plain {
        d,
        n,
        queries,
        passages,
        labels: Labels {
            present,
            excused,
            teacher: Some(teacher),
        },
    }
}

impl Plain {
    fn vectors(&self) -> Vectors {
        let b = self.queries.len();
        let tensor = |rows: &[Vec<f64>]| {
            let numbers: Vec<f32> = rows.iter().flatten().map(|x| *x as f32).collect();
            Tensor::from_data(
                TensorData::new(numbers, [rows.len(), self.d]),
                &Device::flex(),
            )
        };
        Vectors {
            queries: tensor(&self.queries),
            positives: tensor(&self.passages[..b]),
            negatives: (self.n > 0).then(|| tensor(&self.passages[b..])),
        }
    }

    fn score(&self, loss: &Loss, query: usize, passage: usize, length: usize) -> f64 {
        let (q, p) = (
            &self.queries[query][..length],
            &self.passages[passage][..length],
        );
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let norm = if loss.unit && length < self.d {
            (dot(q, q) * dot(p, p)).sqrt()
        } else {
            1.0
        };
        loss.scale * dot(q, p) / norm
    }

    /// The definition, over vectors cut to `length`.
    fn loss(&self, loss: &Loss, length: usize) -> f64 {
        let b = self.queries.len();
        let score = |q: usize, p: usize| self.score(loss, q, p, length);
        let negative = |q: usize, k: usize| b + q * self.n + k;
        let teacher = self.labels.teacher.as_ref().expect("a teacher");
        let taught = |q: usize, k: usize| f64::from(teacher[q * (1 + self.n) + k]);
        let pairs: Vec<(usize, usize)> = (0..b)
            .flat_map(|q| (0..self.n).map(move |k| (q, k)))
            .filter(|(q, k)| self.labels.present[q * self.n + k] > 0.0)
            .collect();
        let over_pairs = |f: &dyn Fn(usize, usize) -> f64| {
            pairs.iter().map(|(q, k)| f(*q, *k)).sum::<f64>() / pairs.len() as f64
        };
        match loss.objective {
            Objective::Pairwise => {
                over_pairs(&|q, k| (1.0 + (score(q, negative(q, k)) - score(q, q)).exp()).ln())
            }
            Objective::MarginMse => over_pairs(&|q, k| {
                let own = score(q, q) - score(q, negative(q, k));
                (own - (taught(q, 0) - taught(q, 1 + k))).powi(2)
            }),
            Objective::InBatch => self.cross_entropy(loss, length, b),
            Objective::InBatchAndMined => self.cross_entropy(loss, length, b + b * self.n),
            Objective::Distil => {
                let divergence = |q: usize| {
                    let kept: Vec<usize> = (0..self.n)
                        .filter(|k| self.labels.present[q * self.n + k] > 0.0)
                        .collect();
                    let own = std::iter::once(score(q, q))
                        .chain(kept.iter().map(|k| score(q, negative(q, *k))));
                    let taught =
                        std::iter::once(taught(q, 0)).chain(kept.iter().map(|k| taught(q, 1 + k)));
                    let (own, taught) = (log_softmax(own), log_softmax(taught));
                    taught
                        .iter()
                        .zip(&own)
                        .map(|(t, s)| t.exp() * (t - s))
                        .sum::<f64>()
                };
                (0..b).map(divergence).sum::<f64>() / b as f64
            }
        }
    }

    fn cross_entropy(&self, loss: &Loss, length: usize, width: usize) -> f64 {
        let b = self.queries.len();
        let stride = self.labels.excused.len() / b;
        let of = |q: usize| {
            let kept = (0..width)
                .filter(|p| *p == q || self.labels.excused[q * stride + p] == 0.0)
                .collect::<Vec<_>>();
            let place = kept.iter().position(|p| *p == q).expect("its own positive");
            -log_softmax(kept.iter().map(|p| self.score(loss, q, *p, length)))[place]
        };
        (0..b).map(of).sum::<f64>() / b as f64
    }
}

fn log_softmax(scores: impl Iterator<Item = f64>) -> Vec<f64> {
    let scores: Vec<f64> = scores.collect();
    let total: f64 = scores.iter().map(|s| s.exp()).sum();
    scores.iter().map(|s| s - total.ln()).collect()
}

fn loss(objective: Objective) -> Loss {
    Loss {
        objective,
        scale: 1.5,
        unit: true,
        prefixes: Vec::new(),
    }
}

fn assert_twins(loss: &Loss, plain: &Plain) {
    let found = loss.compute(&plain.vectors(), &plain.labels);
    let found = f64::from(found.into_scalar::<f32>());
    let prefixes = loss.prefixes.iter().map(|p| plain.loss(loss, *p));
    let wanted = plain.loss(loss, plain.d) + prefixes.sum::<f64>();
    assert!(
        (found - wanted).abs() < 1e-4 * (1.0 + wanted.abs()),
        "{:?}: {found} for {wanted}",
        loss.objective
    );
}

const ALL: [Objective; 5] = [
    Objective::Pairwise,
    Objective::InBatch,
    Objective::InBatchAndMined,
    Objective::MarginMse,
    Objective::Distil,
];

#[test]
fn losses_are_their_definitions() {
    for (b, n, d) in [(3, 2, 8), (1, 3, 4), (5, 1, 6)] {
        for objective in ALL {
            assert_twins(&loss(objective), &batch(b, n, d));
        }
    }
}

#[test]
fn in_batch_needs_no_negatives() {
    assert_twins(&loss(Objective::InBatch), &batch(4, 0, 6));
}

#[test]
fn prefixes_add_their_losses() {
    for objective in ALL {
        let loss = Loss {
            prefixes: vec![4, 2],
            ..loss(objective)
        };
        assert_twins(&loss, &batch(3, 2, 8));
    }
}

#[test]
fn an_excused_passage_pulls_no_query() {
    let plain = batch(2, 1, 4);
    let passages = Tensor::<2>::from_data(
        TensorData::new(vec![0.5f32; 8], [2, 4]),
        &Device::flex().autodiff(),
    )
    .require_grad();
    let mut vectors = plain.vectors();
    let tracked = |x: Tensor<2>| x.autodiff();
    vectors = Vectors {
        queries: tracked(vectors.queries),
        positives: tracked(vectors.positives),
        negatives: Some(passages.clone()),
    };
    let gradients = loss(Objective::InBatchAndMined)
        .compute(&vectors, &plain.labels)
        .backward();
    let gradient = passages.grad(&gradients).expect("a gradient");
    let gradient = gradient.try_into_vec_as::<f32>().expect("numbers");
    assert!(gradient[..4].iter().any(|g| *g != 0.0));
    assert!(gradient[4..].iter().all(|g| *g == 0.0), "{gradient:?}");
}

#[test]
fn large_scores_stay_finite() {
    for objective in ALL {
        let loss = Loss {
            scale: 1e4,
            ..loss(objective)
        };
        let plain = batch(3, 2, 8);
        let found = loss.compute(&plain.vectors(), &plain.labels);
        assert!(found.into_scalar::<f32>().is_finite(), "{objective:?}");
    }
}
