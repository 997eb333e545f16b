//! What is a watch told to do, and what does it tell?

use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::report::IndexReport;
use engine::request::ReadOptions;
use engine::settings::Settings;

use super::ease::Strain;
use super::source::How;

/// What happens while a collection is followed.
#[derive(Debug)]
pub enum Told<'a> {
    /// The roots are watched; each with how.
    Watching(Vec<(PathBuf, How)>),
    /// The collection was brought up to date and something had changed.
    Updated(&'a IndexReport),
    /// Large work waits.
    Paused(Strain),
    /// It goes on.
    Resumed,
    /// A root is gone; what was indexed of it stays.
    Gone(&'a Path),
    /// It is back.
    Returned(&'a Path),
    /// The system cannot report on this root, so that it is polled.
    Polling(&'a Path, String),
    /// Somebody else writes to the collection.
    Waiting(&'a str),
    /// Something failed and is tried again.
    Trouble(String),
}

/// Hears what happens; its error ends the watch.
pub type Listener<'l> = dyn FnMut(Told<'_>) -> anyhow::Result<()> + 'l;

/// What to follow, and how.
pub struct Plan {
    /// Folders and files.
    pub roots: Vec<PathBuf>,
    /// How files are found and read.
    pub options: ReadOptions,
    /// What else the collection's settings say.
    pub settings: Settings,
    /// Poll everything, this often.
    pub poll: Option<Duration>,
    /// Never wait for mains power or a quieter moment.
    pub always: bool,
}
