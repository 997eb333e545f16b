//! Does evaluation give the scores that the judgements say, by the search people use?

use std::sync::Arc;

use engine::encoder::testing::HashingEncoder;
use engine::eval::Metric;
use engine::eval::runner::{EvalRequest, evaluate};
use engine::request::{Fusion, Mode, VectorSearch};
use storage::Task;

fn request(mode: Mode, scratch: &std::path::Path) -> EvalRequest {
    EvalRequest {
        beir: tests::corpus().join("beir"),
        split: "test".into(),
        mode,
        fusion: Fusion::default(),
        encoder: (mode != Mode::Bm25).then(|| Arc::new(HashingEncoder::new(256)) as _),
        vectors: VectorSearch::Exact,
        target_recall: 0.95,
        scratch: scratch.to_owned(),
    }
}

#[test]
fn the_small_set_is_answered_well_by_words() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let report =
        evaluate(&request(Mode::Bm25, scratch.path()), Task::silent()).expect("an evaluation");
    assert_eq!((report.documents, report.evaluation.queries()), (36, 12));
    let ndcg = report.mean("ndcg@10".parse::<Metric>().expect("a metric"));
    assert!(ndcg > 0.5, "{ndcg}");
    assert_eq!(report.latencies_ms.len(), 12);
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
}

#[test]
fn a_second_evaluation_uses_the_scratch_collection_and_agrees() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    for mode in [Mode::Hybrid, Mode::Dense] {
        let first =
            evaluate(&request(mode, scratch.path()), Task::silent()).expect("an evaluation");
        let second =
            evaluate(&request(mode, scratch.path()), Task::silent()).expect("an evaluation");
        assert_eq!(first.evaluation, second.evaluation);
    }
    assert_eq!(
        std::fs::read_dir(scratch.path())
            .expect("a listing")
            .count(),
        1,
        "both modes share one collection"
    );
}

#[test]
fn a_split_that_does_not_exist_is_named_with_those_that_do() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut request = request(Mode::Bm25, scratch.path());
    request.split = "dev".into();
    let error = evaluate(&request, Task::silent())
        .expect_err("no such split")
        .to_string();
    assert!(error.contains("train") && error.contains("test"), "{error}");
}

#[test]
fn an_index_of_a_small_set_gives_the_scores_of_exact_search() {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let exact = request(Mode::Dense, scratch.path());
    let indexed = EvalRequest {
        vectors: VectorSearch::Ivfpq,
        ..exact.clone()
    };
    let indexed = evaluate(&indexed, Task::silent()).expect("an evaluation");
    let exact = evaluate(&exact, Task::silent()).expect("an evaluation");
    assert_eq!(exact.dense_search, [("exact".to_owned(), 12)]);
    let (how, queries) = &indexed.dense_search[0];
    assert!(
        how.starts_with("ivfpq") && *queries == 12,
        "{how} {queries}"
    );
    assert_eq!(indexed.evaluation, exact.evaluation);
}
