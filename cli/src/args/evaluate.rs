//! What was typed after `askance eval` and `askance compare`?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ModeArg;

/// `askance eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folders in BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    pub beir: Vec<PathBuf>,
    /// Which judgements: the name of a file in qrels/
    #[arg(long, default_value = "test")]
    pub split: String,
    /// By words and meaning together, by words, or by meaning
    #[arg(long, value_name = "MODE", default_value = "hybrid")]
    pub mode: ModeArg,
    /// How words and meaning are joined: auto, rrf, or a weight from 0 to 1
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub fusion: super::FusionArg,
    /// Encoder to score [default: the one set by `askance model use`]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Numbers the encoder multiplies [default: as `askance model list` shows]
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub precision: super::PrecisionArg,
    /// How vectors are searched: one by one, or through an index, which is built where it is missing
    #[arg(long, value_name = "KIND", default_value = "exact")]
    pub index: EvalIndex,
    /// Share of the true ten nearest that `--index ivfpq` should find, as the index measured itself, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = engine::request::DEFAULT_TARGET_RECALL, value_parser = super::parse_share)]
    pub target_recall: f32,
    /// Write the ranking as a TREC run file (one set only)
    #[arg(long, value_name = "FILE")]
    pub run: Option<PathBuf>,
}

/// How vectors are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EvalIndex {
    /// Every vector is compared.
    Exact,
    /// The lists of an inverted file that look best are read, and the best found is compared exactly.
    Ivfpq,
}

impl From<EvalIndex> for engine::request::VectorSearch {
    fn from(typed: EvalIndex) -> Self {
        match typed {
            EvalIndex::Exact => Self::Exact,
            EvalIndex::Ivfpq => Self::Ivfpq,
        }
    }
}

/// `askance compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// First run file (TREC format)
    #[arg(value_name = "A.trec")]
    pub a: PathBuf,
    /// Second run file
    #[arg(value_name = "B.trec")]
    pub b: PathBuf,
    /// Judgements both are scored by: TREC qrels, or BEIR's tab-separated form
    #[arg(long, value_name = "FILE")]
    pub qrels: PathBuf,
    /// Measure: ndcg@K, mrr@K, recall@K, success@K or map
    #[arg(long, default_value = "ndcg@10")]
    pub metric: String,
    /// Queries to name where the two differ most
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub show: usize,
}
