//! Which documents are there, where do they come from, and what in them matches a query?
//!
//! Like `reading`, everything comes from the generation that is open.

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;
use storage::PassageId;
use storage::documents::DocumentRecord;

use crate::bm25::{Listed, ParsedQuery, TermScore};
use crate::collection::{Engine, Open};
use crate::error::EngineError;
use crate::guard::guarded;
use crate::reading::title_of;
use crate::request::{Filter, SearchRequest};
use crate::search::parse;
use crate::snippet;

/// A document in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DocumentEntry {
    /// The file.
    pub path: PathBuf,
    /// Title of the document, or its file name.
    pub title: String,
    /// Its first passage: the way to its text.
    pub passage: u32,
    /// How many passages it has.
    pub passages: u64,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
}

/// A part of the list of documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DocumentList {
    /// The documents of this part.
    pub documents: Vec<DocumentEntry>,
    /// Documents that pass the filter, in all parts.
    pub total: usize,
    /// Generation they were read from.
    pub generation: u64,
}

/// How a list of documents is ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By path.
    #[default]
    Path,
    /// Modified last comes first.
    Newest,
}

/// The file a document was read from, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// What it is, as [`crate::ingest::FileKind::name`] says it.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
    /// blake3 of its bytes.
    pub content_hash: [u8; 32],
    /// Language as ISO 639-3; "und" if not recognised.
    pub language: String,
}

impl Engine {
    /// At most `limit` of the documents that pass `filter`, in `order`, after the first `skip` of them.
    ///
    /// # Errors
    /// A bad filter, or damaged files.
    pub fn documents(
        &self,
        filter: &Filter,
        order: Order,
        skip: usize,
        limit: usize,
    ) -> Result<DocumentList, EngineError> {
        self.with_open(DocumentList::default(), |open| {
            let eligible = open.index.eligible(filter);
            let eligible = eligible.map_err(|error| EngineError::Filter(error.to_string()))?;
            let mut listed = open.index.documents(eligible.as_ref())?;
            if order == Order::Newest {
                listed.sort_by_key(|document| std::cmp::Reverse(document.modified));
            }
            let shown = listed.iter().skip(skip).take(limit);
            Ok(DocumentList {
                documents: shown.map(|one| open.entry(one)).collect::<Result<_, _>>()?,
                total: listed.len(),
                generation: open.generation.id.0,
            })
        })
    }

    /// Which file `passage` was read from; nothing if there is no such passage.
    ///
    /// # Errors
    /// Damaged files.
    pub fn origin(&self, passage: u32) -> Result<Option<Origin>, EngineError> {
        self.with_passage(passage, |open, id| {
            let path = open.index.path(id)?;
            let first = open.index.passages_of(&path)?.first().copied();
            let record = first.map(|first| open.index.record(first)).transpose()?;
            let Some(bytes) = record.flatten() else {
                return Ok(None);
            };
            let record = DocumentRecord::from_bytes(&bytes);
            let record = record.map_err(|error| EngineError::Inconsistent(error.to_string()))?;
            Ok(Some(Origin {
                path: path.into(),
                kind: record.kind,
                size: record.size,
                content_hash: record.content_hash,
                language: record.language,
            }))
        })
    }

    /// What matches `request`'s query in the texts of these passages: byte ranges, ascending, not overlapping, on character
    /// boundaries. Nothing for passages that are not there.
    ///
    /// # Errors
    /// A query that is too large, or damaged files.
    pub fn highlights(
        &self,
        request: &SearchRequest,
        passages: &[u32],
    ) -> Result<Vec<Vec<Range<usize>>>, EngineError> {
        let query = checked(request)?;
        let none = vec![Vec::new(); passages.len()];
        self.with_open(none, |open| {
            let matcher = open.index.matcher(&query)?;
            let marks = |&passage: &u32| {
                if !open.index.live().contains(passage) {
                    return Ok(Vec::new());
                }
                let stored = open.index.passage(PassageId(passage))?;
                Ok(snippet::highlights(&stored.text, stored.language, &matcher))
            };
            passages.iter().map(marks).collect()
        })
    }

    /// What each word of `request`'s query adds to the BM25 score of `passage`, the most first; nothing if there is no such
    /// passage. Costs a search.
    ///
    /// # Errors
    /// A query that is too large, or damaged files.
    pub fn term_scores(
        &self,
        request: &SearchRequest,
        passage: u32,
    ) -> Result<Option<Vec<TermScore>>, EngineError> {
        let query = checked(request)?;
        self.with_passage(passage, |open, id| {
            Ok(Some(open.index.term_scores(&query, id)?))
        })
    }

    /// Runs `work` on the generation that is open; `none` where the collection is empty.
    fn with_open<T>(
        &self,
        none: T,
        work: impl FnOnce(&Open) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        match &self.snapshot().open {
            Some(open) => guarded(self.dir(), || work(open)),
            None => Ok(none),
        }
    }

    /// The same for a passage; nothing where it is not there.
    pub(crate) fn with_passage<T>(
        &self,
        passage: u32,
        work: impl FnOnce(&Open, PassageId) -> Result<Option<T>, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        self.with_open(None, |open| match open.index.live().contains(passage) {
            true => work(open, PassageId(passage)),
            false => Ok(None),
        })
    }
}

impl Open {
    fn entry(&self, listed: &Listed) -> Result<DocumentEntry, EngineError> {
        let head = self.index.passage(listed.first)?;
        Ok(DocumentEntry {
            title: title_of(&head),
            path: listed.path.clone().into(),
            passage: listed.first.0,
            passages: listed.passages,
            modified: listed.modified,
        })
    }
}

/// The query of a request that is not too large.
fn checked(request: &SearchRequest) -> Result<ParsedQuery, EngineError> {
    request.check()?;
    let query = parse(request);
    request.check_clauses(query.clauses.len())?;
    Ok(query)
}

#[cfg(test)]
mod tests;
