//! What does indexing cost over feeding the same text to tantivy?
//!
//! Both read the same files, with two threads and the same memory. askance also recognises, splits, records and publishes.

use std::fs;
use std::path::Path;

use benches::write_corpus;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::Engine;
use engine::request::{IndexRequest, ReadOptions};
use storage::Task;
use tantivy::schema::{FAST, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::{Compressor, ZstdCompressor};
use tantivy::{Index, IndexSettings, TantivyDocument};

const FILES: usize = 2_000;
const PARAGRAPHS: usize = 12;

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

/// One tantivy document a paragraph, so that both index pieces of like size.
fn with_tantivy(files: &Path, dir: &Path) {
    fs::create_dir_all(dir).expect("a folder");
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("en_stem")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut schema = Schema::builder();
    let body = schema.add_text_field(
        "body",
        TextOptions::default()
            .set_stored()
            .set_indexing_options(indexing),
    );
    let path = schema.add_text_field("path", STORED | FAST);
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
    let mut writer = index
        .writer_with_num_threads(2, 128 << 20)
        .expect("a writer");
    let mut folders: Vec<_> = fs::read_dir(files)
        .expect("a listing")
        .map(|e| e.expect("an entry").path())
        .collect();
    folders.sort();
    for file in folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a listing"))
    {
        let file = file.expect("an entry").path();
        let text = fs::read_to_string(&file).expect("text");
        for paragraph in text.split("\n\n") {
            let mut document = TantivyDocument::default();
            document.add_text(body, paragraph);
            document.add_text(path, file.to_string_lossy());
            writer.add_document(document).expect("room");
        }
    }
    writer.commit().expect("a commit");
    writer.wait_merging_threads().expect("merges");
}

fn indexing(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = folder.path().join("files");
    let bytes = write_corpus(&files, FILES, PARAGRAPHS);
    let mut group = criterion.benchmark_group("index 2,000 Markdown files");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    let target = folder.path().join("target");
    for (name, run) in [
        ("tantivy alone", with_tantivy as fn(&Path, &Path)),
        ("askance, words only", with_askance),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_with_setup(
                || drop(fs::remove_dir_all(&target)),
                |()| run(&files, &target),
            );
        });
    }
    group.finish();
}

criterion_group!(all, indexing);
criterion_main!(all);
