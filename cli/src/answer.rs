//! How do results look to programs?
//!
//! One set of types for `--json`, the HTTP API and the assistant's tools, so that a field has one name and one meaning
//! everywhere, and so that their schemas are made from what is really sent. Names and units are kept stable.

use std::ops::Range;
use std::path::Path;

use engine::bm25::TermScore;
use engine::browse::{DocumentEntry, DocumentList, Origin};
use engine::encoder::EncoderIdentity;
use engine::reading::overlap;
use engine::report::{
    DocumentText, Explanation, Hit, IndexStatus, LegScore, PassageText, SearchResponse, Status,
};
use engine::request::Mode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A path as text; bytes that are not UTF-8 become U+FFFD.
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Lines and pages count from 1; 0 means that the format has none.
fn known(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn pairs(ranges: &[Range<usize>]) -> Vec<[usize; 2]> {
    ranges.iter().map(|r| [r.start, r.end]).collect()
}

/// Pairs in order as one object.
pub fn object<K: AsRef<str>, V: Serialize>(pairs: &[(K, V)]) -> Map<String, Value> {
    let entry = |(key, value): &(K, V)| (key.as_ref().to_owned(), json!(value));
    pairs.iter().map(entry).collect()
}

/// "hybrid", "bm25" or "dense".
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Hybrid => "hybrid",
        Mode::Bm25 => "bm25",
        Mode::Dense => "dense",
    }
}

