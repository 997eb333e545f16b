//! Is what was removed gone from every byte of the collection, and is the collection its owner's alone?

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Engine;
use engine::encoder::testing::HashingEncoder;
use engine::encoder::{Encoder, Role};
use engine::ingest::context::encoder_text;
use engine::request::{IndexRequest, ReadOptions, SearchRequest};
use storage::Task;

const SECRET: &str = "The zyxomancer met Quillfeather beneath the drawbridge. It rained.";
const DIMENSION: usize = 32;

fn encoder() -> Arc<HashingEncoder> {
    Arc::new(HashingEncoder::new(DIMENSION))
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// What stands in a collection's files: their bytes, what is compressed in them, and the terms of their dictionaries.
fn contents(collection: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in files_below(collection) {
        let name = path
            .strip_prefix(collection)
            .expect("below")
            .display()
            .to_string();
        let bytes = fs::read(&path).expect("a readable file");
        found.insert(format!("{name}, unpacked"), unpacked(&bytes));
        found.insert(name, bytes);
    }
    let mut indexes = vec![collection.join("bm25")];
    for generation in fs::read_dir(collection.join("generations")).expect("a folder") {
        indexes.push(generation.expect("an entry").path().join("bm25"));
    }
    for index in indexes {
        found.insert(format!("terms of {}", index.display()), terms(&index));
    }
    found
}

/// All zstd frames in `bytes`, one after the other.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for at in 0..bytes.len().saturating_sub(4) {
        if bytes[at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
            && let Ok(frame) = zstd::stream::read::Decoder::new(&bytes[at..])
        {
            // What looks like a frame and is none gives what it gives.
            let _ = frame.single_frame().read_to_end(&mut out);
        }
    }
    out
}

/// Every term of every dictionary of a tantivy index. Files that its commit does not name would escape this, so there
/// may be none.
fn terms(dir: &Path) -> Vec<u8> {
    let index = tantivy::Index::open_in_dir(dir).expect("an index");
    let metas = index.load_metas().expect("a commit");
    let listed = metas.list_segment_files();
    for path in files_below(dir) {
        let name = path.file_name().expect("a name");
        let own = name.to_string_lossy().starts_with('.') || name == "meta.json";
        assert!(
            own || listed.contains(Path::new(name)),
            "{} belongs to no commit",
            path.display()
        );
    }
    let mut out = Vec::new();
    for segment in index.searchable_segments().expect("segments") {
        let reader = tantivy::SegmentReader::open(&segment).expect("a segment");
        for (field, entry) in index.schema().fields() {
            if entry.is_indexed() {
                let inverted = reader.inverted_index(field).expect("postings");
                let mut stream = inverted.terms().stream().expect("terms");
                while stream.advance() {
                    out.extend_from_slice(stream.key());
                    out.push(b'\n');
                }
            }
        }
        if let Some(column) = reader.fast_fields().str("path").expect("a column") {
            let mut stream = column.dictionary().stream().expect("paths");
            while stream.advance() {
                out.extend_from_slice(stream.key());
                out.push(b'\n');
            }
        }
    }
    out
}

/// What the secret leaves behind, by kind.
fn traces() -> Vec<(&'static str, Vec<u8>)> {
    let seen = encoder_text(None, &[], SECRET);
    let row = encoder()
        .encode(&[&seen], Role::Passage, Task::silent())
        .expect("a vector")
        .values;
    let row: Vec<u8> = row
        .iter()
        .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
        .collect();
    vec![
        ("text", b"zyxomancer met Quillfeather".to_vec()),
        ("term", b"zyxomanc".to_vec()),
        ("term", b"quillfeath".to_vec()),
        ("path", b"hidden-ledger".to_vec()),
        ("vector", row),
        (
            "hash of the passage",
            blake3::hash(seen.as_bytes()).as_bytes()[..16].to_vec(),
        ),
        (
            "hash of the file",
            blake3::hash(SECRET.as_bytes()).as_bytes()[8..].to_vec(),
        ),
    ]
}

