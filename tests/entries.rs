//! What happens to bytes that anybody may have written?
//!
//! One function for each door that such bytes come in by. Each takes any bytes, and panics only on a defect. The fuzz
//! targets in `fuzz/` and the mutation test in `it/mutation.rs` call the same functions, so that what the one guards
//! the other keeps compiled and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use engine::encoder::{LoadOptions, Role, load};
use engine::ingest::Extracted;
use engine::ingest::context::default_count;
use engine::ingest::detect::{HEAD_BYTES, detect};
use engine::ingest::extract::{ExtractOptions, extract};
use engine::ingest::split::{SplitBudget, split};
use engine::report::SearchResponse;
use engine::request::{Filter, IndexRequest, ReadOptions, SearchRequest};
use engine::{Engine, EngineError};
use storage::Task;
use storage::documents::{DocumentRecord, FailureRecord};
use storage::flat::Metric;
use storage::generation::Collection;
use storage::ivfpq;
use storage::matrix::{Matrix, MatrixSegment};

/// A door and the function behind it.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ENTRIES: [Entry; 9] = [
    ("segment", segment),
    ("index", index),
    ("manifest", manifest),
    ("record", record),
    ("extract", extractor),
    ("splitter", splitter),
    ("query", query),
    ("glob", glob),
    ("tokenizer", tokenizer),
];

/// Names of the files that [`extractor`] takes its bytes for; the first byte chooses.
pub const NAMES: [&str; 14] = [
    "a.txt", "a.md", "a.html", "a.rs", "a.docx", "a.epub", "a.eml", "a.mbox", "a.csv", "a.tsv",
    "a.json", "a.jsonl", "a.ipynb", "a",
];

/// A folder of this process's own, one for each thread.
fn scratch(name: &str) -> PathBuf {
    thread_local! {
        static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary folder");
    }
    DIR.with(|dir| dir.path().join(name))
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch(name);
    fs::write(&path, bytes).expect("a written file");
    path
}

/// Replaces the checksum behind a header, so that what follows the check is reached.
fn reseal(bytes: &mut [u8], header: usize) {
    if bytes.len() >= header {
        let crc = crc32fast::hash(&bytes[..header - 4]);
        bytes[header - 4..header].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The file of an embedding matrix segment.
pub fn segment(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    reseal(&mut bytes, 64);
    let path = write("rows.emb", &bytes);
    let Ok(segment) = MatrixSegment::open(&path) else {
        return;
    };
    let mut row = vec![0.0; segment.dimension()];
    for at in (0..segment.len()).step_by(segment.len() / 16 + 1) {
        segment.row_f32(at, &mut row);
        assert_eq!(segment.row_of(segment.id(at)), Some(at));
    }
    let sound = segment.verify().is_ok();
    assert_eq!(segment.verify_once().is_ok(), sound);
    let dimension = segment.dimension();
    let matrix = Matrix::new(dimension, vec![segment.into()]).expect("one segment");
    let query = vec![0.5; dimension];
    let found = storage::flat::search(&matrix, &query, 5, Metric::InnerProduct, None);
    assert_eq!(found.is_ok(), sound);
}

/// The file of an IVF-PQ index, over a matrix of sixteen rows.
pub fn index(bytes: &[u8]) {
    static MATRIX: OnceLock<(tempfile::TempDir, Matrix)> = OnceLock::new();
    let (_, matrix) = MATRIX.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let matrix = small_matrix(dir.path());
        (dir, matrix)
    });
    let mut bytes = bytes.to_vec();
    reseal(&mut bytes, 128);
    let path = write("index.ivf", &bytes);
    let Ok(index) = ivfpq::Index::open(&path, matrix.clone()) else {
        return;
    };
    let query = vec![0.5; matrix.dimension()];
    // Damage found on the way is an answer too.
    let probing = ivfpq::SearchParams {
        always_probe: true,
        ..ivfpq::SearchParams::default()
    };
    let _ = index.search(&query, &ivfpq::SearchParams::default(), None);
    let _ = index.search(&query, &probing, None);
    let live = storage::PassageSet::from_range(0..16);
    let _ = index.audit(&live, storage::Task::silent());
}

