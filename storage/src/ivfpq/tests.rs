use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::rng::Rng;
use super::*;
use crate::flat::{self, Metric};
use crate::kernels::scan::Scan;
use crate::matrix::{Dtype, Matrix, MatrixSegment, MatrixWriter};
use crate::{PassageId, PassageSet, StorageError, Task};

mod damage;
mod measure;

const METRICS: [Metric; 3] = [Metric::InnerProduct, Metric::Cosine, Metric::L2];
const WIDTHS: [Width; 2] = [Width::Four, Width::Eight];

/// `n` vectors in about `n / 12` clusters.
fn clustered(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed, 99);
    let centers: Vec<f32> = (0..(n / 12 + 1) * d).map(|_| rng.normal()).collect();
    let mut rows = Vec::with_capacity(n * d);
    for _ in 0..n {
        let center = rng.below(n / 12 + 1);
        rows.extend((0..d).map(|i| centers[center * d + i] + 0.5 * rng.normal()));
    }
    rows
}

fn segment(folder: &Path, rows: &[f32], d: usize, first_id: u32, step: u32) -> Arc<MatrixSegment> {
    let path = folder.join(format!("rows-{first_id}.emb"));
    let mut writer = MatrixWriter::create(&path, d, Dtype::F16).unwrap();
    for (row, at) in rows.chunks_exact(d).zip(0u32..) {
        writer.push(PassageId(first_id + at * step), row).unwrap();
    }
    writer.finish(false).unwrap();
    Arc::new(MatrixSegment::open(&path).unwrap())
}

fn matrix(folder: &Path, rows: &[f32], d: usize) -> Matrix {
    Matrix::new(d, vec![segment(folder, rows, d, 0, 1)]).unwrap()
}

fn params(metric: Metric) -> BuildParams {
    BuildParams {
        metric,
        ..BuildParams::default()
    }
}

fn built(folder: &TempDir, rows: &[f32], d: usize, params: &BuildParams) -> Index {
    let (matrix, path) = (
        matrix(folder.path(), rows, d),
        folder.path().join("index.ivf"),
    );
    build(&path, &matrix, None, params, Task::silent()).unwrap();
    Index::open(&path, matrix).unwrap()
}

/// Everything probed and looked up.
fn all(k: usize) -> SearchParams {
    SearchParams {
        k,
        nprobe: Some(usize::MAX),
        rescore: Some(1 << 20),
        ..SearchParams::default()
    }
}

fn exact(
    index: &Index,
    query: &[f32],
    k: usize,
    keep: Option<&PassageSet>,
) -> Vec<(PassageId, f32)> {
    flat::search(index.matrix(), query, k, index.metric(), keep)
        .unwrap()
        .hits
}

fn recall(index: &Index, queries: &[f32], params: &SearchParams, keep: Option<&PassageSet>) -> f64 {
    let d = index.matrix().dimension();
    let (mut found, mut wanted) = (0, 0);
    for query in queries.chunks_exact(d) {
        let truth = exact(index, query, params.k, keep);
        let hits = index.search(query, params, keep).unwrap().hits;
        found += truth
            .iter()
            .filter(|(id, _)| hits.iter().any(|(hit, _)| hit == id))
            .count();
        wanted += truth.len();
    }
    found as f64 / wanted as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn probing_everything_is_the_exact_search(
        n in 1usize..300,
        d in 1usize..40,
        copies in 1usize..3,
        width in prop::sample::select(&WIDTHS[..]),
        metric in prop::sample::select(&METRICS[..]),
        seed in 0u64..1000,
        every in 1u32..4,
    ) {
        let folder = TempDir::new().unwrap();
        let params = BuildParams { copies, seed, width, lists: Some(9), ..params(metric) };
        let index = built(&folder, &clustered(n, d, seed), d, &params);
        let keep: PassageSet = (0..n as u32).filter(|id| id % every == 0).map(PassageId).collect();
        for query in clustered(4, d, seed + 1).chunks_exact(d) {
            prop_assert_eq!(index.search(query, &all(7), None).unwrap().hits, exact(&index, query, 7, None));
            let kept = index.search(query, &all(7), Some(&keep)).unwrap().hits;
            prop_assert_eq!(kept, exact(&index, query, 7, Some(&keep)));
        }
    }
}

