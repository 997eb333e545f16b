//! What can be asked of a collection?

use std::path::PathBuf;
use std::sync::Arc;

use crate::encoder::Encoder;
use crate::error::EngineError;

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
    /// Patterns of what is not read, as in .gitignore, seen from each root. Default none.
    pub ignore: Vec<String>,
    /// Take out what was indexed of a folder that is empty now. Default false: such a folder may be a drive that is not
    /// mounted, and is refused.
    pub allow_empty: bool,
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
            allow_empty: false,
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

/// Most bytes of a query.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// Most clauses (words and phrases) of a query.
pub const MAX_QUERY_CLAUSES: usize = 4096;
/// Most clauses of a fuzzy query: each walks a good part of the dictionary.
pub const MAX_FUZZY_CLAUSES: usize = 64;
/// Most hits of a search.
pub const MAX_HITS: usize = 1000;
/// Most path patterns and extensions of a filter, each.
pub const MAX_PATTERNS: usize = 256;
/// Most bytes of one path pattern: it becomes a regular expression, which grows with it.
pub const MAX_PATTERN_BYTES: usize = 1024;

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

impl SearchRequest {
    /// Is the request one that a search takes?
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] naming the part that is too large.
    pub fn check(&self) -> Result<(), EngineError> {
        let patterns = self.filter.paths.iter().chain(&self.filter.extensions);
        let longest = patterns.map(String::len).max().unwrap_or(0);
        within("the query's bytes are", self.query.len(), MAX_QUERY_BYTES)?;
        within("the hits asked for are", self.limit, MAX_HITS)?;
        within(
            "the path patterns are",
            self.filter.paths.len(),
            MAX_PATTERNS,
        )?;
        within(
            "the extensions are",
            self.filter.extensions.len(),
            MAX_PATTERNS,
        )?;
        within(
            "the bytes of a path pattern are",
            longest,
            MAX_PATTERN_BYTES,
        )
    }

    /// Are these clauses of the query as many as a search takes?
    ///
    /// # Errors
    /// [`EngineError::TooLarge`].
    pub(crate) fn check_clauses(&self, clauses: usize) -> Result<(), EngineError> {
        if self.fuzzy {
            return within("the words of a fuzzy query are", clauses, MAX_FUZZY_CLAUSES);
        }
        within("the words of the query are", clauses, MAX_QUERY_CLAUSES)
    }
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), EngineError> {
    if found <= limit {
        return Ok(());
    }
    Err(EngineError::TooLarge { what, found, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_named_and_what_is_not_passes() {
        let refused = |change: &dyn Fn(&mut SearchRequest)| {
            let mut request = SearchRequest::new("heron");
            request.check().expect("a request of usual size");
            change(&mut request);
            request.check().expect_err("too large").to_string()
        };
        let query = refused(&|r| r.query = "x".repeat(MAX_QUERY_BYTES + 1));
        assert!(
            query.starts_with("the query's bytes are 65537, more than the limit of 65536"),
            "{query}"
        );
        assert!(refused(&|r| r.limit = 1001).contains("hits asked for are 1001"));
        assert!(refused(&|r| r.filter.paths = vec!["*".into(); 257]).contains("patterns are 257"));
        assert!(refused(&|r| r.filter.paths = vec!["{".repeat(1025)]).contains("1025"));
        assert!(refused(&|r| r.filter.extensions = vec!["md".into(); 257]).contains("extensions"));
        let mut request = SearchRequest::new("heron");
        request
            .check_clauses(MAX_QUERY_CLAUSES)
            .expect("just as many");
        request
            .check_clauses(MAX_QUERY_CLAUSES + 1)
            .expect_err("one too many");
        request.fuzzy = true;
        request
            .check_clauses(MAX_FUZZY_CLAUSES + 1)
            .expect_err("one too many");
    }
}