/// Sixteen rows of eight numbers, the matrix of [`index`].
pub fn small_matrix(dir: &Path) -> Matrix {
    use storage::matrix::{Dtype, MatrixWriter};
    let path = dir.join("rows.emb");
    let mut writer = MatrixWriter::create(&path, 8, Dtype::F16).expect("a new file");
    for id in 0..16u32 {
        let row: Vec<f32> = (0..8)
            .map(|at| ((id * 7 + at * 3) % 11) as f32 / 11.0)
            .collect();
        writer.push(storage::PassageId(id), &row).expect("a row");
    }
    writer.finish(false).expect("a whole file");
    let segment = MatrixSegment::open(&path).expect("a segment");
    Matrix::new(8, vec![segment.into()]).expect("one segment")
}

/// The small text files of a collection: the first byte chooses which.
pub fn manifest(bytes: &[u8]) {
    let Some((&which, body)) = bytes.split_first() else {
        return;
    };
    let dir = scratch("collection");
    let _ = fs::remove_dir_all(&dir);
    let made = Collection::create_or_open(&dir).expect("a new collection");
    let generation = dir.join("generations/gen-00000001");
    fs::create_dir_all(&generation).expect("a folder");
    let sealed = |kind: &str, body: &[u8]| {
        let crc = crc32fast::hash(body);
        [
            format!("askance {kind} 1 crc32={crc:08x}\n").as_bytes(),
            body,
        ]
        .concat()
    };
    let current = match which % 4 {
        0 => sealed("current", body),
        1 => body.to_vec(),
        _ => sealed("current", b"gen-00000001\n"),
    };
    let manifest = match which % 4 {
        2 => body.to_vec(),
        _ => sealed("generation", body),
    };
    fs::write(dir.join("CURRENT"), current).expect("a written file");
    fs::write(generation.join("MANIFEST"), manifest).expect("a written file");
    if let Ok(Some(generation)) = made.current() {
        let _ = generation.matrix();
    }
    let _ = made.generations();
}

/// The bytes of a record as the stores keep them.
pub fn record(bytes: &[u8]) {
    for tag in [*b"dr", *b"fr"] {
        let crc = crc32fast::hash(bytes).to_le_bytes();
        let sealed = [&tag[..], &[1, 0], &crc[..], bytes].concat();
        if let Ok(record) = DocumentRecord::from_bytes(&sealed) {
            assert_eq!(
                DocumentRecord::from_bytes(&record.to_bytes()).as_ref(),
                Ok(&record)
            );
        }
        let _ = FailureRecord::from_bytes(&sealed);
    }
    let _ = DocumentRecord::from_bytes(bytes);
    let _ = FailureRecord::from_bytes(bytes);
}

/// A file of the person's, its kind chosen by the first byte: to text, and that to passages. PDF is read in a process of
/// its own and is not among them.
pub fn extractor(bytes: &[u8]) {
    let Some((&which, content)) = bytes.split_first() else {
        return;
    };
    let path = Path::new(NAMES[usize::from(which) % NAMES.len()]);
    let _ = detect(path, content.get(..HEAD_BYTES).unwrap_or(content));
    let options = ExtractOptions {
        max_text_bytes: 1 << 20,
        max_unpacked_bytes: 4 << 20,
        ..ExtractOptions::default()
    };
    if let Ok(extracted) = extract(path, content, &options) {
        assert!(extracted.text.len() <= options.max_text_bytes);
        check_passages(&extracted, &SplitBudget::default());
    }
}

