//! What do the whole-system tests share? Temporary collections and the tiny corpus.

use std::path::{Path, PathBuf};

pub mod entries;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_path_buf()
}

/// The small corpus written for the tests: files of every kind, in BEIR layout under `beir/`.
pub fn corpus() -> PathBuf {
    root().join("tests/corpus")
}
