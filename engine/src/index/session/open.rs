//! Which stores does a writer start from?
//!
//! Those of the current generation, brought back to it if a crash left them ahead, or empty ones where everything is read
//! again.

use std::path::Path;
use std::sync::Arc;

use storage::documents::DocumentStore;
use storage::generation::{Generation, WriterLock};

use super::Session;
use crate::bm25::Bm25Writer;
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::index::lists::IndexPolicy;
use crate::index::publish::is_repair_unfinished;
use crate::index::recover;
use crate::index::session::PASSAGES;
use crate::index::stamp::{check_identity, stamp_of};
use crate::index::tally::Tally;
use crate::index::vectors::Vectors;
use crate::report::IndexReport;
use crate::request::PassageBudget;

/// Memory tantivy may fill before it writes a segment, over all its threads.
const BM25_MEMORY_BYTES: usize = 128 << 20;
impl<'l> Session<'l> {
    /// Opens the stores for writing and brings them back to the current generation if a crash left them ahead of it.
    pub(crate) fn open(
        lock: &'l WriterLock,
        encoder: Option<Arc<dyn Encoder>>,
        report: &mut IndexReport,
    ) -> Result<Self, EngineError> {
        let mut session = Self::open_for_switch(lock, report)?;
        session.vectors = open_vectors(encoder, session.base.as_ref())?;
        Ok(session)
    }

    /// The same without any vectors, for [`Session::switch_encoder`].
    pub(crate) fn open_for_switch(
        lock: &'l WriterLock,
        report: &mut IndexReport,
    ) -> Result<Self, EngineError> {
        lock.sweep();
        let collection = lock.collection();
        let base = collection.current()?;
        let bm25 = open_bm25(&collection.bm25_dir(), base.as_ref())?;
        let store = recover::open_store(collection, base.as_ref(), report)?;
        let tally = base
            .as_ref()
            .map_or_else(Tally::default, |base| Tally::read(&base.manifest));
        let roots = base
            .as_ref()
            .map_or_else(Vec::new, |base| base.manifest.roots.clone());
        let base_passages = base
            .as_ref()
            .and_then(|base| base.manifest.settings.get(PASSAGES))
            .cloned();
        let repairing = base
            .as_ref()
            .is_some_and(|base| is_repair_unfinished(&base.manifest));
        Ok(Self {
            lock,
            store,
            bm25,
            base,
            vectors: None,
            builder: None,
            tally,
            roots,
            passages: passages_of(base_passages),
            dirty: false,
            index_policy: IndexPolicy::default(),
            compacting: false,
            repairing,
        })
    }

    /// A session that starts from nothing, whatever was published: for reading everything below `roots` again, until
    /// [`Session::end_repair`]. Passage ids go on where they were, since ids are never reused.
    pub(crate) fn open_empty(
        lock: &'l WriterLock,
        encoder: Option<Arc<dyn Encoder>>,
        roots: Vec<String>,
    ) -> Result<Self, EngineError> {
        let collection = lock.collection();
        // May be what is damaged.
        let base = collection.current().ok().flatten();
        recover::restore_bm25(&collection.bm25_dir(), None)?;
        let bm25 = open_bm25(&collection.bm25_dir(), None)?;
        let store = DocumentStore::recreate(&collection.documents_dir())?;
        if let Some(base) = &base {
            store.reserve_ids(base.manifest.next_document, base.manifest.next_passage)?;
        }
        let vectors = open_vectors(encoder, None)?;
        store.set_roots(&roots)?;
        let tally = Tally::default();
        Ok(Self {
            lock,
            store,
            bm25,
            base: None,
            vectors,
            builder: None,
            tally,
            roots,
            passages: passages_of(None),
            dirty: true,
            index_policy: IndexPolicy::default(),
            compacting: false,
            repairing: true,
        })
    }
}

/// What a manifest says of its passages; one that says nothing was written when there was no wish to remember.
fn passages_of(kept: Option<serde_json::Value>) -> serde_json::Value {
    kept.unwrap_or_else(|| serde_json::json!(PassageBudget::default()))
}

fn open_bm25(dir: &Path, base: Option<&Generation>) -> Result<Bm25Writer, EngineError> {
    let open = || Bm25Writer::open(dir, BM25_MEMORY_BYTES, rayon::current_num_threads());
    let expected = base.map(|base| base.manifest.bm25.as_str());
    if !recover::has_strays(dir, base)
        && let Ok(writer) = open()
        && writer.payload()?.as_deref() == expected
    {
        return Ok(writer);
    }
    // A crash left the working index ahead of the published one, or unreadable: start again from the published files.
    recover::restore_bm25(dir, base)?;
    Ok(open()?)
}

fn open_vectors(
    encoder: Option<Arc<dyn Encoder>>,
    base: Option<&Generation>,
) -> Result<Option<Vectors>, EngineError> {
    let known = base.and_then(|base| base.manifest.encoder.clone());
    let stamp = match (&encoder, known) {
        (None, None) => return Ok(None),
        (None, Some(stamp)) => stamp,
        (Some(encoder), Some(stamp)) => {
            check_identity(&stamp, encoder.identity())?;
            stamp
        }
        (Some(encoder), None) if base.is_some_and(|base| base.manifest.live > 0) => {
            return Err(EngineError::EncoderIsNew {
                name: encoder.identity().name.clone(),
            });
        }
        (Some(encoder), None) => stamp_of(encoder.identity()),
    };
    let matrix = base.map(Generation::matrix).transpose()?.flatten();
    let mut vectors = Vectors::new(stamp, encoder, matrix);
    vectors.index = base.and_then(Generation::index_path);
    Ok(Some(vectors))
}
