//! How does a session's work become what readers see?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::generation::{GenerationBuilder, Manifest, MatrixEntry, WriterLock};
use storage::matrix::{Matrix, MatrixSegment, merge};
use storage::{PassageId, Task};

use super::lists::{IndexPolicy, Occasion};
use super::session::{HEADING_SEPARATOR, PASSAGES, Session};
use super::stamp::stamp_of;
use super::vectors::{Vectors, text_hash};
use crate::bm25::{Bm25Index, StoredPassage};
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::ingest::context::encoder_text;
use crate::report::IndexReport;

/// Matrix segments are merged into one when there would be more than this.
const MAX_SEGMENTS: usize = 8;
/// ... or when less than this share of their rows is live.
const MIN_LIVE_SHARE: f64 = 0.7;

/// Key and value in [`Manifest::settings`] of a collection whose repair has not read everything yet.
const REPAIR: &str = "repair";
const UNFINISHED: &str = "unfinished";

/// Whether documents are missing because a repair was interrupted.
pub(crate) fn is_repair_unfinished(manifest: &Manifest) -> bool {
    manifest
        .settings
        .get(REPAIR)
        .is_some_and(|state| state == UNFINISHED)
}

impl<'l> Session<'l> {
    /// Gives every live passage a vector of `encoder`, or takes all vectors away.
    pub(crate) fn switch_encoder(
        &mut self,
        encoder: Option<Arc<dyn Encoder>>,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.dirty = true;
        self.vectors =
            encoder.map(|encoder| Vectors::new(stamp_of(encoder.identity()), Some(encoder), None));
        let Some(base) = &self.base else {
            return Ok(());
        };
        if self.vectors.is_none() {
            return Ok(());
        }
        let index = Bm25Index::open(&base.dir.join("bm25"))?;
        let live: Vec<PassageId> = index.live().iter().map(PassageId).collect();
        for (done, &id) in live.iter().enumerate() {
            task.check()?;
            let stored = index.passage(id)?;
            let text = seen_by_encoder(&stored);
            let vectors = self.vectors.as_mut().expect("set above");
            vectors.push(id, text.clone(), text_hash(&text), None);
            if vectors.is_full() {
                self.start_vectors(report, task.quiet())?;
                task.report("encoding passages", done as u64, live.len() as u64);
            }
        }
        self.flush_vectors(report, task)
    }

    /// Encodes the passages that wait for vectors while the caller goes on.
    pub(super) fn start_vectors(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let file = self.segment_file()?;
        match &mut self.vectors {
            Some(vectors) => vectors.start(&file, report, task),
            None => Ok(()),
        }
    }

    /// Gives all passages their vectors.
    fn flush_vectors(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let file = self.segment_file()?;
        match &mut self.vectors {
            Some(vectors) => vectors.flush(&file, report, task),
            None => Ok(()),
        }
    }

    fn segment_file(&mut self) -> Result<PathBuf, EngineError> {
        let builder = Self::builder(&mut self.builder, self.lock)?;
        Ok(builder.dir().join(builder.segment_name()))
    }

