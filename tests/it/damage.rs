//! Does damage on the disk end in an error that names it, or in the right answer, and can it be mended?

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::encoder::testing::HashingEncoder;
use engine::report::DoctorReport;
use engine::request::{IndexRequest, Mode, ReadOptions, SearchRequest};
use engine::{Engine, EngineError};
use storage::Task;
use tempfile::TempDir;

use crate::crash::disk::copy_tree;

/// Bytes of a segment's header, of which each is flipped.
const HEADER_BYTES: usize = 64;

/// What is asked of a collection: file names by mode, with their scores.
type Answers = BTreeMap<String, String>;

struct Desk {
    dir: TempDir,
}

impl Desk {
    /// A collection whose segment has gaps in its ids, with a file that cannot be read.
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        };
        fs::create_dir(desk.files()).expect("a folder");
        for n in 0..12 {
            let text = format!(
                "Barge {n} carries coal and {} sacks of grain upstream.",
                n * n
            );
            fs::write(desk.files().join(format!("{n}.txt")), text).expect("a file");
        }
        fs::write(desk.files().join("broken.pdf"), "%PDF-1.4 and no more").expect("a file");
        desk.index(&desk.collection()).expect("an index");
        for n in [2, 5, 7] {
            fs::remove_file(desk.files().join(format!("{n}.txt"))).expect("a removal");
        }
        desk.index(&desk.collection()).expect("an index");
        open(&desk.collection())
            .and_then(|engine| engine.compact(Task::silent()))
            .expect("a compaction");
        desk
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn collection(&self) -> PathBuf {
        self.dir.path().join("collection")
    }

    /// A copy of the collection to do harm to.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.dir.path().join(name);
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.collection(), &copy);
        copy
    }

    fn index(&self, collection: &Path) -> Result<(), EngineError> {
        let request = IndexRequest {
            paths: vec![self.files()],
            options: ReadOptions::default(),
            encoder: Some(encoder()),
        };
        open(collection)?
            .index(&request, Task::silent())
            .map(|_| ())
    }
}

fn encoder() -> Arc<HashingEncoder> {
    Arc::new(HashingEncoder::new(16))
}

fn open(collection: &Path) -> Result<Engine, EngineError> {
    let engine = Engine::open(collection)?;
    engine.set_encoder(encoder())?;
    Ok(engine)
}

fn answers(collection: &Path) -> Result<Answers, EngineError> {
    let engine = open(collection)?;
    let mut answers = Answers::new();
    for mode in [Mode::Bm25, Mode::Dense, Mode::Hybrid] {
        let mut request = SearchRequest::new("coal sacks barge 36");
        (request.mode, request.limit) = (mode, 100);
        for hit in engine.search(&request)?.hits {
            let name = hit.path.file_name().expect("a name").to_string_lossy();
            answers.insert(
                format!("{mode:?} {name}"),
                format!("{} {}", hit.score, hit.snippet.text),
            );
        }
    }
    let failures = engine.status()?.failures;
    answers.insert("failures".into(), format!("{failures:?}"));
    Ok(answers)
}

/// Our own files of a collection, and how many of their first bytes are flipped one by one.
fn own_files(collection: &Path) -> Vec<(PathBuf, usize)> {
    let generations = collection.join("generations");
    let generation = fs::read_dir(generations)
        .expect("a folder")
        .next()
        .expect("a generation");
    let generation = generation.expect("an entry").path();
    let mut files = vec![
        (collection.join("COLLECTION"), usize::MAX),
        (collection.join("CURRENT"), usize::MAX),
        (generation.join("MANIFEST"), HEADER_BYTES),
        (generation.join("failures.jsonl"), usize::MAX),
    ];
    for entry in fs::read_dir(&generation).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "emb" || extension == "ivf")
        {
            files.push((path, HEADER_BYTES));
        }
    }
    assert_eq!(files.len(), 5, "{files:?}");
    files
}

/// Numbers that look random and are the same in each run.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    }
}

/// Counted faults and what came of them.
#[derive(Default)]
struct Tally {
    faults: usize,
    refused: usize,
    harmless: usize,
}

impl Tally {
    /// A fault ends in an error that names the collection's file, or in the right answer.
    fn judge(
        &mut self,
        what: &str,
        file: &Path,
        found: Result<Answers, EngineError>,
        right: &Answers,
    ) {
        self.faults += 1;
        match found {
            Ok(answers) if answers == *right => self.harmless += 1,
            Ok(answers) => panic!("{what}: silent nonsense: {answers:?}"),
            Err(EngineError::Panicked { message, .. }) => panic!("{what}: panicked: {message}"),
            Err(error) => {
                let name = file
                    .file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned();
                let said = error.to_string();
                // A number in CURRENT or the manifest may lead to a file that is not there.
                assert!(
                    said.contains(&name) || said.contains("gen-"),
                    "{what}: {said}"
                );
                self.refused += 1;
            }
        }
    }

