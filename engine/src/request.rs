//! What can be asked of a collection?

use std::path::PathBuf;
use std::sync::Arc;

use crate::encoder::Encoder;

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
    /// Patterns of what is not read, as in .gitignore, seen from each root. Default none.
    pub ignore: Vec<String>,
    /// How long passages are. A change of it reads everything again.
    pub passages: PassageBudget,
    /// Program and arguments that read one PDF in a process of its own (see `ingest::extract::pdf`).
    pub pdf_worker: Vec<std::ffi::OsString>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            hidden: false,
            respect_ignore: true,
            max_file_bytes: 64 << 20,
            ignore: Vec::new(),
            passages: PassageBudget::default(),
            pdf_worker: Vec::new(),
        }
    }
}

/// How long passages are, where that is not left to the encoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PassageBudget {
    /// Most tokens of a passage with its title and headings, 32 to 512. Default: what the encoder takes, at most 256.
    pub max_tokens: Option<usize>,
    /// Tokens repeated from the passage before. Default: a tenth of the most.
    pub overlap_tokens: Option<usize>,
}

impl PassageBudget {
    /// Most tokens of a passage where neither a person nor an encoder says otherwise.
    pub const DEFAULT_TOKENS: usize = 256;
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
            limit: 10,
            literal: false,
            fuzzy: false,
            filter: Filter::default(),
        }
    }
}
