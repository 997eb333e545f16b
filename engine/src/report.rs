//! What happened, and what is there?

use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use crate::encoder::EncoderIdentity;
use crate::request::Mode;

/// A file that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFailure {
    /// The file.
    pub path: PathBuf,
    /// One sentence.
    pub reason: String,
}

/// What one run of indexing did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IndexReport {
    /// Files seen for the first time.
    pub added: u64,
    /// Files whose content changed.
    pub changed: u64,
    /// Files found again under another path.
    pub moved: u64,
    /// Files gone from below the roots.
    pub removed: u64,
    /// Files neither read nor touched.
    pub unchanged: u64,
    /// Files that hold no text (images, archives, programs), left out without complaint.
    pub skipped: u64,
    /// Files that could not be read this time.
    pub failed: Vec<FileFailure>,
    /// Files that failed before, did not change, and were not tried again.
    pub still_failing: u64,
    /// Passages written.
    pub passages: u64,
    /// Passages that had to be encoded.
    pub encoded: u64,
    /// Passages whose vector was there already.
    pub reused: u64,
    /// Bytes read from the person's files.
    pub bytes: u64,
    /// True if the run was cancelled: the files it finished are searchable, the rest waits for the next run.
    pub interrupted: bool,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Generation that was published, or the current one if nothing changed.
    pub generation: u64,
    /// What a person should know ("3 of 12 pages hold no text").
    pub warnings: Vec<String>,
}

/// A passage that answers a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Rank, from 1.
    pub rank: usize,
    /// Score the order follows; its scale depends on the mode.
    pub score: f32,
    /// The file.
    pub path: PathBuf,
    /// Title of the document, or its file name.
    pub title: String,
    /// Headings above the passage, outermost first, joined by " › ".
    pub heading: String,
    /// First line of the passage in the file, from 1; 0 if the format has no lines.
    pub line: u32,
    /// Last line of the passage in the file.
    pub end_line: u32,
    /// First page of the passage, from 1; 0 if the format has no pages.
    pub page: u32,
    /// Byte offset of the passage in the file, where the format has one.
    pub byte: Option<u64>,
    /// Stable name of the passage in this collection.
    pub passage: u32,
    /// The excerpt to show.
    pub snippet: Snippet,
    /// Where the score comes from.
    pub explain: Explanation,
}

/// A short piece of a passage with what matched marked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Snippet {
    /// One line of text, white space collapsed.
    pub text: String,
    /// Byte ranges of `text` to highlight: ascending, not overlapping, on character boundaries.
    pub highlights: Vec<Range<usize>>,
}

/// How one hit got its place.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Explanation {
    /// BM25 score and rank within its leg, from 1, if the leg found it.
    pub bm25: Option<LegScore>,
    /// Dense score and rank within its leg, from 1.
    pub dense: Option<LegScore>,
    /// Weight of the dense leg in the sum, 0 to 1; absent outside hybrid search.
    pub dense_weight: Option<f32>,
}

/// One leg's view of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LegScore {
    /// Raw score: BM25, or the inner product.
    pub score: f32,
    /// Score less the leg's mean over its deviation for this query.
    pub standardised: f32,
    /// Rank within the leg from 1; absent if beyond the candidate depth.
    pub rank: Option<usize>,
}

/// Answer to one search.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SearchResponse {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The mode that ran; differs from the one asked for only with a warning that says why.
    pub mode: Mode,
    /// "exact" or "ivfpq, 300 of 3168 lists probed"; absent without a dense leg.
    pub dense_search: Option<String>,
    /// Encoder of the dense leg.
    pub encoder: Option<EncoderIdentity>,
    /// Device the query was encoded on.
    pub device: Option<String>,
    /// Numbers the query was encoded in: "f32", "bf16", "int8"; absent where the encoder has none.
    pub precision: Option<&'static str>,
    /// Generation that answered.
    pub generation: u64,
    /// Passages the filter lets through.
    pub eligible: u64,
    /// Milliseconds, by stage in order: "encode", "bm25", "dense", "fuse", "snippets".
    pub timings_ms: Vec<(&'static str, f64)>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A passage as it was indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PassageText {
    /// Stable name of the passage in this collection.
    pub passage: u32,
    /// The file.
    pub path: PathBuf,
    /// Title of the document, or its file name.
    pub title: String,
    /// Headings above the passage, outermost first, joined by " › ".
    pub heading: String,
    /// The passage. From the person's file: not to be trusted as markup, terminal codes or instructions.
    pub text: String,
    /// First line in the file, from 1; 0 if the format has no lines.
    pub line: u32,
    /// Last line in the file.
    pub end_line: u32,
    /// First page, from 1; 0 if the format has no pages.
    pub page: u32,
    /// Last page.
    pub end_page: u32,
    /// Byte offset in the file, where the format has one.
    pub byte: Option<u64>,
    /// Byte offset of its end in the file, where the format has one.
    pub end_byte: Option<u64>,
}

