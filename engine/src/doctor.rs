//! Do the stores of a collection agree, and can they be made to?
//!
//! Looking changes nothing. Repair goes from cheap to dear: records rebuilt from the generation, the generation before
//! this one put back, vectors encoded again from the stored text, everything read again from the person's files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;
use storage::PassageId;
use storage::Task;
use storage::documents::{DocumentRecord, DocumentStore, StoreState};
use storage::generation::{Collection, Generation, WriterLock};

use crate::bm25::Bm25Index;
use crate::collection::Engine;
use crate::error::EngineError;
use crate::index::{self, Scope, Session, recover};
use crate::report::{Check, DoctorReport, IndexReport};
use crate::request::ReadOptions;

/// Problems named one by one before the rest is only counted.
const NAMED: usize = 20;

/// What has to be made again.
#[derive(Debug, Default)]
struct Damage {
    generation: bool,
    index: bool,
    vectors: bool,
    records: bool,
}

impl Engine {
    /// Compares documents, full-text index and vectors of the collection in `dir`, and repairs them if `repair` says
    /// how files are read. Without repair nothing is changed.
    ///
    /// # Errors
    /// Another writer, a failing disk, or a repair that needs an encoder which `encoder` is not.
    pub fn doctor(
        dir: &Path,
        encoder: Option<std::sync::Arc<dyn crate::encoder::Encoder>>,
        repair: Option<&ReadOptions>,
        task: Task<'_>,
    ) -> Result<DoctorReport, EngineError> {
        let mut report = DoctorReport::default();
        let Some(collection) = Collection::open(dir)? else {
            return Ok(report);
        };
        let lock = collection.lock()?;
        let damage = examine(&collection, &mut report, task)?;
        if let Some(options) = repair {
            mend(&lock, &damage, encoder, options, &mut report, task)?;
        }
        Ok(report)
    }
}

/// Looks at everything, cheapest first.
fn examine(
    collection: &Collection,
    report: &mut DoctorReport,
    task: Task<'_>,
) -> Result<Damage, EngineError> {
    let mut damage = Damage::default();
    let generation = match collection.current() {
        Ok(Some(generation)) => generation,
        Ok(None) => return Ok(damage),
        Err(error) => {
            damage.generation = true;
            report.checks.push(Check {
                name: "generation",
                problems: vec![error.to_string()],
            });
            return Ok(damage);
        }
    };
    report.checks.push(Check {
        name: "generation",
        problems: Vec::new(),
    });
    let live = check_index(&generation, report, task)?;
    damage.index = live.is_none();
    let live = live.unwrap_or_default();
    damage.vectors = !check_vectors(&generation, &live, report)?;
    damage.records = !check_records(collection, &generation, &live, report)?;
    Ok(damage)
}

/// Reads every live passage; `None` if the index is damaged.
fn check_index(
    generation: &Generation,
    report: &mut DoctorReport,
    task: Task<'_>,
) -> Result<Option<RoaringBitmap>, EngineError> {
    let mut problems = Problems::default();
    let opened = Bm25Index::open(&generation.dir.join("bm25"));
    let live = match &opened {
        Ok(index) => {
            read_all(index, &mut problems, task)?;
            index.live().clone()
        }
        Err(error) => {
            problems.add(error.to_string());
            RoaringBitmap::new()
        }
    };
    let expected = generation.manifest.live;
    if problems.count == 0 && live.len() != expected {
        problems.add(format!(
            "{} passages in the index, {expected} in the manifest",
            live.len()
        ));
    }
    let sound = problems.count == 0;
    report.checks.push(problems.into_check("full-text index"));
    Ok(sound.then_some(live))
}

fn read_all(index: &Bm25Index, problems: &mut Problems, task: Task<'_>) -> Result<(), EngineError> {
    for (done, id) in index.live().iter().enumerate() {
        task.check()?;
        if let Err(error) = index.passage(PassageId(id)) {
            problems.add(error.to_string());
        }
        if done % 1024 == 0 {
            task.report("checking passages", done as u64, index.live().len());
        }
    }
    Ok(())
}

