//! Which vectors do the new passages get?
//!
//! Passages arrive in ascending id order. A vector that an earlier generation already holds for the same text is copied;
//! the rest is encoded in batches, so that memory stays bounded whatever the corpus. A full batch is encoded on a thread of
//! its own while the next passages are read and written; there is one such batch at most, and who fills the next one waits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use storage::generation::EncoderStamp;
use storage::matrix::{Dtype, Matrix, MatrixWriter, SegmentSummary};
use storage::{PassageId, Task};

use crate::encoder::{EncodeError, Encoder, Role};
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
    in_flight: Option<InFlight>,
}

/// A batch that is being encoded.
struct InFlight {
    done: Receiver<Result<Batch, EncodeError>>,
    /// Raised when nobody waits for it any more.
    stop: Arc<AtomicBool>,
}

/// Passages and the vectors of their distinct new texts.
struct Batch {
    pending: Vec<Pending>,
    fresh: BTreeMap<TextHash, Vec<f32>>,
}

/// How often one who waits for a batch looks whether the caller asked to stop.
const LOOK_UP: Duration = Duration::from_millis(20);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl InFlight {
    /// Starts to encode `pending` on a thread of its own.
    fn start(encoder: &Arc<dyn Encoder>, pending: Vec<Pending>) -> Self {
        let (sender, done) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (encoder, flag) = (encoder.clone(), stop.clone());
        std::thread::spawn(move || {
            let task = Task::new(&|_| {}, &flag);
            // The receiver is gone when the session ended early.
            let _ = sender.send(Batch::encode(&*encoder, pending, task));
        });
        Self { done, stop }
    }

    /// Its vectors; nothing if the caller asks to stop first, and then it goes on.
    fn wait(&self, name: &str, task: Task<'_>) -> Result<Batch, EngineError> {
        loop {
            match self.done.recv_timeout(LOOK_UP) {
                Ok(batch) => return Ok(batch?),
                Err(RecvTimeoutError::Timeout) => task.check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    let (name, detail) = (name.to_owned(), "its thread ended early".to_owned());
                    return Err(EncodeError::Device { name, detail }.into());
                }
            }
        }
    }
}

impl Batch {
    /// Encodes each distinct text that has no vector yet.
    fn encode(
        encoder: &dyn Encoder,
        pending: Vec<Pending>,
        task: Task<'_>,
    ) -> Result<Self, EncodeError> {
        let waiting = pending.iter().filter(|p| p.reused.is_none());
        let distinct: BTreeMap<TextHash, &str> =
            waiting.map(|p| (p.hash, p.text.as_str())).collect();
        let (hashes, texts): (Vec<_>, Vec<_>) = distinct.into_iter().unzip();
        let rows = encoder.encode(&texts, Role::Passage, task)?;
        let fresh = hashes
            .into_iter()
            .zip(rows.rows().map(<[f32]>::to_vec))
            .collect();
        Ok(Self { pending, fresh })
    }
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
            in_flight: None,
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

    /// Whether enough text waits for [`Vectors::start`] to be worth it.
    pub(crate) fn is_full(&self) -> bool {
        self.pending_bytes >= BATCH_BYTES
    }

    /// Starts to encode what waits, once the batch before it is done and written to the segment file `file`.
    pub(crate) fn start(
        &mut self,
        file: &Path,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.collect(file, report, task)?;
        if self.pending.iter().all(|pending| pending.reused.is_some()) {
            let pending = std::mem::take(&mut self.pending);
            let fresh = BTreeMap::new();
            self.pending_bytes = 0;
            return self.write(Batch { pending, fresh }, file, report);
        }
        let encoder = self.encoder()?.clone();
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.in_flight = Some(InFlight::start(&encoder, pending));
        Ok(())
    }

    /// Encodes all that waits and writes the rows to the segment file `file`.
    pub(crate) fn flush(
        &mut self,
        file: &Path,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        self.start(file, report, task)?;
        self.collect(file, report, task)
    }

    /// Waits for the batch that is being encoded, if there is one, and writes it.
    fn collect(
        &mut self,
        file: &Path,
        report: &mut IndexReport,
        task: Task<'_>,
    ) -> Result<(), EngineError> {
        let Some(in_flight) = &self.in_flight else {
            return Ok(());
        };
        let batch = match in_flight.wait(&self.stamp.name, task) {
            Err(EngineError::Cancelled(cancelled)) => return Err(cancelled.into()),
            done => done,
        };
        self.in_flight = None;
        self.write(batch?, file, report)?;
        task.report("passages encoded", report.encoded, 0);
        Ok(())
    }

    fn write(
        &mut self,
        batch: Batch,
        file: &Path,
        report: &mut IndexReport,
    ) -> Result<(), EngineError> {
        for pending in batch.pending {
            let row = match (&pending.reused, batch.fresh.get(&pending.hash)) {
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

#[cfg(test)]
mod tests;
