//! What is a collection to the rest of the program? A folder that can be searched while one writer changes it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use storage::generation::{Collection, Generation};
use storage::set::PassageSet;
use storage::{GenerationId, PassageId, Task};

use crate::bm25::Bm25Index;
use crate::encoder::{Encoder, EncoderIdentity};
use crate::error::EngineError;
use crate::guard::guarded;
use crate::index::lists::IndexPolicy;
use crate::index::{self, Session, check_identity, failures, identity_of};
use crate::nearest::Vectors;
use crate::report::{FileFailure, IndexReport, IndexStatus, RecallPoint, RemoveReport, Status};
use crate::request::IndexRequest;

/// One collection, open. Reading takes no lock; writing takes the collection's writer lock for as long as it lasts.
pub struct Engine {
    dir: PathBuf,
    snapshot: RwLock<Arc<Snapshot>>,
    encoder: RwLock<Option<Arc<dyn Encoder>>>,
}

/// One generation, open for reading. Kept alive by those who use it, whatever a writer publishes meanwhile.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) open: Option<Open>,
}

/// The stores of a generation.
pub(crate) struct Open {
    pub(crate) generation: Generation,
    pub(crate) index: Bm25Index,
    pub(crate) vectors: Option<Vectors>,
    /// Passages that can be found.
    pub(crate) live: PassageSet,
    /// Files that could not be read. Kept, since a newer generation may take this one's folder away.
    failures: Vec<FileFailure>,
}

impl Snapshot {
    fn open(dir: &Path) -> Result<Self, EngineError> {
        let Some(collection) = Collection::open(dir)? else {
            return Ok(Self::default());
        };
        let open = collection.open_current(|generation| guarded(dir, || Open::new(generation)))?;
        Ok(Self { open })
    }

    fn id(&self) -> Option<GenerationId> {
        self.open.as_ref().map(|open| open.generation.id)
    }
}

impl Open {
    fn new(generation: &Generation) -> Result<Self, EngineError> {
        let index = Bm25Index::open(&generation.dir.join("bm25"))?;
        let live = index.live().iter().map(PassageId).collect();
        let (vectors, path) = (generation.matrix()?, generation.index_path());
        Ok(Self {
            generation: generation.clone(),
            vectors: vectors.map(|matrix| Vectors::open(matrix, path.as_deref())),
            failures: failures::read(generation)?,
            index,
            live,
        })
    }
}

impl Engine {
    /// Opens the collection in `dir`. A folder that does not exist is an empty collection; nothing is created.
    ///
    /// # Errors
    /// A damaged collection, or one of a newer format.
    pub fn open(dir: &Path) -> Result<Self, EngineError> {
        let snapshot = RwLock::new(Arc::new(Snapshot::open(dir)?));
        Ok(Self {
            dir: dir.to_owned(),
            snapshot,
            encoder: RwLock::new(None),
        })
    }