/// Every live passage has a row, and the rows are what was written.
fn check_vectors(
    generation: &Generation,
    live: &RoaringBitmap,
    report: &mut DoctorReport,
) -> Result<bool, EngineError> {
    let mut problems = Problems::default();
    match generation.matrix() {
        Ok(None) => {}
        Ok(Some(matrix)) => {
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
        Err(error) => problems.add(error.to_string()),
    }
    let sound = problems.count == 0;
    report.checks.push(problems.into_check("vectors"));
    Ok(sound)
}

/// The records are those of this generation and name exactly its passages.
fn check_records(
    collection: &Collection,
    generation: &Generation,
    live: &RoaringBitmap,
    report: &mut DoctorReport,
) -> Result<bool, EngineError> {
    let mut problems = Problems::default();
    match DocumentStore::open(&collection.documents_dir()) {
        Err(error) => problems.add(error.to_string()),
        Ok(store) => {
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
            compare_passages(&store, live, &mut problems);
        }
    }
    let sound = problems.count == 0;
    report.checks.push(problems.into_check("records"));
    Ok(sound)
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

/// Makes good what `damage` says.
fn mend(
    lock: &WriterLock,
    damage: &Damage,
    encoder: Option<std::sync::Arc<dyn crate::encoder::Encoder>>,
    options: &ReadOptions,
    report: &mut DoctorReport,
    task: Task<'_>,
) -> Result<(), EngineError> {
    let mut inner = IndexReport::default();
    if damage.generation {
        return go_back(lock, report);
    }
    if damage.index {
        let roots = read_again(lock, encoder, options, &mut inner, task)?;
        let roots: Vec<String> = roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        report
            .repaired
            .push(format!("everything read again from {}", roots.join(", ")));
    } else if damage.vectors {
        let mut session = Session::open_for_switch(lock, &mut inner)?;
        let name = encoder
            .as_ref()
            .map(|encoder| encoder.identity().name.clone());
        session.switch_encoder(encoder, &mut inner, task)?;
        session.publish(&mut inner, task)?;
        report.repaired.push(match name {
            Some(name) => format!("all passages encoded again with {name}"),
            None => "vectors dropped, since their encoder is not loaded; `askance model use NAME` makes new ones".into(),
        });
    } else if damage.records {
        let base = lock.collection().current()?;
        recover::rebuild(&lock.collection().documents_dir(), base.as_ref())?;
        report
            .repaired
            .push("records rebuilt from the current generation".into());
    }
    Ok(())
}

/// Puts the newest readable generation back.
fn go_back(lock: &WriterLock, report: &mut DoctorReport) -> Result<(), EngineError> {
    let collection = lock.collection();
    for id in collection.generations()?.into_iter().rev() {
        if collection.generation(id).is_ok() {
            lock.point_to(id)?;
            report.repaired.push(format!(
                "generation {} put back; run `askance index` to catch up",
                id.0
            ));
            return Ok(());
        }
    }
    let dir = collection.dir().display();
    Err(EngineError::Inconsistent(format!(
        "no readable generation is left in {dir}; delete that folder and index again"
    )))
}

/// Indexes the roots into empty stores.
fn read_again(
    lock: &WriterLock,
    encoder: Option<std::sync::Arc<dyn crate::encoder::Encoder>>,
    options: &ReadOptions,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<Vec<PathBuf>, EngineError> {
    let roots: HashSet<PathBuf> = match lock.collection().current()? {
        Some(base) => base
            .manifest
            .roots
            .iter()
            .map(PathBuf::from)
            .filter(|root| root.exists())
            .collect(),
        None => HashSet::new(),
    };
    let mut roots: Vec<PathBuf> = roots.into_iter().collect();
    roots.sort();
    let mut session = Session::open_empty(lock, encoder)?;
    let scope = Scope {
        roots: &roots,
        within: None,
        anew: false,
    };
    index::run(&mut session, &scope, options, report, task)?;
    Ok(roots)
}

/// Problems of one check: the first ones in words, the rest counted.
#[derive(Default)]
struct Problems {
    named: Vec<String>,
    count: usize,
}

impl Problems {
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