    fn say(&self, what: &str) {
        let Self {
            faults,
            refused,
            harmless,
        } = self;
        let line =
            format!("{what}: {faults} faults, {refused} refused, {harmless} without effect\n");
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("stderr");
    }
}

#[test]
fn every_flipped_byte_of_our_files_is_refused_or_without_effect() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    let mut tally = Tally::default();
    for (file, header) in own_files(&desk.collection()) {
        let sound = fs::read(&file).expect("a readable file");
        let mut dice = dice(sound.len() as u64);
        let body = (0..100).map(|_| dice(sound.len()));
        let places: Vec<usize> = (0..header.min(sound.len())).chain(body).collect();
        for place in places {
            // Two ways in the header, where each bit has a meaning of its own.
            for mask in [1 << (place % 8), 0xff]
                .into_iter()
                .take(1 + usize::from(place < header))
            {
                let mut bytes = sound.clone();
                bytes[place] ^= mask;
                fs::write(&file, &bytes).expect("a written file");
                let what = format!("byte {place} of {} ^ {mask:02x}", file.display());
                tally.judge(&what, &file, answers(&desk.collection()), &right);
            }
        }
        fs::write(&file, &sound).expect("a written file");
    }
    tally.say("bytes of our files flipped");
    assert!(
        tally.faults > 800 && tally.refused > tally.harmless,
        "{}",
        tally.faults
    );
}

#[test]
fn every_shortened_file_of_ours_is_refused_or_without_effect() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    let mut tally = Tally::default();
    for (file, _) in own_files(&desk.collection()) {
        let sound = fs::read(&file).expect("a readable file");
        for length in 0..sound.len() {
            if length > 80 && length % 7 > 0 && sound.len() - length > 8 {
                continue;
            }
            fs::write(&file, &sound[..length]).expect("a written file");
            let what = format!("{} cut to {length} bytes", file.display());
            tally.judge(&what, &file, answers(&desk.collection()), &right);
        }
        let longer = [&sound[..], b"\0more"].concat();
        fs::write(&file, longer).expect("a written file");
        let what = format!("{} made longer", file.display());
        tally.judge(&what, &file, answers(&desk.collection()), &right);
        fs::write(&file, &sound).expect("a written file");
    }
    tally.say("our files cut short");
}

#[test]
fn flipped_bytes_of_the_full_text_index_are_refused_or_without_effect() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    let generation = own_files(&desk.collection())[2].0.with_file_name("bm25");
    let mut tally = Tally::default();
    for entry in fs::read_dir(generation).expect("a folder") {
        let file = entry.expect("an entry").path();
        let sound = fs::read(&file).expect("a readable file");
        let mut dice = dice(1 + sound.len() as u64);
        for _ in 0..20.min(sound.len()) {
            let mut bytes = sound.clone();
            let place = dice(sound.len());
            bytes[place] ^= 1 << dice(8);
            fs::write(&file, &bytes).expect("a written file");
            tally.faults += 1;
            match answers(&desk.collection()) {
                Ok(answers) if answers == right => tally.harmless += 1,
                Ok(answers) => panic!("byte {place} of {}: {answers:?}", file.display()),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        said.contains("bm25") || said.contains("collection"),
                        "{said}"
                    );
                    tally.refused += 1;
                }
            }
        }
        fs::write(&file, &sound).expect("a written file");
    }
    tally.say("bytes of the full-text index flipped");
}

/// The next writer notices, rebuilds the records, and ends where it would have ended.
#[test]
fn damaged_records_are_rebuilt_by_the_next_run() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    let rounds = std::env::var("ASKANCE_FAULTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12);
    let mut dice = dice(7);
    let mut tally = Tally::default();
    for round in 0..rounds {
        let copy = desk.copy("harmed");
        let files: Vec<PathBuf> = fs::read_dir(copy.join("documents"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .collect();
        let file = &files[round % files.len()];
        let mut bytes = fs::read(file).expect("a readable file");
        // Most of sled's log is empty; damage where there is something.
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        let what = if round % 3 == 2 {
            bytes.truncate(dice(bytes.len()));
            format!("{} cut to {} bytes", file.display(), bytes.len())
        } else {
            let place = used.get(dice(used.len())).copied().unwrap_or(0);
            bytes[place] ^= 0xff;
            format!("byte {place} of {}", file.display())
        };
        fs::write(file, &bytes).expect("a written file");
        tally.faults += 1;
        desk.index(&copy)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answers(&copy).expect("an answer"), right, "{what}");
        assert_eq!(
            problems(&check_up(&copy, false)),
            Vec::<String>::new(),
            "{what}"
        );
        tally.harmless += 1;
    }
    tally.say("records damaged and rebuilt");
}

fn check_up(collection: &Path, repair: bool) -> DoctorReport {
    let options = ReadOptions::default();
    Engine::doctor(
        collection,
        Some(encoder()),
        repair.then_some(&options),
        Task::silent(),
    )
    .expect("a check-up")
}

fn problems(report: &DoctorReport) -> Vec<String> {
    report
        .checks
        .iter()
        .flat_map(|check| check.problems.clone())
        .collect()
}

/// Our own files and tantivy's, byte for byte; sled writes when it is opened.
fn bytes_of(collection: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![collection.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            if path.is_dir() && name != "documents" {
                folders.push(path);
            } else if path.is_file() && name != "LOCK" {
                found.insert(path.clone(), fs::read(&path).expect("a readable file"));
            }
        }
    }
    found
}

