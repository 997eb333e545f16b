use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::Progress;
use tempfile::TempDir;

use super::*;
use crate::Engine;
use crate::encoder::testing::HashingEncoder;
use crate::report::SearchResponse;
use crate::request::{Mode, ReadOptions, SearchRequest, VectorSearch};

fn state(live: u64, tail: u64, dead: u64, folded: u64) -> Option<State> {
    let indexed = live - tail + dead;
    Some(State {
        live,
        tail,
        dead,
        gone: 0,
        indexed,
        folded,
    })
}

#[test]
fn an_index_comes_with_size_and_follows_change() {
    use IndexPolicy::{Always, WherePays};
    use Occasion::{Finished, Underway};
    let n = INDEX_FROM;
    let cases = [
        (WherePays, Finished, n - 1, None, Step::Without),
        (WherePays, Finished, n, None, Step::Build),
        (WherePays, Underway, n, None, Step::Without),
        (Always, Finished, 3, None, Step::Build),
        (Always, Finished, 0, None, Step::Without),
        (WherePays, Finished, n, state(n, 10, 10, 0), Step::Keep),
        (WherePays, Finished, n, state(n, n / 10, 0, 0), Step::Fold),
        (WherePays, Finished, n, state(n, 0, n / 10, 0), Step::Fold),
        (WherePays, Underway, n, state(n, n / 10, 0, 0), Step::Keep),
        (
            WherePays,
            Finished,
            n,
            state(n, n / 10, 0, n / 2),
            Step::Build,
        ),
        (
            WherePays,
            Finished,
            n - 1,
            state(n - 1, 0, 0, 0),
            Step::Keep,
        ),
        (
            WherePays,
            Finished,
            n / 3,
            state(n / 3, 0, 0, 0),
            Step::Without,
        ),
    ];
    for (policy, occasion, live, old, expected) in cases {
        let found = step(policy, occasion, live, old);
        assert_eq!(found, expected, "{policy:?} {occasion:?} {live} {old:?}");
    }
    let gone = state(n, 0, 1, 0).map(|state| State { gone: 1, ..state });
    assert_eq!(step(WherePays, Finished, n, gone), Step::Fold);
}

/// A collection of small files that has an index however small it is.
struct Bench {
    folder: TempDir,
    encoder: Arc<HashingEncoder>,
}

impl Bench {
    fn with_files(files: std::ops::Range<usize>) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            encoder: Arc::new(HashingEncoder::new(64)),
        };
        std::fs::create_dir(bench.files()).expect("a folder");
        bench.add(files);
        bench
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn add(&self, files: std::ops::Range<usize>) {
        for at in files {
            let path = self.files().join(format!("{at}.txt"));
            std::fs::write(path, text(at)).expect("a written file");
        }
    }

    fn engine(&self) -> Engine {
        let dir = self.folder.path().join("collection");
        let engine = Engine::open(&dir).expect("an open collection");
        engine
            .set_encoder(self.encoder.clone())
            .expect("the same encoder");
        engine
    }

    fn index(&self, task: Task<'_>) -> IndexReport {
        let (engine, mut report) = (self.engine(), IndexReport::default());
        let encoder = Some(self.encoder.clone() as _);
        let written = engine.write(encoder, &mut report, |session, report| {
            session.index_as(IndexPolicy::Always);
            let roots = [self.files().canonicalize().expect("a folder")];
            super::super::run(
                session,
                &super::super::Scope::all(&roots),
                &ReadOptions::default(),
                report,
                task,
            )
        });
        written.expect("an index run");
        report
    }

    fn ask(&self, query: &str, vectors: VectorSearch) -> SearchResponse {
        let request = SearchRequest {
            mode: Mode::Dense,
            vectors,
            ..SearchRequest::new(query)
        };
        self.engine().search(&request).expect("an answer")
    }

    fn index_file(&self) -> Option<PathBuf> {
        let snapshot = self.engine().snapshot();
        snapshot.open.as_ref()?.generation.index_path()
    }
}

/// The words of file `at`.
fn text(at: usize) -> String {
    format!("word{at} group{} thing{} of{}", at % 7, at % 31, at % 101)
}

fn hits(response: &SearchResponse) -> Vec<(u32, f32)> {
    let pair = |hit: &crate::report::Hit| (hit.passage, hit.score);
    response.hits.iter().map(pair).collect()
}

