//! Do files become hits, and do hits follow the files when they change?

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::encoder::testing::HashingEncoder;
use engine::report::{IndexReport, SearchResponse};
use engine::request::{Filter, IndexRequest, Mode, ReadOptions, SearchRequest};
use engine::{Engine, EngineError};
use storage::Task;
use tempfile::TempDir;

/// A collection beside a folder of files that a test may change.
struct Bench {
    folder: TempDir,
    encoder: Option<Arc<HashingEncoder>>,
}

impl Bench {
    fn new(encoder: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("files")).expect("a folder");
        Self {
            folder,
            encoder: encoder.then(|| Arc::new(HashingEncoder::new(64))),
        }
    }

    fn collection(&self) -> PathBuf {
        self.folder.path().join("collection")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, text).expect("a written file");
        // Old enough that its stamp cannot hide a later change.
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        fs::File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(old))
            .expect("a stamp");
    }

    fn engine(&self) -> Engine {
        let engine = Engine::open(&self.collection()).expect("an open collection");
        if let Some(encoder) = &self.encoder {
            engine
                .set_encoder(encoder.clone())
                .expect("the same encoder");
        }
        engine
    }

    fn index(&self) -> IndexReport {
        self.engine()
            .index(&self.request(), Task::silent())
            .expect("an index run")
    }

    fn request(&self) -> IndexRequest {
        IndexRequest {
            paths: vec![self.folder.path().join("files")],
            options: ReadOptions::default(),
            encoder: self.encoder.clone().map(|encoder| encoder as _),
        }
    }

    fn search(&self, query: &str) -> SearchResponse {
        self.engine()
            .search(&SearchRequest::new(query))
            .expect("an answer")
    }

    /// File names of the hits, best first.
    fn names(&self, query: &str) -> Vec<String> {
        names(&self.search(query))
    }
}

fn names(response: &SearchResponse) -> Vec<String> {
    let name = |path: &Path| {
        path.file_name()
            .expect("a file name")
            .to_string_lossy()
            .into_owned()
    };
    response.hits.iter().map(|hit| name(&hit.path)).collect()
}

#[test]
fn every_kind_of_file_in_the_corpus_is_found_by_its_words() {
    let bench = Bench::new(false);
    let mut request = bench.request();
    request.paths = vec![tests::corpus().join("files")];
    let report = bench
        .engine()
        .index(&request, Task::silent())
        .expect("an index run");
    assert_eq!((report.added, report.failed.len()), (7, 0), "{report:?}");
    let expected = [
        ("frost lettuce", "garden.md"),
        ("gas cartridge", "packing.txt"),
        ("exponential backoff", "retry.py"),
        ("swimmers lanes", "page.html"),
        ("Primo Levi", "books.csv"),
        ("spare key oars", "keys.eml"),
        ("rainfall gauge", "analysis.ipynb"),
    ];
    for (query, file) in expected {
        assert_eq!(
            bench.names(query).first().map(String::as_str),
            Some(file),
            "{query}"
        );
    }
    assert!(
        bench.search("tracker").hits.is_empty(),
        "scripts are no text"
    );
}

#[test]
fn a_second_run_reads_nothing_and_publishes_nothing() {
    let bench = Bench::new(true);
    bench.write("a.md", "# Apples\n\nApples keep well in a cool cellar.");
    bench.write("b.txt", "Pears do not.");
    let first = bench.index();
    assert_eq!((first.added, first.unchanged, first.encoded), (2, 0, 2));
    let second = bench.index();
    assert_eq!((second.added, second.unchanged, second.bytes), (0, 2, 0));
    assert_eq!(second.generation, first.generation);
}

#[test]
fn a_changed_file_keeps_the_vectors_of_its_unchanged_passages() {
    let bench = Bench::new(true);
    let section = |title: &str, word: &str| {
        format!(
            "# {title}\n\n{}\n\n",
            format!("{word} grow here. ").repeat(60)
        )
    };
    bench.write(
        "a.md",
        &(section("One", "apples") + &section("Two", "pears")),
    );
    let first = bench.index();
    assert!(first.encoded >= 2, "{first:?}");
    bench.write(
        "a.md",
        &(section("One", "apples") + &section("Two", "quinces")),
    );
    let second = bench.index();
    assert_eq!((second.changed, second.added), (1, 0));
    assert!(second.reused >= 1 && second.encoded >= 1, "{second:?}");
    assert!(
        bench
            .search("pears")
            .hits
            .iter()
            .all(|hit| hit.explain.bm25.is_none())
    );
    assert!(bench.search("quinces").hits[0].explain.bm25.is_some());
}

