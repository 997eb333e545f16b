//! Does a crash at any moment leave the old state or the new one?

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use engine::encoder::testing::HashingEncoder;
use engine::request::{IndexRequest, Mode, ReadOptions, SearchRequest};
use engine::{Engine, EngineError};
use storage::Task;
use storage::disk::{Operation, watched};
use tempfile::TempDir;

pub mod disk;

use disk::{Disk, Loss, copy_tree};

/// At each so-manieth crash a writer tries to go on, which takes longer than a reader.
const WRITER_EVERY: u64 = 20;

/// What a search for everything finds: file name and the line it was found with.
type Answer = BTreeMap<String, String>;

/// A folder of files and its collection.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        };
        fs::create_dir_all(desk.files().join("sub")).expect("a folder");
        for n in 0..6 {
            desk.write(&format!("{n}.txt"), &format!("heron number {n} stands"));
            desk.write(
                &format!("sub/{n}.txt"),
                &format!("heron number 1{n} stands"),
            );
        }
        desk
    }

    fn indexed() -> Self {
        let desk = Self::new();
        desk.index(&desk.collection()).expect("a first index");
        desk
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn collection(&self) -> PathBuf {
        self.dir.path().join("collection")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.files().join(name), text).expect("a written file");
    }

    /// Changes, adds and removes files.
    fn edit(&self) {
        self.write("0.txt", "heron number 0 flies");
        self.write("new.txt", "heron number 9 arrives");
        fs::remove_file(self.files().join("5.txt")).expect("a removal");
    }

    fn index(&self, collection: &Path) -> Result<(), EngineError> {
        let engine = open(collection)?;
        let request = IndexRequest {
            paths: vec![self.files()],
            options: ReadOptions::default(),
            encoder: Some(encoder()),
        };
        engine.index(&request, Task::silent()).map(|_| ())
    }
}

fn encoder() -> Arc<HashingEncoder> {
    Arc::new(HashingEncoder::new(16))
}

fn open(collection: &Path) -> Result<Engine, EngineError> {
    let engine = Engine::open(collection)?;
    // Refused where the vectors are of another encoder, which only the switch to another one leaves.
    let _ = engine.set_encoder(encoder());
    Ok(engine)
}

/// Everything that words find, checked against everything that vectors find.
fn answer(collection: &Path) -> Result<Answer, EngineError> {
    let engine = open(collection)?;
    let found = |mode| {
        let mut request = SearchRequest::new("heron number");
        (request.mode, request.limit) = (mode, 100);
        let hits = engine.search(&request)?.hits;
        let entry = |hit: &engine::report::Hit| {
            let name = hit.path.file_name().expect("a name").to_string_lossy();
            let parent = hit
                .path
                .parent()
                .and_then(Path::file_name)
                .expect("a folder");
            (
                format!("{}/{name}", parent.to_string_lossy()),
                hit.snippet.text.clone(),
            )
        };
        Ok::<Answer, EngineError>(hits.iter().map(entry).collect())
    };
    let words = found(Mode::Bm25)?;
    if engine
        .identity()
        .is_some_and(|identity| identity.dimension == 16)
    {
        assert_eq!(words, found(Mode::Dense)?, "both legs see one state");
    }
    Ok(words)
}

/// The next writer takes a crashed collection up, and leaves it sound.
fn recover(collection: &Path) {
    let files = collection.with_file_name("other");
    fs::create_dir_all(&files).expect("a folder");
    fs::write(files.join("late.txt"), "heron number 99 lands").expect("a file");
    let request = IndexRequest {
        paths: vec![files],
        options: ReadOptions::default(),
        encoder: None,
    };
    let engine = open(collection).expect("a readable collection");
    engine
        .index(&request, Task::silent())
        .expect("a run after the crash");
    drop(engine);
    let report = Engine::doctor(collection, None, None, Task::silent()).expect("a check-up");
    let problems: Vec<_> = report
        .checks
        .iter()
        .flat_map(|check| &check.problems)
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    fs::remove_dir_all(collection).expect("a removal");
}

/// Runs `work` on a collection, and at each durable operation looks at what a crash there would leave. Returns the
/// number of crashes looked at and what was wrong with them.
fn crash_everywhere(
    desk: &Desk,
    honest: bool,
    work: impl FnOnce(&Path) -> Result<(), EngineError>,
) -> (usize, Vec<String>) {
    let old = answer(&desk.collection()).expect("a sound start");
    let goal = tempfile::tempdir().expect("a temporary folder");
    let seen = Rc::new(RefCell::new(Vec::<(String, Result<Answer, String>)>::new()));
    let mut model = Disk::of(&desk.collection(), honest);
    let (notes, scratch) = (Rc::clone(&seen), goal.path().to_owned());
    let mut at = 0u64;
    let watcher = move |operation: Operation<'_>| {
        let losses = [
            Loss::Nothing,
            Loss::Everything,
            Loss::Bytes,
            Loss::Some(2 * at),
            Loss::Some(2 * at + 1),
        ];
        for loss in losses {
            let target = scratch.join("crashed");
            model.crash(loss, false, &target);
            let found = answer(&target).map_err(|error| error.to_string());
            notes
                .borrow_mut()
                .push((format!("before {operation:?} losing {loss:?}"), found));
            fs::remove_dir_all(&target).expect("a removal");
        }
        if at.is_multiple_of(WRITER_EVERY) {
            for loss in [Loss::Nothing, Loss::Some(at)] {
                model.crash(loss, true, &scratch.join("crashed"));
                recover(&scratch.join("crashed"));
            }
        }
        model.apply(operation);
        at += 1;
        Ok(())
    };
    watched(watcher, || work(&desk.collection())).expect("work that nothing disturbs");
    let new = answer(&desk.collection()).expect("a sound end");
    let seen = seen.take();
    let crashes = seen.len();
    let wrong = seen
        .into_iter()
        .filter(|(_, found)| *found != Ok(old.clone()) && *found != Ok(new.clone()))
        .map(|(place, found)| format!("{place}: {found:?}"));
    (crashes, wrong.collect())
}

