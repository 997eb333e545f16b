//! How do results look to programs?
//!
//! One set of types for `--json`, the HTTP API and the assistant's tools, so that a field has one name and one meaning
//! everywhere, and so that their schemas are made from what is really sent. Names and units are kept stable.

use std::ops::Range;
use std::path::Path;

use engine::bm25::TermScore;
use engine::encoder::EncoderIdentity;
use engine::report::{Explanation, Hit, LegScore, SearchResponse};
use engine::request::Mode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

mod collection;
mod documents;

pub use collection::{CollectionJson, FailureJson, IndexJson, RecallJson};
pub use documents::{DocumentJson, DocumentsJson, EntryJson, PassageJson};

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
