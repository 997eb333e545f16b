//! What was typed after `askance bench` and `askance encode`?

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

/// `askance bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: BenchCommand,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Recall against queries a second of the vector index, and exact search beside it
    #[command(after_help = super::examples::BENCH_ANN)]
    Ann(AnnArgs),
    /// Texts a second that this device trains on
    #[cfg(feature = "trainer")]
    #[command(after_help = super::examples::BENCH_TRAIN)]
    Train(super::BenchTrainArgs),
}

/// `askance bench ann`.
#[derive(Debug, Args)]
pub struct AnnArgs {
    /// Vectors to search, (n, d) float16 or float32
    #[arg(long, value_name = "X.npy")]
    pub base: PathBuf,
    /// Query vectors, (m, d)
    #[arg(long, value_name = "Q.npy")]
    pub queries: PathBuf,
    /// Neighbours wanted
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub k: u32,
    /// Threads that search; building uses all cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// What "near" means
    #[arg(long, value_name = "METRIC", default_value = "ip")]
    pub metric: MetricArg,
    /// Settings to measure as nprobe:rescore [default: those the index finds best for itself]
    #[arg(long, value_name = "P:R", value_delimiter = ',')]
    pub settings: Vec<SettingArg>,
    /// Recalls to ask the index for, each 0 to 1: it chooses the setting itself
    #[arg(long, value_name = "SHARE", value_delimiter = ',', value_parser = super::parse_share)]
    pub targets: Vec<f32>,
    /// Runs of each setting, of which the fastest counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeat: u16,
    /// Number of lists [default: 10 times the root of n]
    #[arg(long, value_name = "N")]
    pub lists: Option<usize>,
    /// Bits of each number of a vector's code: 4 are scanned faster, 8 lose a little less with the same bytes
    #[arg(long, value_name = "BITS", default_value = "4")]
    pub code_bits: CodeBits,
    /// Numbers of a vector's code, a multiple of 8
    #[arg(long, value_name = "N")]
    pub subspaces: Option<usize>,
    /// 4-bit numbers of a centroid's code, a multiple of 8
    #[arg(long, value_name = "N")]
    pub list_subspaces: Option<usize>,
    /// Lists a vector stands in, 1 or 2
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub copies: usize,
    /// Seed of the training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Queries the index measures its own recall with when it is built, (m, d) [default: disturbed vectors of its own]
    #[arg(long, value_name = "S.npy")]
    pub sample: Option<PathBuf>,
    /// Search only this share of the rows, as a filter would
    #[arg(long, value_name = "SHARE", value_parser = super::parse_share)]
    pub filter: Option<f32>,
    /// Keep the index in this folder, and use it again where base and parameters are the same
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
}

/// Bits of a code's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CodeBits {
    /// 16 codewords a subspace.
    #[value(name = "4")]
    Four,
    /// 256.
    #[value(name = "8")]
    Eight,
}

impl From<CodeBits> for storage::ivfpq::Width {
    fn from(typed: CodeBits) -> Self {
        match typed {
            CodeBits::Four => Self::Four,
            CodeBits::Eight => Self::Eight,
        }
    }
}

/// What "near" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MetricArg {
    /// Inner product.
    Ip,
    /// Inner product over both lengths.
    Cosine,
    /// Euclidean distance.
    L2,
}

impl From<MetricArg> for storage::flat::Metric {
    fn from(typed: MetricArg) -> Self {
        match typed {
            MetricArg::Ip => Self::InnerProduct,
            MetricArg::Cosine => Self::Cosine,
            MetricArg::L2 => Self::L2,
        }
    }
}

/// One setting: lists read and codes looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingArg {
    /// Lists read, at least 1.
    pub nprobe: usize,
    /// Codes looked up.
    pub rescore: usize,
}

impl FromStr for SettingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(nprobe, rescore)| {
            let (nprobe, rescore) = (nprobe.parse().ok()?, rescore.parse().ok()?);
            (nprobe > 0).then_some(Self { nprobe, rescore })
        });
        parsed.ok_or_else(|| format!("'{text}' is no setting; write lists:codes, such as 150:64"))
    }
}

/// `askance encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// Encoder [default: the one set by `askance model use`]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Texts: one JSON object with `text`, and `title` if there is one, a line
    #[arg(long, value_name = "TEXTS.jsonl")]
    pub input: PathBuf,
    /// File to write: (n, d) float32, rows in the order of the lines
    #[arg(long, value_name = "V.npy")]
    pub out: PathBuf,
    /// Which side of a search the texts are on
    #[arg(long, value_name = "SIDE", default_value = "passage")]
    pub role: RoleArg,
}

/// Which side of a search a text is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// What a person asks.
    Query,
    /// What a document says.
    Passage,
}

impl From<RoleArg> for engine::encoder::Role {
    fn from(typed: RoleArg) -> Self {
        match typed {
            RoleArg::Query => Self::Query,
            RoleArg::Passage => Self::Passage,
        }
    }
}
