//! Does the index keep what it says of its recall, and choose well between probing and comparing every row?

use super::*;

#[test]
fn the_recall_it_measured_is_the_recall_it_has() {
    let folder = TempDir::new().unwrap();
    let (d, rows) = (16, clustered(4000, 16, 12));
    let queries: Vec<f32> = clustered(200, d, 13);
    let given = BuildParams {
        queries: Some(queries.clone()),
        ..params(Metric::InnerProduct)
    };
    let index = built(&folder, &rows, d, &given);
    let (points, sample) = index.measured();
    assert_eq!(sample, 200);
    for point in points.iter().step_by(points.len().div_ceil(6)) {
        let ask = SearchParams {
            nprobe: Some(point.nprobe as usize),
            rescore: Some(point.rescore as usize),
            ..SearchParams::default()
        };
        let found = recall(&index, &queries, &ask, None);
        assert!(
            (found - f64::from(point.recall)).abs() < 0.003,
            "{point:?} {found}"
        );
    }
}

#[test]
fn a_batch_gives_the_answers_of_its_queries() {
    let d = 24;
    let some: PassageSet = (0..3000).filter(|id| id % 3 > 0).map(PassageId).collect();
    for (metric, width) in METRICS
        .into_iter()
        .zip([Width::Four, Width::Eight, Width::Four])
    {
        let folder = TempDir::new().unwrap();
        let asked = BuildParams {
            width,
            ..params(metric)
        };
        let index = built(&folder, &clustered(3000, d, 2), d, &asked);
        let queries = clustered(70, d, 3);
        let by_target = SearchParams {
            always_probe: true,
            ..SearchParams::default()
        };
        let by_hand = |nprobe, rescore| SearchParams {
            nprobe: Some(nprobe),
            rescore: Some(rescore),
            ..SearchParams::default()
        };
        for ask in [
            by_target,
            by_hand(3, 10),
            by_hand(120, 25),
            by_hand(500, 2000),
        ] {
            for (keep, count) in [(None, 70), (Some(&some), 70), (None, 5)] {
                let queries = &queries[..count * d];
                let batch = index
                    .search_batch(queries, &ask, keep, Task::silent())
                    .unwrap();
                let each = queries.chunks_exact(d);
                let each: Vec<Answer> =
                    each.map(|q| index.search(q, &ask, keep).unwrap()).collect();
                assert_eq!(batch, each, "{metric:?} {ask:?}");
            }
        }
    }
}

#[test]
fn a_batch_of_what_is_no_query_is_refused_and_can_be_stopped() {
    let folder = TempDir::new().unwrap();
    let d = 24;
    let index = built(&folder, &clustered(300, d, 2), d, &params(Metric::L2));
    let mut queries = clustered(20, d, 3);
    let ask = SearchParams::default();
    let refused = |queries: &[f32]| {
        let outcome = index.search_batch(queries, &ask, None, Task::silent());
        matches!(outcome, Err(StorageError::Invalid(_)))
    };
    assert!(refused(&queries[1..]));
    let stop = std::sync::atomic::AtomicBool::new(true);
    let outcome = index.search_batch(&queries, &ask, None, Task::new(&|_| {}, &stop));
    assert!(matches!(outcome, Err(StorageError::Cancelled(_))));
    queries[30] = f32::NAN;
    assert!(refused(&queries));
}

#[test]
fn codes_of_eight_bits_leave_less_out_and_fold() {
    let folder = TempDir::new().unwrap();
    let (d, rows) = (32, clustered(4000, 32, 14));
    let queries = clustered(100, d, 15);
    let found = WIDTHS.map(|width| {
        let folder = TempDir::new().unwrap();
        let asked = BuildParams {
            width,
            ..params(Metric::InnerProduct)
        };
        let index = built(&folder, &rows, d, &asked);
        let ask = SearchParams {
            nprobe: Some(100),
            rescore: Some(20),
            ..SearchParams::default()
        };
        (index.bytes(), recall(&index, &queries, &ask, None))
    });
    let [(four_bytes, four), (eight_bytes, eight)] = found;
    assert!(eight > four, "{eight} {four}");
    // Sixteen times the codewords, no more for the codes.
    assert!(eight_bytes < four_bytes + 4 * 256 * 32);
    let asked = BuildParams {
        width: Width::Eight,
        ..params(Metric::L2)
    };
    let index = built(&folder, &rows, d, &asked);
    let half: PassageSet = (0..4000).step_by(2).map(PassageId).collect();
    let path = folder.path().join("folded.ivf");
    fold(&path, &index, Some(&half), None, Task::silent()).unwrap();
    let folded = Index::open(&path, index.matrix().clone()).unwrap();
    assert!(folded.audit(&half, Task::silent()).unwrap().is_sound());
}

