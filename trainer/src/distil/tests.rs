use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::encoder::testing::HashingEncoder;
use engine::encoder::{LoadOptions, Role, load};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::contrast::{in_batch, likeness, towards};
use super::lessons::beginning;
use super::mine::nearest;
use super::table::{Bags, Table};
use super::*;
use crate::oracle::model_dir;

/// Length of the vectors below.
const WIDTH: usize = 6;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn unit(mut rows: Vec<f32>) -> Vec<f32> {
    for row in rows.chunks_exact_mut(WIDTH) {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= length);
    }
    rows
}

/// Compares `gradient` with the slopes of `loss` at `at`.
#[track_caller]
fn slopes(at: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f32, what: &str) {
    let h = 1e-2;
    for place in 0..at.len() {
        let moved = |by: f32| {
            let mut at = at.to_vec();
            at[place] += by;
            loss(&at)
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        let off = (slope - gradient[place]).abs();
        assert!(
            off < 2e-2,
            "{what} at {place}: {slope} and {}",
            gradient[place]
        );
    }
}

#[test]
fn gradients_are_the_slopes_of_the_losses() {
    let (own, wanted) = (unit(numbers(5 * WIDTH, 1)), unit(numbers(5 * WIDTH, 2)));
    let pull = towards(&own, &wanted, WIDTH);
    slopes(
        &own,
        &pull.gradient,
        |x| towards(x, &wanted, WIDTH).loss,
        "towards",
    );
    let pull = likeness(&own, &wanted, WIDTH, 3.0);
    slopes(
        &own,
        &pull.gradient,
        |x| likeness(x, &wanted, WIDTH, 3.0).loss,
        "likeness",
    );
    let passages = unit(numbers(8 * WIDTH, 3));
    let mut excused = vec![false; 5 * 8];
    excused[3] = true;
    excused[2 * 8 + 6] = true;
    let (_, queries_pull, passages_pull) = in_batch(&own, &passages, &excused, WIDTH, 3.0);
    let loss = |q: &[f32], p: &[f32]| in_batch(q, p, &excused, WIDTH, 3.0).0;
    slopes(&own, &queries_pull, |q| loss(q, &passages), "queries");
    slopes(&passages, &passages_pull, |p| loss(&own, p), "passages");
}

#[test]
fn an_excused_passage_changes_nothing() {
    let (queries, mut passages) = (unit(numbers(2 * WIDTH, 4)), unit(numbers(3 * WIDTH, 5)));
    let excused = [false, false, true, false, false, true];
    let before = in_batch(&queries, &passages, &excused, WIDTH, 20.0);
    passages[2 * WIDTH..].fill(0.5);
    let after = in_batch(&queries, &passages, &excused, WIDTH, 20.0);
    assert_eq!((before.0, before.1), (after.0, after.1));
    assert!(after.2[2 * WIDTH..].iter().all(|g| *g == 0.0));
}

#[test]
fn the_table_moves_towards_what_is_wanted_and_only_where_it_is_read() {
    let mut table = Table::new(numbers(10 * WIDTH, 6), WIDTH);
    let before = table.rows().to_vec();
    let mut bags = Bags::default();
    for ids in [&[1u32, 2, 2][..], &[3], &[], &[2, 5]] {
        bags.push(ids);
    }
    let wanted = unit(numbers(4 * WIDTH, 7));
    let loss = |table: &Table| {
        let vectors = table.encode(&bags);
        towards(&vectors, &wanted, WIDTH).loss
    };
    let start = loss(&table);
    for _ in 0..200 {
        let texts = (0..bags.len()).map(|text| bags.get(text)).collect();
        let forward = table.forward(texts);
        let pull = towards(&forward.vectors, &wanted, WIDTH);
        table.step(&[(&forward, &pull.gradient)], 0.02);
    }
    assert!(loss(&table) < start - 0.3, "{start} to {}", loss(&table));
    for row in 0..10 {
        let range = row * WIDTH..(row + 1) * WIDTH;
        let is_read = [1, 2, 3, 5].contains(&row);
        let stays = before[range.clone()] == table.rows()[range];
        assert_eq!(stays, !is_read, "row {row}");
    }
}

#[test]
fn the_nearest_are_those_of_a_full_sort() {
    let (queries, passages) = (numbers(7 * WIDTH, 8), numbers(40 * WIDTH, 9));
    let found = nearest(&queries, &passages, WIDTH, 5);
    for (query, found) in queries.chunks_exact(WIDTH).zip(&found) {
        let score = |p: &[f32]| query.iter().zip(p).map(|(q, p)| q * p).sum::<f32>();
        let mut all: Vec<(u32, f32)> = (0..).zip(passages.chunks_exact(WIDTH).map(score)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        let places = |hits: &[(u32, f32)]| hits.iter().map(|hit| hit.0).collect::<Vec<_>>();
        assert_eq!(places(found), places(&all[..5]));
    }
    assert_eq!(nearest(&queries, &passages, WIDTH, 100)[0].len(), 40);
    assert!(nearest(&queries, &[], WIDTH, 5).iter().all(Vec::is_empty));
}

#[test]
fn a_beginning_ends_where_a_word_does() {
    let check = |text, letters, wanted| assert_eq!(beginning(text, letters), wanted);
    check("one two three", 100, "one two three");
    check("one two three", 9, "one two");
    check("onetwothree", 6, "onetwo");
    check("äöü äöü", 5, "äöü");
    check("", 5, "");
}

/// A set of documents about animals and what they do, in BEIR layout.
fn set(dir: &Path) -> PathBuf {
    let animals = ["fox", "dog", "cat", "owl", "bee", "ant", "cow", "hen"];
    let doings = [
        "jumps over",
        "runs from",
        "looks at",
        "eats with",
        "sings to",
    ];
    let (mut corpus, mut queries) = (String::new(), String::new());
    let mut qrels = [(); 2].map(|()| String::from("query-id\tcorpus-id\tscore\n"));
    let mut number = 0;
    for who in animals {
        for doing in doings {
            for whom in animals.iter().filter(|whom| **whom != who) {
                let text = format!("the quick {who} {doing} the lazy {whom} number {number}");
                corpus +=
                    &format!("{{\"_id\": \"d{number}\", \"title\": \"\", \"text\": \"{text}\"}}\n");
                let query = format!("which {who} {doing} a {whom} {number}");
                queries += &format!("{{\"_id\": \"q{number}\", \"text\": \"{query}\"}}\n");
                qrels[usize::from(number % 8 == 0)] += &format!("q{number}\td{number}\t1\n");
                number += 1;
            }
        }
    }
    let path = dir.join("animals");
    fs::create_dir_all(path.join("qrels")).expect("a folder");
    fs::write(path.join("corpus.jsonl"), corpus).expect("a file");
    fs::write(path.join("queries.jsonl"), queries).expect("a file");
    fs::write(path.join("qrels/train.tsv"), &qrels[0]).expect("a file");
    fs::write(path.join("qrels/dev.tsv"), &qrels[1]).expect("a file");
    path
}

fn small() -> DistilConfig {
    DistilConfig {
        dimension: 24,
        batch: 32,
        copy_epochs: 3,
        pair_epochs: 2,
        depth: 10,
        copy_rate: 0.01,
        ..DistilConfig::default()
    }
}

fn run(
    out: &Path,
    sets: &[PathBuf],
    config: DistilConfig,
    task: Task<'_>,
) -> (Result<Outcome, DistilError>, Vec<Epoch>) {
    let epochs = Mutex::new(Vec::new());
    let teacher = HashingEncoder::new(64);
    let job = Job {
        config,
        teacher: &teacher,
        teacher_dir: &model_dir("bert"),
        sets,
        out,
        observe: &|epoch| epochs.lock().expect("one at a time").push(epoch.clone()),
    };
    let outcome = distil(&job, task);
    (outcome, epochs.into_inner().expect("one at a time"))
}

#[test]
fn a_table_comes_near_its_teacher_and_can_be_opened() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sets = [set(dir.path())];
    let out = dir.path().join("run");
    let (outcome, epochs) = run(&out, &sets, small(), Task::silent());
    let outcome = outcome.expect("a table");
    let stages: Vec<&str> = epochs.iter().map(|epoch| epoch.stage).collect();
    let wanted = [
        "start",
        "copy",
        "copy",
        "copy",
        "contrast",
        "contrast",
        "whole numbers",
    ];
    assert_eq!(stages, wanted);
    let losses: BTreeMap<(&str, usize), f32> = epochs
        .iter()
        .filter_map(|e| Some(((e.stage, e.epoch), e.loss?)))
        .collect();
    assert!(
        losses[&("copy", 3)] < 0.8 * losses[&("copy", 1)],
        "{losses:?}"
    );
    let copied = epochs[3].mean();
    assert!(outcome.last.mean() > copied + 0.05, "{epochs:?}");
    let encoder = load(&outcome.model, &LoadOptions::default()).expect("an encoder");
    assert_eq!(encoder.identity().dimension, 24);
    assert_eq!(encoder.identity().family, "static");
    let vectors = encoder
        .encode(&["the quick fox", ""], Role::Query, Task::silent())
        .expect("any text");
    let length = vectors.values[..24].iter().map(|v| v * v).sum::<f32>();
    assert!((length - 1.0).abs() < 1e-3);
    assert!(vectors.values[24..].iter().all(|v| *v == 0.0));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_what_the_teacher_did_is_kept() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sets = [set(dir.path())];
    let bytes = |out: &str, seed| {
        let out = dir.path().join(out);
        let config = DistilConfig { seed, ..small() };
        let (outcome, _) = run(&out, &sets, config, Task::silent());
        fs::read(outcome.expect("a table").model.join("model.safetensors")).expect("weights")
    };
    let first = bytes("a", 0);
    assert_eq!(first, bytes("b", 0));
    assert_ne!(first, bytes("b", 1));
    // A record cut short, as a run that was killed leaves it.
    let kept = fs::read_dir(dir.path().join("a")).expect("the run");
    let kept = kept
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|e| e == "bin"))
        .expect("the teacher's vectors");
    let whole = fs::read(&kept).expect("records");
    fs::write(&kept, &whole[..whole.len() - 7]).expect("written");
    assert_eq!(first, bytes("a", 0));
    assert_eq!(fs::read(&kept).expect("records").len(), whole.len());
}

