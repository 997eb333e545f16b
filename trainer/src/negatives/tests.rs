use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage::Task;
use storage::flat::Metric;
use storage::ivfpq::{BuildParams, Index, build};

use super::dense::Vectors;
use super::*;
use crate::examples::Examples;
use crate::guards::{GuardConfig, Guards, Margin};
use crate::testing::{examples, matrix};

fn unit_rows(n: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows: Vec<f32> = (0..n * dimension)
        .map(|_| rng.random::<f32>() - 0.5)
        .collect();
    for row in rows.chunks_mut(dimension) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    rows
}

fn guards(examples: &Examples, margin: Margin) -> Guards {
    let config = GuardConfig {
        margin,
        ..GuardConfig::default()
    };
    Guards::new(examples, config).expect("guards")
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mining_is_a_full_sort_without_what_the_guards_refuse(
        labels in prop::collection::vec(prop::collection::vec(0u32..20, 1..4), 1..6),
        passages in 1u32..4,
        depth in 1usize..70,
        seed in any::<u64>(),
    ) {
        const D: usize = 8;
        let examples = examples(20, passages, &labels);
        let rows = unit_rows(20 * passages as usize, D, seed);
        let queries = unit_rows(labels.len(), D, seed ^ 1);
        let dir = tempfile::tempdir().expect("a folder");
        let matrix = matrix(dir.path(), D, &rows);
        let guards = guards(&examples, Margin::Relative(0.95));
        let vectors = Vectors { matrix: &matrix, metric: Metric::InnerProduct, index: None, target_recall: 1.0 };
        let (pool, mining) = vectors.mine(&examples, &guards, &queries, (depth, 3, 0), Task::silent()).expect("mined");
        prop_assert_eq!((mining.recall, mining.recall_queries, mining.index.as_str()), (1.0, 0, "exact"));
        for (at, found) in pool.queries.iter().enumerate() {
            let query = &queries[at * D..(at + 1) * D];
            let mut all: Vec<(u32, f32)> =
                rows.chunks(D).zip(0..).map(|(row, id)| (id, dot(query, row))).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            let mut documents = BTreeSet::new();
            let expected: Vec<u32> = all
                .iter()
                .take(depth)
                .map(|(passage, _)| *passage)
                .filter(|p| !examples.queries[at].is_positive(p / passages))
                .filter(|p| documents.insert(p / passages))
                .collect();
            let mined: Vec<u32> = found.candidates.iter().map(|c| c.passage).collect();
            prop_assert_eq!(mined, expected);
            for (positive, document) in found.positives.iter().zip(&examples.queries[at].positives) {
                let best = all.iter().find(|(p, _)| p / passages == *document).expect("its passage");
                prop_assert_eq!(positive.passage, best.0);
                prop_assert!((positive.cosine - best.1).abs() < 1e-5);
            }
        }
        let counts = mining.guards;
        let kept: usize = pool.queries.iter().map(|found| found.candidates.len()).sum();
        prop_assert_eq!(counts.candidates, (labels.len() * depth.min(rows.len() / D)) as u64);
        prop_assert_eq!(
            counts.candidates - counts.labelled - counts.same_document - counts.near_duplicate - counts.repeated,
            kept as u64
        );
    }

    #[test]
    fn weights_lie_on_straight_lines(points in prop::collection::btree_map(0u64..50, 0.0f64..4.0, 1..5), step in 0u64..60) {
        let weights: Vec<(u64, f64)> = points.into_iter().collect();
        let part = Part { source: Source::Ance, draw: Draw::Uniform, weights: weights.clone() };
        let before = weights.iter().rev().find(|(at, _)| *at <= step);
        let after = weights.iter().find(|(at, _)| *at > step);
        let expected = match (before, after) {
            (Some((s, w)), Some((e, v))) => w + (v - w) * ((step - s) as f64 / (e - s) as f64),
            (Some((_, w)), None) | (None, Some((_, w))) => *w,
            (None, None) => 0.0,
        };
        prop_assert!((part.weight(step) - expected).abs() < 1e-12);
    }
}

