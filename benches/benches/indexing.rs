//! What does indexing cost over feeding the same text to tantivy?
//!
//! All read the same files, with two threads and the same memory. askance also recognises, splits, records and publishes.
//! Its rivals get what it would hand to tantivy for nothing: the passages, or each paragraph once.

use std::fs;
use std::path::{Path, PathBuf};

use benches::write_corpus;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine::Engine;
use engine::ingest::context::default_count;
use engine::ingest::extract::{ExtractOptions, extract};
use engine::ingest::split::{SplitBudget, split};
use engine::request::{IndexRequest, ReadOptions};
use storage::Task;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexSettings, IndexWriter, TantivyDocument};

const FILES: usize = 2_000;
const PARAGRAPHS: usize = 12;

/// Passages as askance cuts them where no encoder limits them.
const BUDGET: SplitBudget = SplitBudget {
    max_tokens: 224,
    overlap_tokens: 25,
    min_tokens: 32,
};

fn with_askance(files: &Path, collection: &Path) {
    let engine = Engine::open(collection).expect("an empty collection");
    let request = IndexRequest {
        paths: vec![files.to_owned()],
        options: ReadOptions::default(),
        encoder: None,
    };
    let report = engine
        .index(&request, Task::silent())
        .expect("an index run");
    assert_eq!(report.added, FILES as u64);
}

/// What tantivy is given of one passage.
#[derive(Clone)]
struct Piece {
    path: String,
    title: String,
    heading: String,
    text: String,
}

/// The fields of the rival's index: those texts that askance indexes with positions, and the path.
struct Fields {
    body: Field,
    title: Field,
    heading: Field,
    path: Field,
}

fn with_tantivy(pieces: impl Iterator<Item = Piece>, dir: &Path) {
    let (fields, mut writer) = tantivy_writer(dir);
    for piece in pieces {
        let mut document = TantivyDocument::default();
        document.add_text(fields.body, piece.text);
        document.add_text(fields.path, piece.path);
        for (field, text) in [(fields.title, piece.title), (fields.heading, piece.heading)] {
            if !text.is_empty() {
                document.add_text(field, text);
            }
        }
        writer.add_document(document).expect("room");
    }
    writer.commit().expect("a commit");
    writer.wait_merging_threads().expect("merges");
}

fn tantivy_writer(dir: &Path) -> (Fields, IndexWriter) {
    fs::create_dir_all(dir).expect("a folder");
    let text = || {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("en_stem")
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        TextOptions::default()
            .set_stored()
            .set_indexing_options(indexing)
    };
    let mut schema = Schema::builder();
    let fields = Fields {
        body: schema.add_text_field("body", text()),
        title: schema.add_text_field("title", text()),
        heading: schema.add_text_field("heading", text()),
        path: schema.add_text_field("path", STORED | FAST),
    };
    let compression = Compressor::Zstd(ZstdCompressor {
        compression_level: Some(3),
    });
    let settings = IndexSettings {
        docstore_compression: compression,
        docstore_blocksize: 32 << 10,
        ..IndexSettings::default()
    };
    let index = Index::builder()
        .schema(schema.build())
        .settings(settings)
        .create_in_dir(dir)
        .expect("an index");
    let writer = index
        .writer_with_num_threads(2, 128 << 20)
        .expect("a writer");
    (fields, writer)
}

/// One piece a paragraph, read from the files.
fn paragraphs(files: &[PathBuf]) -> impl Iterator<Item = Piece> {
    files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).expect("text");
        let piece = |paragraph: &str| Piece {
            path: file.to_string_lossy().into_owned(),
            title: String::new(),
            heading: String::new(),
            text: paragraph.to_owned(),
        };
        text.split("\n\n").map(piece).collect::<Vec<_>>()
    })
}

/// The passages of the files, as askance hands them to tantivy.
fn passages(files: &[PathBuf]) -> Vec<Piece> {
    let of = |file: &PathBuf| {
        let content = fs::read(file).expect("text");
        let document = extract(file, &content, &ExtractOptions::default()).expect("Markdown");
        let passages = split(&document, &BUDGET, &default_count);
        let piece = |passage: engine::ingest::Passage| Piece {
            path: file.to_string_lossy().into_owned(),
            title: document.title.clone().unwrap_or_default(),
            heading: passage.headings.join(" › "),
            text: document.text[passage.range].to_owned(),
        };
        passages.into_iter().map(piece).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let listing = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a listing");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let mut files: Vec<_> = listing(folder)
        .iter()
        .flat_map(|folder| listing(folder))
        .collect();
    files.sort();
    files
}

fn indexing(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = folder.path().join("files");
    let bytes = write_corpus(&files, FILES, PARAGRAPHS);
    let paths = files_below(&files);
    let pieces = passages(&paths);
    let mut group = criterion.benchmark_group("index 2,000 Markdown files");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    let target = folder.path().join("target");
    let clear = || drop(fs::remove_dir_all(&target));
    group.bench_function("tantivy alone, each paragraph once", |bencher| {
        bencher.iter_batched(
            clear,
            |()| with_tantivy(paragraphs(&paths), &target),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("tantivy alone, the passages askance cuts", |bencher| {
        let setup = || {
            clear();
            pieces.clone()
        };
        bencher.iter_batched(
            setup,
            |pieces| with_tantivy(pieces.into_iter(), &target),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("askance, words only", |bencher| {
        bencher.iter_batched(
            clear,
            |()| with_askance(&files, &target),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(all, indexing);
criterion_main!(all);
