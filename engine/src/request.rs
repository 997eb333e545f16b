//! What can be asked of a collection?

use std::path::PathBuf;
use std::sync::Arc;

use crate::encoder::Encoder;

/// See [`SearchRequest::target_recall`].
pub const DEFAULT_TARGET_RECALL: f32 = 0.95;

/// What to index and how.
#[derive(Clone)]
pub struct IndexRequest {
    /// Files and folders. Each becomes a root: files that vanished below it are removed.
    pub paths: Vec<PathBuf>,
    /// How files are found and read.
    pub options: ReadOptions,
    /// Encoder for new passages. `None` keeps the collection's own state: the encoder named by its manifest has to be
    /// handed in if it has one.
    pub encoder: Option<Arc<dyn Encoder>>,
}

/// How files are found and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Enter hidden files and folders. Default false.
    pub hidden: bool,
    /// Follow .gitignore, .ignore and global git excludes. Default true.
    pub respect_ignore: bool,
    /// Larger files are reported and left out. Default 64 MiB.
    pub max_file_bytes: u64,
    /// Program and arguments that read one PDF in a process of its own (see `ingest::extract::pdf`).
    pub pdf_worker: Vec<std::ffi::OsString>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            hidden: false,
            respect_ignore: true,
            max_file_bytes: 64 << 20,
            pdf_worker: Vec::new(),
        }
    }
}

/// Which evidence ranks the hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// BM25 and dense scores fused. Needs an encoder; without one the answer says that it is BM25.
    #[default]
    Hybrid,
    /// Words only.
    Bm25,
    /// Vectors only.
    Dense,
}

/// How vectors are compared with the query's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VectorSearch {
    /// Through the collection's IVF-PQ index where it has one and that is estimated to be faster, else one by one.
    #[default]
    Auto,
    /// One by one.
    Exact,
    /// Through the index, also where comparing one by one should be faster. Fails without an index.
    Ivfpq,
}

/// How the two legs of a hybrid search are joined.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Fusion {
    /// Weighted sum of standardised scores, the dense weight chosen per query.
    #[default]
    Chosen,
    /// Weighted sum of standardised scores with this dense weight, 0 to 1.
    Weighted(f32),
    /// Reciprocal rank fusion, k = 60 (Cormack et al., SIGIR 2009).
    ReciprocalRank,
}

/// Which documents may be hits. Applied before ranking. Default: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Globs over the path; a document passes if any matches. Empty: all pass.
    pub paths: Vec<String>,
    /// File name extensions without the dot, any case. Empty: all pass.
    pub extensions: Vec<String>,
    /// Modified at or after, Unix seconds.
    pub after: Option<i64>,
    /// Modified before, Unix seconds.
    pub before: Option<i64>,
}

/// One search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    /// As typed: words, "phrases", field:word, +must, -mustnot.
    pub query: String,
    /// Which evidence ranks.
    pub mode: Mode,
    /// How legs are joined in hybrid mode.
    pub fusion: Fusion,
    /// How vectors are compared.
    pub vectors: VectorSearch,
    /// Share of the true ten nearest that an indexed search must find on average, as the index measured itself, 0 to 1;
    /// 1 compares one by one. Default .95.
    pub target_recall: f32,
    /// Hits wanted. Default 10. Never changes the order.
    pub limit: usize,
    /// Take the query as plain words: no phrases, fields, + or -. Data sets' queries know no operators.
    pub literal: bool,
    /// Let words match with one or two letters changed.
    pub fuzzy: bool,
    /// Which documents may be hits.
    pub filter: Filter,
}

impl SearchRequest {
    /// A hybrid search for `query` with default settings.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            mode: Mode::default(),
            fusion: Fusion::default(),
            vectors: VectorSearch::default(),
            target_recall: DEFAULT_TARGET_RECALL,
            limit: 10,
            literal: false,
            fuzzy: false,
            filter: Filter::default(),
        }
    }
}
