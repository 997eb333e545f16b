//! How does the corpus get the vectors of a recent checkpoint while training goes on?
//!
//! A [`Snapshot`] of the weights is handed to the [`Inferencer`], which encodes every passage and query and gives back
//! [`Encoded`]. Beside a GPU it can do so on the CPU in a thread of its own, and training goes on meanwhile, as in the
//! paper; otherwise training waits, and the encoding is as old as the step it is used at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use burn::tensor::Device;
use engine::encoder::{EncodeError, Encoder, LoadOptions, ModelError, Role, load};
use storage::matrix::{Dtype, Matrix, MatrixWriter};
use storage::{Cancelled, PassageId, StorageError, Task, disk};

use crate::encoder::{DeviceEncoder, Fused, Precision, SaveError, TrainEncoder, to_device};
use crate::examples::{Examples, TrainQuery};

/// The weights at one step.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Steps taken.
    pub step: u64,
    /// All trained numbers.
    pub values: Arc<Vec<f32>>,
}

/// The vectors of one snapshot.
pub struct Encoded {
    /// Whose they are.
    pub snapshot: Snapshot,
    /// One row a passage, its place as id.
    pub passages: Matrix,
    /// Training queries in order, (n, D); empty if nothing is mined.
    pub queries: Vec<f32>,
    /// Dev queries in order, (n, D).
    pub dev: Vec<f32>,
    /// Hash of the weights.
    pub encoder: String,
    /// Seconds it took.
    pub seconds: f64,
    /// Folder of the files behind `passages`; for what is built upon them.
    pub folder: PathBuf,
}

/// Encoding the corpus failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The snapshot could not be written for the CPU encoder.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The snapshot could not be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device or the tokenizer.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The vectors could not be kept; NaN among them counts.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The thread ended in a panic.
    #[error("the thread that encodes the corpus ended unexpectedly; resume with --resume")]
    Thread,
}

/// Where encoding happens.
#[derive(Debug, Clone)]
pub enum Place {
    /// On the CPU, by the encoder that searches use.
    Cpu,
    /// On the device that trains, by kernels of our own if they are there.
    Device(Device, Option<(Arc<Fused>, Precision)>),
}

/// Passages encoded between two looks at the cancel flag.
const WINDOW: usize = 4096;

/// Encodes snapshots.
pub struct Inferencer {
    work: Arc<Work>,
    /// Encode in a thread of its own.
    beside: bool,
    job: Option<Job>,
}

struct Job {
    step: u64,
    cancel: Arc<AtomicBool>,
    thread: JoinHandle<Result<Encoded, RefreshError>>,
}

#[derive(Clone)]
struct Work {
    encoder: Arc<TrainEncoder>,
    examples: Arc<Examples>,
    place: Place,
    /// Encode the training queries too.
    mines: bool,
    folder: PathBuf,
}

impl Inferencer {
    /// Encodes at `place`, in a thread of its own if `beside`; files go below `folder`. With `mines`, training queries are
    /// encoded as well.
    pub fn new(
        encoder: Arc<TrainEncoder>,
        examples: Arc<Examples>,
        place: Place,
        [beside, mines]: [bool; 2],
        folder: &Path,
    ) -> Self {
        Self {
            work: Arc::new(Work {
                encoder,
                examples,
                place,
                mines,
                folder: folder.to_path_buf(),
            }),
            beside,
            job: None,
        }
    }

    /// From now on by these kernels, where the device that trains encodes.
    pub fn use_kernels(&mut self, kernels: Option<(Arc<Fused>, Precision)>) {
        let mut work = Work::clone(&self.work);
        if let Place::Device(_, used) = &mut work.place {
            *used = kernels;
        }
        self.work = Arc::new(work);
    }

    /// Encodes `snapshot`: now, or in its thread; then `None` is returned, and [`Inferencer::finished`] has it later. A
    /// snapshot that is still being encoded goes on, and the new one is left out.
    ///
    /// # Errors
    /// The encoder, the file system, or the caller's cancel flag.
    pub fn start(
        &mut self,
        snapshot: Snapshot,
        task: Task<'_>,
    ) -> Result<Option<Encoded>, RefreshError> {
        if !self.beside {
            return self.work.encode(snapshot, task).map(Some);
        }
        if self.job.is_none() {
            let (work, cancel) = (Arc::clone(&self.work), Arc::new(AtomicBool::new(false)));
            let (step, flag) = (snapshot.step, Arc::clone(&cancel));
            let thread =
                std::thread::spawn(move || work.encode(snapshot, Task::new(&|_| {}, &flag)));
            self.job = Some(Job {
                step,
                cancel,
                thread,
            });
        }
        Ok(None)
    }

