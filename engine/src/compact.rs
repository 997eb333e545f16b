//! How does what was removed leave the disk too?
//!
//! Removing takes a passage out of every answer at once; its bytes stay in the segments that hold it and in the
//! generation before. Compacting writes each store anew with what is live, publishes that, and drops everything else:
//! afterwards no file of the collection holds a word, a posting, a vector or a code of what was removed.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use storage::Task;
use storage::documents::DocumentStore;
use storage::generation::{Collection, WriterLock};

use crate::collection::Engine;
use crate::error::EngineError;
use crate::index::{Session, recover};
use crate::report::{CompactReport, IndexReport};

impl Engine {
    /// Rewrites the collection with what is live. There is no going back to the generation before; readers in other
    /// processes keep the files they have open until they close them. Cancelled or failed, it leaves the collection as
    /// it was, or compacted in part: run it again.
    ///
    /// # Errors
    /// Another writer, a failing disk, damaged files, or the caller's cancel flag.
    pub fn compact(&self, task: Task<'_>) -> Result<CompactReport, EngineError> {
        let started = Instant::now();
        let mut report = CompactReport::default();
        let Some(collection) = Collection::open(self.dir())? else {
            return Ok(report);
        };
        let lock = collection.lock()?;
        if collection.current_id()?.is_none() {
            return Ok(report);
        }
        report.before = bytes_below(self.dir(), &mut HashSet::new());
        let mut inner = IndexReport::default();
        let mut session = Session::open(&lock, None, &mut inner)?;
        session.compact(&mut inner, task)?;
        drop(session);
        drop_the_rest(&lock)?;
        self.refresh()?;
        report.after = bytes_below(self.dir(), &mut HashSet::new());
        (report.generation, report.warnings) = (inner.generation, inner.warnings);
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }
}

/// Removes the generations before, the working index's own files, and the old record files.
fn drop_the_rest(lock: &WriterLock) -> Result<(), EngineError> {
    let collection = lock.collection();
    lock.remove_all_but_current()?;
    recover::restore_bm25(&collection.bm25_dir(), collection.current()?.as_ref())?;
    DocumentStore::open(&collection.documents_dir())?.rewrite()?;
    Ok(())
}

/// Bytes of the files below `dir`, each file once whatever its names; files that vanish meanwhile are not counted.
fn bytes_below(dir: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path(), seen),
            Ok(meta) if seen.insert(identity(&meta, seen.len())) => meta.len(),
            _ => 0,
        })
        .sum()
}

/// Tells two names of one file from two files.
#[cfg(unix)]
fn identity(meta: &std::fs::Metadata, _: usize) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (meta.dev(), meta.ino())
}

/// Without such numbers each name counts.
#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata, count: usize) -> (u64, u64) {
    (0, count as u64)
}
