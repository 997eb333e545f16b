//! Given query text, which passages does BM25 find?
//!
//! One tantivy document a passage. [`Bm25Writer`] grows the index in a folder of its own; its committed files, linked
//! into a generation, are opened read-only by [`Bm25Index`]. The store inside the index holds the only copy of the
//! passages' text. Scores are computed here, not by tantivy: all of a word's fields count together (BM25F, Robertson,
//! Zaragoza and Taylor, CIKM 2004) and every matching passage is visited, which gives the mean and the deviation
//! that standardising needs.

use std::path::{Path, PathBuf};

use storage::{DocumentId, PassageId};

use crate::ingest::Source;

mod analysis;
mod browse;
mod filter;
mod language;
mod matcher;
mod normalize;
mod postings;
mod query;
mod reader;
mod resolve;
mod schema;
mod score;
#[cfg(test)]
mod tests;
mod writer;

pub use browse::{Listed, TermScore};
pub use filter::FilterError;
pub use language::Language;
pub(crate) use matcher::Match;
pub use matcher::Matcher;
pub use query::{Clause, Occur, ParsedQuery, SearchField};
pub use reader::Bm25Index;
pub use score::{Evaluation, LegHits, Scoring};
pub use writer::Bm25Writer;

/// A passage as it is handed to the index.
#[derive(Debug, Clone, Copy)]
pub struct PassageDocument<'a> {
    /// Name of the passage. Adding it a second time without deleting its document leaves two.
    pub id: PassageId,
    /// The document it is part of.
    pub document: DocumentId,
    /// Path of the file as text, `/` between folders.
    pub path: &'a str,
    /// Title of the document; may be empty.
    pub title: &'a str,
    /// Headings above the passage, outermost first, joined by " › "; may be empty.
    pub heading: &'a str,
    /// The passage.
    pub text: &'a str,
    /// Where it starts in the file.
    pub start: Source,
    /// Where it ends in the file.
    pub end: Source,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
    /// Language of the document, for stemming.
    pub language: Language,
    /// What the caller wants back from [`Bm25Index::records`]; given with one passage of each document.
    pub record: Option<&'a [u8]>,
}

/// A passage as the index gives it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassage {
    /// Name of the passage.
    pub id: PassageId,
    /// The document it is part of.
    pub document: DocumentId,
    /// Path of the file as text.
    pub path: String,
    /// Title of the document; may be empty.
    pub title: String,
    /// Headings above the passage, joined by " › "; may be empty.
    pub heading: String,
    /// The passage.
    pub text: String,
    /// Where it starts in the file.
    pub start: Source,
    /// Where it ends in the file.
    pub end: Source,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
    /// Language its words were stemmed in.
    pub language: Language,
}

/// The full-text index failed. Never the fault of a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Bm25Error {
    /// tantivy failed at `action`.
    #[error("cannot {action} the full-text index in {}: {source}; if this stays, run `askance doctor --repair`", path.display())]
    Index {
        /// What was tried: "open", "write", "read".
        action: &'static str,
        /// Folder of the index.
        path: PathBuf,
        /// tantivy's answer.
        source: Box<tantivy::TantivyError>,
    },
    /// A file's bytes are not those that were written.
    #[error("{} is damaged: it does not fit its checksum; run `askance doctor --repair`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The fields of the index are not the ones this version writes.
    #[error("the full-text index in {} was written by another version of askance; index again into a new collection", path.display())]
    Schema {
        /// Folder of the index.
        path: PathBuf,
    },
    /// A passage is asked for that the index does not hold.
    #[error("the full-text index in {} holds no passage {}; run `askance doctor --repair`", path.display(), passage.0)]
    UnknownPassage {
        /// Folder of the index.
        path: PathBuf,
        /// The passage.
        passage: PassageId,
    },
}

impl Bm25Error {
    fn index<E: Into<tantivy::TantivyError>>(
        action: &'static str,
        path: &Path,
    ) -> impl Fn(E) -> Self + use<E> {
        let path = path.to_path_buf();
        move |source| Self::Index {
            action,
            path: path.clone(),
            source: Box::new(source.into()),
        }
    }
}
