use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::significance::{CompareError, FLIPS, compare, paired_randomisation};
use super::*;
use crate::dataset::trec;

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/eval/golden", name]
        .iter()
        .collect()
}

fn golden_evaluation() -> Evaluation {
    let qrels = trec::read_qrels(&golden("qrels.txt")).expect("committed");
    let run = trec::read_run(&golden("run.txt")).expect("committed");
    Evaluation::new(&qrels, &run)
}

#[test]
fn every_value_is_that_of_trec_eval() {
    let evaluation = golden_evaluation();
    let expected = std::fs::read_to_string(golden("expected.tsv")).expect("committed");
    let mut scores: HashMap<&str, Scores> = HashMap::new();
    let (mut values, mut means) = (0, 0);
    for line in expected.lines() {
        let [metric, query, value] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("three columns: {line}");
        };
        let value: f64 = value.parse().expect("a number");
        let scores = scores
            .entry(metric)
            .or_insert_with(|| evaluation.metric(metric.parse().expect("a metric")));
        let found = if query == "mean" {
            means += 1;
            scores.mean()
        } else {
            values += 1;
            let mut per_query = scores.per_query.iter();
            per_query.find(|(id, _)| id == query).expect("evaluated").1
        };
        assert!(
            (found - value).abs() < 1e-9,
            "{metric} of {query}: {found}, expected {value}"
        );
    }
    assert!(values > 500 && means == 5, "{values} values, {means} means");
}

#[test]
fn left_out_queries_are_counted() {
    let evaluation = golden_evaluation();
    // From make.py: 40 queries; 3 of 3, 20, 37 without judgement; 5, 18, 31 with grades up to 0 only, and those whose
    // few judgements all fell on 0 or below.
    let qrels = trec::read_qrels(&golden("qrels.txt")).expect("committed");
    let nothing = qrels
        .iter()
        .filter(|(_, grades)| grades.values().all(|grade| *grade <= 0))
        .count();
    assert!(nothing >= 3);
    assert_eq!(evaluation.without_relevant(), nothing);
    assert_eq!(evaluation.queries(), qrels.iter().len() - nothing);
    assert_eq!(evaluation.without_judgement(), 3);
    assert!(evaluation.without_hits() > 0);
    let hitless = evaluation.metric(Metric::Success(1000)).per_query;
    assert_eq!(hitless.len(), evaluation.queries());
}

#[test]
fn nothing_judged_and_nothing_found_are_zero() {
    let empty = Evaluation::new(&Qrels::default(), &Run::default());
    assert_eq!(
        (empty.queries(), empty.metric(Metric::Map).mean()),
        (0, 0.0)
    );
    let unanswered = Evaluation::new(&Qrels::from_iter([("q", "d", 1)]), &Run::default());
    assert_eq!(
        (
            unanswered.without_hits(),
            unanswered.metric(Metric::Ndcg(10)).mean()
        ),
        (1, 0.0)
    );
}

#[test]
fn metric_names_are_read_and_printed() {
    for name in ["ndcg@10", "mrr@10", "recall@100", "map", "success@5", "p@5"] {
        let metric: Metric = name.parse().expect(name);
        assert_eq!(metric.to_string(), name);
        assert_eq!(serde_json::to_value(metric).expect("text"), name);
    }
    assert_eq!(" nDCG@20 ".parse(), Ok(Metric::Ndcg(20)));
    for name in [
        "",
        "ndcg",
        "ndcg@",
        "ndcg@0",
        "ndcg@-1",
        "map@10",
        "dcg@10",
        "ndcg@10@10",
    ] {
        let error = name.parse::<Metric>().expect_err(name).to_string();
        assert!(error.contains("ndcg@k, mrr@k"), "{error}");
    }
}

/// Metrics by their definitions over sets, one query, grades from `ideal` order.
fn slowly(metric: Metric, gains: &[u32], ideal: &[u32]) -> f64 {
    let relevant_to = |k: usize| gains.iter().take(k).filter(|g| **g > 0).count() as f64;
    let dcg = |gains: &[u32], k: usize| -> f64 {
        (0..k.min(gains.len()))
            .map(|i| f64::from(gains[i]) * 2f64.ln() / (i as f64 + 2.0).ln())
            .sum()
    };
    match metric {
        Metric::Ndcg(k) => dcg(gains, k) / dcg(ideal, k),
        Metric::Mrr(k) => (1..=k)
            .find(|r| relevant_to(*r) > 0.0)
            .map_or(0.0, |r| 1.0 / r as f64),
        Metric::Recall(k) => relevant_to(k) / ideal.len() as f64,
        Metric::Map => {
            let found = (0..gains.len()).filter(|i| gains[*i] > 0);
            found
                .map(|i| relevant_to(i + 1) / (i + 1) as f64)
                .sum::<f64>()
                / ideal.len() as f64
        }
        Metric::Success(k) => f64::from(u8::from(relevant_to(k) > 0.0)),
        Metric::Precision(k) => relevant_to(k) / k as f64,
    }
}