    /// The collection's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Moves on to the newest generation; true if there was one.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn refresh(&self) -> Result<bool, EngineError> {
        let newest = Collection::open(&self.dir)?
            .map(|collection| collection.current_id())
            .transpose()?
            .flatten();
        if newest == self.snapshot().id() {
            return Ok(false);
        }
        let fresh = Arc::new(Snapshot::open(&self.dir)?);
        // A thread that panicked while swapping an Arc left a whole Arc behind.
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn encoder(&self) -> Option<Arc<dyn Encoder>> {
        self.encoder
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Identity of the encoder the collection's vectors were made with, if it has vectors.
    pub fn identity(&self) -> Option<EncoderIdentity> {
        self.snapshot()
            .open
            .as_ref()
            .and_then(|open| open.generation.manifest.encoder.as_ref())
            .map(identity_of)
    }

    /// The generation that answers; 0 is an empty collection.
    pub fn generation(&self) -> u64 {
        self.snapshot().id().map_or(0, |id| id.0)
    }

    /// Hands in the encoder for queries and new passages.
    ///
    /// # Errors
    /// [`EngineError::EncoderMismatch`] if the collection's vectors are of another one.
    pub fn set_encoder(&self, encoder: Arc<dyn Encoder>) -> Result<(), EngineError> {
        if let Some(open) = &self.snapshot().open
            && let Some(stamp) = &open.generation.manifest.encoder
        {
            check_identity(stamp, encoder.identity())?;
        }
        *self.encoder.write().unwrap_or_else(PoisonError::into_inner) = Some(encoder);
        Ok(())
    }

    /// Runs `work` as the collection's one writer, then moves on to what it published.
    pub(crate) fn write<T>(
        &self,
        encoder: Option<Arc<dyn Encoder>>,
        report: &mut IndexReport,
        work: impl FnOnce(&mut Session<'_>, &mut IndexReport) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let collection = Collection::create_or_open(&self.dir)?;
        let lock = collection.lock()?;
        let done = guarded(&self.dir, || {
            let mut session = Session::open(&lock, encoder, report)?;
            work(&mut session, report)
        });
        self.refresh()?;
        done
    }

    /// Adds what is new below the requested paths, renews what changed, removes what is gone.
    ///
    /// A cancelled run publishes the files it finished ([`IndexReport::interrupted`]). Files that cannot be read are
    /// counted in the report and do not stop the run.
    ///
    /// # Errors
    /// A missing path, another writer, an encoder other than the collection's, or a failing disk.
    pub fn index(
        &self,
        request: &IndexRequest,
        task: Task<'_>,
    ) -> Result<IndexReport, EngineError> {
        let roots = absolute(&request.paths)?;
        let encoder = request.encoder.clone().or_else(|| self.encoder());
        let mut report = IndexReport::default();
        self.write(encoder, &mut report, |session, report| {
            index::run(session, &roots, &request.options, report, task)
        })?;
        Ok(report)
    }

    /// Takes files and folders out of the collection. The files themselves are not touched.
    ///
    /// # Errors
    /// Another writer, or a failing disk.
    pub fn remove(&self, paths: &[PathBuf], task: Task<'_>) -> Result<RemoveReport, EngineError> {
        let mut report = RemoveReport::default();
        let mut inner = IndexReport::default();
        let encoder = self.encoder();
        self.write(encoder, &mut inner, |session, inner| {
            for path in paths {
                index::remove(session, path, &mut report)?;
            }
            session.publish(inner, task)
        })?;
        report.generation = inner.generation;
        Ok(report)
    }

    /// Gives every passage a vector of `encoder` in place of those it has; `None` goes back to words only.
    /// Texts come from the collection, so the files need not be there.
    ///
    /// # Errors
    /// Another writer, a failing disk or device, or the caller's cancel flag: then the old vectors stay.
    pub fn switch_encoder(
        &self,
        encoder: Option<Arc<dyn Encoder>>,
        task: Task<'_>,
    ) -> Result<IndexReport, EngineError> {
        let mut report = IndexReport::default();
        let started = std::time::Instant::now();
        let collection = Collection::create_or_open(&self.dir)?;
        let lock = collection.lock()?;
        let mut session = Session::open_for_switch(&lock, &mut report)?;
        session.switch_encoder(encoder.clone(), &mut report, task)?;
        session.publish(&mut report, task)?;
        drop(session);
        *self.encoder.write().unwrap_or_else(PoisonError::into_inner) = encoder;
        self.refresh()?;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Gives the collection an index of its vectors, however few they are; nothing happens where it has one. A later
    /// change of a collection below [`crate::INDEX_FROM`] passages takes it away again.
    ///
    /// # Errors
    /// [`EngineError::NoVectors`], another writer, a failing disk, or the caller's cancel flag.
    pub fn build_index(&self, task: Task<'_>) -> Result<IndexReport, EngineError> {
        let mut report = IndexReport::default();
        let snapshot = self.snapshot();
        let vectors = snapshot
            .open
            .as_ref()
            .and_then(|open| open.vectors.as_ref());
        if vectors.ok_or(EngineError::NoVectors)?.index.is_some() {
            return Ok(report);
        }
        self.write(self.encoder(), &mut report, |session, report| {
            session.index_as(IndexPolicy::Always);
            session.publish(report, task)
        })?;
        task.check()?;
        Ok(report)
    }

    /// What the collection holds.
    ///
    /// # Errors
    /// A failing disk.
    pub fn status(&self) -> Result<Status, EngineError> {
        let writer = Collection::open(&self.dir)?
            .map(|collection| collection.holder())
            .transpose()?
            .flatten();
        let snapshot = self.snapshot();
        let mut status = Status {
            collection: self.dir.clone(),
            writer,
            ..Status::default()
        };
        let Some(open) = &snapshot.open else {
            return Ok(status);
        };
        let manifest = &open.generation.manifest;
        status.generation = open.generation.id.0;
        status.published = Some(manifest.published.clone());
        status.roots = manifest.roots.iter().map(PathBuf::from).collect();
        (status.documents, status.passages) = (manifest.documents, manifest.live);
        status.text_bytes = manifest.text_bytes;
        status.extensions = index::extensions(manifest);
        status.encoder = self.identity();
        status.dense_search = open.vectors.as_ref().map(dense_search);
        status.index = open.vectors.as_ref().and_then(index_status);
        if let Some(vectors) = &open.vectors {
            status.index_damage.clone_from(&vectors.damage);
        }
        status.bytes_on_disk = bytes_on_disk(&self.dir, open);
        status.failures.clone_from(&open.failures);
        Ok(status)
    }
}

/// Resolved paths, so that one file has one name whatever folder askance is started in.
fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, EngineError> {
    paths
        .iter()
        .map(|path| path.canonicalize().map_err(EngineError::io("read", path)))
        .collect()
}

/// Bytes by store. The working full-text index shares its files with the generation and is not counted twice.
fn bytes_on_disk(dir: &Path, open: &Open) -> Vec<(&'static str, u64)> {
    let vectors = open.vectors.as_ref();
    let index = vectors.and_then(|vectors| vectors.index.as_ref());
    vec![
        ("documents", folder_bytes(&dir.join("documents"))),
        ("bm25", folder_bytes(&open.generation.dir.join("bm25"))),
        ("vectors", vectors.map_or(0, |v| v.matrix.bytes())),
        ("ivfpq", index.map_or(0, |index| index.bytes())),
    ]
}

/// How vectors are searched, as far as it is known before there is a query.
fn dense_search(vectors: &Vectors) -> String {
    match &vectors.index {
        Some(index) => format!("ivfpq, {} lists", index.lists()),
        None => "exact".to_owned(),
    }
}

fn index_status(vectors: &Vectors) -> Option<IndexStatus> {
    let index = vectors.index.as_ref()?;
    let (points, sample) = index.measured();
    let measured = points.iter().map(|point| RecallPoint {
        nprobe: point.nprobe,
        rescore: point.rescore,
        recall: point.recall,
    });
    Some(IndexStatus {
        lists: index.lists() as u64,
        vectors: index.vectors() as u64,
        tail: index.tail() as u64,
        bytes: index.bytes(),
        sample: sample as u64,
        measured: measured.collect(),
    })
}

fn folder_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        // Gone since it was listed.
        Err(_) => 0,
    };
    entries.map(size).sum()
}
