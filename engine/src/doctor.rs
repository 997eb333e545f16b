//! Do the stores of a collection agree, and can they be made to?
//!
//! Looking changes nothing. Repair goes from cheap to dear: records rebuilt from the generation, the generation before
//! this one put back, the index of the vectors made again, vectors encoded again from the stored text, everything read
//! again from the person's files.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;
use storage::documents::{DocumentRecord, DocumentStore, StoreState};
use storage::generation::{Collection, Generation};
use storage::ivfpq::Index;
use storage::{PassageId, PassageSet, StorageError, Task};

use crate::bm25::Bm25Index;
use crate::collection::Engine;
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::guard::guarded;
use crate::index::{failures, is_repair_unfinished};
use crate::report::{Check, DoctorReport};
use crate::request::ReadOptions;

mod repair;

/// Problems named one by one before the rest is only counted.
const NAMED: usize = 20;
/// Repairs one after the other: each may bring to light what the damage before it hid.
const ROUNDS: usize = 4;

/// What has to be made again, the worst alone: repairing it makes whatever hangs on it anew too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Damage {
    /// The list of failures.
    Failures,
    /// The records.
    Records,
    /// The index of the vectors.
    Lists,
    /// The vectors.
    Vectors,
    /// An earlier repair ended before it had read everything.
    Unfinished,
    /// The full-text index.
    Index,
    /// The manifest, or the pointer to it.
    Generation,
}

impl Damage {
    /// What repairing it does.
    fn cure(self) -> &'static str {
        match self {
            Self::Failures => "list the files that cannot be read anew, from the records",
            Self::Records => "rebuild the records from the current generation",
            Self::Lists => "make the index of the vectors again",
            Self::Vectors => "encode all passages again from their stored text",
            Self::Unfinished => "read the rest of the indexed folders",
            Self::Index => "read everything again from the indexed folders",
            Self::Generation => {
                "put the newest readable generation back, or read everything again where there is none"
            }
        }
    }
}

impl Engine {
    /// Compares documents, full-text index and vectors of the collection in `dir`, and repairs them if `repair` says
    /// how files are read. Without repair nothing is changed, and the report says what repair would do. A repair that
    /// is interrupted is taken up again by the next one.
    ///
    /// # Errors
    /// Another writer, a failing disk, or a repair that needs an encoder which `encoder` is not.
    pub fn doctor(
        dir: &Path,
        encoder: Option<Arc<dyn Encoder>>,
        repair: Option<&ReadOptions>,
        task: Task<'_>,
    ) -> Result<DoctorReport, EngineError> {
        let mut report = DoctorReport::default();
        let opened = match Collection::open(dir) {
            Err(error @ StorageError::Corrupt { .. }) => {
                let problems = Problems::of(error);
                report.checks.push(problems.into_check("collection"));
                if repair.is_none() {
                    report
                        .planned
                        .push("say anew what the folder is".to_owned());
                    return Ok(report);
                }
                let marked = Collection::mark(dir)?;
                report
                    .repaired
                    .push("said anew what the folder is".to_owned());
                Some(marked)
            }
            opened => opened?,
        };
        let Some(collection) = opened else {
            return Ok(report);
        };
        let lock = collection.lock()?;
        let damage = examine(&collection, &mut report, task)?;
        let Some(options) = repair else {
            report
                .planned
                .extend(damage.map(Damage::cure).map(str::to_owned));
            return Ok(report);
        };
        let mut next = damage;
        for _ in 0..ROUNDS {
            let Some(damage) = next else { break };
            let said = guarded(dir, || repair::mend(&lock, damage, &encoder, options, task))?;
            report.repaired.push(said);
            next = examine(&collection, &mut DoctorReport::default(), task)?;
        }
        Ok(report)
    }
}

/// Looks at everything, cheapest first; the worst that was found.
fn examine(
    collection: &Collection,
    report: &mut DoctorReport,
    task: Task<'_>,
) -> Result<Option<Damage>, EngineError> {
    let mut check = |name, problems: Problems| {
        let sound = problems.count == 0;
        report.checks.push(problems.into_check(name));
        sound
    };
    let generation = match collection.current() {
        Ok(Some(generation)) => generation,
        Ok(None) => return Ok(None),
        Err(error) => {
            check("generation", Problems::of(error));
            return Ok(Some(Damage::Generation));
        }
    };
    check("generation", Problems::default());
    let dir = collection.dir();
    let mut damage = Vec::new();
    let mut note = |sound: bool, kind| {
        if !sound {
            damage.push(kind);
        }
    };
    if is_repair_unfinished(&generation.manifest) {
        let problem = "an earlier repair did not finish reading the indexed folders".to_owned();
        note(check("repair", Problems::of(problem)), Damage::Unfinished);
    }
    let (live, problems) = check_index(&generation, task)?;
    let readable = problems.count == 0;
    note(check("full-text index", problems), Damage::Index);
    let problems = caught(dir, |problems| check_vectors(&generation, &live, problems));
    let rows = check("vectors", problems);
    note(rows, Damage::Vectors);
    if rows && generation.index_path().is_some() {
        let problems = caught(dir, |problems| {
            check_lists(&generation, &live, problems, task)
        });
        task.check()?;
        note(check("index of the vectors", problems), Damage::Lists);
    }
    let problems = caught(dir, |problems| {
        check_records(collection, &generation, readable.then_some(&live), problems)
    });
    note(check("records", problems), Damage::Records);
    let problems = failures::read(&generation).map_or_else(Problems::of, |_| Problems::default());
    note(check("failures", problems), Damage::Failures);
    Ok(damage.into_iter().max())
}

