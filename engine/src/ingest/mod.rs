//! Which passages are in these files?
//!
//! `walk` finds files, `extract` turns one file into text with structure ([`Extracted`]),
//! `split` cuts that text into passages ([`Passage`]).

// Folders to files.
pub mod walk;

// Files to text.
pub mod detect;
pub mod extract;

// Text to passages, and what the encoder sees of one.
pub mod context;
pub mod split;

use std::ops::Range;

/// What a file holds, as far as reading it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// Plain text in any encoding.
    Text,
    /// Markdown.
    Markdown,
    /// HTML or XHTML.
    Html,
    /// Source code or configuration.
    Code,
    /// PDF.
    Pdf,
    /// Word processor document in Office Open XML.
    Docx,
    /// EPUB book.
    Epub,
    /// One mail message (EML).
    Mail,
    /// A mailbox of many messages (mbox).
    Mailbox,
    /// CSV or TSV.
    Table,
    /// JSON.
    Json,
    /// JSON lines, one record a line.
    JsonLines,
    /// Jupyter notebook.
    Notebook,
}

impl FileKind {
    /// The kind in one word, as records keep it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Code => "code",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Epub => "epub",
            Self::Mail => "mail",
            Self::Mailbox => "mailbox",
            Self::Table => "table",
            Self::Json => "json",
            Self::JsonLines => "jsonlines",
            Self::Notebook => "notebook",
        }
    }
}

/// The text of one file with its structure.
///
/// Invariant: `blocks` are in order, do not overlap, and each range lies on character boundaries of `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// What the file turned out to be.
    pub kind: FileKind,
    /// Title from the document itself (first heading, HTML title, mail subject, PDF metadata).
    pub title: Option<String>,
    /// The readable text, UTF-8, lines ended by `\n`.
    pub text: String,
    /// Structure of `text`; text between blocks is only white space.
    pub blocks: Vec<Block>,
    /// What a person should know ("3 of 12 pages hold no text").
    pub warnings: Vec<String>,
}

/// One structural piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Bytes of [`Extracted::text`].
    pub range: Range<usize>,
    /// What the piece is.
    pub kind: BlockKind,
    /// Where the piece starts in the file itself.
    pub source: Source,
    /// How far places inside the piece can be found again in the file.
    pub tracking: Tracking,
}

/// How far places inside a block can be found again in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Tracking {
    /// Only the start of the block is known; its text was put together or reflowed.
    #[default]
    Start,
    /// Each `\n` of the block is one line end of the file.
    Lines,
    /// The block is the file's bytes, one for one.
    Bytes,
}

/// What a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A heading, 1 (outermost) to 6.
    Heading(u8),
    /// A paragraph or list item.
    Paragraph,
    /// Code or preformatted text: split at lines, never at sentences.
    Code,
    /// One record of a table, mailbox or JSON lines file: never joined with its neighbours.
    Record,
}

/// A place in the file as it lies on disk. Zero means "not known" for each field but `byte`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source {
    /// Byte offset in the file, where the format has one (text formats).
    pub byte: Option<u64>,
    /// Line, from 1.
    pub line: u32,
    /// Page, from 1.
    pub page: u32,
}

/// A piece of a document small enough for the encoder, with its way back into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Bytes of [`Extracted::text`] this passage is the exact slice of.
    pub range: Range<usize>,
    /// Headings above the passage, outermost first.
    pub headings: Vec<String>,
    /// Where the passage starts in the file.
    pub start: Source,
    /// Where the passage ends in the file (last line and page it touches).
    pub end: Source,
}
