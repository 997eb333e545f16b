//! How does a writer get back to the published state after a crash or damage?
//!
//! The generation is complete, so both working stores can be made again from it: the records from the copies that lie
//! beside each document's first passage, the working full-text index from the published files.

use std::fs;
use std::io;
use std::path::Path;

use storage::documents::{DocumentRecord, DocumentStore, StoreState};
use storage::generation::{Collection, Generation};
use storage::{StorageError, disk};

use crate::bm25::Bm25Index;
use crate::error::EngineError;
use crate::guard::guarded;
use crate::report::IndexReport;

/// Opens the records, rebuilding them from the current generation if they are not exactly its own.
pub(crate) fn open_store(
    collection: &Collection,
    base: Option<&Generation>,
    report: &mut IndexReport,
) -> Result<DocumentStore, EngineError> {
    let dir = collection.documents_dir();
    let expected = base.map_or(StoreState::Empty, |base| StoreState::Committed(base.id));
    let looked = guarded(&dir, || {
        let store = DocumentStore::open(&dir)?;
        let state = store.state()?;
        store.verify()?;
        Ok((store, state))
    });
    let reason = match looked {
        Ok((store, state)) if state == expected => return slim(store),
        Ok(_) => "the last run did not finish".to_owned(),
        Err(error) if !is_damage(&error) => return Err(error),
        Err(error) => error.to_string(),
    };
    if let Some(base) = base {
        report.warnings.push(format!(
            "records rebuilt from generation {}: {reason}",
            base.id.0
        ));
    }
    rebuild(&dir, base)
}

/// Whether records that cannot be opened are to be thrown away: not if they are of another version, nor if the system
/// refuses, for want of room, rights or handles.
fn is_damage(error: &EngineError) -> bool {
    match error {
        EngineError::Storage(StorageError::Version { .. }) => false,
        EngineError::Storage(StorageError::Io { source, .. }) => {
            source.raw_os_error().is_none() || source.kind() == io::ErrorKind::NotFound
        }
        _ => true,
    }
}

/// Writes a store anew that has grown far beyond what it holds.
fn slim(store: DocumentStore) -> Result<DocumentStore, EngineError> {
    if store.is_wasteful()? {
        return Ok(store.rewrite()?);
    }
    Ok(store)
}

/// Fills a fresh record store from the published generation. Remembered failures are lost: those files are tried again.
pub(crate) fn rebuild(dir: &Path, base: Option<&Generation>) -> Result<DocumentStore, EngineError> {
    let store = DocumentStore::recreate(dir)?;
    let Some(base) = base else { return Ok(store) };
    let mut outcome = Ok(());
    Bm25Index::open(&base.dir.join("bm25"))?.records(|_, bytes| {
        if outcome.is_ok() {
            outcome = restore(&store, base, bytes);
        }
    })?;
    outcome?;
    store.reserve_ids(base.manifest.next_document, base.manifest.next_passage)?;
    store.commit(base.id)?;
    Ok(store)
}

fn restore(store: &DocumentStore, base: &Generation, bytes: &[u8]) -> Result<(), EngineError> {
    let record =
        DocumentRecord::from_bytes(bytes).map_err(|error| damaged(base, &error.to_string()))?;
    Ok(store.put_document(&record)?)
}

fn damaged(base: &Generation, detail: &str) -> EngineError {
    StorageError::corrupt(base.dir.join("bm25"), "document records", detail).into()
}

/// Whether the working full-text index holds files that the published one does not: left by a run that was killed, and
/// in the way, since tantivy never writes over a file and would give the next one the same name.
pub(crate) fn has_strays(dir: &Path, base: Option<&Generation>) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let published = base.map(|base| base.dir.join("bm25"));
    entries.map(|entry| entry.file_name()).any(|name| {
        // Lock files.
        !name.to_string_lossy().starts_with('.')
            && !published
                .as_ref()
                .is_some_and(|dir| dir.join(&name).exists())
    })
}

/// Makes the working full-text index a copy (by hard links) of the published one, or empty.
pub(crate) fn restore_bm25(dir: &Path, base: Option<&Generation>) -> Result<(), EngineError> {
    disk::remove_tree(dir)?;
    let Some(base) = base else { return Ok(()) };
    disk::create_private_dir(dir)?;
    let published = base.dir.join("bm25");
    for entry in fs::read_dir(&published).map_err(EngineError::io("read", &published))? {
        let entry = entry.map_err(EngineError::io("read", &published))?;
        // tantivy replaces these two by rename, yet a copy keeps the published ones out of its reach for good.
        if entry.file_name().to_string_lossy().ends_with(".json") {
            fs::copy(entry.path(), dir.join(entry.file_name()))
                .map_err(EngineError::io("copy", entry.path()))?;
        } else {
            disk::link_or_copy(&entry.path(), &dir.join(entry.file_name()))?;
        }
    }
    Ok(())
}