/// What `look` finds; a panic of it is a problem like any other.
fn caught(dir: &Path, look: impl FnOnce(&mut Problems)) -> Problems {
    let mut problems = Problems::default();
    let outcome = guarded(dir, || {
        look(&mut problems);
        Ok(())
    });
    if let Err(error) = outcome {
        problems.add(error.to_string());
    }
    problems
}

/// The passages that can be found, once every byte of the index was compared with its checksum and every passage read.
fn check_index(
    generation: &Generation,
    task: Task<'_>,
) -> Result<(RoaringBitmap, Problems), EngineError> {
    let dir = generation.dir.join("bm25");
    let mut live = RoaringBitmap::new();
    let problems = caught(&dir, |problems| match Bm25Index::damaged_files(&dir) {
        Err(error) => problems.add(error.to_string()),
        Ok(files) => {
            for file in files {
                problems.add(format!(
                    "{} does not fit its checksum",
                    dir.join(file).display()
                ));
            }
        }
    });
    if problems.count > 0 {
        return Ok((live, problems));
    }
    let problems = caught(&dir, |problems| match Bm25Index::open(&dir) {
        Err(error) => problems.add(error.to_string()),
        Ok(index) => {
            live.clone_from(index.live());
            read_all(&index, problems, task);
            let (found, expected) = (live.len(), generation.manifest.live);
            if found != expected {
                problems.add(format!(
                    "{found} passages in the index, {expected} in the manifest"
                ));
            }
        }
    });
    task.check()?;
    Ok((live, problems))
}

/// Reads every live passage, until the caller asks to stop.
fn read_all(index: &Bm25Index, problems: &mut Problems, task: Task<'_>) {
    for (done, id) in index.live().iter().enumerate() {
        if done % 1024 == 0 {
            task.report("checking passages", done as u64, index.live().len());
            if task.check().is_err() {
                return;
            }
        }
        if let Err(error) = index.passage(PassageId(id)) {
            problems.add(error.to_string());
        }
    }
}

/// Every live passage has a row, and the rows are what was written.
fn check_vectors(generation: &Generation, live: &RoaringBitmap, problems: &mut Problems) {
    let matrix = match generation.matrix() {
        Ok(Some(matrix)) => matrix,
        Ok(None) => return,
        Err(error) => return problems.add(error.to_string()),
    };
    if let Err(error) = matrix.verify() {
        problems.add(error.to_string());
    }
    for id in live
        .iter()
        .filter(|&id| matrix.row_of(PassageId(id)).is_none())
    {
        problems.add(format!("passage {id} has no vector"));
    }
}

/// The index of the vectors holds every row it should, and its codes are those of the rows.
fn check_lists(
    generation: &Generation,
    live: &RoaringBitmap,
    problems: &mut Problems,
    task: Task<'_>,
) {
    let (path, matrix) = match (generation.index_path(), generation.matrix()) {
        (Some(path), Ok(Some(matrix))) => (path, matrix),
        (_, Err(error)) => return problems.add(error.to_string()),
        _ => return,
    };
    let live: PassageSet = live.iter().map(PassageId).collect();
    match Index::open(&path, matrix).and_then(|index| index.audit(&live, task)) {
        Ok(audit) => {
            let counts = [
                (audit.missing, "passages are in no list"),
                (
                    audit.miscounted,
                    "passages stand in a wrong number of lists",
                ),
                (audit.foreign, "codes are not those of their vectors"),
            ];
            for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
                problems.add(format!("{count} {what}"));
            }
        }
        Err(error) => problems.add(error.to_string()),
    }
}

/// The records are those of this generation and, where the index could be read, name exactly its passages.
fn check_records(
    collection: &Collection,
    generation: &Generation,
    live: Option<&RoaringBitmap>,
    problems: &mut Problems,
) {
    let store = match DocumentStore::open(&collection.documents_dir()) {
        Ok(store) => store,
        Err(error) => return problems.add(error.to_string()),
    };
    match store.state() {
        Ok(StoreState::Committed(id)) if id == generation.id => {}
        Ok(state) => problems.add(format!(
            "the records are {state:?}, not of generation {}",
            generation.id.0
        )),
        Err(error) => problems.add(error.to_string()),
    }
    if let Err(error) = store.verify() {
        problems.add(error.to_string());
    }
    if let Some(live) = live {
        compare_passages(&store, live, problems);
    }
}

fn compare_passages(store: &DocumentStore, live: &RoaringBitmap, problems: &mut Problems) {
    let mut named = RoaringBitmap::new();
    for record in store.documents() {
        match record {
            Ok(record) => named.extend(passages(&record)),
            Err(error) => problems.add(error.to_string()),
        }
    }
    for id in (&named - live).iter() {
        problems.add(format!(
            "passage {id} is in the records and not in the full-text index"
        ));
    }
    for id in (live - &named).iter() {
        problems.add(format!(
            "passage {id} is in the full-text index and not in the records"
        ));
    }
}

fn passages(record: &DocumentRecord) -> impl Iterator<Item = u32> {
    record.passages.iter().map(|passage| passage.id.0)
}

/// Problems of one check: the first ones in words, the rest counted.
#[derive(Default)]
struct Problems {
    named: Vec<String>,
    count: usize,
}

impl Problems {
    fn of(problem: impl ToString) -> Self {
        let mut problems = Self::default();
        problems.add(problem.to_string());
        problems
    }

    fn add(&mut self, problem: String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(problem);
        }
    }

    fn into_check(mut self, name: &'static str) -> Check {
        let more = self.count - self.named.len();
        if more > 0 {
            self.named.push(format!("and {more} more"));
        }
        Check {
            name,
            problems: self.named,
        }
    }
}
