//! How do files become the next generation?
//!
//! `plan` compares the folders with the records, `prepare` reads and splits one file, `session` writes documents into
//! the stores and publishes, and this page puts them in order.

mod asking;
pub(crate) mod failures;
pub(crate) mod lists;
mod plan;
mod prepare;
mod publish;
pub(crate) mod recover;
mod session;
mod stamp;
mod tally;
mod vectors;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use storage::Task;
use storage::generation::Manifest;

pub(crate) use publish::is_repair_unfinished;
pub(crate) use session::{DocumentInput, PassageInput, Session};
pub(crate) use stamp::{check_identity, identity_of};

use crate::error::EngineError;
use crate::ingest::split::SplitBudget;
use crate::ingest::walk::is_empty_folder;
use crate::report::{FileFailure, IndexReport, RemoveReport};
use crate::request::{PassageBudget, ReadOptions};
use crate::threads;
pub(crate) use plan::Scope;
use plan::{Candidate, Plan};
use prepare::{Outcome, Prepared};

/// Long runs publish what they have this often, so that a crash costs little and search keeps up.
const PUBLISH_EVERY: Duration = Duration::from_secs(60);
/// Files read side by side before their results are written in order.
const FILES_PER_BATCH: usize = 128;
/// Bytes of files read side by side; bounds memory.
const BYTES_PER_BATCH: u64 = 16 << 20;

/// Brings the session's stores in line with the files the scope names.
///
/// A cancelled run publishes the files it finished and says so in the report.
pub(crate) fn run(
    session: &mut Session<'_>,
    scope: &Scope<'_>,
    options: &ReadOptions,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<(), EngineError> {
    let started = Instant::now();
    session.check_encoder()?;
    let all = anew(session, scope, options, report);
    let scope = all.as_ref().map_or(*scope, |roots| Scope {
        roots,
        within: None,
        anew: true,
    });
    let plan = plan::plan(session, &scope, options, report)?;
    let finished = read_and_write(session, &plan, options, report, task)?;
    if finished {
        remove_missing(session, &plan, report)?;
        if scope.within.is_none() {
            session.add_roots(scope.roots)?;
            session.set_passages(options.passages);
        }
    } else {
        report.interrupted = true;
    }
    if finished {
        session.publish(report, task)?;
    } else {
        // What was read before the caller asked to stop is kept.
        session.publish_underway(report, task.unstoppable())?;
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(())
}

/// Every root that is there, if passages have another length now than those of the collection. Files below a root that
/// is not there, or stands empty, keep the passages they have.
fn anew(
    session: &Session<'_>,
    scope: &Scope<'_>,
    options: &ReadOptions,
    report: &mut IndexReport,
) -> Option<Vec<PathBuf>> {
    if scope.within.is_some() || !session.splits_otherwise(options.passages) {
        return None;
    }
    report.warnings.push(
        "the settings ask for passages of another length: every file is read again".to_owned(),
    );
    let mut roots = scope.roots.to_vec();
    roots.extend(
        session
            .roots
            .iter()
            .map(PathBuf::from)
            .filter(|root| root.exists() && !is_empty_folder(root)),
    );
    roots.sort();
    roots.dedup();
    Some(roots)
}

/// Takes a file, or everything below a folder, out of the collection.
pub(crate) fn remove(
    session: &mut Session<'_>,
    path: &Path,
    report: &mut RemoveReport,
) -> Result<(), EngineError> {
    // A file that is gone cannot be resolved; its name as typed is all there is.
    let path = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .map_err(EngineError::io("find", path))?;
    let mut below = Vec::new();
    session.each_path_below(&path, |found| below.push(found.to_owned()))?;
    let was_root = session.remove_root(&plan::path_text(&path))?;
    if below.is_empty() && !was_root {
        report.unknown.push(path);
    }
    for path in below {
        if let Some(record) = session.remove(&path)? {
            report.documents += 1;
            report.passages += record.passages.len() as u64;
        }
    }
    Ok(())
}

/// Documents by file name extension, most first.
pub(crate) fn extensions(manifest: &Manifest) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = tally::Tally::read(manifest)
        .extensions
        .into_iter()
        .collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

/// Reads the candidates on all cores and writes them in the plan's order; false if cancelled on the way.
fn read_and_write(
    session: &mut Session<'_>,
    plan: &Plan,
    options: &ReadOptions,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<bool, EngineError> {
    let budget = session.split_budget(&options.passages);
    let counter = session.token_counter();
    let pool = threads::indexing(session.folder())?;
    let total = plan.candidates.len() as u64;
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            for batch in batches(&plan.candidates) {
                let read = |c: &Candidate| prepare::prepare(c, options, &budget, &*counter);
                let prepared: Vec<Prepared> = pool.install(|| batch.par_iter().map(read).collect());
                // The receiver is gone when writing failed or was cancelled.
                if sender.send(prepared).is_err() {
                    return;
                }
            }
        });
        write_all(session, plan, receiver, total, report, task)
    })
}

