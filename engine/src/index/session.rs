//! How do documents become the next generation?
//!
//! A session holds the writer lock's three stores in step: the records (sled), the full-text index and the vectors.
//! Nothing a reader sees changes until [`Session::publish`]; a crash before it leaves the old generation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::documents::{DocumentRecord, DocumentStore, FailureRecord, PassageRecord};
use storage::generation::{Generation, GenerationBuilder, WriterLock};
use storage::{DocumentId, PassageId, StorageError, Task};

use super::lists::IndexPolicy;
use super::plan::path_text;
use super::prepare::TokenCounter;
use super::tally::Tally;
use super::vectors::{Vectors, text_hash};
use crate::bm25::{Bm25Writer, Language, PassageDocument};
use crate::error::EngineError;
use crate::ingest::context::{default_count, encoder_text};
use crate::ingest::extract::EXTRACTOR_VERSION;
use crate::ingest::split::SplitBudget;
use crate::ingest::walk::FoundFile;
use crate::ingest::{FileKind, Source};
use crate::report::IndexReport;
use crate::request::PassageBudget;

mod open;

/// Key of the passages' [`PassageBudget`] in the manifest's settings.
pub(super) const PASSAGES: &str = "passages";
/// Between headings in the stored heading path.
pub(crate) const HEADING_SEPARATOR: &str = " › ";

/// A document as it comes out of a file or a data set.
#[derive(Debug, Clone)]
pub(crate) struct DocumentInput {
    pub path: String,
    pub kind: FileKind,
    pub size: u64,
    pub mtime_ns: i64,
    pub content_hash: [u8; 32],
    pub title: String,
    pub language: Language,
    pub passages: Vec<PassageInput>,
}

/// One of its passages.
#[derive(Debug, Clone)]
pub(crate) struct PassageInput {
    pub text: String,
    pub headings: Vec<String>,
    pub start: Source,
    pub end: Source,
}

/// One writer at work on a collection.
pub(crate) struct Session<'l> {
    pub(super) lock: &'l WriterLock,
    pub(super) store: DocumentStore,
    pub(super) bm25: Bm25Writer,
    /// What readers see now.
    pub(super) base: Option<Generation>,
    pub(super) vectors: Option<Vectors>,
    pub(super) builder: Option<GenerationBuilder<'l>>,
    pub(super) tally: Tally,
    pub(super) roots: Vec<String>,
    /// The [`PassageBudget`] of the passages, as the manifest keeps it.
    pub(super) passages: serde_json::Value,
    pub(super) dirty: bool,
    pub(crate) index_policy: IndexPolicy,
    /// The next publish leaves nothing of what was removed.
    pub(super) compacting: bool,
    /// Not everything that was indexed has been read again since it was lost.
    pub(super) repairing: bool,
}

impl<'l> Session<'l> {
    /// The collection's own folder, never indexed.
    pub(crate) fn folder(&self) -> &Path {
        self.lock.collection().dir()
    }

    /// Room for a passage, by the encoder in use and the person's wish.
    pub(crate) fn split_budget(&self, wished: &PassageBudget) -> SplitBudget {
        let encoder = self
            .vectors
            .as_ref()
            .map(|vectors| vectors.stamp.max_tokens);
        super::budget_for(encoder, wished)
    }

    /// Whether the collection's passages were cut by another wish.
    pub(crate) fn splits_otherwise(&self, wished: PassageBudget) -> bool {
        self.tally.documents > 0 && self.passages != serde_json::json!(wished)
    }

    /// Remembers by which wish the passages were cut.
    pub(crate) fn set_passages(&mut self, wished: PassageBudget) {
        let wished = serde_json::json!(wished);
        self.dirty |= self.tally.documents > 0 && self.passages != wished;
        self.passages = wished;
    }

    /// How tokens are counted, by the encoder in use.
    pub(crate) fn token_counter(&self) -> Arc<TokenCounter> {
        match self
            .vectors
            .as_ref()
            .and_then(|vectors| vectors.encoder.clone())
        {
            Some(encoder) => Arc::new(move |text| encoder.count_tokens(text)),
            None => Arc::new(default_count),
        }
    }