#[test]
fn every_metric_reaches_its_target() {
    let each = METRICS.map(|metric| (metric, Width::Four));
    for (metric, width) in each.into_iter().chain([(Metric::L2, Width::Eight)]) {
        let folder = TempDir::new().unwrap();
        let (n, d) = (4000, 32);
        let asked = BuildParams {
            width,
            ..params(metric)
        };
        let index = built(&folder, &clustered(n, d, 1), d, &asked);
        let queries: Vec<f32> = clustered(n, d, 1)
            .into_iter()
            .take(60 * d)
            .map(|x| x * 1.1 + 0.05)
            .collect();
        let target = SearchParams {
            target_recall: 0.95,
            ..SearchParams::default()
        };
        let found = recall(&index, &queries, &target, None);
        assert!(found >= 0.93, "{metric:?}: {found}");
        let answer = index.search(&queries[..d], &target, None).unwrap();
        let Mode::Lists {
            probed,
            lists,
            scanned,
            recall,
            ..
        } = answer.mode
        else {
            panic!("exact, although a setting reaches the target")
        };
        assert!(
            probed < lists && scanned < 2 * n && recall.unwrap() >= 0.95,
            "{:?}",
            answer.mode
        );
    }
}

#[test]
fn every_kernel_gives_the_same_answer() {
    let d = 48;
    for width in WIDTHS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("index.ivf");
        let asked = BuildParams {
            width,
            ..params(Metric::InnerProduct)
        };
        let index = built(&folder, &clustered(2000, d, 2), d, &asked);
        let matrix = index.matrix().clone();
        let query = &clustered(9, d, 3)[..d];
        let ask = SearchParams {
            nprobe: Some(20),
            rescore: Some(40),
            ..SearchParams::default()
        };
        let expected = index.search(query, &ask, None).unwrap();
        for scan in Scan::available() {
            let index = Index::open(&path, matrix.clone()).unwrap().with_scan(scan);
            let found = index.search(query, &ask, None).unwrap();
            assert_eq!(found, expected, "{width:?} {}", scan.name());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
    let folder = TempDir::new().unwrap();
    let d = 24;
    let matrix = matrix(folder.path(), &clustered(3000, d, 4), d);
    let file = |threads: usize, seed: u64| {
        let path = folder.path().join(format!("{threads}-{seed}.ivf"));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let params = BuildParams {
            seed,
            ..BuildParams::default()
        };
        pool.install(|| build(&path, &matrix, None, &params, Task::silent()))
            .unwrap();
        std::fs::read(path).unwrap()
    };
    let first = file(1, 0);
    assert!(first == file(2, 0) && first == file(3, 0));
    assert!(first != file(1, 5));
}

#[test]
fn few_equal_and_zero_vectors_are_searched_as_well() {
    for metric in METRICS {
        for rows in [
            clustered(40, 8, 1),
            clustered(1, 8, 1),
            vec![0.25; 8 * 500],
            vec![0.0; 8 * 40],
            Vec::new(),
        ] {
            let folder = TempDir::new().unwrap();
            let index = built(
                &folder,
                &rows,
                8,
                &BuildParams {
                    lists: Some(64),
                    ..params(metric)
                },
            );
            for query in [[1.0f32; 8], [0.0; 8]] {
                let k = 1000;
                assert_eq!(
                    index.search(&query, &all(k), None).unwrap().hits,
                    exact(&index, &query, k, None)
                );
                let by_target = index
                    .search(&query, &SearchParams::default(), None)
                    .unwrap();
                assert_eq!(by_target.hits.len(), (rows.len() / 8).min(10));
            }
            index.verify().unwrap();
        }
    }
}

#[test]
fn senseless_parameters_are_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let index = built(&folder, &clustered(200, 8, 1), 8, &params(Metric::L2));
    let refuses = |query: &[f32], params: SearchParams, word: &str| {
        let error = index.search(query, &params, None).unwrap_err();
        assert!(
            matches!(&error, StorageError::Invalid(text) if text.contains(word)),
            "{error}"
        );
    };
    let fine = SearchParams::default();
    refuses(&[0.0; 7], fine, "7 numbers");
    refuses(&[f32::NAN; 8], fine, "NaN");
    refuses(&[f32::INFINITY; 8], fine, "inf");
    refuses(
        &[0.0; 8],
        SearchParams {
            nprobe: Some(0),
            ..fine
        },
        "nprobe",
    );
    refuses(
        &[0.0; 8],
        SearchParams {
            target_recall: 1.5,
            ..fine
        },
        "target",
    );
    refuses(
        &[0.0; 8],
        SearchParams {
            target_recall: f32::NAN,
            ..fine
        },
        "target",
    );
    let many = index
        .search(
            &[0.0; 8],
            &SearchParams {
                nprobe: Some(1 << 30),
                ..fine
            },
            None,
        )
        .unwrap();
    assert!(matches!(many.mode, Mode::Lists { probed, lists, .. } if probed == lists));
    let none = SearchParams { k: 0, ..fine };
    assert!(
        index
            .search(&[0.0; 8], &none, None)
            .unwrap()
            .hits
            .is_empty()
    );
    for bad in [
        BuildParams {
            subspaces: Some(12),
            ..BuildParams::default()
        },
        BuildParams {
            width: Width::Eight,
            subspaces: Some(248),
            ..BuildParams::default()
        },
        BuildParams {
            lists: Some(0),
            ..BuildParams::default()
        },
        BuildParams {
            copies: 3,
            ..BuildParams::default()
        },
        BuildParams {
            queries: Some(vec![0.0; 9]),
            ..BuildParams::default()
        },
    ] {
        let path = folder.path().join("bad.ivf");
        let error = build(&path, index.matrix(), None, &bad, Task::silent()).unwrap_err();
        assert!(matches!(error, StorageError::Invalid(_)));
        assert!(!path.exists());
    }
}