#[test]
fn moved_and_deleted_files_are_followed() {
    let bench = Bench::new(false);
    bench.write("old.txt", "The heron stands in the reeds.");
    bench.write("gone.txt", "The otter dives.");
    bench.index();
    fs::rename(bench.file("old.txt"), bench.file("new.txt")).expect("a rename");
    fs::remove_file(bench.file("gone.txt")).expect("a removal");
    let report = bench.index();
    assert_eq!(
        (report.moved, report.removed, report.added),
        (1, 1, 0),
        "{report:?}"
    );
    assert_eq!(bench.names("heron"), ["new.txt"]);
    assert!(bench.search("otter").hits.is_empty());
}

#[test]
fn an_emptied_folder_keeps_its_documents_until_a_person_says_otherwise() {
    let bench = Bench::new(true);
    bench.write("drive/heron.txt", "The heron stands in the reeds.");
    bench.write("otter.txt", "The otter dives.");
    bench.index();
    let drive = bench.file("drive");
    let mut request = IndexRequest {
        paths: vec![drive.clone()],
        ..bench.request()
    };
    bench
        .engine()
        .index(&request, Task::silent())
        .expect("a root");
    fs::remove_file(bench.file("drive/heron.txt")).expect("a removal");
    let refused = bench.engine().index(&request, Task::silent());
    assert!(
        matches!(&refused, Err(EngineError::Emptied { path, documents: 1 }) if path.ends_with("files/drive")),
        "{refused:?}"
    );
    assert_eq!(bench.names("heron")[0], "heron.txt");

    bench.write("drive/heron.txt", "The heron stands in the reeds.");
    let report = bench.engine().index(&request, Task::silent());
    assert_eq!(report.expect("it came back").encoded, 0);

    fs::remove_file(bench.file("drive/heron.txt")).expect("a removal");
    request.options.allow_empty = true;
    let report = bench.engine().index(&request, Task::silent());
    assert_eq!(report.expect("as a person said").removed, 1);
    let first = &bench.search("heron").hits[0];
    assert!(first.path.ends_with("otter.txt"), "{first:?}");
}

#[test]
fn a_touched_file_is_hashed_and_not_indexed_again() {
    let bench = Bench::new(false);
    bench.write("a.txt", "Same words as before.");
    let first = bench.index();
    fs::File::options()
        .write(true)
        .open(bench.file("a.txt"))
        .and_then(|file| {
            file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
        })
        .expect("a new stamp");
    let second = bench.index();
    assert_eq!(
        (second.changed, second.unchanged, second.passages),
        (0, 1, 0),
        "{first:?} {second:?}"
    );
}

#[test]
fn hybrid_and_dense_answers_name_what_they_used() {
    let bench = Bench::new(true);
    bench.write("a.txt", "Keep bread in a linen bag.");
    bench.write("b.txt", "Keep cheese in paper.");
    bench.index();
    let engine = bench.engine();
    for mode in [Mode::Hybrid, Mode::Dense, Mode::Bm25] {
        let mut request = SearchRequest::new("bread linen");
        request.mode = mode;
        let response = engine.search(&request).expect("an answer");
        assert_eq!(response.mode, mode);
        assert_eq!(response.encoder.is_some(), mode != Mode::Bm25);
        assert_eq!(
            response.dense_search.as_deref(),
            (mode != Mode::Bm25).then_some("exact")
        );
        assert_eq!(names(&response)[0], "a.txt");
    }
}

