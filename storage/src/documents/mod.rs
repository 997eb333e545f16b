//! What does the writer know about each file?
//!
//! The records of one collection, in sled: documents and failures by path, and the look-ups that make
//! indexing incremental. Only the writer opens them, because sled lets one process in at a time;
//! readers use published generations alone and so never wait. Everything here can be rebuilt from a
//! generation or from the files themselves: a store that sled cannot read, or that does not belong to
//! the current generation, is thrown away ([`DocumentStore::recreate`]) and filled again.
//!
//! Changes become durable with [`DocumentStore::commit`]. The first change after it marks the store
//! unfinished, so that a crash in between shows in [`DocumentStore::state`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{GenerationId, PassageId, StorageError, disk};

mod meta;
pub(crate) mod record;
mod rewrite;

use meta::key;

pub use record::{DocumentRecord, FailureRecord, PassageRecord};

/// Memory sled may keep pages in.
const CACHE_BYTES: u64 = 32 << 20;

/// (hash, id) of passages, ids of one hash ascending.
type PassageIndex = BTreeSet<([u8; 16], u32)>;

/// Which published state the records describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreState {
    /// Never committed and never changed.
    Empty,
    /// Committed for this generation and not changed since.
    Committed(GenerationId),
    /// Changed since the last commit: work in progress, or left so by a crash.
    Unfinished,
}

/// The writer's records of one collection.
pub struct DocumentStore {
    dir: PathBuf,
    db: sled::Db,
    /// path -> [`DocumentRecord`]
    documents: sled::Tree,
    /// path -> [`FailureRecord`]
    failures: sled::Tree,
    /// content hash ++ path -> nothing
    contents: sled::Tree,
    /// (passage hash, id) of every passage; made from the records when first asked for. A tree of its own for it
    /// took more room on the disk than the records.
    passages: Mutex<Option<PassageIndex>>,
    meta: sled::Tree,
    unfinished: AtomicBool,
}

