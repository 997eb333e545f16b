//! What was typed after `askance search`?

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::ReadArgs;

/// `askance search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Words, "phrases", field:word, +must, -mustnot; several arguments are joined by spaces
    #[arg(required = true, value_name = "QUERY")]
    pub query: Vec<String>,
    /// Index this file or folder first (only what changed) and search it alone
    #[arg(long = "in", value_name = "PATH")]
    pub in_path: Option<PathBuf>,

    /// Which hits may appear.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How hits are ranked.
    #[command(flatten)]
    pub ranking: RankingArgs,
    /// How hits are shown.
    #[command(flatten)]
    pub show: ShowArgs,
    /// How `--in` finds files.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// Which hits may appear.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters (applied before ranking)")]
pub struct FilterArgs {
    /// Only paths that match this glob; repeat for any of several
    #[arg(long, value_name = "GLOB")]
    pub path: Vec<String>,
    /// Only files with this extension; repeat, or separate by commas
    #[arg(long = "type", value_name = "EXT", value_delimiter = ',')]
    pub extension: Vec<String>,
    /// Only files modified at or after: 2026-03-01, an RFC 3339 time, or an age such as 7d, 2w, 6mo
    #[arg(long, value_name = "DATE")]
    pub after: Option<String>,
    /// Only files modified before: the same forms
    #[arg(long, value_name = "DATE")]
    pub before: Option<String>,
}

/// How hits are ranked.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ranking")]
pub struct RankingArgs {
    /// By words and meaning together, by words, or by meaning
    #[arg(long, value_name = "MODE", default_value = "hybrid")]
    pub mode: ModeArg,
    /// How words and meaning are joined: `auto` weighs them per query, `rrf` joins by rank, a number
    /// from 0 (words) to 1 (meaning) fixes the weight
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub fusion: FusionArg,
    /// Let words match with one or two letters changed
    #[arg(long)]
    pub fuzzy: bool,
    /// Compare every vector, also where the collection has an index of them
    #[arg(long)]
    pub exact: bool,
    /// Share of the true ten nearest that a search through the index should find, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = engine::request::DEFAULT_TARGET_RECALL, value_parser = super::parse_share)]
    pub target_recall: f32,
}

/// How hits are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct ShowArgs {
    /// Hits to show, 1 to 1000; never changes their order
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Show where each score comes from
    #[arg(long)]
    pub explain: bool,
    /// Print one JSON object per hit and line
    #[arg(long, conflicts_with = "json")]
    pub json_lines: bool,
}

/// Which evidence ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Words and meaning.
    Hybrid,
    /// Words.
    Bm25,
    /// Meaning.
    Dense,
}

impl From<ModeArg> for engine::request::Mode {
    fn from(typed: ModeArg) -> Self {
        match typed {
            ModeArg::Hybrid => Self::Hybrid,
            ModeArg::Bm25 => Self::Bm25,
            ModeArg::Dense => Self::Dense,
        }
    }
}

/// How the legs of a hybrid search are joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusionArg(pub engine::request::Fusion);

impl FromStr for FusionArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use engine::request::Fusion;
        let weight = || text.parse::<f32>().ok().filter(|w| (0.0..=1.0).contains(w));
        match text {
            "auto" => Ok(Self(Fusion::Chosen)),
            "rrf" => Ok(Self(Fusion::ReciprocalRank)),
            _ => weight()
                .map(|w| Self(Fusion::Weighted(w)))
                .ok_or_else(|| "write auto, rrf, or a number from 0 to 1".to_owned()),
        }
    }
}
