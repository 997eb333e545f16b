//! What was typed?
//!
//! Only that: nothing here looks at the disk, the environment or the clock. `resolve` does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::settings::parse_size;

mod bench;
mod evaluate;
mod examples;
mod mcp;
mod model;
mod search;
mod serve;
#[cfg(feature = "trainer")]
mod train;
mod watch;

pub use bench::{AnnArgs, BenchArgs, BenchCommand, EncodeArgs, MetricArg, RoleArg, SettingArg};
pub use evaluate::{CompareArgs, EvalArgs, EvalIndex};
pub use mcp::McpArgs;
pub use model::{ModelAddArgs, ModelArgs, ModelCommand, ModelUseArgs, PrecisionArg};
pub use search::{FusionArg, ModeArg, SearchArgs};
pub use serve::ServeArgs;
#[cfg(feature = "trainer")]
pub use train::{
    BenchTrainArgs, TrainArgs, TrainCommand, TrainDistilArgs, TrainReportArgs, TrainRunArgs,
    TrainSettings,
};
pub use watch::WatchArgs;

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
    /// Folder of the collection, or @NAME for one in the platform's data folder [env: ASKANCE_COLLECTION] [default: @default]
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
    /// Follow files and folders as they change
    #[command(after_help = examples::WATCH)]
    Watch(WatchArgs),
    /// Let a chat assistant search the collections (Model Context Protocol)
    #[command(after_help = examples::MCP)]
    Mcp(McpArgs),
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
    /// Files and folders; unchanged files are not read again. None refreshes the folders of the collection
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Take out what was indexed of a folder that is empty now; without it, such a folder is taken for a drive that is
    /// not mounted
    #[arg(long)]
    pub allow_empty: bool,
    /// How files are found.
    #[command(flatten)]
    pub read: ReadArgs,
}

/// How files are found and read, where the collection's settings do not say it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which files")]
pub struct ReadArgs {
    /// Enter hidden files and folders
    #[arg(long)]
    pub hidden: bool,
    /// Read files that .gitignore and .ignore exclude
    #[arg(long)]
    pub no_ignore: bool,
    /// Leave out larger files, with a warning: bytes, or 512K, 64M, 2G [default: 64M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
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

#[cfg(test)]
mod tests;
