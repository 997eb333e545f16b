//! Does an update of the named files leave what a full run leaves, and touch nothing else?

use std::fs;
use std::path::PathBuf;

use engine::Engine;
use engine::request::{IndexRequest, PassageBudget, ReadOptions, SearchRequest};
use storage::Task;
use tempfile::TempDir;

/// A collection beside a folder of files, and the request that indexes it.
struct Desk {
    folder: TempDir,
    engine: Engine,
    request: IndexRequest,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let files = folder.path().canonicalize().expect("there").join("files");
        fs::create_dir_all(files.join("built")).expect("made");
        for (name, text) in [
            ("a.md", "A tern dives."),
            ("b.md", "A skua steals."),
            (".gitignore", "built/\n"),
            ("built/c.md", "A puffin digs."),
        ] {
            fs::write(files.join(name), text).expect("written");
        }
        let engine = Engine::open(&folder.path().join("collection")).expect("opens");
        let request = IndexRequest {
            paths: vec![files],
            options: ReadOptions::default(),
            encoder: None,
        };
        engine.index(&request, Task::silent()).expect("indexes");
        Self {
            folder,
            engine,
            request,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.request.paths[0].join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// (added, changed, removed) of an update of these.
    fn update(&self, names: &[&str]) -> (u64, u64, u64) {
        let changed: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        let report = self.engine.update(&self.request, &changed, Task::silent());
        let report = report.expect("updates");
        (report.added, report.changed, report.removed)
    }

    fn concerns(&self, name: &str) -> bool {
        let changed = [self.path(name)];
        self.engine
            .concerns(&self.request, &changed)
            .expect("looks")
    }

    fn finds(&self, query: &str) -> usize {
        let found = self.engine.search(&SearchRequest::new(query));
        found.expect("searches").hits.len()
    }
}

#[test]
fn only_what_is_named_is_looked_at() {
    let desk = Desk::new();
    desk.write("a.md", "A gannet dives.");
    desk.write("b.md", "A fulmar glides.");
    desk.write("new.md", "A dunlin runs.");
    assert_eq!(desk.update(&["a.md"]), (0, 1, 0));
    assert_eq!((desk.finds("gannet"), desk.finds("tern")), (1, 0));
    assert_eq!((desk.finds("fulmar"), desk.finds("dunlin")), (0, 0));
    fs::remove_file(desk.path("b.md")).expect("removed");
    assert_eq!(desk.update(&["b.md", "new.md"]), (1, 0, 1));
    assert_eq!((desk.finds("skua"), desk.finds("dunlin")), (0, 1));
    let full = desk
        .engine
        .index(&desk.request, Task::silent())
        .expect("indexes");
    assert_eq!(
        (full.added, full.changed, full.removed),
        (0, 0, 0),
        "{full:?}"
    );
}

#[test]
fn a_folder_goes_and_comes_as_a_whole() {
    let desk = Desk::new();
    fs::create_dir(desk.path("sub")).expect("made");
    desk.write("sub/one.md", "A knot flies.");
    desk.write("sub/two.md", "A ruff dances.");
    assert_eq!(desk.update(&["sub"]), (2, 0, 0));
    fs::rename(desk.path("sub"), desk.path("moved")).expect("renamed");
    let changed = [desk.path("sub"), desk.path("moved")];
    let report = desk
        .engine
        .update(&desk.request, &changed, Task::silent())
        .expect("updates");
    assert_eq!((report.moved, report.removed), (2, 0), "{report:?}");
    fs::remove_dir_all(desk.path("moved")).expect("removed");
    assert_eq!(desk.update(&["moved"]), (0, 0, 2));
}

#[test]
fn rules_hold_however_a_file_is_named() {
    let desk = Desk::new();
    assert_eq!(desk.update(&["built/c.md", "built"]), (0, 0, 0));
    assert_eq!(desk.finds("puffin"), 0);
    assert!(desk.concerns("a.md") && !desk.concerns("built/c.md") && !desk.concerns("gone.md"));
    fs::remove_file(desk.path("a.md")).expect("removed");
    assert!(desk.concerns("a.md"), "it is indexed");
    // Nothing outside the roots is read.
    let outside = desk.folder.path().join("outside.md");
    fs::write(&outside, "A secret.").expect("written");
    let report = desk
        .engine
        .update(&desk.request, &[outside], Task::silent())
        .expect("updates");
    assert_eq!((report.added, desk.finds("secret")), (0, 0));
    assert!(desk.engine.holds(&desk.path("b.md")).expect("looks"));
    assert!(!desk.engine.holds(&desk.path("b")).expect("looks"));
}

#[test]
fn passages_of_another_length_are_cut_once() {
    let mut desk = Desk::new();
    let long: String = (0..100)
        .map(|i| format!("Sentence {i} is about herons. "))
        .collect();
    desk.write("a.md", &long);
    desk.update(&["a.md"]);
    let passages = |desk: &Desk| desk.engine.status().expect("reads").passages;
    let before = passages(&desk);
    desk.request.options.passages = PassageBudget {
        max_tokens: Some(32),
        overlap_tokens: Some(0),
    };
    let again = desk
        .engine
        .index(&desk.request, Task::silent())
        .expect("indexes");
    assert_eq!(again.changed, 2, "{again:?}");
    assert!(
        passages(&desk) > 2 * before,
        "{} of {before}",
        passages(&desk)
    );
    let still = desk
        .engine
        .index(&desk.request, Task::silent())
        .expect("indexes");
    assert_eq!(still.changed, 0, "{still:?}");
}
