//! Which vectors do the new passages get?
//!
//! Passages arrive in ascending id order. A vector that an earlier generation already holds for the same text is copied;
//! the rest is encoded in batches, so that memory stays bounded whatever the corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::generation::EncoderStamp;
use storage::matrix::{Dtype, Matrix, MatrixWriter, SegmentSummary};
use storage::{PassageId, Task};

use crate::encoder::{Encoder, Role};
use crate::error::EngineError;
use crate::report::IndexReport;

/// Text held back until it is encoded together: enough to sort by length, little enough to finish within seconds when
/// a run is cancelled.
const BATCH_BYTES: usize = 256 << 10;

/// 16 bytes of blake3 over what the encoder sees of a passage.
pub(crate) type TextHash = [u8; 16];

/// The hash of a text.
pub(crate) fn text_hash(text: &str) -> TextHash {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    short
}

struct Pending {
    id: PassageId,
    text: String,
    hash: TextHash,
    reused: Option<Vec<f32>>,
}

/// The vectors of one session: those of the published generation, and the segment being written.
pub(crate) struct Vectors {
    /// What the vectors are made with.
    pub stamp: EncoderStamp,
    /// Needed for new vectors only; a session that merely removes works without.
    pub encoder: Option<Arc<dyn Encoder>>,
    /// Published rows.
    pub base: Option<Matrix>,
    /// Their IVF-PQ index.
    pub index: Option<PathBuf>,
    segment: Option<(PathBuf, MatrixWriter)>,
    pending: Vec<Pending>,
    pending_bytes: usize,
}

impl Vectors {
    pub(crate) fn new(
        stamp: EncoderStamp,
        encoder: Option<Arc<dyn Encoder>>,
        base: Option<Matrix>,
    ) -> Self {
        Self {
            stamp,
            encoder,
            base,
            index: None,
            segment: None,
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Takes the next passage; `twin` is a published passage with the same text.
    pub(crate) fn push(
        &mut self,
        id: PassageId,
        text: String,
        hash: TextHash,
        twin: Option<PassageId>,
    ) {
        let reused = twin.and_then(|twin| self.base.as_ref()?.get(twin));
        self.pending_bytes += text.len();
        self.pending.push(Pending {
            id,
            text,
            hash,
            reused,
        });
    }

    /// Whether enough text waits for [`Vectors::flush`] to be worth it.
    pub(crate) fn is_full(&self) -> bool {
        self.pending_bytes >= BATCH_BYTES
    }

    /// Encodes what waits and writes the rows to the segment file `file`.
    pub(crate) fn flush(
        &mut self,
        file: &Path,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let fresh = self.encode_fresh(task)?;
        for pending in self.pending.drain(..) {
            let row = match (&pending.reused, fresh.get(&pending.hash)) {
                (Some(row), _) => {
                    report.reused += 1;
                    row
                }
                (None, Some(row)) => {
                    report.encoded += 1;
                    row
                }
                (None, None) => continue,
            };
            let (_, writer) = match &mut self.segment {
                Some(open) => open,
                none => none.insert((
                    file.to_owned(),
                    MatrixWriter::create(file, row.len(), Dtype::F16)?,
                )),
            };
            writer.push(pending.id, row)?;
        }
        self.pending_bytes = 0;
        Ok(())
    }

    /// The encoder, where new vectors are needed.
    pub(crate) fn encoder(&self) -> Result<&Arc<dyn Encoder>, EngineError> {
        self.encoder
            .as_ref()
            .ok_or_else(|| EngineError::EncoderNeeded {
                name: self.stamp.name.clone(),
            })
    }

    /// Encodes each distinct text that waits and has no vector yet.
    fn encode_fresh(&self, task: Task<'_>) -> Result<BTreeMap<TextHash, Vec<f32>>, EngineError> {
        let waiting = self.pending.iter().filter(|p| p.reused.is_none());
        let distinct: BTreeMap<TextHash, &str> =
            waiting.map(|p| (p.hash, p.text.as_str())).collect();
        let (hashes, texts): (Vec<_>, Vec<_>) = distinct.into_iter().unzip();
        if texts.is_empty() {
            return Ok(BTreeMap::new());
        }
        // The rows are reported by the file they come from; the encoder's own counting would only alternate with it.
        let rows = self
            .encoder()?
            .encode(&texts, Role::Passage, task.quiet())?;
        Ok(hashes
            .into_iter()
            .zip(rows.rows().map(<[f32]>::to_vec))
            .collect())
    }

    /// Ends the segment: its file and what it holds, if any row was written.
    pub(crate) fn finish_segment(
        &mut self,
    ) -> Result<Option<(PathBuf, SegmentSummary)>, EngineError> {
        let Some((path, writer)) = self.segment.take() else {
            return Ok(None);
        };
        Ok(Some((path, writer.finish(false)?)))
    }
}