/// Answer to one search.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
pub struct AnswerJson {
    /// As typed.
    pub query: String,
    /// The mode that ran: "hybrid", "bm25" or "dense". Differs from the one asked for only with a warning that says why.
    pub mode: String,
    /// Best first.
    pub hits: Vec<HitJson>,
    /// Passages the filters let through.
    pub eligible: u64,
    /// Generation that answered; 0 is an empty collection.
    pub generation: u64,
    /// Encoder of the dense leg.
    pub encoder: Option<EncoderJson>,
    /// Device the query was encoded on.
    pub device: Option<String>,
    /// Numbers the encoder ran in: "f32", "bf16" or "int8".
    pub precision: Option<String>,
    /// How vectors were searched; null without a dense leg.
    pub dense_search: Option<String>,
    /// Milliseconds by stage.
    pub timings_ms: Map<String, Value>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl AnswerJson {
    /// The engine's answer to `query`. The engine's own warnings are left to the caller, who may word them better.
    pub fn new(query: &str, response: &SearchResponse, warnings: Vec<String>) -> Self {
        Self {
            query: query.to_owned(),
            mode: mode_name(response.mode).to_owned(),
            hits: response.hits.iter().map(HitJson::from).collect(),
            eligible: response.eligible,
            generation: response.generation,
            encoder: response.encoder.as_ref().map(EncoderJson::from),
            device: response.device.clone(),
            precision: response.precision.map(str::to_owned),
            dense_search: response.dense_search.clone(),
            timings_ms: object(&response.timings_ms),
            warnings,
        }
    }
}

/// A passage that answers a query.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Hit")]
pub struct HitJson {
    /// Rank, from 1.
    pub rank: usize,
    /// Score the order follows; its scale depends on the mode.
    pub score: f32,
    /// The file.
    pub path: String,
    /// Title of the document, or its file name.
    pub title: String,
    /// Headings above the passage, outermost first, joined by " › ".
    pub heading: String,
    /// First line of the passage in the file, from 1; null if the format has no lines.
    pub line: Option<u32>,
    /// Last line of the passage in the file.
    pub end_line: Option<u32>,
    /// First page of the passage, from 1; null if the format has no pages.
    pub page: Option<u32>,
    /// Byte offset of the passage in the file, where the format has one.
    pub byte: Option<u64>,
    /// Name of the passage in this collection, until its document changes.
    pub passage: u32,
    /// An excerpt in one line.
    pub snippet: String,
    /// Byte ranges of `snippet` (UTF-8) that match: [start, end].
    pub highlights: Vec<[usize; 2]>,
    /// Where the score comes from.
    pub explain: ExplainJson,
}

impl From<&Hit> for HitJson {
    fn from(hit: &Hit) -> Self {
        Self {
            rank: hit.rank,
            score: hit.score,
            path: path_text(&hit.path),
            title: hit.title.clone(),
            heading: hit.heading.clone(),
            line: known(hit.line),
            end_line: known(hit.end_line),
            page: known(hit.page),
            byte: hit.byte,
            passage: hit.passage,
            snippet: hit.snippet.text.clone(),
            highlights: pairs(&hit.snippet.highlights),
            explain: ExplainJson::from(&hit.explain),
        }
    }
}

/// How one hit got its place.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Explain")]
pub struct ExplainJson {
    /// By words; null if the leg did not run or did not find it.
    pub bm25: Option<LegJson>,
    /// By meaning.
    pub dense: Option<LegJson>,
    /// Weight of the dense leg in the sum, 0 to 1; null outside hybrid search.
    pub dense_weight: Option<f32>,
}

impl From<&Explanation> for ExplainJson {
    fn from(explain: &Explanation) -> Self {
        Self {
            bm25: explain.bm25.as_ref().map(LegJson::from),
            dense: explain.dense.as_ref().map(LegJson::from),
            dense_weight: explain.dense_weight,
        }
    }
}

/// One leg's view of a hit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Leg")]
pub struct LegJson {
    /// Raw score: BM25, or the inner product.
    pub score: f32,
    /// Score less the leg's mean over its deviation for this query.
    pub standardised: f32,
    /// Rank within the leg from 1; null if beyond the candidate depth.
    pub rank: Option<usize>,
}

impl From<&LegScore> for LegJson {
    fn from(leg: &LegScore) -> Self {
        Self {
            score: leg.score,
            standardised: leg.standardised,
            rank: leg.rank,
        }
    }
}

/// What decides an encoder's vectors.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Encoder")]
pub struct EncoderJson {
    /// blake3 over weights, tokenizer, pooling, normalisation, prompts, maximum length and dimension.
    pub hash: String,
    /// The name people use for it.
    pub name: String,
    /// "bert" or "static".
    pub family: String,
    /// Length of a vector.
    pub dimension: usize,
    /// Longest input in tokens.
    pub max_tokens: usize,
}

impl From<&EncoderIdentity> for EncoderJson {
    fn from(identity: &EncoderIdentity) -> Self {
        Self {
            hash: identity.hash.clone(),
            name: identity.name.clone(),
            family: identity.family.clone(),
            dimension: identity.dimension,
            max_tokens: identity.max_tokens,
        }
    }
}

/// One word's part of a score.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Term")]
pub struct TermJson {
    /// The word as it is looked up (its stem), or the words of a phrase.
    pub term: String,
    /// Its part of the BM25 score; 0 where the passage does not hold it.
    pub score: f32,
    /// Inverse document frequency: how much the word tells in this collection.
    pub idf: f32,
    /// Passages that hold it.
    pub passages: u64,
}

impl From<&TermScore> for TermJson {
    fn from(term: &TermScore) -> Self {
        Self {
            term: term.term.clone(),
            score: term.score,
            idf: term.idf,
            passages: term.passages,
        }
    }
}

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

/// What a collection holds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Collection")]
pub struct CollectionJson {
    /// The collection's folder.
    pub collection: String,
    /// Current generation; 0 is empty.
    pub generation: u64,
    /// When it was published, RFC 3339.
    pub published: Option<String>,
    /// Folders and files that were indexed.
    pub roots: Vec<String>,
    /// Documents with passages.
    pub documents: u64,
    /// Live passages.
    pub passages: u64,
    /// Bytes of text in them.
    pub text_bytes: u64,
    /// Documents by file extension, most first.
    pub extensions: Map<String, Value>,
    /// Encoder of the vectors, if there are any.
    pub encoder: Option<EncoderJson>,
    /// Device that encodes; null without an encoder.
    pub device: Option<String>,
    /// Numbers the encoder runs in: "f32", "bf16" or "int8"; null if that was not measured on this computer yet.
    pub precision: Option<String>,
    /// How vectors are searched.
    pub dense_search: Option<String>,
    /// The index of the vectors, and what it measured of itself; null without one.
    pub index: Option<IndexJson>,
    /// Why the index cannot be used; null if it can, or if there is none.
    pub index_damage: Option<String>,
    /// Bytes on disk by store.
    pub bytes_on_disk: Map<String, Value>,
    /// Files that could not be read.
    pub failures: Vec<FailureJson>,
    /// Who is writing right now.
    pub writer: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl CollectionJson {
    /// What `status` says, with the device that encodes, the numbers it does that in, and what a person should know.
    pub fn new(
        status: &Status,
        device: &str,
        precision: Option<&str>,
        warnings: Vec<String>,
    ) -> Self {
        let failures = status.failures.iter().map(|failure| FailureJson {
            path: path_text(&failure.path),
            reason: failure.reason.clone(),
        });
        Self {
            collection: path_text(&status.collection),
            generation: status.generation,
            published: status.published.clone(),
            roots: status.roots.iter().map(|root| path_text(root)).collect(),
            documents: status.documents,
            passages: status.passages,
            text_bytes: status.text_bytes,
            extensions: object(&status.extensions),
            encoder: status.encoder.as_ref().map(EncoderJson::from),
            device: status.encoder.as_ref().map(|_| device.to_owned()),
            precision: precision.map(str::to_owned),
            dense_search: status.dense_search.clone(),
            index: status.index.as_ref().map(IndexJson::from),
            index_damage: status.index_damage.clone(),
            bytes_on_disk: object(&status.bytes_on_disk),
            failures: failures.collect(),
            writer: status.writer.clone(),
            warnings,
        }
    }
}

/// An IVF-PQ index, and what it measured of itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Index")]
pub struct IndexJson {
    /// Lists.
    pub lists: u64,
    /// Vectors in them, those that died since included.
    pub vectors: u64,
    /// Newer rows, searched exactly beside it.
    pub tail: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Queries it was measured with.
    pub sample: u64,
    /// Settings, cheapest first; none cheaper finds as much.
    pub measured: Vec<RecallJson>,
}

impl From<&IndexStatus> for IndexJson {
    fn from(index: &IndexStatus) -> Self {
        let measured = index.measured.iter().map(|point| RecallJson {
            nprobe: point.nprobe,
            rescore: point.rescore,
            recall: point.recall,
        });
        Self {
            lists: index.lists,
            vectors: index.vectors,
            tail: index.tail,
            bytes: index.bytes,
            sample: index.sample,
            measured: measured.collect(),
        }
    }
}

/// One setting of an index, measured.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Recall")]
pub struct RecallJson {
    /// Lists read.
    pub nprobe: u32,
    /// Codes looked up in the matrix.
    pub rescore: u32,
    /// Share of the true ten nearest that it finds, 0 to 1.
    pub recall: f32,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub struct FailureJson {
    /// The file.
    pub path: String,
    /// One sentence.
    pub reason: String,
}
