//! What was typed?
//!
//! Only that: nothing here looks at the disk, the environment or the clock. `resolve` does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::request::ReadOptions;

mod bench;
mod evaluate;
mod examples;
mod model;
mod search;
mod serve;
#[cfg(feature = "trainer")]
mod train;

pub use bench::{AnnArgs, BenchArgs, BenchCommand, EncodeArgs, MetricArg, RoleArg, SettingArg};
pub use evaluate::{CompareArgs, EvalArgs, EvalIndex};
pub use model::{ModelAddArgs, ModelArgs, ModelCommand, ModelUseArgs, PrecisionArg};
pub use search::{FusionArg, ModeArg, SearchArgs};
pub use serve::ServeArgs;
#[cfg(feature = "trainer")]
pub use train::{TrainArgs, TrainCommand, TrainReportArgs, TrainRunArgs, TrainSettings};

/// Search the files on this computer by word and by meaning, offline.
#[derive(Debug, Parser)]
#[command(
    name = "askance",
    version,
    max_term_width = 100,
    after_help = examples::ASKANCE,
    subcommand_required = false
)]
pub struct Cli {
    /// Options every command knows.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The verb; none prints how to start.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options every command knows.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct GlobalArgs {
    /// Folder of the collection [env: ASKANCE_COLLECTION] [default: `default` in the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub collection: Option<PathBuf>,
    /// Print one JSON object to stdout instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but results, warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour; `auto` follows the terminal and NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorArg,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always, in pipes too.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add files and folders to the collection, or refresh them
    #[command(after_help = examples::INDEX)]
    Index(IndexArgs),
    /// Find passages by word and by meaning
    #[command(after_help = examples::SEARCH)]
    Search(SearchArgs),
    /// Forget files and folders (the files themselves stay where they are)
    #[command(after_help = examples::REMOVE)]
    Remove(RemoveArgs),
    /// Show what the collection holds, how large it is, and which files could not be read
    #[command(after_help = examples::STATUS)]
    Status,
    /// Check the collection for damage, and repair it
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Rewrite the collection without what was removed, so that no byte of it is left
    #[command(after_help = examples::COMPACT)]
    Compact,
    /// Add, list and choose the encoders that search by meaning
    #[command(after_help = examples::MODEL)]
    Model(ModelArgs),
    /// Score search on sets with known answers (BEIR layout)
    #[command(after_help = examples::EVAL)]
    Eval(EvalArgs),
    /// Compare two run files query by query, with a significance test
    #[command(after_help = examples::COMPARE)]
    Compare(CompareArgs),
    /// Make an encoder better on your own texts, or on a set with known answers
    #[cfg(feature = "trainer")]
    #[command(after_help = examples::TRAIN)]
    Train(TrainArgs),
    /// Write the vectors of texts to a .npy file
    #[command(after_help = examples::ENCODE)]
    Encode(EncodeArgs),
    /// Measure how fast and how exact search is on your own vectors
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Search from a browser and from programs, over HTTP on this computer
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell to complete in
        shell: clap_complete::Shell,
    },
    /// Read one PDF and write its text for the process that asked; not for people.
    #[command(hide = true)]
    PdfWorker,
}

/// `askance index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// Files and folders; unchanged files are not read again
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How files are found.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// How files are found and read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which files")]
pub struct ReadArgs {
    /// Enter hidden files and folders
    #[arg(long)]
    pub hidden: bool,
    /// Read files that .gitignore and .ignore exclude
    #[arg(long)]
    pub no_ignore: bool,
    /// Leave out larger files, with a warning: bytes, or 512K, 64M, 2G
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = parse_size)]
    pub max_size: u64,
}

impl Default for ReadArgs {
    fn default() -> Self {
        let ReadOptions {
            hidden,
            respect_ignore,
            max_file_bytes,
            ..
        } = ReadOptions::default();
        Self {
            hidden,
            no_ignore: !respect_ignore,
            max_size: max_file_bytes,
        }
    }
}

/// `askance remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Files and folders to forget
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// `askance doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Rebuild what is damaged from what is sound; the indexed files themselves are never touched
    #[arg(long)]
    pub repair: bool,
}

/// A share from 0 to 1.
fn parse_share(text: &str) -> Result<f32, String> {
    let share = text.parse::<f32>().ok().filter(|s| (0.0..=1.0).contains(s));
    share.ok_or_else(|| format!("'{text}' is no share; write a number from 0 to 1"))
}

/// Bytes from `512`, `512K`, `64M` or `2G` (powers of 1024).
fn parse_size(text: &str) -> Result<u64, String> {
    let advice = || format!("'{text}' is no size; write bytes, or a number with K, M or G");
    let (digits, shift) = match text.trim().to_ascii_uppercase() {
        t if t.ends_with('K') => (t[..t.len() - 1].to_owned(), 10),
        t if t.ends_with('M') => (t[..t.len() - 1].to_owned(), 20),
        t if t.ends_with('G') => (t[..t.len() - 1].to_owned(), 30),
        t => (t, 0),
    };
    let number: u64 = digits.parse().map_err(|_| advice())?;
    number.checked_mul(1 << shift).ok_or_else(advice)
}

#[cfg(test)]
mod tests;