#[test]
fn the_index_is_asked_and_its_recall_measured() {
    const D: usize = 16;
    let labels: Vec<Vec<u32>> = (0..30).map(|at| vec![at]).collect();
    let examples = examples(2000, 1, &labels);
    let rows = unit_rows(2000, D, 5);
    let queries = unit_rows(30, D, 6);
    let dir = tempfile::tempdir().expect("a folder");
    let matrix = matrix(dir.path(), D, &rows);
    let path = dir.path().join("index");
    let params = BuildParams {
        metric: Metric::InnerProduct,
        ..BuildParams::default()
    };
    build(&path, &matrix, None, &params, Task::silent()).expect("built");
    let index = Index::open(&path, matrix.clone()).expect("opened");
    let guards = guards(&examples, Margin::None);
    let exact = Vectors {
        matrix: &matrix,
        metric: Metric::InnerProduct,
        index: None,
        target_recall: 1.0,
    };
    let probed = Vectors {
        index: Some(&index),
        target_recall: 0.8,
        ..exact
    };
    let [truth, found] = [exact, probed].map(|vectors| {
        vectors
            .mine(&examples, &guards, &queries, (50, 1, 0), Task::silent())
            .expect("mined")
    });
    assert_eq!(
        (found.1.index.as_str(), found.1.recall_queries),
        ("ivfpq", 30)
    );
    // The sample is all queries, so the recall can be counted again from the searches themselves.
    let [all, some] =
        [exact, probed].map(|v| v.search(&queries, 50, Task::silent()).expect("searched"));
    let common: usize = all
        .iter()
        .zip(&some)
        .map(|(a, b)| {
            a.iter()
                .filter(|(p, _)| b.iter().any(|(q, _)| p == q))
                .count()
        })
        .sum();
    assert!((found.1.recall - common as f64 / 1500.0).abs() < 1e-9);
    assert!(found.1.recall > 0.5, "{}", found.1.recall);
    // Scores of what both found are the same exact ones.
    for (a, b) in truth.0.queries.iter().zip(&found.0.queries) {
        assert_eq!(a.positives, b.positives);
        for candidate in &b.candidates {
            if let Some(same) = a.candidates.iter().find(|c| c.passage == candidate.passage) {
                assert!((same.score - candidate.score).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn words_find_candidates_and_vectors_measure_them() {
    let examples = examples(40, 2, &[vec![3], vec![5, 9]]);
    let mut asked = examples.clone();
    asked.queries[0].text = examples.passages[6].text.clone();
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("bm25");
    let searcher = bm25::Searcher::build(&folder, &asked, Task::silent()).expect("built");
    assert_eq!(
        searcher.top(&asked.queries[0].text, 3).expect("searched")[0].0,
        6
    );
    let guards = guards(&asked, Margin::Absolute(0.1));
    let (mut pool, counts) = searcher
        .mine(&asked, &guards, 30, Task::silent())
        .expect("mined");
    assert_eq!((counts.queries, pool.queries.len()), (2, 2));
    let found = &pool.queries[0];
    assert_eq!(found.positives[0].passage, 6);
    assert!(
        found.candidates.is_sorted_by(|a, b| a.score >= b.score) && !found.candidates.is_empty()
    );
    assert!(
        found
            .candidates
            .iter()
            .all(|c| c.cosine.is_nan() && c.passage / 2 != 3)
    );
    let rows = unit_rows(80, 4, 1);
    let queries = unit_rows(2, 4, 2);
    let matrix = matrix(dir.path(), 4, &rows);
    let vectors = Vectors {
        matrix: &matrix,
        metric: Metric::InnerProduct,
        index: None,
        target_recall: 1.0,
    };
    let counts = dense::measure(&mut pool, &vectors, &guards, &queries, 3);
    let candidate = pool.queries[1].candidates[0];
    let row = &rows[candidate.passage as usize * 4..][..4];
    assert!((candidate.cosine - dot(&queries[4..], row)).abs() < 1e-6);
    let refused = |found: &Found| {
        let pairs = found
            .positives
            .iter()
            .flat_map(|p| found.candidates.iter().map(move |c| (c, p)));
        pairs.filter(|(c, p)| c.cosine >= p.cosine - 0.1).count() as u64
    };
    assert_eq!(counts.margin, pool.queries.iter().map(refused).sum::<u64>());
}

fn candidate(passage: u32, cosine: f32) -> Candidate {
    Candidate {
        passage,
        score: cosine,
        cosine,
    }
}

/// Pools in which query 0 has positive 0 at `positive` and candidates from passage 1 on at `cosines`.
fn pools(positive: f32, cosines: &[f32]) -> Pools {
    let found = Found {
        positives: vec![candidate(0, positive)],
        candidates: cosines
            .iter()
            .zip(1..)
            .map(|(cosine, passage)| candidate(passage, *cosine))
            .collect(),
    };
    Pools {
        bm25: None,
        ance: Some(Pool {
            queries: vec![found],
        }),
    }
}

/// How often each passage is drawn first, over `n` draws.
fn frequencies(
    examples: &Examples,
    margin: Margin,
    mixture: &Mixture,
    pools: &Pools,
    n: u32,
) -> BTreeMap<u32, f64> {
    let guards = guards(examples, margin);
    let negatives = Negatives {
        examples,
        guards: &guards,
        mixture,
        pools,
        count: 1,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        let drawn = negatives.draw(0, 0, 0, &mut rng);
        *counts.entry(drawn[0].passage).or_insert(0.0) += 1.0 / f64::from(n);
    }
    counts
}

#[test]
fn sim_ans_draws_with_its_probabilities() {
    let examples = examples(6, 1, &[vec![0]]);
    let cosines = [0.95f32, 0.8, 0.75, 0.5, 0.1];
    let (positive, a, b, scale) = (0.8f32, 0.5, 0.2, 20.0);
    let mixture = Mixture::only(Source::Ance, Draw::SimAns { a, b, scale });
    let drawn = frequencies(
        &examples,
        Margin::None,
        &mixture,
        &pools(positive, &cosines),
        20_000,
    );
    let weights: Vec<f64> = cosines
        .iter()
        .map(|c| {
            let distance = f64::from(scale) * (f64::from(*c) - f64::from(positive)) - f64::from(b);
            (-f64::from(a) * distance.powi(2)).exp()
        })
        .collect();
    let total: f64 = weights.iter().sum();
    for (weight, passage) in weights.iter().zip(1..) {
        let got = drawn.get(&passage).copied().unwrap_or(0.0);
        assert!(
            (got - weight / total).abs() < 0.015,
            "{passage}: {got} for {}",
            weight / total
        );
    }
}

#[test]
fn uniform_draws_keep_to_the_margin() {
    let examples = examples(6, 1, &[vec![0]]);
    let pools = pools(0.8, &[0.9, 0.78, 0.7, 0.5, 0.1]);
    let mixture = Mixture::only(Source::Ance, Draw::Uniform);
    let drawn = frequencies(&examples, Margin::Relative(0.95), &mixture, &pools, 6_000);
    assert_eq!(drawn.keys().copied().collect::<Vec<_>>(), [3, 4, 5]);
    assert!(
        drawn.values().all(|share| (share - 1.0 / 3.0).abs() < 0.03),
        "{drawn:?}"
    );
}

#[test]
fn random_passages_stand_in_for_an_empty_pool() {
    let examples = examples(8, 1, &[vec![0]]);
    let guards = guards(&examples, Margin::Relative(0.95));
    let pools = pools(0.8, &[0.9, 0.1]);
    let mixture = Mixture::only(Source::Ance, Draw::Uniform);
    let negatives = Negatives {
        examples: &examples,
        guards: &guards,
        mixture: &mixture,
        pools: &pools,
        count: 7,
    };
    let drawn = negatives.draw(0, 0, 0, &mut ChaCha8Rng::seed_from_u64(0));
    assert_eq!(
        drawn[0],
        Drawn {
            passage: 2,
            source: Source::Ance
        }
    );
    assert!(
        drawn[1..]
            .iter()
            .all(|negative| negative.source == Source::Random)
    );
    let mut passages: Vec<u32> = drawn.iter().map(|negative| negative.passage).collect();
    passages.sort_unstable();
    assert_eq!(passages, [1, 2, 3, 4, 5, 6, 7]);
    let more = Negatives {
        count: 20,
        ..negatives
    };
    assert_eq!(
        more.draw(0, 0, 0, &mut ChaCha8Rng::seed_from_u64(0)).len(),
        7
    );
    let none = Negatives {
        mixture: &Mixture::default(),
        ..negatives
    };
    assert!(
        none.draw(0, 0, 0, &mut ChaCha8Rng::seed_from_u64(0))
            .is_empty()
    );
}

#[test]
fn the_best_passage_stands_for_its_document() {
    let examples = examples(3, 3, &[vec![1]]);
    let guards = guards(&examples, Margin::None);
    let found = Found {
        positives: vec![candidate(5, 0.4)],
        candidates: Vec::new(),
    };
    let pools = Pools {
        bm25: None,
        ance: Some(Pool {
            queries: vec![found],
        }),
    };
    let mixture = Mixture::default();
    let negatives = Negatives {
        examples: &examples,
        guards: &guards,
        mixture: &mixture,
        pools: &pools,
        count: 0,
    };
    assert_eq!(negatives.positive(0, 1), 5);
    let none = Pools::default();
    assert_eq!(
        Negatives {
            pools: &none,
            ..negatives
        }
        .positive(0, 1),
        3
    );
}

#[test]
fn a_warm_up_is_bm25_alone_and_then_the_method() {
    let mixture = Method::Dpr.mixture(20.0).after_bm25(100);
    let weight = |source, step| -> f64 {
        mixture
            .parts
            .iter()
            .filter(|part| part.source == source)
            .map(|part| part.weight(step))
            .sum()
    };
    for (step, bm25, random) in [
        (0, 1.0, 0.0),
        (99, 1.0, 0.0),
        (100, 0.5, 0.5),
        (5000, 0.5, 0.5),
    ] {
        assert_eq!(
            (weight(Source::Bm25, step), weight(Source::Random, step)),
            (bm25, random),
            "{step}"
        );
    }
    assert!(mixture.check().is_ok());
    let ance = Method::AncePairwise.mixture(20.0).after_bm25(10);
    assert!(
        ance.uses(Source::Bm25)
            && !ance.uses_from(Source::Bm25, 10)
            && ance.uses_from(Source::Ance, 0)
    );
    assert_eq!(
        Method::Inbatch.mixture(20.0).after_bm25(10),
        Mixture::default()
    );
}

#[test]
fn methods_read_as_they_are_written() {
    for method in Method::ALL {
        let text = serde_json::to_string(&method).expect("data");
        assert_eq!(text, format!("\"{}\"", method.name()));
        let mixture = method.mixture(20.0);
        let text = serde_json::to_string(&mixture).expect("data");
        assert_eq!(
            serde_json::from_str::<Mixture>(&text).expect("what was written"),
            mixture
        );
    }
}

#[test]
fn impossible_mixtures_are_refused() {
    let with = |weights: &[(u64, f64)]| Mixture {
        parts: vec![Part {
            source: Source::Bm25,
            draw: Draw::Uniform,
            weights: weights.to_vec(),
        }],
    };
    for bad in [
        with(&[]),
        with(&[(3, 1.0), (3, 0.5)]),
        with(&[(0, -1.0)]),
        with(&[(0, f64::NAN)]),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
    }
}
