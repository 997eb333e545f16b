//! How is each kind of damage made good?
//!
//! From cheap to dear: lists and records from the generation, vectors from the stored text, everything from the person's
//! files. Each repair ends with a published generation, so that one that is interrupted has done harm to nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::Task;
use storage::documents::DocumentStore;
use storage::generation::WriterLock;

use super::Damage;
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::index::lists::IndexPolicy;
use crate::index::{self, Session, recover};
use crate::report::IndexReport;
use crate::request::ReadOptions;

type Given = Option<Arc<dyn Encoder>>;

/// Makes good what `damage` says; what was done, in a sentence.
pub(super) fn mend(
    lock: &WriterLock,
    damage: Damage,
    encoder: &Given,
    options: &ReadOptions,
    task: Task<'_>,
) -> Result<String, EngineError> {
    match damage {
        Damage::Failures => publish_again(lock, task),
        Damage::Records => rebuild_records(lock),
        Damage::Lists => index_again(lock, task),
        Damage::Vectors => encode_again(lock, encoder.clone(), task),
        Damage::Unfinished => read_the_rest(lock, encoder.clone(), options, task),
        Damage::Index => {
            let roots = recorded_roots(lock)?;
            read_again(lock, roots, encoder.clone(), options, task)
        }
        Damage::Generation => go_back(lock, encoder.clone(), options, task),
    }
}

fn publish_again(lock: &WriterLock, task: Task<'_>) -> Result<String, EngineError> {
    let mut inner = IndexReport::default();
    let mut session = Session::open(lock, None, &mut inner)?;
    session.publish_anyway(&mut inner, task)?;
    Ok("files that cannot be read listed anew".to_owned())
}

fn rebuild_records(lock: &WriterLock) -> Result<String, EngineError> {
    let base = lock.collection().current()?;
    recover::rebuild(&lock.collection().documents_dir(), base.as_ref())?;
    Ok("records rebuilt from the current generation".to_owned())
}

fn index_again(lock: &WriterLock, task: Task<'_>) -> Result<String, EngineError> {
    let mut inner = IndexReport::default();
    let mut session = Session::open(lock, None, &mut inner)?;
    session.index_as(IndexPolicy::Anew);
    session.publish(&mut inner, task)?;
    stopped(&inner)?;
    Ok(match session.has_index() {
        true => "index of the vectors made again".to_owned(),
        false => "index of the vectors dropped, since so few are compared one by one".to_owned(),
    })
}

fn encode_again(lock: &WriterLock, encoder: Given, task: Task<'_>) -> Result<String, EngineError> {
    let mut inner = IndexReport::default();
    let mut session = Session::open_for_switch(lock, &mut inner)?;
    let name = encoder
        .as_ref()
        .map(|encoder| encoder.identity().name.clone());
    session.switch_encoder(encoder, &mut inner, task)?;
    session.publish(&mut inner, task)?;
    Ok(match name {
        Some(name) => format!("all passages encoded again with {name}"),
        None => "vectors dropped, since their encoder is not loaded; `askance model use NAME` makes new ones".into(),
    })
}

/// Goes on where an earlier repair stopped.
fn read_the_rest(
    lock: &WriterLock,
    encoder: Given,
    options: &ReadOptions,
    task: Task<'_>,
) -> Result<String, EngineError> {
    let mut inner = IndexReport::default();
    let mut session = Session::open(lock, encoder, &mut inner)?;
    let (there, gone) = split(recorded_roots(lock)?);
    index::run(&mut session, &there, options, &mut inner, task)?;
    stopped(&inner)?;
    session.end_repair(&mut inner, task)?;
    Ok(format!("the rest read from {}", list(&there)) + &missed(&gone))
}

/// Puts the newest readable generation back; where there is none, everything is read again from the folders that the
/// records name.
fn go_back(
    lock: &WriterLock,
    encoder: Given,
    options: &ReadOptions,
    task: Task<'_>,
) -> Result<String, EngineError> {
    let collection = lock.collection();
    for id in collection.generations()?.into_iter().rev() {
        if collection.generation(id).is_ok() {
            lock.point_to(id)?;
            return Ok(format!(
                "generation {} put back; run `askance index` to catch up",
                id.0
            ));
        }
    }
    let roots = DocumentStore::open(&collection.documents_dir()).and_then(|store| store.roots());
    match roots {
        Ok(roots) if !roots.is_empty() => read_again(lock, roots, encoder, options, task),
        _ => Err(EngineError::Inconsistent(format!(
            "no readable generation is left in {}, nor a record of what was indexed; delete that folder and index again",
            collection.dir().display()
        ))),
    }
}

/// Indexes the roots into empty stores.
fn read_again(
    lock: &WriterLock,
    roots: Vec<String>,
    encoder: Given,
    options: &ReadOptions,
    task: Task<'_>,
) -> Result<String, EngineError> {
    let mut inner = IndexReport::default();
    let mut session = Session::open_empty(lock, encoder, roots.clone())?;
    let (there, gone) = split(roots);
    index::run(&mut session, &there, options, &mut inner, task)?;
    stopped(&inner)?;
    session.end_repair(&mut inner, task)?;
    Ok(format!("everything read again from {}", list(&there)) + &missed(&gone))
}

/// A run that was told to stop has published what it read; the next repair reads the rest.
fn stopped(report: &IndexReport) -> Result<(), EngineError> {
    match report.interrupted {
        true => Err(EngineError::Cancelled(storage::Cancelled)),
        false => Ok(()),
    }
}

fn recorded_roots(lock: &WriterLock) -> Result<Vec<String>, EngineError> {
    let base = lock.collection().current()?;
    Ok(base.map_or_else(Vec::new, |base| base.manifest.roots))
}

/// Roots that are there, and those that are not: a drive that is not plugged in.
fn split(roots: Vec<String>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    roots
        .into_iter()
        .map(PathBuf::from)
        .partition(|root| Path::exists(root))
}

fn list(roots: &[PathBuf]) -> String {
    let roots: Vec<String> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    roots.join(", ")
}

fn missed(gone: &[PathBuf]) -> String {
    match gone.is_empty() {
        true => String::new(),
        false => format!("; {} is not there now: index it when it is", list(gone)),
    }
}