/// Text of any kind, with the budget in the first two bytes.
pub fn splitter(bytes: &[u8]) {
    let Some((&[max, overlap], content)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let Ok(extracted) = extract(Path::new("a.md"), content, &ExtractOptions::default()) else {
        return;
    };
    let budget = SplitBudget {
        max_tokens: usize::from(max),
        overlap_tokens: usize::from(overlap),
        min_tokens: usize::from(max / 4),
    };
    check_passages(&extracted, &budget);
}

fn check_passages(extracted: &Extracted, budget: &SplitBudget) {
    let passages = split(extracted, budget, &default_count);
    let mut covered = 0;
    for passage in &passages {
        let text = &extracted.text[passage.range.clone()];
        assert!(!text.trim().is_empty(), "an empty passage");
        let skipped = extracted
            .text
            .get(covered..passage.range.start)
            .unwrap_or_default();
        assert!(skipped.trim().is_empty(), "{skipped:?} is in no passage");
        covered = covered.max(passage.range.end);
    }
    assert!(
        extracted.text[covered..].trim().is_empty(),
        "the end is in no passage"
    );
}

fn small_collection() -> &'static Engine {
    static ENGINE: OnceLock<(tempfile::TempDir, Engine)> = OnceLock::new();
    let (_, engine) = ENGINE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let engine = Engine::open(&dir.path().join("collection")).expect("a new collection");
        let request = IndexRequest {
            paths: vec![golden("corpus/files")],
            options: ReadOptions::default(),
            encoder: None,
        };
        engine.index(&request, Task::silent()).expect("an index");
        (dir, engine)
    });
    engine
}

fn golden(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the root").join("tests").join(name)
}

/// What a person types.
pub fn query(bytes: &[u8]) {
    let Some((&flags, text)) = bytes.split_first() else {
        return;
    };
    let mut request = SearchRequest::new(String::from_utf8_lossy(text));
    (request.fuzzy, request.literal) = (flags & 1 > 0, flags & 2 > 0);
    let Some(answer) = answer(&request) else {
        return;
    };
    for hit in answer.hits {
        for range in &hit.snippet.highlights {
            assert!(
                hit.snippet
                    .text
                    .get(range.clone())
                    .is_some_and(|word| !word.is_empty())
            );
        }
    }
}

/// The answer, if the request is not refused; a panic that became an error is a defect still.
fn answer(request: &SearchRequest) -> Option<SearchResponse> {
    match small_collection().search(request) {
        Ok(answer) => Some(answer),
        Err(EngineError::Panicked { message, .. }) => panic!("{message}"),
        Err(_) => None,
    }
}

/// Path patterns and extensions, a line each.
pub fn glob(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = || text.lines().take(8).map(str::to_owned);
    for filter in [
        Filter {
            paths: lines().collect(),
            ..Filter::default()
        },
        Filter {
            extensions: lines().collect(),
            ..Filter::default()
        },
    ] {
        let mut request = SearchRequest::new("frost lettuce");
        request.filter = filter;
        let _ = answer(&request);
    }
}

/// One file of a model folder; the first byte chooses which is replaced.
pub fn tokenizer(bytes: &[u8]) {
    const FILES: [&str; 3] = ["tokenizer.json", "model.safetensors", "config.json"];
    let Some((&which, content)) = bytes.split_first() else {
        return;
    };
    let dir = scratch("model");
    fs::create_dir_all(&dir).expect("a folder");
    for (at, file) in FILES.into_iter().enumerate() {
        match usize::from(which) % FILES.len() == at {
            true => fs::write(dir.join(file), content).expect("a written file"),
            false => {
                let sound = golden("golden/encoder/model2vec").join(file);
                fs::copy(sound, dir.join(file)).expect("a copied file");
            }
        }
    }
    if let Ok(encoder) = load(&dir, &LoadOptions::default()) {
        let texts = ["A heron, naïve and 東京.", "", "\u{1f980}\u{0}"];
        let _ = encoder.encode(&texts, Role::Passage, Task::silent());
        let _ = encoder.count_tokens(texts[0]);
    }
}
