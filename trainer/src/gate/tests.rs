use super::*;
use crate::testing::{examples, query};

fn trial(set: &str, before: &[f64], after: &[f64]) -> Trial {
    let scores = |values: &[f64]| Scores {
        metric: METRIC,
        per_query: values
            .iter()
            .enumerate()
            .map(|(at, value)| (format!("{at:03}"), *value))
            .collect(),
    };
    Trial {
        set: set.to_owned(),
        before: scores(before),
        after: scores(after),
    }
}

fn verdict(held_out: &Trial, guard_sets: &[Trial]) -> Verdict {
    judge(held_out, guard_sets, &GateConfig::default()).expect("a verdict")
}

#[test]
fn a_clear_gain_is_adopted() {
    let verdict = verdict(&trial("dev", &[0.4; 40], &[0.5; 40]), &[]);
    assert_eq!(verdict.decision, Decision::Adopted);
    assert!(
        verdict.reasons[0].contains("rose from 0.4000 to 0.5000"),
        "{:?}",
        verdict.reasons
    );
    assert_eq!(
        (verdict.outcomes[0].wins, verdict.outcomes[0].losses),
        (40, 0)
    );
}

#[test]
fn chance_loss_and_few_queries_keep_the_start() {
    let mixed: Vec<f64> = (0..40)
        .map(|at| if at % 2 == 0 { 0.51 } else { 0.3 })
        .collect();
    let cases = [
        (trial("dev", &[0.4; 40], &mixed), "chance alone"),
        (trial("dev", &[0.4; 40], &[0.4; 40]), "no gain"),
        (trial("dev", &[0.4; 40], &[0.3; 40]), "no gain"),
        (trial("dev", &[0.4; 8], &[0.9; 8]), "too few"),
        (trial("dev", &[], &[]), "too few"),
    ];
    for (trial, expected) in cases {
        let verdict = verdict(&trial, &[]);
        assert_eq!(verdict.decision, Decision::Kept);
        assert!(
            verdict
                .reasons
                .iter()
                .any(|reason| reason.contains(expected)),
            "{expected}: {:?}",
            verdict.reasons
        );
    }
}

#[test]
fn a_guard_set_must_not_get_worse() {
    let gain = trial("dev", &[0.4; 40], &[0.5; 40]);
    let little = trial("mail", &[0.6; 3], &[0.599; 3]);
    assert_eq!(verdict(&gain, &[little]).decision, Decision::Adopted);
    let much = trial("mail", &[0.6; 3], &[0.5; 3]);
    let verdict = verdict(&gain, &[much]);
    assert_eq!(
        (verdict.decision, verdict.outcomes.len()),
        (Decision::Kept, 2)
    );
    assert!(
        verdict.reasons[0].starts_with("mail: nDCG@10 fell"),
        "{:?}",
        verdict.reasons
    );
}

#[test]
fn lists_over_different_queries_are_refused() {
    assert!(
        judge(
            &trial("dev", &[0.4; 4], &[0.4; 5]),
            &[],
            &GateConfig::default()
        )
        .is_err()
    );
}

#[test]
fn a_document_scores_as_its_best_passage() {
    let examples = examples(4, 2, &[]);
    let queries = [query(0, &[1]), query(1, &[3])];
    let rankings = [vec![(0, 0.9), (2, 0.1), (3, 0.8), (5, 0.5)], vec![(0, 0.9)]];
    let (ndcg, mrr) = score(&examples, &queries, &rankings);
    assert_eq!(
        mrr.per_query,
        [("q0".to_owned(), 0.5), ("q1".to_owned(), 0.0)]
    );
    assert!((ndcg.per_query[0].1 - 1.0 / 3f64.log2()).abs() < 1e-9);
}