type Harm = fn(&Path);

fn flip_in_the_middle(file: &Path) {
    let mut bytes = fs::read(file).expect("a readable file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).expect("a written file");
}

fn file_with(collection: &Path, extension: &str) -> PathBuf {
    let generation = own_files(collection)[2]
        .0
        .parent()
        .expect("a folder")
        .to_owned();
    let folder = match extension {
        "emb" => generation,
        _ => generation.join("bm25"),
    };
    let files = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files = files.filter(|path| path.extension().is_some_and(|e| e == extension));
    files
        .next()
        .unwrap_or_else(|| panic!("a file *.{extension}"))
}

const HARMS: [(&str, Harm); 9] = [
    ("COLLECTION", |c| {
        fs::write(c.join("COLLECTION"), "askance collectio").expect("a write")
    }),
    ("CURRENT", |c| {
        fs::write(c.join("CURRENT"), "gen-00000001\n").expect("a write")
    }),
    ("CURRENT gone", |c| {
        fs::write(c.join("CURRENT"), "").expect("a write")
    }),
    ("MANIFEST", |c| flip_in_the_middle(&own_files(c)[2].0)),
    ("failures", |c| flip_in_the_middle(&own_files(c)[3].0)),
    ("rows", |c| flip_in_the_middle(&file_with(c, "emb"))),
    ("store", |c| flip_in_the_middle(&file_with(c, "store"))),
    ("terms", |c| flip_in_the_middle(&file_with(c, "term"))),
    ("records", |c| {
        fs::remove_dir_all(c.join("documents")).expect("a removal")
    }),
];

#[test]
fn a_check_up_finds_each_damage_changes_nothing_and_mends_it_when_told_to() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    for (name, harm) in HARMS {
        let copy = desk.copy("harmed");
        harm(&copy);
        let before = bytes_of(&copy);
        let found = check_up(&copy, false);
        assert!(!problems(&found).is_empty(), "{name} went unnoticed");
        assert_eq!(found.planned.len(), 1, "{name}: {found:?}");
        assert_eq!(
            bytes_of(&copy),
            before,
            "looking at {name} changed something"
        );
        let mended = check_up(&copy, true);
        assert!(!mended.repaired.is_empty(), "{name}: {mended:?}");
        assert_eq!(
            problems(&check_up(&copy, false)),
            Vec::<String>::new(),
            "{name}: {mended:?}"
        );
        let found = answers(&copy).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names = |answers: &Answers| answers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&right), "{name}: {mended:?}");
    }
}

#[test]
fn a_repair_that_is_stopped_is_taken_up_again() {
    let desk = Desk::new();
    let right = answers(&desk.collection()).expect("a sound collection");
    let copy = desk.copy("harmed");
    flip_in_the_middle(&file_with(&copy, "store"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let watch = |progress: storage::Progress| {
        if progress.stage == "files" && progress.done == 4 {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let options = ReadOptions::default();
    let task = Task::new(&watch, &stop);
    let stopped = Engine::doctor(&copy, Some(encoder()), Some(&options), task);
    assert!(
        matches!(stopped, Err(EngineError::Cancelled(_))),
        "{stopped:?}"
    );
    assert!(answers(&copy).expect("what was read so far").len() < right.len());
    let found = problems(&check_up(&copy, false));
    assert!(
        found
            .iter()
            .any(|problem| problem.contains("did not finish")),
        "{found:?}"
    );
    let mended = check_up(&copy, true);
    assert!(
        mended.repaired[0].starts_with("the rest read"),
        "{mended:?}"
    );
    assert_eq!(problems(&check_up(&copy, false)), Vec::<String>::new());
    assert_eq!(answers(&copy).expect("an answer").len(), right.len());
}
