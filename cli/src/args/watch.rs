//! What was typed after `askance watch`?

use std::path::PathBuf;

use clap::Args;

use super::ReadArgs;

/// `askance watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Files and folders; none follows the folders of the collection
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Look for changes every so many seconds instead of being told; needed for network drives outside Linux
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "15",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub poll: Option<u32>,
    /// Index many files at once even on battery or while the computer is busy
    #[arg(long)]
    pub always: bool,
    /// How files are found.
    #[command(flatten)]
    pub read: ReadArgs,
}
