//! Do readers and a writer get along for long, with memory, handles and disk flat?
//!
//! `ASKANCE_SOAK` sets the seconds (default 3); `ASKANCE_SOAK=900 cargo test ... soak -- --nocapture` says what it saw.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::Engine;
use engine::encoder::testing::HashingEncoder;
use engine::request::{IndexRequest, Mode, ReadOptions, SearchRequest};
use storage::Task;

/// What a process and its collection take.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    memory_kib: u64,
    handles: usize,
    disk_kib: u64,
}

impl Taken {
    fn now(collection: &Path) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let handles = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self {
            memory_kib: memory
                .and_then(|line| line.trim().split(' ').next()?.parse().ok())
                .unwrap_or(0),
            handles,
            disk_kib: bytes_below(collection) >> 10,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            handles: self.handles.max(other.handles),
            disk_kib: self.disk_kib.max(other.disk_kib),
        }
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

struct Desk {
    dir: tempfile::TempDir,
    searches: AtomicU64,
    done: AtomicBool,
}

const FILES: usize = 60;

impl Desk {
    fn file(&self, n: usize) -> PathBuf {
        self.dir.path().join("files").join(format!("{n}.txt"))
    }

    fn collection(&self) -> PathBuf {
        self.dir.path().join("collection")
    }

    fn engine(&self) -> Engine {
        let engine = Engine::open(&self.collection()).expect("a collection");
        engine
            .set_encoder(Arc::new(HashingEncoder::new(32)))
            .expect("the same encoder");
        engine
    }

    /// All files of one round say the same round, so that a mixture of two generations shows.
    fn write(&self, round: usize) {
        for n in 0..FILES {
            let text = format!("lantern round{round} {}", "oil and wick. ".repeat(n % 9));
            fs::write(self.file(n), text).expect("a file");
        }
        // Every other round lacks a file.
        if round % 2 == 1 {
            fs::remove_file(self.file(round % FILES)).expect("a removal");
        }
    }

    fn index(&self, engine: &Engine) {
        let request = IndexRequest {
            paths: vec![self.dir.path().join("files")],
            options: ReadOptions::default(),
            encoder: None,
        };
        engine.index(&request, Task::silent()).expect("an index");
    }

    /// Searches until the end; each answer is of one round.
    fn read(&self) {
        let engine = self.engine();
        let mut modes = [Mode::Bm25, Mode::Dense, Mode::Hybrid].into_iter().cycle();
        while !self.done.load(Ordering::Relaxed) {
            engine.refresh().expect("the newest generation");
            let mut request = SearchRequest::new("lantern");
            (request.limit, request.mode) = (FILES, modes.next().expect("a cycle"));
            let hits = engine.search(&request).expect("an answer").hits;
            let mut rounds = BTreeMap::new();
            for hit in &hits {
                let round = hit
                    .snippet
                    .text
                    .split(' ')
                    .nth(1)
                    .expect("a round")
                    .to_owned();
                *rounds.entry(round).or_insert(0) += 1;
            }
            assert!(rounds.len() == 1, "a mixture: {rounds:?}");
            assert!(hits.len() >= FILES - 1, "{} of {FILES}", hits.len());
            self.searches.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Changes everything again and again; what was taken in the first and in the last third of the time.
    fn write_for(&self, time: Duration) -> (usize, Taken, Taken) {
        let engine = self.engine();
        let started = Instant::now();
        let (mut early, mut late, mut round) = (Taken::default(), Taken::default(), 0);
        while started.elapsed() < time {
            round += 1;
            self.write(round);
            self.index(&engine);
            if round % 10 == 0 {
                engine.compact(Task::silent()).expect("a compaction");
            }
            let now = Taken::now(&self.collection());
            match started.elapsed().as_secs_f64() / time.as_secs_f64() {
                share if share < 0.34 => early = early.max(now),
                share if share > 0.66 => late = late.max(now),
                _ => {}
            }
        }
        (round, early, late)
    }
}

#[test]
fn readers_and_a_writer_run_side_by_side_without_growing() {
    let seconds = std::env::var("ASKANCE_SOAK")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(3);
    let desk = Desk {
        dir: tempfile::tempdir().expect("a temporary folder"),
        searches: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    fs::create_dir(desk.dir.path().join("files")).expect("a folder");
    desk.write(0);
    let request = IndexRequest {
        paths: vec![desk.dir.path().join("files")],
        options: ReadOptions::default(),
        encoder: Some(Arc::new(HashingEncoder::new(32))),
    };
    let first = Engine::open(&desk.collection()).expect("a new collection");
    first.index(&request, Task::silent()).expect("an index");
    let (rounds, early, late) = std::thread::scope(|scope| {
        let readers = [scope.spawn(|| desk.read()), scope.spawn(|| desk.read())];
        let taken = desk.write_for(Duration::from_secs(seconds));
        desk.done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("a reader that never failed");
        }
        taken
    });
    let searches = desk.searches.load(Ordering::Relaxed);
    let line = format!(
        "{seconds} s, {rounds} rounds of {FILES} files, {searches} searches: {early:?}, later {late:?}\n"
    );
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
    assert!(rounds > 2 && searches > 10, "{line}");
    // Other tests of this process come and go; a leak in minutes is far larger than they are.
    if seconds > 60 {
        assert!(
            late.memory_kib < early.memory_kib * 5 / 4 + (32 << 10),
            "{line}"
        );
        assert!(late.handles <= early.handles + 8, "{line}");
        assert!(late.disk_kib < early.disk_kib * 3 / 2 + (8 << 10), "{line}");
    }
    let report =
        Engine::doctor(&desk.collection(), None, None, Task::silent()).expect("a check-up");
    assert!(
        report.checks.iter().all(|check| check.problems.is_empty()),
        "{report:?}"
    );
}
