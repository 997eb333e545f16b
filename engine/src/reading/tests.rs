use super::*;
use crate::request::{IndexRequest, ReadOptions, SearchRequest};
use storage::Task;

fn passage(text: &str, line: u32, end_line: u32) -> PassageText {
    PassageText {
        text: text.to_owned(),
        line,
        end_line,
        ..PassageText::default()
    }
}

fn joined(passages: Vec<PassageText>) -> String {
    DocumentText {
        passages,
        ..DocumentText::default()
    }
    .text()
}

#[test]
fn what_neighbours_share_is_said_once() {
    let both = vec![passage("One. Two.", 1, 2), passage("Two. Three.", 2, 3)];
    assert_eq!(joined(both), "One. Two. Three.");
}

#[test]
fn equal_records_on_lines_of_their_own_are_all_kept() {
    let rows = vec![passage("a,b", 1, 1), passage("a,b", 2, 2)];
    assert_eq!(joined(rows), "a,b\na,b");
}

#[test]
fn passages_stand_as_far_apart_as_in_the_file() {
    let parts = vec![
        passage("one", 1, 1),
        passage("two", 1, 2),
        passage("three", 3, 3),
        passage("four", 9, 9),
    ];
    assert_eq!(joined(parts), "one two\nthree\n\nfour");
    let pages = vec![passage("one", 0, 0), passage("two", 0, 0)];
    assert_eq!(joined(pages), "one\n\ntwo");
}

#[test]
fn bytes_decide_where_both_are_known() {
    let mut before = passage("x x", 1, 1);
    let mut next = passage("x y", 1, 1);
    (before.end_byte, next.byte) = (Some(3), Some(3));
    assert_eq!(overlap(&before, &next), 0);
    next.byte = Some(2);
    assert_eq!(overlap(&before, &next), 1);
}

/// A collection of one long file and one short one.
fn collection() -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().expect("a folder");
    let files = dir.path().join("files");
    std::fs::create_dir_all(files.join("sub")).expect("a folder");
    let long: Vec<String> = (0..400)
        .map(|i| format!("Sentence number {i} speaks of herons in the reeds and of nothing else."))
        .collect();
    std::fs::write(files.join("long.txt"), long.join(" ")).expect("written");
    std::fs::write(files.join("sub/short.md"), "# Desk\n\nElbow height.\n").expect("written");
    let engine = Engine::open(&dir.path().join("collection")).expect("opens");
    let request = IndexRequest {
        paths: vec![files],
        options: ReadOptions::default(),
        encoder: None,
    };
    engine.index(&request, Task::silent()).expect("indexes");
    (dir, engine)
}

fn first_hit(engine: &Engine, query: &str) -> crate::report::Hit {
    let found = engine.search(&SearchRequest::new(query)).expect("searches");
    found.hits.into_iter().next().expect("a hit")
}

#[test]
fn a_document_reads_as_its_file_does() {
    let (dir, engine) = collection();
    let path = dir
        .path()
        .join("files/long.txt")
        .canonicalize()
        .expect("there");
    let document = engine
        .document(&path, 0..usize::MAX)
        .expect("reads")
        .expect("is there");
    assert!(document.total > 3, "{}", document.total);
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let file = std::fs::read_to_string(&path).expect("there");
    assert_eq!(squeeze(&document.text()), squeeze(&file));
}

#[test]
fn a_document_is_read_in_parts() {
    let (_dir, engine) = collection();
    let path = first_hit(&engine, "herons").path;
    let part = engine
        .document(&path, 1..3)
        .expect("reads")
        .expect("is there");
    assert_eq!(part.passages.len(), 2);
    let place = engine
        .place_in_document(part.passages[0].passage)
        .expect("reads");
    assert_eq!(place, Some(1));
    let beyond = engine
        .document(&path, 1000..1010)
        .expect("reads")
        .expect("is there");
    assert!(beyond.passages.is_empty());
}

#[test]
fn a_passage_that_went_is_none_and_so_is_a_file_that_was_never_indexed() {
    let (dir, engine) = collection();
    let hit = first_hit(&engine, "elbow height");
    let read = engine
        .passage(hit.passage)
        .expect("reads")
        .expect("is there");
    assert_eq!((read.title.as_str(), read.line), ("Desk", 1));
    engine
        .remove(std::slice::from_ref(&hit.path), Task::silent())
        .expect("removes");
    assert_eq!(engine.passage(hit.passage).expect("reads"), None);
    assert_eq!(engine.document(&hit.path, 0..9).expect("reads"), None);
    assert_eq!(engine.passage(u32::MAX).expect("reads"), None);
    for path in ["/etc/passwd", "../../etc/passwd", ""] {
        assert_eq!(
            engine.document(Path::new(path), 0..9).expect("reads"),
            None,
            "{path}"
        );
    }
    drop(dir);
}

#[test]
fn documents_are_found_by_the_end_of_their_path() {
    let (_dir, engine) = collection();
    let named = |name| engine.documents_named(name, 9).expect("reads").len();
    assert_eq!(named("short.md"), 1);
    assert_eq!(named("./sub/short.md"), 1);
    assert_eq!(named("hort.md"), 0);
    assert_eq!(named("short.txt"), 0);
}