fn write_all(
    session: &mut Session<'_>,
    plan: &Plan,
    prepared: Receiver<Vec<Prepared>>,
    total: u64,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<bool, EngineError> {
    let mut done = 0;
    let mut published = Instant::now();
    for batch in prepared {
        for one in batch {
            let written = task.check().map_err(EngineError::from);
            match written.and_then(|()| write_one(session, plan, one, report, task)) {
                Ok(()) => done += 1,
                Err(EngineError::Cancelled(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
            task.report("files", done, total);
        }
        if published.elapsed() > PUBLISH_EVERY {
            session.publish_underway(report, task.unstoppable())?;
            published = Instant::now();
        }
    }
    Ok(true)
}

fn write_one(
    session: &mut Session<'_>,
    plan: &Plan,
    one: Prepared,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<(), EngineError> {
    let Prepared {
        candidate,
        outcome,
        bytes,
    } = one;
    report.bytes += bytes;
    match outcome {
        Outcome::Same => {
            report.unchanged += 1;
            session.touch(&candidate.file)?;
        }
        Outcome::Document { input, warnings } => {
            let moved = plan.moved_from(session, &input)?;
            count_document(report, &candidate, moved);
            let name = &input.path;
            report
                .warnings
                .extend(warnings.into_iter().map(|w| format!("{name}: {w}")));
            session.put(*input, report, task)?;
        }
        Outcome::NotText => {
            report.skipped += 1;
            session.skip(&candidate.file)?;
        }
        Outcome::Failed(reason) => {
            session.fail(&candidate.file, &reason)?;
            report.failed.push(FileFailure {
                path: candidate.file.path.clone(),
                reason,
            });
        }
    }
    Ok(())
}

fn count_document(report: &mut IndexReport, candidate: &Candidate, moved: bool) {
    match (candidate.known.is_some(), moved) {
        (true, _) => report.changed += 1,
        (false, true) => report.moved += 1,
        (false, false) => report.added += 1,
    }
}

/// Removes the documents whose files are gone. Files below a folder that could not be read are kept.
fn remove_missing(
    session: &mut Session<'_>,
    plan: &Plan,
    report: &mut IndexReport,
) -> Result<(), EngineError> {
    let mut removed: u64 = 0;
    for path in &plan.missing {
        removed += u64::from(session.remove(path)?.is_some());
    }
    report.removed = removed.saturating_sub(report.moved);
    Ok(())
}

/// Consecutive candidates, cut so that a batch stays small in files and bytes.
fn batches(candidates: &[Candidate]) -> impl Iterator<Item = &[Candidate]> {
    let mut rest = candidates;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |c: &&Candidate| {
            bytes += c.file.size;
            bytes <= BYTES_PER_BATCH
        };
        let count = rest
            .iter()
            .take(FILES_PER_BATCH)
            .take_while(fits)
            .count()
            .max(1)
            .min(rest.len());
        let (batch, tail) = rest.split_at(count);
        rest = tail;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Tokens a passage may take so that title and headings still fit in front of it. Never more than the encoder takes
/// in; without an encoder (`None`) only the person's wish counts.
pub(crate) fn budget_for(encoder: Option<usize>, wished: &PassageBudget) -> SplitBudget {
    let most = encoder.unwrap_or(usize::MAX);
    let whole = wished
        .max_tokens
        .unwrap_or(PassageBudget::DEFAULT_TOKENS)
        .min(most)
        .max(16);
    let context = whole / 8;
    SplitBudget {
        max_tokens: whole - context,
        overlap_tokens: wished.overlap_tokens.unwrap_or(whole / 10).min(whole / 4),
        min_tokens: whole / 8,
    }
}