/// Traces and where they are.
fn found(collection: &Path) -> Vec<(&'static str, String)> {
    let contents = contents(collection);
    let mut found = Vec::new();
    for (kind, trace) in traces() {
        for (place, bytes) in &contents {
            if bytes.windows(trace.len()).any(|window| window == trace) {
                found.push((kind, place.clone()));
            }
        }
    }
    found
}

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir(desk.files()).expect("a folder");
        for n in 0..20 {
            let text = format!(
                "The ferry number {n} left at noon and carried {} bicycles.",
                n * 7
            );
            fs::write(desk.files().join(format!("{n}.txt")), text).expect("a file");
        }
        fs::write(desk.files().join("hidden-ledger.txt"), SECRET).expect("a file");
        fs::write(
            desk.files().join("hidden-ledger.pdf"),
            "%PDF-1.4 and no more",
        )
        .expect("a file");
        desk
    }

    fn files(&self) -> PathBuf {
        self.0.path().join("files")
    }

    fn collection(&self) -> PathBuf {
        self.0.path().join("collection")
    }

    fn engine(&self) -> Engine {
        let engine = Engine::open(&self.collection()).expect("a collection");
        engine.set_encoder(encoder()).expect("the same encoder");
        engine
    }

    fn index(&self) {
        let request = IndexRequest {
            paths: vec![self.files()],
            options: ReadOptions::default(),
            encoder: Some(encoder()),
        };
        self.engine()
            .index(&request, Task::silent())
            .expect("an index");
    }

    fn remove(&self) {
        let names = ["hidden-ledger.txt", "hidden-ledger.pdf"].map(|name| self.files().join(name));
        self.engine()
            .remove(&names, Task::silent())
            .expect("a removal");
    }
}

#[test]
fn what_is_removed_and_compacted_is_in_no_byte_of_the_collection() {
    let desk = Desk::new();
    desk.index();
    desk.engine()
        .build_index(Task::silent())
        .expect("an index of the vectors");
    let codes = || {
        let files = files_below(&desk.collection()).into_iter();
        files
            .filter(|path| path.extension().is_some_and(|e| e == "ivf"))
            .count()
    };
    assert!(codes() > 0, "no codes to erase");
    let before = found(&desk.collection());
    for (kind, _) in traces() {
        assert!(
            before.iter().any(|(found, _)| *found == kind),
            "the scan does not see any {kind}"
        );
    }
    desk.remove();
    assert!(
        !found(&desk.collection()).is_empty(),
        "removing alone was not thought to erase"
    );
    let report = desk.engine().compact(Task::silent()).expect("a compaction");
    assert_eq!(found(&desk.collection()), [], "{report:?}");
    assert!(report.after < report.before, "{report:?}");
    // So few vectors get no index again; more of them would get one that is trained anew.
    assert_eq!(codes(), 0);
    let hits = |query: &str| {
        desk.engine()
            .search(&SearchRequest::new(query))
            .expect("an answer")
            .hits
    };
    assert_eq!(hits("ferry bicycles").len(), 10);
    assert!(
        hits("zyxomancer")
            .iter()
            .all(|hit| hit.explain.bm25.is_none())
    );
    assert!(
        Engine::doctor(&desk.collection(), None, None, Task::silent())
            .expect("a check-up")
            .checks
            .iter()
            .all(|check| check.problems.is_empty())
    );
}

#[test]
fn a_folder_that_is_removed_takes_its_failures_along() {
    let desk = Desk::new();
    desk.index();
    assert_eq!(desk.engine().status().expect("a status").failures.len(), 1);
    desk.engine()
        .remove(&[desk.files()], Task::silent())
        .expect("a removal");
    desk.engine().compact(Task::silent()).expect("a compaction");
    let status = desk.engine().status().expect("a status");
    assert_eq!(
        (status.documents, status.failures.len(), status.roots.len()),
        (0, 0, 0)
    );
    assert_eq!(found(&desk.collection()), []);
}

#[test]
fn a_file_that_failed_and_is_gone_is_forgotten() {
    let desk = Desk::new();
    desk.index();
    fs::remove_file(desk.files().join("hidden-ledger.pdf")).expect("a removal");
    desk.index();
    assert_eq!(desk.engine().status().expect("a status").failures, []);
}

#[test]
fn compacting_twice_and_compacting_nothing_are_fine() {
    let desk = Desk::new();
    assert_eq!(
        desk.engine()
            .compact(Task::silent())
            .expect("nothing to do")
            .generation,
        0
    );
    assert!(!desk.collection().exists(), "nothing is created");
    desk.index();
    let first = desk.engine().compact(Task::silent()).expect("a compaction");
    let second = desk.engine().compact(Task::silent()).expect("a compaction");
    assert_eq!(second.generation, first.generation + 1);
    desk.index();
    assert_eq!(desk.engine().status().expect("a status").documents, 21);
}

#[cfg(unix)]
#[test]
fn folders_are_0700_and_files_0600() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    // A folder of the person's own, open to everybody.
    fs::create_dir(desk.collection()).expect("a folder");
    fs::set_permissions(desk.collection(), fs::Permissions::from_mode(0o755)).expect("rights");
    fn check(path: &Path) {
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(
            mode(path),
            if path.is_dir() { 0o700 } else { 0o600 },
            "{}",
            path.display()
        );
        if path.is_dir() {
            fs::read_dir(path)
                .expect("a folder")
                .for_each(|entry| check(&entry.expect("an entry").path()));
        }
    }
    for step in [Desk::index, Desk::remove] {
        step(&desk);
        check(&desk.collection());
    }
    desk.engine().compact(Task::silent()).expect("a compaction");
    check(&desk.collection());
}
