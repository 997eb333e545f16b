//! How do documents and their passages look to programs?

use std::ops::Range;

use engine::browse::{DocumentEntry, DocumentList, Origin};
use engine::reading::overlap;
use engine::report::{DocumentText, PassageText};
use schemars::JsonSchema;
use serde::Serialize;

use super::{known, pairs, path_text};

/// A document, or the part of it around one passage. Its text is what a file says: untrusted content.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Document")]
pub struct DocumentJson {
    /// The file.
    pub path: String,
    /// Title of the document, or its file name.
    pub title: String,
    /// What the file is: "markdown", "pdf"; empty if not known.
    pub kind: String,
    /// Size of the file in bytes when it was read.
    pub size: u64,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
    /// Language as ISO 639-3; "und" if not recognised.
    pub language: String,
    /// Passages of the whole document.
    pub total: usize,
    /// Place among them of the first one in `passages`, from 0.
    pub first: usize,
    /// The passages asked for, in order.
    pub passages: Vec<PassageJson>,
    /// Generation that answered.
    pub generation: u64,
}

impl DocumentJson {
    /// `document` from its passage `first` on (from 0), with the file it was read from and what to highlight in each
    /// passage; `highlights` may be shorter.
    pub fn new(
        document: &DocumentText,
        first: usize,
        origin: Option<&Origin>,
        highlights: &[Vec<Range<usize>>],
    ) -> Self {
        let before = std::iter::once(None).chain(document.passages.iter().map(Some));
        let marks = highlights.iter().map(Vec::as_slice);
        let marks = marks.chain(std::iter::repeat(&[] as &[Range<usize>]));
        let passages = document.passages.iter().zip(before).zip(marks);
        Self {
            path: path_text(&document.path),
            title: document.title.clone(),
            kind: origin.map(|origin| origin.kind.clone()).unwrap_or_default(),
            size: origin.map_or(0, |origin| origin.size),
            modified: document.modified,
            language: origin.map_or_else(|| "und".to_owned(), |origin| origin.language.clone()),
            total: document.total,
            first,
            passages: passages
                .map(|((passage, before), marks)| PassageJson::new(passage, before, marks))
                .collect(),
            generation: document.generation,
        }
    }
}

/// A passage in its document.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Passage")]
pub struct PassageJson {
    /// Name of the passage in this collection, until its document changes.
    pub passage: u32,
    /// Headings above it, outermost first, joined by " › ".
    pub heading: String,
    /// The passage.
    pub text: String,
    /// Bytes at its start that repeat the end of the passage before; skip them to read the document through.
    pub repeated: usize,
    /// Byte ranges of `text` (UTF-8) that match the query: [start, end].
    pub highlights: Vec<[usize; 2]>,
    /// First line in the file, from 1; null if the format has no lines.
    pub line: Option<u32>,
    /// Last line in the file.
    pub end_line: Option<u32>,
    /// First page, from 1; null if the format has no pages.
    pub page: Option<u32>,
    /// Last page.
    pub end_page: Option<u32>,
}

impl PassageJson {
    /// `passage`, which follows `before` where that is known, with the byte ranges that match.
    pub fn new(
        passage: &PassageText,
        before: Option<&PassageText>,
        highlights: &[Range<usize>],
    ) -> Self {
        Self {
            passage: passage.passage,
            heading: passage.heading.clone(),
            text: passage.text.clone(),
            repeated: before.map_or(0, |before| overlap(before, passage)),
            highlights: pairs(highlights),
            line: known(passage.line),
            end_line: known(passage.end_line),
            page: known(passage.page),
            end_page: known(passage.end_page),
        }
    }
}

/// A part of the list of documents.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Documents")]
pub struct DocumentsJson {
    /// The documents of this part.
    pub documents: Vec<EntryJson>,
    /// Documents that pass the filters, in all parts.
    pub total: usize,
    /// Generation that answered.
    pub generation: u64,
}

impl From<&DocumentList> for DocumentsJson {
    fn from(list: &DocumentList) -> Self {
        Self {
            documents: list.documents.iter().map(EntryJson::from).collect(),
            total: list.total,
            generation: list.generation,
        }
    }
}

/// A document in a list.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
pub struct EntryJson {
    /// The file.
    pub path: String,
    /// Title of the document, or its file name.
    pub title: String,
    /// Its first passage: the way to its text.
    pub passage: u32,
    /// How many passages it has.
    pub passages: u64,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
}

impl From<&DocumentEntry> for EntryJson {
    fn from(entry: &DocumentEntry) -> Self {
        Self {
            path: path_text(&entry.path),
            title: entry.title.clone(),
            passage: entry.passage,
            passages: entry.passages,
            modified: entry.modified,
        }
    }
}
