use super::*;
use crate::kernels::topk::best_first;
use crate::matrix::{Dtype, MatrixWriter};
use proptest::prelude::*;
use std::sync::Arc;

const METRICS: [Metric; 3] = [Metric::InnerProduct, Metric::Cosine, Metric::L2];

/// Numbers in -1..1 from a fixed seed.
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// `rows` cut into segments of `sizes`; ids count in steps of `step`.
fn matrix(
    dir: &tempfile::TempDir,
    rows: &[f32],
    dimension: usize,
    sizes: &[usize],
    step: u32,
    dtype: Dtype,
) -> Matrix {
    let mut rows = rows.chunks_exact(dimension).zip((0u32..).map(|n| n * step));
    let mut segments = Vec::new();
    for (n, &size) in sizes.iter().enumerate() {
        let path = dir.path().join(format!("{n}.emb"));
        let mut writer = MatrixWriter::create(&path, dimension, dtype).unwrap();
        for (row, id) in rows.by_ref().take(size) {
            writer.push(PassageId(id), row).unwrap();
        }
        writer.finish(false).unwrap();
        segments.push(Arc::new(MatrixSegment::open(&path).unwrap()));
    }
    Matrix::new(dimension, segments).unwrap()
}

/// The definition: score every row, sort, keep the first k.
fn naive(
    matrix: &Matrix,
    query: &[f32],
    k: usize,
    metric: Metric,
    keep: Option<&PassageSet>,
) -> FlatHits {
    let scorer = Scorer::new(query, metric);
    let mut scores: Vec<(u32, f32)> = matrix
        .iter()
        .filter(|(id, _)| keep.is_none_or(|keep| keep.contains(*id)))
        .map(|(id, row)| (id.0, scorer.score(&row)))
        .collect();
    let n = (scores.len() as f64).max(1.0);
    let mean = scores.iter().map(|s| f64::from(s.1)).sum::<f64>() / n;
    let variance = scores
        .iter()
        .map(|s| (f64::from(s.1) - mean).powi(2))
        .sum::<f64>()
        / n;
    let scanned = scores.len() as u64;
    scores.sort_by(best_first);
    scores.truncate(k);
    let hits = scores
        .into_iter()
        .map(|(id, score)| (PassageId(id), score))
        .collect();
    FlatHits {
        hits,
        mean,
        deviation: variance.sqrt(),
        scanned,
    }
}

fn assert_same(found: &FlatHits, expected: &FlatHits) {
    assert_eq!(found.hits, expected.hits);
    assert_eq!(found.scanned, expected.scanned);
    // Sums of f64 in another order.
    assert!(
        (found.mean - expected.mean).abs() < 1e-9,
        "{} {}",
        found.mean,
        expected.mean
    );
    assert!((found.deviation - expected.deviation).abs() < 1e-9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn search_gives_what_sorting_every_score_gives(
        seed in any::<u64>(),
        sizes in prop::collection::vec(0usize..1200, 1..4),
        dimension in 1usize..20,
        k in 0usize..40,
        half in any::<bool>(),
        filtered in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = numbers(seed, sizes.iter().sum::<usize>() * dimension);
        // Equal rows, so that ties occur.
        let quarter = rows.len() / dimension / 4 * dimension;
        rows.copy_within(..quarter, quarter);
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let matrix = matrix(&dir, &rows, dimension, &sizes, 3, dtype);
        let keep: PassageSet = matrix.ids().filter(|id| id.0 % 7 < 3).collect();
        let keep = filtered.then_some(&keep);
        let queries = numbers(seed ^ 1, 5 * dimension);
        for metric in METRICS {
            let batch = search_batch(&matrix, &queries, k, metric, keep, Task::silent()).unwrap();
            prop_assert_eq!(batch.len(), 5);
            for (query, batched) in queries.chunks_exact(dimension).zip(&batch) {
                let found = search(&matrix, query, k, metric, keep).unwrap();
                assert_same(&found, &naive(&matrix, query, k, metric, keep));
                prop_assert_eq!(&found, batched);
            }
        }
    }
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let matrix = matrix(
        &dir,
        &numbers(1, 30_000 * 8),
        8,
        &[17_000, 13_000],
        1,
        Dtype::F16,
    );
    let query = numbers(2, 8);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| search(&matrix, &query, 100, Metric::Cosine, None).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn scores_mean_what_the_metric_says() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [3.0, 4.0, 0.0, 0.0, -1.0, 0.0];
    let matrix = matrix(&dir, &rows, 2, &[3], 1, Dtype::F32);
    let hits = |metric| search(&matrix, &[2.0, 0.0], 3, metric, None).unwrap().hits;
    let id = PassageId;
    assert_eq!(
        hits(Metric::InnerProduct),
        [(id(0), 6.0), (id(1), 0.0), (id(2), -2.0)]
    );
    assert_eq!(
        hits(Metric::L2),
        [(id(1), -4.0), (id(2), -9.0), (id(0), -17.0)]
    );
    let cosine = hits(Metric::Cosine);
    assert!((cosine[0].1 - 0.6).abs() < 1e-6, "{cosine:?}");
    assert_eq!(cosine[1..], [(id(1), 0.0), (id(2), -1.0)]);
    let zero = search(&matrix, &[0.0, 0.0], 1, Metric::Cosine, None).unwrap();
    assert_eq!(zero.hits, [(id(0), 0.0)]);
}

#[test]
fn an_empty_matrix_has_no_hits() {
    let matrix = Matrix::new(4, Vec::new()).unwrap();
    let found = search(&matrix, &[1.0; 4], 10, Metric::Cosine, None).unwrap();
    assert_eq!(
        found,
        FlatHits {
            hits: vec![],
            mean: 0.0,
            deviation: 0.0,
            scanned: 0
        }
    );
    let batch = search_batch(&matrix, &[1.0; 8], 10, Metric::L2, None, Task::silent()).unwrap();
    assert_eq!(batch, vec![found.clone(), found]);
}

#[test]
fn queries_that_do_not_fit_are_refused() {
    let matrix = Matrix::new(2, Vec::new()).unwrap();
    let error = |query: &[f32]| {
        search(&matrix, query, 1, Metric::L2, None)
            .unwrap_err()
            .to_string()
    };
    assert!(error(&[1.0]).contains("1 numbers"));
    assert!(error(&[1.0, f32::NAN]).contains("NaN at position 1"));
    let batch =
        |queries: &[f32]| search_batch(&matrix, queries, 1, Metric::L2, None, Task::silent());
    assert!(batch(&[1.0; 3]).is_err());
    assert!(batch(&[1.0, 1.0, 1.0, f32::INFINITY]).is_err());
}

#[test]
fn a_cancelled_batch_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let matrix = matrix(&dir, &[1.0; 4], 2, &[2], 1, Dtype::F32);
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let task = Task::new(&|_| {}, &cancel);
    let answer = search_batch(&matrix, &[1.0; 2], 1, Metric::L2, None, task);
    assert!(matches!(answer, Err(StorageError::Cancelled(_))));
}