#[test]
fn few_rows_and_many_hits_are_compared_one_by_one() {
    let folder = TempDir::new().unwrap();
    let d = 16;
    let index = built(&folder, &clustered(3000, d, 2), d, &params(Metric::Cosine));
    let probes = |k: usize, target_recall: f32, keep: Option<&PassageSet>, always_probe| {
        let ask = SearchParams {
            k,
            target_recall,
            always_probe,
            ..SearchParams::default()
        };
        index.probes(&ask, keep).unwrap()
    };
    assert!(probes(10, 0.9, None, false));
    assert!(
        !probes(1000, 0.9, None, false),
        "half the rows and more would be looked up"
    );
    assert!(probes(1000, 0.9, None, true));
    assert!(
        !probes(10, 1.0, None, true),
        "everything is only found by comparing everything"
    );
    let few: PassageSet = (0..900).map(PassageId).collect();
    assert!(!probes(10, 0.9, Some(&few), true));
}

#[test]
fn score_aware_codes_find_as_much_and_fold() {
    let folder = TempDir::new().unwrap();
    let (d, rows) = (24, clustered(4000, 24, 14));
    let aware = BuildParams {
        anisotropy: Some(4.0),
        ..params(Metric::InnerProduct)
    };
    let index = built(&folder, &rows, d, &aware);
    let queries = clustered(100, d, 15);
    let found = recall(
        &index,
        &queries,
        &SearchParams {
            always_probe: true,
            ..SearchParams::default()
        },
        None,
    );
    assert!(found > 0.9, "{found}");
    let live: PassageSet = (0..4000).map(PassageId).collect();
    assert!(index.audit(&live, Task::silent()).unwrap().is_sound());
    let path = folder.path().join("folded.ivf");
    let half: PassageSet = (0..4000).step_by(2).map(PassageId).collect();
    fold(&path, &index, Some(&half), None, Task::silent()).unwrap();
    let folded = Index::open(&path, index.matrix().clone()).unwrap();
    assert!(folded.audit(&half, Task::silent()).unwrap().is_sound());
    for wrong in [
        BuildParams {
            metric: Metric::L2,
            ..aware.clone()
        },
        BuildParams {
            anisotropy: Some(f32::NAN),
            ..aware.clone()
        },
        BuildParams {
            anisotropy: Some(0.5),
            ..aware
        },
    ] {
        let path = folder.path().join("wrong.ivf");
        let outcome = build(&path, index.matrix(), None, &wrong, Task::silent());
        assert!(matches!(outcome, Err(StorageError::Invalid(_))));
    }
}

#[test]
fn moments_of_a_sample_are_near_those_of_all() {
    let folder = TempDir::new().unwrap();
    let d = 16;
    let matrix = matrix(folder.path(), &clustered(5000, d, 2), d);
    let query = &clustered(1, d, 3)[..d];
    let odd: PassageSet = (0..5000).filter(|id| id % 2 == 1).map(PassageId).collect();
    for keep in [None, Some(&odd)] {
        let all = flat::search(&matrix, query, 5, Metric::InnerProduct, keep).unwrap();
        let of =
            |sample| flat::moments(&matrix, query, Metric::InnerProduct, keep, sample).unwrap();
        let (mean, deviation) = of(usize::MAX);
        assert!((mean - all.mean).abs() < 1e-6 && (deviation - all.deviation).abs() < 1e-6);
        let (mean, deviation) = of(1000);
        assert!(
            (mean - all.mean).abs() < 0.15 * all.deviation,
            "{mean} {}",
            all.mean
        );
        assert!(
            (deviation / all.deviation - 1.0).abs() < 0.1,
            "{deviation} {}",
            all.deviation
        );
        assert_eq!(of(0), (0.0, 0.0));
    }
}
