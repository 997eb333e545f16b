//! Which state do the records belong to, and which ids are free?

use std::sync::atomic::Ordering;

use crate::{DocumentId, GenerationId, PassageId, StorageError};

use super::{DocumentStore, StoreState, damaged};

/// Keys of the `meta` tree.
pub(super) mod key {
    pub(in crate::documents) const GENERATION: &str = "generation";
    pub(in crate::documents) const DOCUMENTS: &str = "documents";
    pub(in crate::documents) const UNFINISHED: &str = "unfinished";
    pub(in crate::documents) const NEXT_DOCUMENT: &str = "next document";
    pub(in crate::documents) const NEXT_PASSAGE: &str = "next passage";
    pub(in crate::documents) const ROOTS: &str = "roots";
    pub(in crate::documents) const REWRITTEN: &str = "rewritten";
}

impl DocumentStore {
    /// Which generation the records belong to. Compare with the collection's current one: any
    /// other answer means that they have to be rebuilt from it.
    ///
    /// # Errors
    /// Those of every read: [`StorageError::Io`], [`StorageError::Corrupt`], [`StorageError::Version`].
    pub fn state(&self) -> Result<StoreState, StorageError> {
        if self.unfinished.load(Ordering::Relaxed) {
            return Ok(StoreState::Unfinished);
        }
        let generation = self.number(key::GENERATION)?;
        Ok(generation.map_or(StoreState::Empty, |n| {
            StoreState::Committed(GenerationId(n))
        }))
    }

    /// Makes every change so far durable as the records of `generation`. Call before publishing it:
    /// after a crash in between, the records are ahead of the current generation, which shows.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn commit(&self, generation: GenerationId) -> Result<(), StorageError> {
        // The records first: the mark must not go before what it vouches for is on the disk.
        self.flush()?;
        self.set_number(key::GENERATION, generation.0)?;
        self.set_number(key::DOCUMENTS, self.document_count() as u64)?;
        self.meta.remove(key::UNFINISHED).map_err(self.wrap())?;
        self.flush()?;
        self.unfinished.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Takes `count` document ids that were never used; gives the first.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn allocate_documents(&self, count: u64) -> Result<DocumentId, StorageError> {
        Ok(DocumentId(self.allocate(
            key::NEXT_DOCUMENT,
            count,
            u64::MAX,
        )?))
    }

    /// Takes `count` passage ids that were never used; gives the first.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] once four thousand million ids are used up, and as
    /// [`DocumentStore::state`].
    pub fn allocate_passages(&self, count: u32) -> Result<PassageId, StorageError> {
        let first = self.allocate(key::NEXT_PASSAGE, count.into(), u32::MAX.into())?;
        // Below u32::MAX by the limit just given.
        Ok(PassageId(first as u32))
    }

    /// The ids the next allocations start at, to be kept in the manifest.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn next_ids(&self) -> Result<(DocumentId, PassageId), StorageError> {
        let document = self.number(key::NEXT_DOCUMENT)?.unwrap_or(0);
        let passage = self.number(key::NEXT_PASSAGE)?.unwrap_or(0);
        Ok((DocumentId(document), PassageId(passage as u32)))
    }

    /// Makes the next allocations start at these ids or above: how a rebuilt store goes on
    /// where the manifest says.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn reserve_ids(
        &self,
        document: DocumentId,
        passage: PassageId,
    ) -> Result<(), StorageError> {
        let (next_document, next_passage) = self.next_ids()?;
        self.touch()?;
        self.set_number(key::NEXT_DOCUMENT, document.max(next_document).0)?;
        self.set_number(key::NEXT_PASSAGE, passage.max(next_passage).0.into())
    }

    /// The files and folders a person asked to index, as set last.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn roots(&self) -> Result<Vec<String>, StorageError> {
        let Some(bytes) = self.meta(key::ROOTS)? else {
            return Ok(Vec::new());
        };
        serde_json::from_slice(&bytes).map_err(|e| damaged(&self.dir, format!("roots: {e}")))
    }

    /// Sets the files and folders a person asked to index.
    ///
    /// # Errors
    /// As [`DocumentStore::state`].
    pub fn set_roots(&self, roots: &[String]) -> Result<(), StorageError> {
        self.touch()?;
        let bytes = serde_json::Value::from(roots).to_string();
        self.meta
            .insert(key::ROOTS, bytes.as_bytes())
            .map_err(self.wrap())?;
        Ok(())
    }

    /// Marks the store as changed, durably, once after each commit.
    pub(super) fn touch(&self) -> Result<(), StorageError> {
        if !self.unfinished.swap(true, Ordering::Relaxed) {
            self.meta
                .insert(key::UNFINISHED, &[])
                .map_err(self.wrap())?;
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), StorageError> {
        self.db.flush().map_err(self.wrap())?;
        Ok(())
    }

    fn allocate(&self, key: &str, count: u64, limit: u64) -> Result<u64, StorageError> {
        self.touch()?;
        let first = self.number(key)?.unwrap_or(0);
        let next = first.checked_add(count).filter(|&next| next <= limit);
        let next = next.ok_or_else(|| {
            StorageError::Invalid(
                "the ids of this collection are used up; index again into a new one".into(),
            )
        })?;
        self.set_number(key, next)?;
        Ok(first)
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<sled::IVec>, StorageError> {
        self.meta.get(key).map_err(self.wrap())
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, StorageError> {
        let Some(bytes) = self.meta(key)? else {
            return Ok(None);
        };
        let bytes = <[u8; 8]>::try_from(&*bytes);
        let bytes = bytes.map_err(|_| damaged(&self.dir, format!("{key} is no number")))?;
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    pub(super) fn set_number(&self, key: &str, value: u64) -> Result<(), StorageError> {
        self.meta
            .insert(key, &value.to_le_bytes())
            .map_err(self.wrap())?;
        Ok(())
    }
}
