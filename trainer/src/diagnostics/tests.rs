use storage::flat::Metric;

use super::*;
use crate::guards::{GuardConfig, Guards};
use crate::negatives::{Candidate, Found, Pool, Pools};
use crate::testing::{examples, matrix, query};

#[test]
fn overlap_is_the_mean_share() {
    let of = [vec![1, 2, 3, 4], vec![5], vec![]];
    let among = [vec![2, 9, 4], vec![6], vec![7]];
    assert_eq!(mean_overlap(&of, &among), (0.5 + 0.0) / 2.0);
    assert_eq!(mean_overlap(&[], &[]), 0.0);
}

#[test]
fn holes_are_hits_that_nobody_judged() {
    let mut asked = query(0, &[1]);
    asked.irrelevant = vec![2];
    let deep: Vec<u32> = (1..20).collect();
    assert_eq!(hole_rate(&[asked.clone()], &[vec![1, 2, 3, 4]]), 0.5);
    assert_eq!(hole_rate(&[asked], &[deep]), 0.8);
}

#[test]
fn a_spread_names_its_quantiles() {
    let spread = Spread::of((0..=100).rev().map(f64::from).collect());
    assert_eq!(
        spread,
        Spread {
            mean: 50.0,
            p10: 10.0,
            p50: 50.0,
            p90: 90.0
        }
    );
    assert_eq!(Spread::of(Vec::new()), Spread::default());
}

/// Documents on a circle, query i at the place of document i: the nearest wrong documents are its neighbours.
#[test]
fn figures_follow_from_where_the_vectors_lie() {
    const N: u32 = 120;
    let labels: Vec<Vec<u32>> = (0..10).map(|at| vec![at]).collect();
    let mut examples = examples(N, 1, &labels);
    examples.dev = vec![query(50, &[20]), query(51, &[21])];
    let place = |at: u32| {
        let angle = at as f32 / N as f32 * std::f32::consts::TAU;
        [angle.cos(), angle.sin()]
    };
    let rows: Vec<f32> = (0..N).flat_map(place).collect();
    let dir = tempfile::tempdir().expect("a folder");
    let matrix = matrix(dir.path(), 2, &rows);
    let found = |at: u32| Found {
        positives: vec![Candidate {
            passage: at,
            score: 1.0,
            cosine: 1.0,
        }],
        candidates: vec![Candidate {
            passage: at + 1,
            score: 0.99,
            cosine: 0.99,
        }],
    };
    let far = |at: u32| Found {
        candidates: vec![Candidate {
            passage: (at + N / 2) % N,
            score: 0.0,
            cosine: -1.0,
        }],
        ..found(at)
    };
    let pools = Pools {
        bm25: Some(Pool {
            queries: (0..10).map(far).collect(),
        }),
        ance: Some(Pool {
            queries: (0..10).map(found).collect(),
        }),
    };
    let config = GuardConfig {
        margin: crate::guards::Margin::None,
        ..GuardConfig::default()
    };
    let guards = Guards::new(&examples, config).expect("guards");
    let train: Vec<u32> = (0..10).collect();
    let train_vectors: Vec<f32> = train.iter().copied().flat_map(place).collect();
    let inputs = Inputs {
        step: 5,
        vectors: Vectors {
            matrix: &matrix,
            metric: Metric::InnerProduct,
            index: None,
            target_recall: 1.0,
        },
        scale: 10.0,
        negatives: Negatives {
            examples: &examples,
            guards: &guards,
            mixture: &Mixture::default(),
            pools: &pools,
            count: 1,
        },
        train: &train,
        train_vectors: &train_vectors,
        dev_vectors: &[place(20), place(60)].concat(),
        bm25: None,
        seed: 0,
    };
    let figures = Diagnostics::measure(&inputs, Task::silent()).expect("figures");
    assert_eq!((figures.step, figures.overlap_with_bm25), (5, None));
    assert_eq!(figures.overlap_with_top[&Source::Ance], 1.0);
    assert_eq!(figures.overlap_with_top[&Source::Bm25], 0.0);
    // 99 of 119 wrong documents are among the best 100, of which one is the positive.
    assert!((figures.overlap_with_top[&Source::Random] - 99.0 / 119.0).abs() < 0.1);
    assert_eq!(figures.hole_rate, 19.0 / 20.0);
    assert!(figures.curves.len() == 2 && figures.curves[0].is_sorted_by(|a, b| a >= b));
    let neighbour = (10.0 * ((std::f64::consts::TAU / f64::from(N)).cos() - 1.0)).exp();
    assert!((figures.proxy[&Source::Ance].mean - neighbour / (1.0 + neighbour)).abs() < 1e-4);
    assert!(figures.proxy[&Source::Bm25].mean < 1e-6);
    let kinds = |kind| figures.map.iter().filter(|dot| dot.kind == kind).count();
    assert_eq!(
        [
            Kind::Query,
            Kind::Relevant,
            Kind::Ance,
            Kind::Bm25,
            Kind::Random
        ]
        .map(kinds),
        [6, 6, 6, 6, 48]
    );
    assert_eq!(
        figures,
        Diagnostics::measure(&inputs, Task::silent()).expect("figures")
    );
}