fn survives(desk: &Desk, what: &str, work: impl FnOnce(&Path) -> Result<(), EngineError>) {
    let (crashes, wrong) = crash_everywhere(desk, true, work);
    let line = format!("{what}: {crashes} crashes, {} lost or mixed\n", wrong.len());
    io::stderr().write_all(line.as_bytes()).expect("stderr");
    assert!(crashes > 60, "only {crashes} crashes were tried");
    assert!(
        wrong.is_empty(),
        "{} of {crashes}: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(3)]
    );
}

#[test]
fn the_first_publish_survives_a_crash_anywhere() {
    let desk = Desk::new();
    survives(&desk, "first publish", |collection| desk.index(collection));
}

#[test]
fn an_update_survives_a_crash_anywhere() {
    let desk = Desk::indexed();
    desk.edit();
    survives(&desk, "update", |collection| desk.index(collection));
}

#[test]
fn a_removal_survives_a_crash_anywhere() {
    let desk = Desk::indexed();
    survives(&desk, "removal", |collection| {
        open(collection)?
            .remove(&[desk.files().join("sub")], Task::silent())
            .map(|_| ())
    });
}

#[test]
fn a_compaction_survives_a_crash_anywhere() {
    let desk = Desk::indexed();
    open(&desk.collection())
        .and_then(|engine| engine.remove(&[desk.files().join("sub")], Task::silent()))
        .expect("a removal");
    survives(&desk, "compaction", |collection| {
        open(collection)?.compact(Task::silent()).map(|_| ())
    });
}

#[test]
fn a_cut_over_to_another_encoder_survives_a_crash_anywhere() {
    let desk = Desk::indexed();
    survives(&desk, "change of encoder", |collection| {
        let other = Arc::new(HashingEncoder::new(24));
        Engine::open(collection)?
            .switch_encoder(Some(other), Task::silent())
            .map(|_| ())
    });
}

#[test]
fn an_index_of_the_vectors_survives_a_crash_anywhere() {
    let desk = Desk::indexed();
    survives(&desk, "index of the vectors", |collection| {
        open(collection)?.build_index(Task::silent()).map(|_| ())
    });
}

/// tantivy never writes over a file: what a killed run left under the name it would choose next stopped all later runs.
#[test]
fn what_a_killed_run_left_in_the_full_text_index_is_in_nobodys_way() {
    let desk = Desk::indexed();
    let working = desk.collection().join("bm25");
    let segments: Vec<String> = fs::read_dir(&working)
        .expect("a folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".store").map(str::to_owned))
        .collect();
    for segment in segments {
        for stamp in 0..200 {
            fs::write(working.join(format!("{segment}.{stamp}.del")), "half").expect("a file");
        }
    }
    desk.edit();
    desk.index(&desk.collection())
        .expect("a run after the kill");
    let found = answer(&desk.collection()).expect("an answer");
    assert_eq!(
        found.get("files/0.txt").map(String::as_str),
        Some("heron number 0 flies")
    );
    assert_eq!(found.len(), 12, "{found:?}");
}

/// Without this the tests above might pass on any order of operations.
#[test]
fn a_disk_whose_syncs_do_nothing_is_found_out() {
    let desk = Desk::indexed();
    desk.edit();
    let (_, wrong) = crash_everywhere(&desk, false, |collection| desk.index(collection));
    assert!(!wrong.is_empty(), "losing synced bytes went unnoticed");
}

/// How many operations of `work` are let through before the disk refuses all further ones.
fn refuse_after(
    n: usize,
    work: impl FnOnce() -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut left = n;
    let watcher = move |_: Operation<'_>| {
        if left == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        left -= 1;
        Ok(())
    };
    watched(watcher, work)
}

/// A disk that fills up after n operations, for n in steps: an error that says so, the old state still there, and the
/// next run reaches the goal.
#[test]
fn a_disk_that_fails_after_n_operations_costs_nothing_but_the_run() {
    let desk = Desk::indexed();
    let before = desk.dir.path().join("before");
    copy_tree(&desk.collection(), &before);
    let old = answer(&before).expect("a sound start");
    desk.edit();
    let (mut n, mut failures) = (0, 0);
    loop {
        let collection = desk.dir.path().join(format!("run-{n}"));
        copy_tree(&before, &collection);
        let outcome = refuse_after(n, || desk.index(&collection));
        let found = answer(&collection).expect("a sound collection");
        desk.index(&collection).expect("a second run");
        let new = answer(&collection).expect("a sound collection");
        assert_eq!(
            new.get("files/0.txt").map(String::as_str),
            Some("heron number 0 flies")
        );
        assert_eq!(
            (new.len(), new.contains_key("files/5.txt")),
            (12, false),
            "{new:?}"
        );
        match outcome {
            // Once CURRENT is renamed the run may still fail, in tidying up.
            Err(_) => assert!(found == old || found == new, "after {n}: {found:?}"),
            Ok(()) if found == new => break,
            Ok(()) => panic!("after {n}: success and the old state"),
        }
        fs::remove_dir_all(&collection).expect("a removal");
        failures += 1;
        n += 5;
    }
    assert!(failures > 3, "only {failures} failures were tried");
}