#[test]
fn the_order_does_not_depend_on_the_limit() {
    let bench = Bench::new(true);
    for n in 0..40 {
        bench.write(
            &format!("{n:02}.txt"),
            &format!(
                "river {} bank {}",
                "stone ".repeat(n % 7),
                "reed ".repeat(n % 5)
            ),
        );
    }
    bench.index();
    let engine = bench.engine();
    let mut request = SearchRequest::new("river stone reed");
    request.limit = 40;
    let all = names(&engine.search(&request).expect("an answer"));
    for limit in [1, 5, 13] {
        request.limit = limit;
        assert_eq!(
            names(&engine.search(&request).expect("an answer")),
            all[..limit]
        );
    }
}

#[test]
fn filters_apply_before_ranking() {
    let bench = Bench::new(true);
    for n in 0..30 {
        bench.write(&format!("loud/{n}.txt"), "whale whale whale");
    }
    bench.write("quiet/one.md", "A whale was seen once.");
    bench.index();
    let mut request = SearchRequest::new("whale");
    request.limit = 1;
    for filter in [
        Filter {
            paths: vec!["quiet/**".into()],
            ..Filter::default()
        },
        Filter {
            extensions: vec!["md".into()],
            ..Filter::default()
        },
    ] {
        request.filter = filter;
        let response = bench.engine().search(&request).expect("an answer");
        assert_eq!(
            (names(&response), response.eligible),
            (vec!["one.md".to_owned()], 1)
        );
    }
}

#[test]
fn without_an_encoder_search_is_by_words_and_says_so() {
    let bench = Bench::new(false);
    bench.write("a.txt", "A lighthouse on the cliff.");
    bench.index();
    let response = bench.search("lighthouse");
    assert_eq!(response.mode, Mode::Bm25);
    assert!(
        response
            .warnings
            .iter()
            .any(|warning| warning.contains("model add")),
        "{:?}",
        response.warnings
    );
    let mut dense = SearchRequest::new("lighthouse");
    dense.mode = Mode::Dense;
    assert!(matches!(
        bench.engine().search(&dense),
        Err(EngineError::NoVectors)
    ));
}

#[test]
fn an_encoder_of_another_dimension_is_refused_and_nothing_is_lost() {
    let bench = Bench::new(true);
    bench.write("a.txt", "A lantern in the barn.");
    bench.index();
    let other = Arc::new(HashingEncoder::new(32));
    let engine = Engine::open(&bench.collection()).expect("an open collection");
    let refused = engine
        .set_encoder(other.clone())
        .expect_err("another encoder");
    assert!(
        refused.to_string().contains("askance model use"),
        "{refused}"
    );
    let mut request = bench.request();
    request.encoder = Some(other.clone());
    assert!(matches!(
        engine.index(&request, Task::silent()),
        Err(EngineError::EncoderMismatch { .. })
    ));
    assert_eq!(bench.names("lantern"), ["a.txt"]);
    engine
        .switch_encoder(Some(other), Task::silent())
        .expect("a switch");
    assert_eq!(
        engine.identity().map(|identity| identity.dimension),
        Some(32)
    );
    assert_eq!(
        engine
            .search(&SearchRequest::new("lantern"))
            .expect("an answer")
            .mode,
        Mode::Hybrid
    );
}

#[test]
fn removing_takes_out_a_file_or_a_folder_and_leaves_the_files_alone() {
    let bench = Bench::new(true);
    bench.write("keep/a.txt", "A kettle on the stove.");
    bench.write("drop/b.txt", "A kettle on the shelf.");
    bench.index();
    let engine = Engine::open(&bench.collection()).expect("an open collection");
    let nowhere = bench.file("nowhere");
    let report = engine
        .remove(&[bench.file("drop"), nowhere.clone()], Task::silent())
        .expect("a removal");
    assert_eq!((report.documents, report.unknown), (1, vec![nowhere]));
    assert_eq!(bench.names("kettle"), ["a.txt"]);
    assert!(bench.file("drop/b.txt").exists());
}

