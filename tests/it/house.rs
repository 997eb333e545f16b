//! Does the source keep the rules of the house?

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tests::root;

/// Files where `unsafe` may stand: the mapping of files, and SIMD kernels.
fn may_be_unsafe(path: &str) -> bool {
    path == "storage/src/mapped.rs" || path.contains("/kernels/")
}

fn files_below(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    for entry in entries.map(|e| e.expect("readable entry").path()) {
        let name = entry
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy()
            .into_owned();
        if entry.is_dir() && name != "target" && !name.starts_with('.') {
            files_below(&entry, extension, found);
        } else if entry.extension().is_some_and(|e| e == extension) {
            found.push(entry);
        }
    }
}

/// Rust sources below the given packages as (path from the root, text).
fn sources(packages: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for package in packages {
        files_below(&root().join(package), "rs", &mut paths);
    }
    let relative = |path: &PathBuf| {
        path.strip_prefix(root())
            .expect("below the root")
            .to_string_lossy()
            .into_owned()
    };
    paths
        .iter()
        .map(|path| {
            (
                relative(path),
                fs::read_to_string(path).expect("readable source"),
            )
        })
        .collect()
}

const PACKAGES: [&str; 6] = ["storage", "engine", "trainer", "cli", "tests", "benches"];

#[test]
fn every_module_begins_with_what_it_answers() {
    let shipped = sources(&["storage/src", "engine/src", "trainer/src", "cli/src"]);
    let silent: Vec<_> = shipped
        .iter()
        .filter(|(path, text)| {
            !path.ends_with("tests.rs") && !path.contains("/tests/") && !text.starts_with("//!")
        })
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no opening //! line: {silent:?}");
}

#[test]
fn unsafe_stands_only_where_allowed_and_gives_its_reason() {
    let keyword = concat!("uns", "afe ");
    for (path, text) in sources(&PACKAGES) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !code.contains(&format!("{keyword}{{")) && !code.contains(&format!("{keyword}impl"))
            {
                continue;
            }
            assert!(
                may_be_unsafe(&path),
                "{path}:{} is not a place for it",
                number + 1
            );
            let reason = lines[number.saturating_sub(4)..=number]
                .iter()
                .any(|l| l.contains("SAFETY"));
            assert!(reason, "{path}:{} gives no SAFETY reason", number + 1);
        }
    }
}

#[test]
fn a_store_is_named_only_where_it_lives() {
    let homes = [
        (concat!("sl", "ed::"), "storage/src/documents"),
        (concat!("memm", "ap2::"), "storage/src/mapped.rs"),
        (concat!("tant", "ivy::"), "engine/src/bm25/"),
        (concat!("bur", "n::"), "trainer/src/"),
    ];
    for (path, text) in sources(&["storage/src", "engine/src", "trainer/src", "cli/src"]) {
        for (name, home) in homes {
            assert!(
                path.starts_with(home) || !text.contains(name),
                "{path} names {name}, which lives in {home}"
            );
        }
    }
}

#[test]
fn nothing_is_left_unfinished_or_ignored() {
    let marks = [
        concat!("#[ign", "ore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    for (path, text) in sources(&PACKAGES) {
        for mark in marks {
            assert!(!text.contains(mark), "{path} contains {mark}");
        }
    }
}

/// The `[dependencies]` lines of a package.
fn dependencies(package: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
    let section = text.split("[dependencies]").nth(1).unwrap_or("");
    let lines = section
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn arrows_run_one_way() {
    let below: [(&str, &[&str]); 3] = [
        ("storage", &[]),
        ("engine", &["storage"]),
        ("trainer", &["storage", "engine"]),
    ];
    let members: BTreeSet<&str> = [
        "storage", "engine", "trainer", "askance", "tests", "benches",
    ]
    .into();
    for (package, allowed) in below {
        for line in dependencies(package) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            assert!(
                !members.contains(name) || allowed.contains(&name),
                "{package} must not know {name}"
            );
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    for package in ["storage", "engine", "trainer", "cli"] {
        for line in dependencies(package) {
            assert!(
                line.contains('#'),
                "{package}/Cargo.toml: no reason beside: {line}"
            );
        }
    }
}

#[test]
fn paths_named_in_the_documents_exist() {
    for document in [
        "ARCHITECTURE.md",
        "README.md",
        "SECURITY.md",
        "storage/FORMAT.md",
    ] {
        let text =
            fs::read_to_string(root().join(document)).unwrap_or_else(|e| panic!("{document}: {e}"));
        for name in text.split('`').skip(1).step_by(2) {
            let first = name.split('/').next().unwrap_or("");
            if name.contains('/') && PACKAGES.contains(&first) && !name.contains([' ', '*', '{']) {
                assert!(
                    root().join(name).exists(),
                    "{document} names {name}, which does not exist"
                );
            }
        }
    }
}
