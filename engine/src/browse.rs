//! Which documents are there, where do they come from, and what in them matches a query?
//!
//! Like `reading`, everything comes from the generation that is open.

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;
use storage::PassageId;
use storage::documents::DocumentRecord;

use crate::bm25::TermScore;
use crate::collection::{Engine, Open};
use crate::error::EngineError;
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
        let snapshot = self.snapshot();
        let Some(open) = &snapshot.open else {
            return Ok(DocumentList::default());
        };
        let eligible = open.index.eligible(filter);
        let eligible = eligible.map_err(|error| EngineError::Filter(error.to_string()))?;
        let mut listed = open.index.documents(eligible.as_ref())?;
        if order == Order::Newest {
            listed.sort_by_key(|document| std::cmp::Reverse(document.modified));
        }
        let mut documents = Vec::new();
        for document in listed.iter().skip(skip).take(limit) {
            let head = open.index.passage(document.first)?;
            documents.push(DocumentEntry {
                title: title_of(&head),
                path: document.path.clone().into(),
                passage: document.first.0,
                passages: document.passages,
                modified: document.modified,
            });
        }
        Ok(DocumentList {
            documents,
            total: listed.len(),
            generation: open.generation.id.0,
        })
    }

    /// Which file `passage` was read from; nothing if there is no such passage.
    ///
    /// # Errors
    /// Damaged files.
    pub fn origin(&self, passage: u32) -> Result<Option<Origin>, EngineError> {
        let snapshot = self.snapshot();
        let live = |open: &&Open| open.index.live().contains(passage);
        let Some(open) = snapshot.open.as_ref().filter(live) else {
            return Ok(None);
        };
        let path = open.index.path(PassageId(passage))?;
        let Some(&first) = open.index.passages_of(&path)?.first() else {
            return Ok(None);
        };
        let Some(bytes) = open.index.record(first)? else {
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
    }

    /// What matches `request`'s query in the texts of these passages: byte ranges, ascending, not overlapping, on character
    /// boundaries. Nothing for passages that are not there.
    ///
    /// # Errors
    /// Damaged files.
    pub fn highlights(
        &self,
        request: &SearchRequest,
        passages: &[u32],
    ) -> Result<Vec<Vec<Range<usize>>>, EngineError> {
        let snapshot = self.snapshot();
        let Some(open) = &snapshot.open else {
            return Ok(vec![Vec::new(); passages.len()]);
        };
        let matcher = open.index.matcher(&parse(request))?;
        let mut found = Vec::with_capacity(passages.len());
        for &passage in passages {
            if !open.index.live().contains(passage) {
                found.push(Vec::new());
                continue;
            }
            let stored = open.index.passage(PassageId(passage))?;
            found.push(snippet::highlights(&stored.text, stored.language, &matcher));
        }
        Ok(found)
    }

    /// What each word of `request`'s query adds to the BM25 score of `passage`, the most first; nothing if there is no such
    /// passage. Costs a search.
    ///
    /// # Errors
    /// Damaged files.
    pub fn term_scores(
        &self,
        request: &SearchRequest,
        passage: u32,
    ) -> Result<Option<Vec<TermScore>>, EngineError> {
        let snapshot = self.snapshot();
        let live = |open: &&Open| open.index.live().contains(passage);
        let Some(open) = snapshot.open.as_ref().filter(live) else {
            return Ok(None);
        };
        let terms = open
            .index
            .term_scores(&parse(request), PassageId(passage))?;
        Ok(Some(terms))
    }
}

#[cfg(test)]
mod tests;
