//! How long does a person wait for an answer from 100,000 passages?
//!
//! Vectors are 384 numbers made by feature hashing, which costs next to nothing: what is measured is the search.

use std::sync::Arc;

use benches::{Prose, write_corpus};
use criterion::{Criterion, criterion_group, criterion_main};
use engine::Engine;
use engine::encoder::testing::HashingEncoder;
use engine::request::{IndexRequest, Mode, ReadOptions, SearchRequest};
use storage::Task;

fn search(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (files, collection) = (
        folder.path().join("files"),
        folder.path().join("collection"),
    );
    write_corpus(&files, 5_000, 22);
    let encoder = Arc::new(HashingEncoder::new(384));
    let engine = Engine::open(&collection).expect("an empty collection");
    let request = IndexRequest {
        paths: vec![files],
        options: ReadOptions::default(),
        encoder: Some(encoder.clone()),
    };
    let report = engine
        .index(&request, Task::silent())
        .expect("an index run");
    assert!(report.passages >= 100_000, "{} passages", report.passages);

    let mut prose = Prose::new(7);
    let queries: Vec<String> = (0..64).map(|_| prose.paragraph(4)).collect();
    let mut group = criterion.benchmark_group("search 100,000 passages");
    group.sample_size(20);
    group.bench_function("open and first answer", |bencher| {
        bencher.iter(|| {
            let engine = Engine::open(&collection).expect("a collection");
            engine.set_encoder(encoder.clone()).expect("its encoder");
            engine
                .search(&SearchRequest::new(&queries[0]))
                .expect("an answer")
        });
    });
    engine.set_encoder(encoder.clone()).expect("its encoder");
    for mode in [Mode::Bm25, Mode::Dense, Mode::Hybrid] {
        let mut next = queries.iter().cycle();
        group.bench_function(format!("warm {mode:?}").to_lowercase(), |bencher| {
            bencher.iter(|| {
                let mut request = SearchRequest::new(next.next().expect("a cycle has no end"));
                request.mode = mode;
                engine.search(&request).expect("an answer")
            });
        });
    }
    group.finish();
}

criterion_group!(all, search);
criterion_main!(all);
