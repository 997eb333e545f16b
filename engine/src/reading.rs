//! What does the collection hold under this name: a passage, a document?
//!
//! Everything comes from the generation that is open and nothing from the person's disk: what was never indexed cannot
//! be read, whatever path is asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use storage::PassageId;

use crate::bm25::StoredPassage;
use crate::collection::{Engine, Open};
use crate::error::EngineError;
use crate::report::{DocumentText, PassageText};

#[cfg(test)]
mod tests;

impl Engine {
    /// The passage of this name; `None` once its document changed or went.
    ///
    /// # Errors
    /// Damaged files.
    pub fn passage(&self, passage: u32) -> Result<Option<PassageText>, EngineError> {
        let snapshot = self.snapshot();
        let Some(open) = snapshot.open.as_ref().filter(|open| open.holds(passage)) else {
            return Ok(None);
        };
        Ok(Some(open.text(PassageId(passage))?))
    }

    /// The document at `path`, as [`crate::report::Hit::path`] gives it, with those of its passages that stand at
    /// `wanted` (from 0, in the order of the file; more than there are is no error). `None` if no such document is
    /// indexed.
    ///
    /// # Errors
    /// Damaged files.
    pub fn document(
        &self,
        path: &Path,
        wanted: Range<usize>,
    ) -> Result<Option<DocumentText>, EngineError> {
        let snapshot = self.snapshot();
        let (Some(open), Some(path)) = (&snapshot.open, path.to_str()) else {
            return Ok(None);
        };
        let ids = open.index.passages_of(path)?;
        let Some(&first) = ids.first() else {
            return Ok(None);
        };
        let head = open.index.passage(first)?;
        let passages = ids
            .iter()
            .take(wanted.end)
            .skip(wanted.start)
            .map(|&id| open.text(id));
        Ok(Some(DocumentText {
            path: PathBuf::from(path),
            title: title_of(&head),
            modified: head.modified,
            passages: passages.collect::<Result<_, _>>()?,
            total: ids.len(),
            generation: open.generation.id.0,
        }))
    }

    /// Place of a passage within its document, from 0; `None` if it is not there any more.
    ///
    /// # Errors
    /// Damaged files.
    pub fn place_in_document(&self, passage: u32) -> Result<Option<usize>, EngineError> {
        let snapshot = self.snapshot();
        let Some(open) = snapshot.open.as_ref().filter(|open| open.holds(passage)) else {
            return Ok(None);
        };
        let path = open.index.path(PassageId(passage))?;
        let ids = open.index.passages_of(&path)?;
        Ok(ids.iter().position(|id| id.0 == passage))
    }

    /// Paths of at most `limit` documents that end in `name`, whole folder names only: `notes/desk.md` finds
    /// `/home/me/notes/desk.md`.
    ///
    /// # Errors
    /// Damaged files.
    pub fn documents_named(&self, name: &str, limit: usize) -> Result<Vec<PathBuf>, EngineError> {
        let snapshot = self.snapshot();
        let name = name.trim_start_matches("./");
        let Some(open) = snapshot.open.as_ref().filter(|_| !name.is_empty()) else {
            return Ok(Vec::new());
        };
        let ends = |path: &str| {
            path.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || name.starts_with('/'))
        };
        let found = open.index.paths(limit, ends)?;
        Ok(found.into_iter().map(PathBuf::from).collect())
    }
}

impl Open {
    fn holds(&self, passage: u32) -> bool {
        self.index.live().contains(passage)
    }

    fn text(&self, id: PassageId) -> Result<PassageText, EngineError> {
        let stored = self.index.passage(id)?;
        Ok(PassageText {
            passage: id.0,
            title: title_of(&stored),
            path: stored.path.into(),
            heading: stored.heading,
            text: stored.text,
            line: stored.start.line,
            end_line: stored.end.line,
            page: stored.start.page,
            end_page: stored.end.page,
            byte: stored.start.byte,
            end_byte: stored.end.byte,
        })
    }
}

/// What a document is called: its title, or its folder and name, since many files are called `mod.rs` or `notes.txt`.
pub(crate) fn title_of(stored: &StoredPassage) -> String {
    if !stored.title.is_empty() {
        return stored.title.clone();
    }
    let start = stored.path.rmatch_indices('/').nth(1);
    let name = &stored.path[start.map_or(0, |(at, _)| at + 1)..];
    name.trim_start_matches('/').to_owned()
}

impl DocumentText {
    /// The text of the passages that were asked for, what neighbours share said once, a blank line between passages
    /// that do not overlap.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut before: Option<&PassageText> = None;
        for passage in &self.passages {
            let shared = before.map_or(0, |before| overlap(before, passage));
            if shared == 0 && !text.is_empty() {
                text.push_str("\n\n");
            }
            text.push_str(passage.text.get(shared..).unwrap_or_default());
            before = Some(passage);
        }
        text
    }
}

/// Bytes at the start of `next` that repeat the end of `before`: passages overlap by whole sentences, and only where
/// the places in the file say so.
pub fn overlap(before: &PassageText, next: &PassageText) -> usize {
    let apart = match (before.end_byte, next.byte) {
        (Some(end), Some(start)) => start >= end,
        _ => next.line > before.end_line || next.page > before.end_page,
    };
    if apart {
        return 0;
    }
    // A passage never only repeats: the shortest one adds something to its neighbour.
    let longest = before.text.len().min(next.text.len().saturating_sub(1));
    let repeats = |&bytes: &usize| {
        let start = next.text.get(..bytes);
        start.is_some_and(|start| before.text.ends_with(start))
    };
    (1..=longest).rev().find(repeats).unwrap_or(0)
}