proptest! {
    #[test]
    fn metrics_are_their_definitions(
        gains in prop::collection::vec(0..4_u32, 0..30),
        missed in prop::collection::vec(1..4_u32, 1..10),
        k in 1..40_usize,
    ) {
        let mut ideal: Vec<u32> = gains.iter().copied().filter(|g| *g > 0).chain(missed).collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        for metric in [Metric::Ndcg(k), Metric::Mrr(k), Metric::Recall(k), Metric::Map, Metric::Success(k), Metric::Precision(k)] {
            let value = metric.value(&gains, &ideal);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{} {}", metric, value);
            prop_assert!((value - slowly(metric, &gains, &ideal)).abs() < 1e-12, "{}", metric);
        }
    }

    #[test]
    fn few_pairs_are_tried_in_all_flips(differences in prop::collection::vec(-4..5_i8, 0..9)) {
        let differences: Vec<f64> = differences.into_iter().map(|d| f64::from(d) / 10.0).collect();
        let n = differences.len();
        let observed = differences.iter().sum::<f64>().abs();
        // Over all pairs, unmoved ones included: each flip of an unmoved pair doubles both counts.
        let larger = (0..1_u32 << n).filter(|flip| {
            let sum: f64 = (0..n).map(|i| if flip >> i & 1 == 1 { -differences[i] } else { differences[i] }).sum();
            sum.abs() >= observed - 1e-9
        }).count();
        let result = paired_randomisation(&differences, 1);
        prop_assert!(result.exact);
        prop_assert!((result.p - larger as f64 / f64::from(1_u32 << n)).abs() < 1e-12);
        prop_assert_eq!(result.wins + result.losses + result.ties, n);
    }
}

#[test]
fn the_estimate_is_near_the_exact_p_and_repeats() {
    // 13 pairs are tried in full; doubled by 2 more of tiny size the exact p hardly moves, yet it is estimated.
    let mut differences: Vec<f64> = (0..13)
        .map(|i| f64::from(i % 5) / 10.0 - 0.12)
        .filter(|d| *d != 0.0)
        .collect();
    let exact = paired_randomisation(&differences, 3);
    differences.extend([1e-9, 1e-9]);
    let estimate = paired_randomisation(&differences, 3);
    assert!(exact.exact && !estimate.exact);
    // Four standard errors of a share of FLIPS draws.
    let tolerance = 4.0 * (0.25 / FLIPS as f64).sqrt();
    assert!(
        (exact.p - estimate.p).abs() < tolerance,
        "{} {}",
        exact.p,
        estimate.p
    );
    assert_eq!(estimate, paired_randomisation(&differences, 3));
    assert_ne!(estimate.p, paired_randomisation(&differences, 4).p);
}

#[test]
fn clear_differences_are_found_and_equal_systems_are_not_told_apart() {
    let better = paired_randomisation(&[0.1; 40], 7);
    assert!(better.p < 0.001 && better.p > 0.0, "{}", better.p);
    assert_eq!((better.wins, better.losses, better.ties), (40, 0, 0));
    assert!((better.mean_difference - 0.1).abs() < 1e-12);
    for same in [
        paired_randomisation(&[0.0; 40], 7),
        paired_randomisation(&[], 7),
    ] {
        assert_eq!((same.p, same.exact, same.mean_difference), (1.0, true, 0.0));
    }
}

fn scores(metric: Metric, per_query: &[(&str, f64)]) -> Scores {
    let per_query = per_query
        .iter()
        .map(|(query, value)| ((*query).to_owned(), *value));
    Scores {
        metric,
        per_query: per_query.collect(),
    }
}

#[test]
fn only_like_is_compared_with_like() {
    let a = scores(Metric::Map, &[("q1", 0.5), ("q2", 0.25)]);
    let b = scores(Metric::Map, &[("q1", 0.25), ("q2", 0.75)]);
    let result = compare(&a, &b, 1).expect("alike");
    assert_eq!(
        (
            result.queries,
            result.wins,
            result.losses,
            result.mean_difference
        ),
        (2, 1, 1, 0.125)
    );
    let other = scores(Metric::Mrr(10), &[("q1", 0.5), ("q2", 0.25)]);
    assert!(matches!(
        compare(&a, &other, 1),
        Err(CompareError::Metrics(..))
    ));
    for queries in [
        &[("q1", 0.5)][..],
        &[("q1", 0.5), ("q3", 0.5)],
        &[("q1", 0.5), ("q2", 0.5), ("q3", 0.5)],
    ] {
        let error = compare(&a, &scores(Metric::Map, queries), 1).expect_err("different queries");
        let missing = if queries.len() == 3 { "q3" } else { "q2" };
        assert_eq!(error, CompareError::Queries(missing.into()));
    }
}