    /// Fails if new passages would need vectors that nobody here can make.
    pub(crate) fn check_encoder(&self) -> Result<(), EngineError> {
        self.vectors
            .as_ref()
            .map_or(Ok(()), |vectors| vectors.encoder().map(|_| ()))
    }

    pub(crate) fn document(&self, path: &str) -> Result<Option<DocumentRecord>, EngineError> {
        Ok(self.store.document(path)?)
    }

    pub(crate) fn failure(&self, path: &str) -> Result<Option<FailureRecord>, EngineError> {
        Ok(self.store.failure(path)?)
    }

    /// Paths of the documents with this content.
    pub(crate) fn paths_with_content(&self, hash: &[u8; 32]) -> Result<Vec<String>, EngineError> {
        Ok(self.store.paths_with_content(hash)?)
    }

    /// Calls `on_path` with every document that is `root` or lies below it.
    pub(crate) fn each_document_below(
        &self,
        root: &Path,
        mut on_path: impl FnMut(&str),
    ) -> Result<(), EngineError> {
        let text = path_text(root);
        let prefix = text.trim_end_matches('/');
        for record in self.store.documents_under(prefix) {
            let path = record?.path;
            if is_below(&path, prefix) {
                on_path(&path);
            }
        }
        Ok(())
    }

    /// The same with every file that could not be read; one that could be read once and not the last time is met twice.
    pub(crate) fn each_path_below(
        &self,
        root: &Path,
        mut on_path: impl FnMut(&str),
    ) -> Result<(), EngineError> {
        self.each_document_below(root, &mut on_path)?;
        let text = path_text(root);
        let prefix = text.trim_end_matches('/');
        let failures = self.store.failures_under(prefix)?;
        failures
            .iter()
            .filter(|path| is_below(path, prefix))
            .for_each(|path| on_path(path));
        Ok(())
    }

    /// Adds or replaces a document; searchable after the next publish.
    pub(crate) fn put(
        &mut self,
        input: DocumentInput,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let records = self.claim_passages(&input)?;
        let old = self.store.remove_document(&input.path)?;
        let id = match &old {
            Some(old) => self.forget(old)?,
            None => self.store.allocate_documents(1)?,
        };
        let record = record_of(
            &input,
            id,
            records.iter().map(|(record, _)| *record).collect(),
        );
        self.add_passages(&input, &record, &records)?;
        self.store.put_document(&record)?;
        self.store.remove_failure(&input.path)?;
        self.tally.add(&record);
        report.passages += record.passages.len() as u64;
        self.dirty = true;
        if self.vectors.as_ref().is_some_and(Vectors::is_full) {
            self.start_vectors(report, task)?;
        }
        Ok(())
    }

    /// New ids for the passages, each with a published passage of the same text if there is one. Looked up before the
    /// old record goes, so that a changed file finds its own unchanged passages.
    fn claim_passages(
        &self,
        input: &DocumentInput,
    ) -> Result<Vec<(PassageRecord, Option<PassageId>)>, EngineError> {
        let count = u32::try_from(input.passages.len()).map_err(|_| too_many(&input.path))?;
        let first = self.store.allocate_passages(count)?;
        let mut claimed = Vec::with_capacity(input.passages.len());
        for (index, passage) in (0..count).zip(&input.passages) {
            let hash = text_hash(&seen_by_encoder(&input.title, passage));
            let record = PassageRecord {
                id: PassageId(first.0 + index),
                hash,
                bytes: byte_count(&passage.text),
            };
            let twin = self
                .vectors
                .as_ref()
                .map(|_| self.store.find_passage(&hash))
                .transpose()?;
            claimed.push((record, twin.flatten()));
        }
        Ok(claimed)
    }

    fn add_passages(
        &mut self,
        input: &DocumentInput,
        record: &DocumentRecord,
        claimed: &[(PassageRecord, Option<PassageId>)],
    ) -> Result<(), EngineError> {
        let bytes = record.to_bytes();
        for (index, (passage, (claim, twin))) in input.passages.iter().zip(claimed).enumerate() {
            self.bm25.add(&PassageDocument {
                id: claim.id,
                document: record.id,
                path: &input.path,
                title: &input.title,
                heading: &passage.headings.join(HEADING_SEPARATOR),
                text: &passage.text,
                start: passage.start,
                end: passage.end,
                modified: input.mtime_ns.div_euclid(1_000_000_000),
                language: input.language,
                record: (index == 0).then_some(&bytes[..]),
            })?;
            if let Some(vectors) = &mut self.vectors {
                vectors.push(
                    claim.id,
                    seen_by_encoder(&input.title, passage),
                    claim.hash,
                    *twin,
                );
            }
        }
        Ok(())
    }