impl DocumentStore {
    /// Opens the records in the folder `dir`, creating them when missing. Hold the collection's
    /// writer lock.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when sled cannot read what it wrote: call
    /// [`DocumentStore::recreate`] and fill the store from the current generation.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        disk::create_private_dir(dir)?;
        // sled answers some damage with a panic instead of an error.
        let opened = std::panic::catch_unwind(|| Self::open_trees(dir));
        let store = opened.unwrap_or_else(|_| Err(damaged(dir, "sled cannot read its files")))?;
        let unfinished = store.meta(key::UNFINISHED)?.is_some();
        store.unfinished.store(unfinished, Ordering::Relaxed);
        Ok(store)
    }

    fn open_trees(dir: &Path) -> Result<Self, StorageError> {
        let wrap = wrap(dir);
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let db = config.open().map_err(&wrap)?;
        let tree = |name: &str| db.open_tree(name).map_err(&wrap);
        Ok(Self {
            documents: tree("documents")?,
            failures: tree("failures")?,
            contents: tree("contents")?,
            passages: Mutex::default(),
            meta: tree("meta")?,
            unfinished: AtomicBool::new(false),
            dir: dir.to_path_buf(),
            db,
        })
    }

    /// Removes all records in `dir`, readable or not, and opens an empty store there.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn recreate(dir: &Path) -> Result<Self, StorageError> {
        disk::remove_tree(dir)?;
        Self::open(dir)
    }

    /// Reads every document record of a committed store and counts them: sled drops a damaged end of
    /// its log without a word.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn verify(&self) -> Result<(), StorageError> {
        let mut found = 0;
        for record in self.documents() {
            record?;
            found += 1;
        }
        let finished = matches!(self.state()?, StoreState::Committed(_));
        match self.number(key::DOCUMENTS)? {
            Some(expected) if finished && expected != found => {
                let detail = format!("{expected} documents expected, {found} found");
                Err(damaged(&self.dir, detail))
            }
            _ => Ok(()),
        }
    }

    /// Forgets all documents, failures and look-ups. The next ids stay, since ids are never reused.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn clear(&self) -> Result<(), StorageError> {
        self.touch()?;
        for tree in [&self.documents, &self.failures, &self.contents] {
            tree.clear().map_err(self.wrap())?;
        }
        *self.passages() = None;
        Ok(())
    }

    /// The record of the document at `path`.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn document(&self, path: &str) -> Result<Option<DocumentRecord>, StorageError> {
        let bytes = self.documents.get(path).map_err(self.wrap())?;
        bytes
            .map(|bytes| DocumentRecord::from_bytes(&bytes).map_err(|e| e.at(&self.dir, path)))
            .transpose()
    }

    /// Stores `record` under its path, in place of any record there, and keeps the look-ups by
    /// content and passage in step.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn put_document(&self, record: &DocumentRecord) -> Result<(), StorageError> {
        self.remove_document(&record.path)?;
        if let Some(index) = &mut *self.passages() {
            index.extend(record.passages.iter().map(passage_key));
        }
        let content = content_key(&record.content_hash, &record.path);
        self.contents.insert(content, &[]).map_err(self.wrap())?;
        self.documents
            .insert(&record.path, record.to_bytes())
            .map_err(self.wrap())?;
        Ok(())
    }

    /// Removes the document at `path` and gives back its record.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn remove_document(&self, path: &str) -> Result<Option<DocumentRecord>, StorageError> {
        self.touch()?;
        let Some(record) = self.document(path)? else {
            return Ok(None);
        };
        if let Some(index) = &mut *self.passages() {
            for passage in &record.passages {
                index.remove(&passage_key(passage));
            }
        }
        let content = content_key(&record.content_hash, path);
        self.contents.remove(content).map_err(self.wrap())?;
        self.documents.remove(path).map_err(self.wrap())?;
        Ok(Some(record))
    }

    /// Every document, ordered by the bytes of its path.
    pub fn documents(&self) -> impl Iterator<Item = Result<DocumentRecord, StorageError>> + '_ {
        self.documents_under("")
    }

    /// The documents whose path starts with `prefix`, ordered by path. For a folder, end it with the
    /// separator: "notes" is a prefix of "notes.txt" too.
    pub fn documents_under(
        &self,
        prefix: &str,
    ) -> impl Iterator<Item = Result<DocumentRecord, StorageError>> + '_ {
        self.documents.scan_prefix(prefix).map(|entry| {
            let (path, bytes) = entry.map_err(self.wrap())?;
            let path = String::from_utf8_lossy(&path);
            DocumentRecord::from_bytes(&bytes).map_err(|e| e.at(&self.dir, &path))
        })
    }

    /// Number of documents, by counting.
    pub fn document_count(&self) -> usize {
        self.documents.len()
    }

    /// Paths of the documents whose content has this hash, ordered: how a moved or copied file is
    /// known again.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn paths_with_content(&self, hash: &[u8; 32]) -> Result<Vec<String>, StorageError> {
        let keys = self.contents.scan_prefix(hash).keys();
        keys.map(|key| {
            let key = key.map_err(self.wrap())?;
            let path = String::from_utf8(key[hash.len()..].to_vec());
            path.map_err(|_| damaged(&self.dir, "a path is not UTF-8"))
        })
        .collect()
    }

    /// A passage with this hash, the lowest id of several: its embedding can be used again.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn find_passage(&self, hash: &[u8; 16]) -> Result<Option<PassageId>, StorageError> {
        let mut index = self.passages();
        let index = match &mut *index {
            Some(index) => index,
            none => none.insert(self.index_passages()?),
        };
        let mut twins = index.range((*hash, 0)..=(*hash, u32::MAX));
        Ok(twins.next().map(|(_, id)| PassageId(*id)))
    }

    fn index_passages(&self) -> Result<PassageIndex, StorageError> {
        let mut index = PassageIndex::new();
        for record in self.documents() {
            index.extend(record?.passages.iter().map(passage_key));
        }
        Ok(index)
    }

    fn passages(&self) -> MutexGuard<'_, Option<PassageIndex>> {
        // A thread that panicked while holding it left a whole set behind: every change is one call.
        self.passages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the file at `path` could not be read, when it could not.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn failure(&self, path: &str) -> Result<Option<FailureRecord>, StorageError> {
        let bytes = self.failures.get(path).map_err(self.wrap())?;
        bytes
            .map(|bytes| FailureRecord::from_bytes(&bytes).map_err(|e| e.at(&self.dir, path)))
            .transpose()
    }

    /// Remembers that the file at `path` could not be read.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn put_failure(&self, path: &str, record: &FailureRecord) -> Result<(), StorageError> {
        self.touch()?;
        self.failures
            .insert(path, record.to_bytes())
            .map_err(self.wrap())?;
        Ok(())
    }

    /// Forgets the failure of `path`; was there one?
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn remove_failure(&self, path: &str) -> Result<bool, StorageError> {
        if !self.failures.contains_key(path).map_err(self.wrap())? {
            return Ok(false);
        }
        self.touch()?;
        self.failures.remove(path).map_err(self.wrap())?;
        Ok(true)
    }

    /// Every failure with its path, ordered by path.
    pub fn failures(
        &self,
    ) -> impl Iterator<Item = Result<(String, FailureRecord), StorageError>> + '_ {
        self.failures.iter().map(|entry| {
            let (path, bytes) = entry.map_err(self.wrap())?;
            let path = String::from_utf8_lossy(&path).into_owned();
            let record = FailureRecord::from_bytes(&bytes).map_err(|e| e.at(&self.dir, &path))?;
            Ok((path, record))
        })
    }

    /// Paths of the failures that start with `prefix`, ordered. For a folder, end it with the separator.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn failures_under(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let keys = self.failures.scan_prefix(prefix).keys();
        keys.map(|key| {
            let key = key.map_err(self.wrap())?;
            Ok(String::from_utf8_lossy(&key).into_owned())
        })
        .collect()
    }

    /// Bytes the records take on the disk.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn bytes(&self) -> Result<u64, StorageError> {
        self.db.size_on_disk().map_err(self.wrap())
    }

    fn wrap(&self) -> impl Fn(sled::Error) -> StorageError + '_ {
        wrap(&self.dir)
    }
}

impl std::fmt::Debug for DocumentStore {
    // sled's own would print every record.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DocumentStore").field(&self.dir).finish()
    }
}

fn content_key(hash: &[u8; 32], path: &str) -> Vec<u8> {
    [hash, path.as_bytes()].concat()
}

fn passage_key(passage: &PassageRecord) -> ([u8; 16], u32) {
    (passage.hash, passage.id.0)
}

fn damaged(dir: &Path, detail: impl Into<String>) -> StorageError {
    StorageError::corrupt(dir, "document records", detail)
}

fn wrap(dir: &Path) -> impl Fn(sled::Error) -> StorageError + '_ {
    move |error| match error {
        sled::Error::Io(source) => StorageError::io("access the document records in", dir)(source),
        other => damaged(dir, other.to_string()),
    }
}

#[cfg(test)]
mod tests;