#[test]
fn a_cancelled_build_says_so() {
    let folder = TempDir::new().unwrap();
    let matrix = matrix(folder.path(), &clustered(300, 8, 1), 8);
    let stop = std::sync::atomic::AtomicBool::new(true);
    let task = Task::new(&|_| {}, &stop);
    let outcome = build(
        &folder.path().join("x.ivf"),
        &matrix,
        None,
        &BuildParams::default(),
        task,
    );
    assert!(matches!(outcome, Err(StorageError::Cancelled(_))));
}

#[test]
fn a_filter_keeps_recall() {
    let folder = TempDir::new().unwrap();
    let (n, d) = (30_000, 16);
    let rows = clustered(n, d, 5);
    let index = built(
        &folder,
        &rows,
        d,
        &BuildParams {
            lists: Some(256),
            ..params(Metric::InnerProduct)
        },
    );
    let queries = &clustered(n, d, 5)[..40 * d];
    for every in [2, 10, 100, 1000] {
        let keep: PassageSet = (0..n as u32)
            .filter(|id| id % every == 0)
            .map(PassageId)
            .collect();
        let found = recall(&index, queries, &SearchParams::default(), Some(&keep));
        assert!(found >= 0.93, "one of {every}: {found}");
        let answer = index
            .search(&queries[..d], &SearchParams::default(), Some(&keep))
            .unwrap();
        assert!(answer.hits.iter().all(|(id, _)| keep.contains(*id)));
        assert!(keep.len() > 1024 || answer.mode == Mode::Exact);
    }
}

/// An index over 6000 rows, and a matrix that lost every other one of them and gained 3000.
fn churned(folder: &TempDir) -> (Index, PassageSet, PathBuf) {
    let d = 16;
    let (old, new) = (clustered(6000, d, 6), clustered(3000, d, 7));
    let old_segment = segment(folder.path(), &old, d, 0, 2);
    let path = folder.path().join("old.ivf");
    let matrix = Matrix::new(d, vec![old_segment.clone()]).unwrap();
    build(
        &path,
        &matrix,
        None,
        &params(Metric::Cosine),
        Task::silent(),
    )
    .unwrap();
    let grown = Matrix::new(
        d,
        vec![old_segment, segment(folder.path(), &new, d, 12_000, 3)],
    )
    .unwrap();
    let live = grown
        .ids()
        .filter(|id| id.0 >= 12_000 || id.0 % 4 == 0)
        .collect();
    (Index::open(&path, grown).unwrap(), live, path)
}

#[test]
fn new_rows_are_found_at_once_and_dead_ones_are_not() {
    let folder = TempDir::new().unwrap();
    let (index, live, _) = churned(&folder);
    assert_eq!((index.tail(), index.vectors()), (3000, 6000));
    for (id, vector) in index.matrix().iter().step_by(197) {
        let hits = index.search(&vector, &all(3), Some(&live)).unwrap().hits;
        assert_eq!(hits, exact(&index, &vector, 3, Some(&live)));
        assert_eq!(hits.iter().any(|(hit, _)| *hit == id), live.contains(id));
    }
}