#[test]
fn a_file_that_fails_is_remembered_and_tried_again_when_it_changes() {
    let bench = Bench::new(false);
    bench.write("good.txt", "A sound plank.");
    bench.write("bad.docx", "PK\u{3}\u{4} this is no archive");
    let first = bench.index();
    assert_eq!((first.added, first.failed.len()), (1, 1), "{first:?}");
    let second = bench.index();
    assert_eq!((second.failed.len(), second.still_failing), (0, 1));
    assert_eq!(bench.engine().status().expect("a status").failures.len(), 1);
    fs::remove_file(bench.file("bad.docx")).expect("a removal");
    bench.write("bad.docx", "PK\u{3}\u{4} still no archive, but another");
    assert_eq!(bench.index().failed.len(), 1);
}

#[test]
fn a_cancelled_run_keeps_what_it_finished_and_the_next_goes_on() {
    let bench = Bench::new(true);
    for n in 0..50 {
        bench.write(&format!("{n:02}.txt"), &format!("page {n} of the ledger"));
    }
    let stop = AtomicBool::new(false);
    let watch = |progress: storage::Progress| {
        if progress.stage == "files" && progress.done == 20 {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let report = bench
        .engine()
        .index(&bench.request(), Task::new(&watch, &stop))
        .expect("a stopped run");
    assert!(report.interrupted && report.added == 20, "{report:?}");
    let rest = bench.index();
    assert_eq!((rest.added, rest.unchanged), (30, 20), "{rest:?}");
    assert_eq!(bench.engine().status().expect("a status").documents, 50);
}

#[test]
fn a_reader_keeps_its_generation_while_a_writer_publishes() {
    let bench = Bench::new(true);
    bench.write("a.txt", "The first crow.");
    bench.index();
    let reader = bench.engine();
    bench.write("b.txt", "The second crow.");
    for n in 0..4 {
        bench.write("c.txt", &format!("The crow number {n}."));
        bench.index();
    }
    let before = reader
        .search(&SearchRequest::new("crow"))
        .expect("an answer");
    assert_eq!(names(&before), ["a.txt"]);
    assert!(reader.refresh().expect("a newer generation"));
    assert_eq!(
        reader
            .search(&SearchRequest::new("crow"))
            .expect("an answer")
            .hits
            .len(),
        3
    );
}

#[test]
fn a_second_writer_is_told_who_holds_the_lock() {
    let bench = Bench::new(false);
    bench.write("a.txt", "One at a time.");
    bench.index();
    let collection = storage::generation::Collection::open(&bench.collection())
        .expect("readable")
        .expect("there");
    let held = collection.lock().expect("the lock");
    let refused = bench
        .engine()
        .index(&bench.request(), Task::silent())
        .expect_err("a second writer");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string()),
        "{refused}"
    );
    drop(held);
    assert_eq!(bench.index().unchanged, 1);
}

#[test]
fn a_collection_of_a_newer_format_is_refused_with_its_version() {
    let bench = Bench::new(false);
    bench.write("a.txt", "From the future.");
    bench.index();
    fs::write(
        bench.collection().join("COLLECTION"),
        "askance collection 9\n",
    )
    .expect("a newer mark");
    let refused = Engine::open(&bench.collection())
        .err()
        .expect("a newer format");
    assert!(refused.to_string().contains('9'), "{refused}");
}