#[test]
fn it_can_be_stopped_and_leaves_no_half_of_a_model() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sets = [set(dir.path())];
    let out = dir.path().join("run");
    let cancel = AtomicBool::new(false);
    let progress = |p: storage::Progress| {
        if p.stage == "copying the teacher" {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let (outcome, _) = run(&out, &sets, small(), Task::new(&progress, &cancel));
    assert!(outcome.expect_err("it was stopped").is_cancelled());
    assert!(!out.join("model").exists());
}

#[test]
fn settings_out_of_range_and_sets_that_are_none_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sets = [set(dir.path())];
    let refused = |sets: &[PathBuf], config| {
        let out = dir.path().join("run");
        let (outcome, _) = run(&out, sets, config, Task::silent());
        outcome.expect_err("it is refused").to_string()
    };
    let wide = DistilConfig {
        dimension: 65,
        ..small()
    };
    assert!(refused(&sets, wide).contains("dimension is 65; it has to be from 8 to 64"));
    assert!(refused(&[], small()).contains("no data set"));
    let absent = dir.path().join("absent");
    assert!(refused(&[absent], small()).contains("absent"));
    let still = DistilConfig {
        copy_rate: 0.0,
        ..small()
    };
    assert!(refused(&sets, still).contains("copy_rate"));
}