#[test]
fn folding_leaves_nothing_of_the_dead_and_keeps_recall() {
    let folder = TempDir::new().unwrap();
    let (index, live, old) = churned(&folder);
    let before = std::fs::read(&old).unwrap();
    let path = folder.path().join("new.ivf");
    fold(&path, &index, Some(&live), None, Task::silent()).unwrap();
    assert!(before == std::fs::read(&old).unwrap());
    let folded = Index::open(&path, index.matrix().clone()).unwrap();
    folded.verify().unwrap();
    assert_eq!((folded.tail(), folded.vectors()), (0, live.len()));
    assert_eq!(folded.folded(), 3000);
    let audit = folded.audit(&live, Task::silent()).unwrap();
    assert!(audit.is_sound(), "{audit:?}");
    // Every slot is padding or one of the two places of a live row.
    let mut stored: Vec<u32> = folded
        .view()
        .ids()
        .iter()
        .copied()
        .filter(|&id| id != u32::MAX)
        .collect();
    stored.sort_unstable();
    let expected: Vec<u32> = live.iter().flat_map(|id| [id.0, id.0]).collect();
    assert_eq!(stored, expected);
    let fresh = folder.path().join("fresh.ivf");
    build(
        &fresh,
        index.matrix(),
        Some(&live),
        &params(Metric::Cosine),
        Task::silent(),
    )
    .unwrap();
    let fresh = Index::open(&fresh, index.matrix().clone()).unwrap();
    let queries: Vec<f32> = index
        .matrix()
        .iter()
        .step_by(11)
        .flat_map(|(_, x)| x)
        .collect();
    let ask = |index: &Index| SearchParams {
        nprobe: Some(index.lists() / 8),
        rescore: Some(60),
        ..SearchParams::default()
    };
    let (one, other) = (
        recall(&folded, &queries, &ask(&folded), Some(&live)),
        recall(&fresh, &queries, &ask(&fresh), Some(&live)),
    );
    assert!(one >= other - 0.01, "folded {one}, fresh {other}");
}

#[test]
fn folding_splits_what_grew_and_dissolves_what_emptied() {
    let folder = TempDir::new().unwrap();
    let d = 8;
    let old = clustered(1000, d, 8);
    let first = segment(folder.path(), &old, d, 0, 1);
    let path = folder.path().join("old.ivf");
    build(
        &path,
        &Matrix::new(d, vec![first.clone()]).unwrap(),
        None,
        &params(Metric::L2),
        Task::silent(),
    )
    .unwrap();
    // Two thousand new rows around one point, and only a tenth of the old ones left.
    let near: Vec<f32> = clustered(2000, d, 9)
        .iter()
        .enumerate()
        .map(|(i, x)| old[i % d] + 0.3 * x)
        .collect();
    let matrix = Matrix::new(d, vec![first, segment(folder.path(), &near, d, 1000, 1)]).unwrap();
    let live: PassageSet = matrix
        .ids()
        .filter(|id| id.0 >= 1000 || id.0 % 10 == 0)
        .collect();
    let index = Index::open(&path, matrix).unwrap();
    let folded = folder.path().join("new.ivf");
    fold(&folded, &index, Some(&live), None, Task::silent()).unwrap();
    let folded = Index::open(&folded, index.matrix().clone()).unwrap();
    let counts = folded.view().counts();
    let mean = 2 * live.len() / counts.len();
    assert!(
        *counts.iter().max().unwrap() as usize <= 6 * mean.max(16),
        "{counts:?}"
    );
    assert_ne!(folded.lists(), index.lists());
    for query in near.chunks_exact(d).step_by(211) {
        assert_eq!(
            folded.search(query, &all(5), Some(&live)).unwrap().hits,
            exact(&folded, query, 5, Some(&live))
        );
    }
}

#[test]
fn the_frozen_file_still_opens() {
    let folder = TempDir::new().unwrap();
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("fixtures/ivfpq-v{}.ivf", layout::VERSION));
    // Numbers that every machine computes alike.
    let rows: Vec<f32> = (0..64 * 8u32)
        .map(|i| ((i * i * 7 + i * 13) % 61) as f32 / 32.0 - 1.0)
        .collect();
    let matrix = matrix(folder.path(), &rows, 8);
    if !frozen.exists() {
        let params = BuildParams {
            lists: Some(4),
            ..params(Metric::InnerProduct)
        };
        build(&frozen, &matrix, None, &params, Task::silent()).unwrap();
    }
    let index = Index::open(&frozen, matrix).unwrap();
    assert_eq!(
        (index.lists(), index.vectors(), index.metric()),
        (4, 64, Metric::InnerProduct)
    );
    index.verify().unwrap();
    let query = &rows[80..88];
    assert_eq!(
        index.search(query, &all(5), None).unwrap().hits,
        exact(&index, query, 5, None)
    );
}

#[test]
fn measured_points_rise_with_their_cost() {
    let folder = TempDir::new().unwrap();
    let index = built(
        &folder,
        &clustered(3000, 16, 10),
        16,
        &params(Metric::InnerProduct),
    );
    let (points, sample) = index.measured();
    assert_eq!(sample, 256);
    assert!(
        points.is_sorted_by(|a, b| a.cost < b.cost && a.recall < b.recall),
        "{points:?}"
    );
    assert!(points.last().unwrap().recall > 0.97, "{points:?}");
}
