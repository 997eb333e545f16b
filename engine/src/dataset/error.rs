//! What is wrong with a data set's file, and where?

use std::io;
use std::path::{Path, PathBuf};

/// A data set could not be read or written. Every variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused `action` on `path`.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A line is not what the format asks for.
    #[error("{}, line {line}, field {field}: {detail}; correct or remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Name of the field in its format: "_id", "score", "columns".
        field: &'static str,
        /// What was found or expected.
        detail: String,
    },
    /// Two lines claim the same id.
    #[error("{}: {id:?} is on line {first} and again on line {second}; remove one of them", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id; for judgements and runs, query and document.
        id: String,
        /// Line it was seen on first, from 1.
        first: u64,
        /// Line it was seen on again.
        second: u64,
    },
    /// A BEIR folder lacks a file it cannot do without.
    #[error("{} holds no {missing}; a BEIR folder has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        missing: &'static str,
    },
    /// The split asked for does not exist.
    #[error("{} has no split {split:?}; {}", path.display(), splits_that_exist(existing))]
    Split {
        /// The folder of the data set.
        path: PathBuf,
        /// What was asked for.
        split: String,
        /// Splits with a file, in alphabetical order.
        existing: Vec<String>,
    },
    /// A value cannot be written in this format.
    #[error("cannot write {}: {field} {value:?} {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why the format cannot hold it.
        reason: &'static str,
    },
}

impl DatasetError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

fn splits_that_exist(existing: &[String]) -> String {
    if existing.is_empty() {
        "there is no qrels/*.tsv at all".to_owned()
    } else {
        format!("it has {}", existing.join(", "))
    }
}
