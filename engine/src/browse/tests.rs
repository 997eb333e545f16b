use std::path::Path;
use std::sync::Arc;

use storage::Task;

use super::*;
use crate::encoder::testing::HashingEncoder;
use crate::request::{IndexRequest, Mode, ReadOptions};

/// Three notes, two of which share words.
fn collection(encoder: bool) -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().expect("a folder");
    let files = dir.path().join("files");
    std::fs::create_dir_all(files.join("birds")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(files.join(name), text).expect("written");
    write(
        "birds/heron.md",
        "# Heron\n\nA heron stands in the reeds and waits for fish.\n",
    );
    write(
        "birds/egret.md",
        "# Egret\n\nAn egret waits for fish where the reeds are low.\n",
    );
    write("desk.txt", "Set the standing desk to elbow height.\n");
    let engine = Engine::open(&dir.path().join("collection")).expect("opens");
    let encoder = encoder.then(|| Arc::new(HashingEncoder::new(64)));
    if let Some(encoder) = &encoder {
        engine
            .set_encoder(encoder.clone())
            .expect("the first encoder");
    }
    let request = IndexRequest {
        paths: vec![files],
        options: ReadOptions::default(),
        encoder: encoder.map(|encoder| encoder as _),
    };
    engine.index(&request, Task::silent()).expect("indexes");
    (dir, engine)
}

fn named(path: &Path) -> String {
    let name = path.file_name().expect("a file name");
    name.to_string_lossy().into_owned()
}

fn first(engine: &Engine, query: &str) -> u32 {
    let found = engine.search(&SearchRequest::new(query)).expect("searches");
    found.hits.first().expect("a hit").passage
}

#[test]
fn documents_come_by_path_in_parts_and_filtered() {
    let (_dir, engine) = collection(false);
    let names = |filter: &Filter, skip, limit| {
        let list = engine
            .documents(filter, Order::Path, skip, limit)
            .expect("lists");
        let names: Vec<String> = list.documents.iter().map(|d| named(&d.path)).collect();
        (names.join(" "), list.total)
    };
    let all = Filter::default();
    assert_eq!(names(&all, 0, 9), ("egret.md heron.md desk.txt".into(), 3));
    assert_eq!(names(&all, 1, 1), ("heron.md".into(), 3));
    assert_eq!(names(&all, 7, 9), (String::new(), 3));
    let md = Filter {
        extensions: vec!["md".into()],
        ..Filter::default()
    };
    assert_eq!(names(&md, 0, 9), ("egret.md heron.md".into(), 2));
    let bad = Filter {
        paths: vec!["[".into()],
        ..Filter::default()
    };
    assert!(matches!(
        engine.documents(&bad, Order::Path, 0, 9),
        Err(EngineError::Filter(_))
    ));
}

#[test]
fn the_newest_documents_come_first() {
    let (dir, engine) = collection(false);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    std::fs::write(
        dir.path().join("files/birds/heron.md"),
        "# Heron\n\nIt waits.\n",
    )
    .expect("written");
    let file = std::fs::File::options()
        .write(true)
        .open(dir.path().join("files/birds/heron.md"));
    file.and_then(|file| file.set_modified(later))
        .expect("a stamp");
    let request = IndexRequest {
        paths: vec![dir.path().join("files")],
        options: ReadOptions::default(),
        encoder: None,
    };
    engine.index(&request, Task::silent()).expect("indexes");
    let list = engine
        .documents(&Filter::default(), Order::Newest, 0, 1)
        .expect("lists");
    assert_eq!(named(&list.documents[0].path), "heron.md");
}

#[test]
fn an_origin_says_which_bytes_were_read() {
    let (dir, engine) = collection(false);
    let origin = engine
        .origin(first(&engine, "heron"))
        .expect("reads")
        .expect("is there");
    assert_eq!(
        (named(&origin.path).as_str(), origin.kind.as_str()),
        ("heron.md", "markdown")
    );
    let bytes = std::fs::read(dir.path().join("files/birds/heron.md")).expect("there");
    assert_eq!(origin.content_hash, *blake3::hash(&bytes).as_bytes());
    assert_eq!(engine.origin(u32::MAX).expect("reads"), None);
}

#[test]
fn highlights_are_the_words_that_match() {
    let (_dir, engine) = collection(false);
    let request = SearchRequest::new("reeds waiting");
    let passage = first(&engine, "heron");
    let ranges = engine
        .highlights(&request, &[passage, u32::MAX])
        .expect("reads");
    let text = engine
        .passage(passage)
        .expect("reads")
        .expect("is there")
        .text;
    let words: Vec<&str> = ranges[0].iter().map(|range| &text[range.clone()]).collect();
    assert_eq!(words, ["reeds", "waits"]);
    assert!(ranges[1].is_empty());
}

#[test]
fn the_parts_of_a_score_add_up_to_it() {
    let (_dir, engine) = collection(false);
    let request = SearchRequest {
        mode: Mode::Bm25,
        ..SearchRequest::new("heron waits fish")
    };
    let found = engine.search(&request).expect("searches");
    for hit in &found.hits {
        let terms = engine
            .term_scores(&request, hit.passage)
            .expect("reads")
            .expect("there");
        let sum: f32 = terms.iter().map(|term| term.score).sum();
        assert!(
            (sum - hit.score).abs() < 1e-4,
            "{sum} {} {terms:?}",
            hit.score
        );
        assert!(terms.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
    assert_eq!(engine.term_scores(&request, u32::MAX).expect("reads"), None);
}

#[test]
fn more_like_this_finds_other_documents_of_its_kind() {
    for encoder in [false, true] {
        let (_dir, engine) = collection(encoder);
        let request = SearchRequest::new("");
        let found = engine
            .similar(first(&engine, "heron"), &request)
            .expect("searches");
        let hits = found.expect("the passage is there").hits;
        assert_eq!(named(&hits[0].path), "egret.md", "encoder {encoder}");
        assert!(hits.iter().all(|hit| named(&hit.path) != "heron.md"));
        assert!(
            engine
                .similar(u32::MAX, &request)
                .expect("searches")
                .is_none()
        );
    }
}

#[test]
fn another_encoders_vectors_are_not_compared() {
    let (dir, engine) = collection(true);
    let reader = Engine::open(&dir.path().join("collection")).expect("opens");
    reader
        .set_encoder(Arc::new(HashingEncoder::new(64)))
        .expect("the same encoder");
    let other = Arc::new(HashingEncoder::new(32));
    engine
        .switch_encoder(Some(other), Task::silent())
        .expect("encodes again");
    reader.refresh().expect("moves on");
    let found = reader
        .search(&SearchRequest::new("heron"))
        .expect("searches");
    assert_eq!(found.mode, Mode::Bm25);
    assert!(
        found.warnings.iter().any(|w| w.contains("not loaded")),
        "{:?}",
        found.warnings
    );
}