    fn builder<'b>(
        open: &'b mut Option<GenerationBuilder<'l>>,
        lock: &'l WriterLock,
    ) -> Result<&'b mut GenerationBuilder<'l>, EngineError> {
        match open {
            Some(builder) => Ok(builder),
            none => Ok(none.insert(lock.begin(lock.next_generation()?)?)),
        }
    }

    /// Makes everything so far the current generation, its vectors indexed where that pays; does nothing if nothing
    /// changed.
    pub(crate) fn publish(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.dirty = self.dirty || self.index_is_due()?;
        self.publish_on(Occasion::Finished, report, task)
    }

    /// The same in the middle of a run: the index of the vectors waits for its end.
    pub(crate) fn publish_underway(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.publish_on(Occasion::Underway, report, task)
    }

    fn publish_on(
        &mut self,
        occasion: Occasion,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        if self.dirty {
            self.flush_vectors(report, task)?;
            self.publish_now(occasion, report, task)?;
            self.dirty = false;
        }
        report.generation = self.base.as_ref().map_or(0, |base| base.id.0);
        Ok(())
    }

    /// Publishes what is there, changed or not.
    pub(crate) fn publish_anyway(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.dirty = true;
        self.publish(report, task)
    }

    /// Publishes that everything which was indexed has been read again.
    pub(crate) fn end_repair(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.repairing = false;
        self.publish_anyway(report, task)
    }

    /// Publishes a generation that holds nothing of what was removed.
    pub(crate) fn compact(
        &mut self,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.compacting = true;
        // Codebooks trained on removed vectors are a trace of them.
        self.index_as(IndexPolicy::Anew);
        self.publish_anyway(report, task)
    }

    /// There is no way back here: the stores are committed one after the other. Only the index can be stopped, since a
    /// generation is complete without it.
    fn publish_now(
        &mut self,
        occasion: Occasion,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        Self::builder(&mut self.builder, self.lock)?;
        let builder = self.builder.take().expect("opened in the line above");
        let mut manifest = Manifest::empty(builder.id());
        manifest.bm25 = format!("generation {}", builder.id().0);
        self.bm25.commit(&manifest.bm25)?;
        if self.compacting {
            self.bm25.merge_all()?;
        }
        for name in self.bm25.files()? {
            builder.link(
                &self.lock.collection().bm25_dir().join(&name),
                Path::new("bm25").join(&name),
            )?;
        }
        let segments = self.finish_matrix(&builder, &mut manifest, task.unstoppable())?;
        self.finish_index(&builder, &mut manifest, segments, occasion, report, task)?;
        super::failures::write(&builder, &self.store, &mut manifest)?;
        self.describe(&mut manifest)?;
        self.store.commit(builder.id())?;
        self.base = Some(builder.publish(manifest)?);
        self.reopen_matrix()
    }

    fn describe(&self, manifest: &mut Manifest) -> Result<(), EngineError> {
        manifest.published = jiff::Timestamp::now().to_string();
        (manifest.next_document, manifest.next_passage) = self.store.next_ids()?;
        manifest.roots.clone_from(&self.roots);
        self.tally.write(manifest);
        manifest
            .settings
            .insert(PASSAGES.to_owned(), self.passages.clone());
        if self.repairing {
            let settings = &mut manifest.settings;
            settings.insert(REPAIR.to_owned(), UNFINISHED.into());
        }
        Ok(())
    }

    /// Takes the published segments over, adds the new one, and merges them where that pays. Returns them all.
    fn finish_matrix(
        &mut self,
        builder: &GenerationBuilder<'l>,
        manifest: &mut Manifest,
        task: Task<'_>,
    ) -> Result<Vec<Arc<MatrixSegment>>, EngineError> {
        let Some(vectors) = &mut self.vectors else {
            return Ok(Vec::new());
        };
        manifest.encoder = Some(vectors.stamp.clone());
        let mut segments: Vec<Arc<MatrixSegment>> = vectors
            .base
            .iter()
            .flat_map(Matrix::segments)
            .cloned()
            .collect();
        if let Some((fresh, _)) = vectors.finish_segment()? {
            segments.push(Arc::new(MatrixSegment::open(&fresh)?));
        }
        let rows: usize = segments.iter().map(|segment| segment.len()).sum();
        let wasteful = (self.tally.passages as f64) < rows as f64 * MIN_LIVE_SHARE
            || (self.compacting && self.tally.passages < rows as u64);
        if segments.len() > MAX_SEGMENTS || (wasteful && !segments.is_empty()) {
            segments = merged(builder, &segments, task)?;
        }
        for segment in &segments {
            place(builder, manifest, segment)?;
        }
        Ok(segments)
    }

    fn reopen_matrix(&mut self) -> Result<(), EngineError> {
        if let (Some(vectors), Some(base)) = (&mut self.vectors, &self.base) {
            vectors.base = base.matrix()?;
            vectors.index = base.index_path();
        }
        Ok(())
    }
}

/// One segment of the live rows of all; no segment if nothing is live.
fn merged(
    builder: &GenerationBuilder<'_>,
    segments: &[Arc<MatrixSegment>],
    task: Task<'_>,
) -> Result<Vec<Arc<MatrixSegment>>, EngineError> {
    let index = Bm25Index::open(&builder.dir().join("bm25"))?;
    if index.live().is_empty() {
        return Ok(Vec::new());
    }
    let path = builder
        .dir()
        .join(format!("merged-{}", builder.segment_name()));
    merge(segments, &|id| index.live().contains(id.0), &path, task)?;
    Ok(vec![Arc::new(MatrixSegment::open(&path)?)])
}

/// Makes `segment` part of the generation: linked unless it was written there.
fn place(
    builder: &GenerationBuilder<'_>,
    manifest: &mut Manifest,
    segment: &MatrixSegment,
) -> Result<(), EngineError> {
    let (Some(first), Some(last)) = (segment.first(), segment.last()) else {
        return Ok(());
    };
    let name = segment
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if segment.path().parent() != Some(builder.dir()) {
        builder.link(segment.path(), &name)?;
    }
    let rows = segment.len() as u64;
    manifest.rows += rows;
    manifest.matrices.push(MatrixEntry {
        file: name,
        rows,
        first,
        last,
    });
    Ok(())
}

fn seen_by_encoder(stored: &StoredPassage) -> String {
    let title = (!stored.title.is_empty()).then_some(stored.title.as_str());
    let headings: Vec<String> = stored
        .heading
        .split(HEADING_SEPARATOR)
        .map(str::to_owned)
        .collect();
    encoder_text(title, &headings, &stored.text)
}
