//! How far is the work that some process does on this collection right now?
//!
//! The process that writes says so in one small file in the collection's folder, replaced a few times a second; whoever
//! shows the collection meanwhile reads it. Nothing depends on it: a file that cannot be written or read is no news.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::Progress;

const FILE: &str = "progress.json";
/// Time between two reports of one stage.
const PAUSE: Duration = Duration::from_millis(250);
/// A file older than this was left by a process that died, or that is busy with one long step.
const FRESH: Duration = Duration::from_secs(10);

/// One report of long work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Progress")]
pub struct Report {
    /// What is being done: "reading files", "encoding passages".
    pub stage: String,
    /// Units finished.
    pub done: u64,
    /// Units in all; 0 while not known.
    pub total: u64,
}

/// The writer's side; takes the file away when dropped.
pub struct Beacon {
    file: PathBuf,
    last: Mutex<Option<(&'static str, Instant)>>,
}

impl Beacon {
    /// A beacon of the collection in `folder`; nothing is written before the first report.
    pub fn new(folder: &Path) -> Self {
        Self {
            file: folder.join(FILE),
            last: Mutex::default(),
        }
    }

    /// Takes one report.
    pub fn report(&self, progress: Progress) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.is_some_and(|(stage, at)| stage == progress.stage && now - at < PAUSE) {
            return;
        }
        *last = Some((progress.stage, now));
        // Replaced as a whole, so that nobody reads half of it; a failure means no news.
        let fresh = self
            .file
            .with_extension(format!("{}.tmp", std::process::id()));
        let text = serde_json::json!({"stage": progress.stage, "done": progress.done, "total": progress.total});
        let _ = fs::write(&fresh, text.to_string()).and_then(|()| fs::rename(&fresh, &self.file));
    }
}

impl Drop for Beacon {
    fn drop(&mut self) {
        // What stays behind grows old, and old files are not believed.
        let _ = fs::remove_file(&self.file);
    }
}

/// The latest report on the collection in `folder`, if work goes on there.
pub fn read(folder: &Path) -> Option<Report> {
    let file = folder.join(FILE);
    let written = fs::metadata(&file).and_then(|meta| meta.modified()).ok()?;
    let age = SystemTime::now()
        .duration_since(written)
        .unwrap_or_default();
    if age > FRESH && !is_written_to(folder) {
        return None;
    }
    serde_json::from_slice(&fs::read(&file).ok()?).ok()
}

fn is_written_to(folder: &Path) -> bool {
    let collection = storage::generation::Collection::open(folder).ok().flatten();
    let holder = collection.and_then(|collection| collection.holder().ok());
    holder.flatten().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_while_work_goes_on_and_old_ones_are_not_believed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(read(dir.path()), None);
        let beacon = Beacon::new(dir.path());
        let at = |stage, done| Progress {
            stage,
            done,
            total: 9,
        };
        let done = || read(dir.path()).map(|report| (report.stage, report.done));
        beacon.report(at("reading files", 1));
        assert_eq!(done(), Some(("reading files".into(), 1)));
        beacon.report(at("reading files", 2));
        assert_eq!(done(), Some(("reading files".into(), 1)), "not so often");
        beacon.report(at("encoding passages", 0));
        assert_eq!(done(), Some(("encoding passages".into(), 0)));
        let old = SystemTime::now() - Duration::from_secs(60);
        let file = fs::File::options().write(true).open(dir.path().join(FILE));
        file.and_then(|file| file.set_modified(old))
            .expect("a stamp");
        assert_eq!(read(dir.path()), None);
        drop(beacon);
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_news() {
        let gone = Path::new("/nowhere/at/all");
        Beacon::new(gone).report(Progress {
            stage: "reading files",
            done: 1,
            total: 2,
        });
        assert_eq!(read(gone), None);
    }
}