    /// The step of the snapshot that is being encoded.
    pub fn in_flight(&self) -> Option<u64> {
        self.job.as_ref().map(|j| j.step)
    }

    /// What was encoded since; with `wait`, not before it is done.
    ///
    /// # Errors
    /// As [`Inferencer::start`].
    pub fn finished(&mut self, wait: bool) -> Result<Option<Encoded>, RefreshError> {
        let done = self.job.as_ref().is_some_and(|j| j.thread.is_finished());
        if !(done || wait) {
            return Ok(None);
        }
        match self.job.take() {
            None => Ok(None),
            Some(job) => {
                let encoded = job.thread.join().map_err(|_| RefreshError::Thread)?;
                encoded.map(Some)
            }
        }
    }
}

impl Drop for Inferencer {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.cancel.store(true, Ordering::Relaxed);
            // Whatever it says, nobody asks for it any more.
            let _ = job.thread.join();
        }
    }
}

impl Work {
    fn encode(&self, snapshot: Snapshot, task: Task<'_>) -> Result<Encoded, RefreshError> {
        let begun = Instant::now();
        let hash = hash(&snapshot.values);
        let folder = self.folder.join(format!("step-{:09}", snapshot.step));
        disk::remove_tree(&folder)?;
        disk::create_private_dir(&folder)?;
        let encoder = self.open(&snapshot, &hash, &folder)?;
        let passages = self.passages(encoder.as_ref(), &folder, task)?;
        let queries = |queries: &[TrainQuery], task| -> Result<Vec<f32>, RefreshError> {
            let texts: Vec<&str> = queries.iter().map(|q| q.text.as_str()).collect();
            Ok(encoder.encode(&texts, Role::Query, task)?.values)
        };
        Ok(Encoded {
            queries: if self.mines {
                queries(&self.examples.queries, task.quiet())?
            } else {
                Vec::new()
            },
            dev: queries(&self.examples.dev, task.quiet())?,
            snapshot,
            passages,
            encoder: hash,
            seconds: begun.elapsed().as_secs_f64(),
            folder,
        })
    }

    fn open(
        &self,
        snapshot: &Snapshot,
        hash: &str,
        folder: &Path,
    ) -> Result<Arc<dyn Encoder>, RefreshError> {
        match &self.place {
            Place::Cpu => {
                let model = folder.join("model");
                self.encoder.save(&snapshot.values, &model)?;
                Ok(load(&model, &LoadOptions::default())?)
            }
            Place::Device(device, kernels) => {
                let values = to_device(&snapshot.values, device);
                let encoder = Arc::clone(&self.encoder);
                let encoder = DeviceEncoder::new(encoder, &values, hash, kernels.clone());
                Ok(Arc::new(encoder))
            }
        }
    }

    fn passages(
        &self,
        encoder: &dyn Encoder,
        folder: &Path,
        task: Task<'_>,
    ) -> Result<Matrix, RefreshError> {
        let (texts, dimension) = (self.examples.texts(), encoder.identity().dimension);
        let path = folder.join("passages.matrix");
        let mut writer = MatrixWriter::create(&path, dimension, Dtype::F32)?;
        let mut id = 0;
        for window in texts.chunks(WINDOW) {
            task.check()?;
            let vectors = encoder.encode(window, Role::Passage, task.quiet())?;
            for row in vectors.rows() {
                writer.push(PassageId(id), row)?;
                id += 1;
            }
            task.report("encoding the corpus", u64::from(id), texts.len() as u64);
        }
        writer.finish(false)?;
        Ok(Matrix::open(folder, ["passages.matrix"], dimension)?)
    }
}

/// blake3, hex, of the weights.
pub fn hash(values: &[f32]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(1 << 16);
    for block in values.chunks(1 << 14) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|v| v.to_le_bytes()));
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests;