#[test]
fn an_indexed_answer_says_so_and_is_the_exact_one() {
    let bench = Bench::with_files(0..600);
    bench.index(Task::silent());
    let exact = bench.ask("group3 thing4", VectorSearch::Exact);
    let found = bench.ask("group3 thing4", VectorSearch::Ivfpq);
    assert_eq!(exact.dense_search.as_deref(), Some("exact"));
    let how = found.dense_search.clone().expect("a dense leg");
    assert!(
        how.starts_with("ivfpq, ") && how.ends_with(" lists probed"),
        "{how}"
    );
    assert_eq!(hits(&found), hits(&exact));
    let automatic = bench.ask("group3 thing4", VectorSearch::Auto);
    assert_eq!(
        automatic.dense_search.as_deref(),
        Some("exact"),
        "600 rows are few"
    );
    let status = bench.engine().status().expect("a status");
    let index = status.index.expect("an index");
    assert_eq!((index.vectors, index.tail), (600, 0));
    assert!(!index.measured.is_empty() && index.sample > 0);
}

#[test]
fn the_index_follows_files_that_come_and_go() {
    let bench = Bench::with_files(0..600);
    bench.index(Task::silent());
    let first = bench.index_file().expect("an index");
    bench.add(600..610);
    bench.index(Task::silent());
    let index = bench
        .engine()
        .status()
        .expect("a status")
        .index
        .expect("an index");
    assert_eq!((index.vectors, index.tail), (600, 10), "a few are a tail");
    let kept = bench.index_file().expect("an index");
    assert_eq!(kept.file_name(), first.file_name(), "carried over");
    let found = bench.ask(&text(605), VectorSearch::Ivfpq);
    assert!(
        found.hits[0].path.ends_with("605.txt"),
        "{:?}",
        found.hits[0].path
    );
    (0..60).for_each(|at| {
        std::fs::remove_file(bench.files().join(format!("{at}.txt"))).expect("removed");
    });
    bench.index(Task::silent());
    let index = bench
        .engine()
        .status()
        .expect("a status")
        .index
        .expect("an index");
    assert_eq!(
        (index.vectors, index.tail),
        (550, 0),
        "many are folded in and out"
    );
    for query in ["word5", "word605", "word300"] {
        let (exact, found) = (
            bench.ask(query, VectorSearch::Exact),
            bench.ask(query, VectorSearch::Ivfpq),
        );
        assert_eq!(hits(&found), hits(&exact), "{query}");
    }
}

#[test]
fn a_damaged_index_is_named_searched_without_and_made_again() {
    let bench = Bench::with_files(0..300);
    bench.index(Task::silent());
    let exact = bench.ask("word7", VectorSearch::Exact);
    let path = bench.index_file().expect("an index");
    let mut bytes = std::fs::read(&path).expect("its bytes");
    let last = bytes.len() - 1;
    for at in [20, last] {
        bytes[at] ^= 255;
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, &bytes).expect("damaged");
        // A damaged header shows when the file is opened, damaged codes when they are read.
        let asked = if at == 20 {
            VectorSearch::Auto
        } else {
            VectorSearch::Ivfpq
        };
        let found = bench.ask("word7", asked);
        assert_eq!(hits(&found), hits(&exact));
        assert!(
            found.warnings[0].contains("damaged"),
            "{:?}",
            found.warnings
        );
        bytes[at] ^= 255;
    }
    let dir = bench.folder.path().join("collection");
    let encoder = || Some(bench.encoder.clone() as _);
    let report = Engine::doctor(&dir, encoder(), None, Task::silent()).expect("a check-up");
    let check = report
        .checks
        .iter()
        .find(|c| c.name == "index of the vectors");
    assert_eq!(check.expect("a check").problems.len(), 1, "{report:?}");
    let options = ReadOptions::default();
    Engine::doctor(&dir, encoder(), Some(&options), Task::silent()).expect("a repair");
    let report = Engine::doctor(&dir, encoder(), None, Task::silent()).expect("a check-up");
    assert!(
        report.checks.iter().all(|c| c.problems.is_empty()),
        "{report:?}"
    );
}

#[test]
fn stopping_while_the_index_is_made_publishes_without_it() {
    let bench = Bench::with_files(0..300);
    let stop = AtomicBool::new(false);
    let on_lists = |progress: Progress| {
        if progress.stage == "finding lists" {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let report = bench.index(Task::new(&on_lists, &stop));
    assert!(report.interrupted && report.warnings.iter().any(|w| w.contains("index")));
    assert_eq!(bench.index_file(), None);
    let found = bench.ask(&text(7), VectorSearch::Auto);
    assert_eq!(found.dense_search.as_deref(), Some("exact"));
    assert!(found.hits[0].path.ends_with("7.txt"), "{found:?}");
}
