//! What was typed after `askance train`?

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::examples;

/// `askance train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// What to do with a run.
    #[command(subcommand)]
    pub command: TrainCommand,
}

/// What to do with a run.
#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Draw a run's log as one HTML page with everything in it
    #[command(after_help = examples::TRAIN_REPORT)]
    Report(TrainReportArgs),
}

/// `askance train report`.
#[derive(Debug, Args)]
pub struct TrainReportArgs {
    /// Folder of the run: what was given to `--out`
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// Open the page
    #[arg(long)]
    pub open: bool,
}