#[test]
fn damaged_records_are_rebuilt_from_the_generation() {
    let bench = Bench::new(true);
    bench.write("a.txt", "The keeper winds the clock.");
    bench.write("b.txt", "The cat sleeps.");
    bench.index();
    fs::remove_dir_all(bench.collection().join("documents")).expect("gone");
    fs::remove_dir_all(bench.collection().join("bm25")).expect("gone");
    let report = bench.index();
    assert_eq!(
        (report.unchanged, report.added, report.encoded),
        (2, 0, 0),
        "{report:?}"
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("rebuilt")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn work_that_was_never_published_is_as_if_it_had_not_been() {
    let bench = Bench::new(true);
    bench.write("a.txt", "The first winter.");
    bench.index();
    // A writer that dies after committing its working stores and before the generation is current.
    let published = bench.collection();
    let aside = bench.folder.path().join("aside");
    copy_tree(&published, &aside);
    bench.write("b.txt", "The second winter.");
    bench.index();
    for store in ["documents", "bm25"] {
        fs::remove_dir_all(aside.join(store)).expect("gone");
        copy_tree(&published.join(store), &aside.join(store));
    }
    fs::remove_dir_all(&published).expect("gone");
    fs::rename(&aside, &published).expect("put back");
    assert_eq!(bench.names("winter"), ["a.txt"]);
    let report = bench.index();
    assert_eq!((report.added, report.unchanged), (1, 1), "{report:?}");
    assert_eq!(bench.names("winter").len(), 2);
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from)
        .expect("a listing")
        .map(|entry| entry.expect("an entry"))
    {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

#[test]
fn many_small_runs_are_merged_and_stay_findable() {
    let bench = Bench::new(true);
    for n in 0..14 {
        bench.write(
            &format!("{n:02}.txt"),
            &format!("chapter {n} speaks of harbour number{n}"),
        );
        bench.index();
    }
    fs::remove_file(bench.file("03.txt")).expect("a removal");
    bench.index();
    for n in (0..14).filter(|n| *n != 3) {
        assert_eq!(bench.names(&format!("number{n}"))[0], format!("{n:02}.txt"));
    }
    let report =
        Engine::doctor(&bench.collection(), None, None, Task::silent()).expect("a check-up");
    assert!(
        report.checks.iter().all(|check| check.problems.is_empty()),
        "{report:?}"
    );
}

#[test]
fn the_doctor_finds_a_flipped_vector_and_makes_new_ones() {
    let bench = Bench::new(true);
    bench.write("a.txt", "A ladder against the wall.");
    bench.index();
    let generation = fs::read_dir(bench.collection().join("generations")).expect("a listing");
    let generation = generation
        .map(|e| e.expect("an entry").path())
        .max()
        .expect("a generation");
    let rows = fs::read_dir(&generation)
        .expect("a listing")
        .map(|e| e.expect("an entry").path());
    let rows = rows
        .filter(|path| path.extension().is_some_and(|e| e == "emb"))
        .collect::<Vec<_>>();
    let mut bytes = fs::read(&rows[0]).expect("readable");
    *bytes.last_mut().expect("not empty") ^= 0x40;
    fs::remove_file(&rows[0]).expect("unlinked");
    fs::write(&rows[0], bytes).expect("written");
    let encoder = || bench.encoder.clone().map(|encoder| encoder as _);
    let found =
        Engine::doctor(&bench.collection(), encoder(), None, Task::silent()).expect("a check-up");
    assert!(
        found
            .checks
            .iter()
            .any(|check| check.name == "vectors" && !check.problems.is_empty()),
        "{found:?}"
    );
    let options = ReadOptions::default();
    let mended = Engine::doctor(
        &bench.collection(),
        encoder(),
        Some(&options),
        Task::silent(),
    )
    .expect("a repair");
    assert_eq!(mended.repaired.len(), 1, "{mended:?}");
    let again =
        Engine::doctor(&bench.collection(), encoder(), None, Task::silent()).expect("a check-up");
    assert!(
        again.checks.iter().all(|check| check.problems.is_empty()),
        "{again:?}"
    );
}

#[test]
fn the_doctor_reads_everything_again_when_the_text_index_is_damaged() {
    let bench = Bench::new(true);
    bench.write("a.txt", "A rope on the peg.");
    bench.write("b.txt", "A saw on the bench.");
    bench.index();
    let generations = bench.collection().join("generations");
    for entry in fs::read_dir(&generations)
        .expect("a listing")
        .map(|e| e.expect("an entry").path())
    {
        for file in fs::read_dir(entry.join("bm25"))
            .expect("a listing")
            .map(|e| e.expect("an entry").path())
        {
            if file
                .extension()
                .is_some_and(|e| e == "store" || e == "term")
            {
                fs::remove_file(&file).expect("unlinked");
                fs::write(&file, b"not what it was").expect("written");
            }
        }
    }
    let encoder = || bench.encoder.clone().map(|encoder| encoder as _);
    let options = ReadOptions::default();
    let report = Engine::doctor(
        &bench.collection(),
        encoder(),
        Some(&options),
        Task::silent(),
    )
    .expect("a repair");
    assert!(
        report
            .repaired
            .iter()
            .any(|done| done.contains("read again")),
        "{report:?}"
    );
    assert_eq!(bench.names("rope")[0], "a.txt");
}