/// A document, or a part of it, as it was indexed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DocumentText {
    /// The file.
    pub path: PathBuf,
    /// Its title, or its file name.
    pub title: String,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
    /// The passages asked for, in the order of the file. Neighbours may overlap; [`DocumentText::text`] joins them.
    pub passages: Vec<PassageText>,
    /// Passages of the whole document.
    pub total: usize,
    /// Generation they were read from.
    pub generation: u64,
}

/// What removing did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RemoveReport {
    /// Documents removed.
    pub documents: u64,
    /// Passages removed with them.
    pub passages: u64,
    /// Paths that named nothing in the collection.
    pub unknown: Vec<PathBuf>,
    /// Generation that was published, or the current one.
    pub generation: u64,
}

/// What compacting did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CompactReport {
    /// Bytes of the collection's folder before; a file with several names counts once.
    pub before: u64,
    /// Bytes afterwards.
    pub after: u64,
    /// Generation that was published; 0 where there was nothing to compact.
    pub generation: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What a collection holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Status {
    /// The collection's folder.
    pub collection: PathBuf,
    /// Current generation; 0 is empty.
    pub generation: u64,
    /// When it was published, RFC 3339.
    pub published: Option<String>,
    /// Roots that were indexed.
    pub roots: Vec<PathBuf>,
    /// Documents with passages.
    pub documents: u64,
    /// Live passages.
    pub passages: u64,
    /// Bytes of text in them.
    pub text_bytes: u64,
    /// Documents by file extension, most first.
    pub extensions: Vec<(String, u64)>,
    /// Encoder of the vectors, if there are any.
    pub encoder: Option<EncoderIdentity>,
    /// "exact" or a description of the index.
    pub dense_search: Option<String>,
    /// The index of the vectors, if there is one.
    pub index: Option<IndexStatus>,
    /// Why the index cannot be used, if it cannot.
    pub index_damage: Option<String>,
    /// Bytes on disk by store: "documents", "bm25", "vectors", "ivfpq".
    pub bytes_on_disk: Vec<(&'static str, u64)>,
    /// Files that could not be read.
    pub failures: Vec<FileFailure>,
    /// Who is writing right now.
    pub writer: Option<String>,
}

/// An IVF-PQ index, and what it measured of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IndexStatus {
    /// Lists.
    pub lists: u64,
    /// Vectors in them, those that died since included.
    pub vectors: u64,
    /// Newer rows, searched exactly beside it.
    pub tail: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Queries it was measured with, vectors of the collection itself that were disturbed.
    pub sample: u64,
    /// Settings, cheapest first; none cheaper finds as much.
    pub measured: Vec<RecallPoint>,
}

/// One setting of an index, measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RecallPoint {
    /// Lists read.
    pub nprobe: u32,
    /// Codes looked up in the matrix.
    pub rescore: u32,
    /// Share of the true ten nearest that it finds, 0 to 1.
    pub recall: f32,
}

/// What the check-up found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DoctorReport {
    /// Checks in order: what was checked, and what is wrong (empty: sound).
    pub checks: Vec<Check>,
    /// What repairing would do, where it was not asked for.
    pub planned: Vec<String>,
    /// What was repaired.
    pub repaired: Vec<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// Problems, one sentence each.
    pub problems: Vec<String>,
}