    /// Takes a replaced or removed document out of the index and the counts.
    fn forget(&mut self, old: &DocumentRecord) -> Result<DocumentId, EngineError> {
        self.bm25.delete_document(old.id)?;
        self.tally.subtract(old);
        self.dirty = true;
        Ok(old.id)
    }

    /// Removes the document at `path`; its record, if there was one.
    pub(crate) fn remove(&mut self, path: &str) -> Result<Option<DocumentRecord>, EngineError> {
        if self.store.remove_failure(path)? {
            self.dirty = true;
        }
        let old = self.store.remove_document(path)?;
        if let Some(old) = &old {
            self.forget(old)?;
        }
        Ok(old)
    }

    /// The file's stamp changed and its content did not.
    pub(crate) fn touch(&mut self, file: &FoundFile) -> Result<(), EngineError> {
        if let Some(mut record) = self.store.document(&path_text(&file.path))? {
            (record.size, record.mtime_ns, record.indexed_at) = (file.size, file.mtime_ns, now());
            self.store.put_document(&record)?;
            self.dirty = true;
        }
        Ok(())
    }

    /// Remembers that the file holds no text, so that it is not read again until it changes.
    pub(crate) fn skip(&mut self, file: &FoundFile) -> Result<(), EngineError> {
        self.remove(&path_text(&file.path))?;
        self.fail(file, "")
    }

    /// Remembers why the file could not be read. What was indexed of it earlier stays searchable.
    pub(crate) fn fail(&mut self, file: &FoundFile, reason: &str) -> Result<(), EngineError> {
        let (size, mtime_ns, reason) = (file.size, file.mtime_ns, reason.to_owned());
        let record = FailureRecord {
            size,
            mtime_ns,
            reason,
            extractor_version: EXTRACTOR_VERSION,
            at: now(),
        };
        self.store.put_failure(&path_text(&file.path), &record)?;
        self.dirty = true;
        Ok(())
    }

    /// Remembers what was asked to be indexed.
    pub(crate) fn add_roots(&mut self, roots: &[PathBuf]) -> Result<(), EngineError> {
        for root in roots {
            let root = path_text(root);
            if !self.roots.contains(&root) {
                self.roots.push(root);
                self.dirty = true;
                // The manifest has them too; this copy is for the day when no manifest can be read.
                self.store.set_roots(&self.roots)?;
            }
        }
        Ok(())
    }

    /// Makes the next publish build the index of the vectors as `policy` says, whether or not anything else changed.
    pub(crate) fn index_as(&mut self, policy: IndexPolicy) {
        self.index_policy = policy;
        self.dirty = true;
    }

    /// Forgets a root; true if it was one.
    pub(crate) fn remove_root(&mut self, root: &str) -> Result<bool, EngineError> {
        let before = self.roots.len();
        self.roots.retain(|known| known != root);
        let was_one = self.roots.len() != before;
        if was_one {
            self.dirty = true;
            self.store.set_roots(&self.roots)?;
        }
        Ok(was_one)
    }
}

/// Whether `path` is `prefix` or lies below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn record_of(
    input: &DocumentInput,
    id: DocumentId,
    passages: Vec<PassageRecord>,
) -> DocumentRecord {
    DocumentRecord {
        id,
        path: input.path.clone(),
        kind: input.kind.name().to_owned(),
        size: input.size,
        mtime_ns: input.mtime_ns,
        content_hash: input.content_hash,
        title: input.title.clone(),
        language: input.language.code().to_owned(),
        passages,
        indexed_at: now(),
    }
}

fn seen_by_encoder(title: &str, passage: &PassageInput) -> String {
    encoder_text(
        (!title.is_empty()).then_some(title),
        &passage.headings,
        &passage.text,
    )
}

fn byte_count(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

fn too_many(path: &str) -> StorageError {
    StorageError::Invalid(format!(
        "{path} has more passages than a collection can name"
    ))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
