//! Which files have to be read, and which documents have lost their file?

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use storage::documents::DocumentRecord;

use super::session::{DocumentInput, Session};
use crate::error::EngineError;
use crate::ingest::extract::EXTRACTOR_VERSION;
use crate::ingest::walk::{FoundFile, Within, is_empty_folder, walk_within};
use crate::report::IndexReport;
use crate::request::ReadOptions;

/// A stamp this close to the moment of indexing may hide a later change within the clock's grain.
const RACY_NS: i64 = 2_000_000_000;

/// A file that is new, changed, or may have changed.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub file: FoundFile,
    /// Its record from the last time, if there is one.
    pub known: Option<DocumentRecord>,
    /// Split it again even if its content is what the record says.
    pub anew: bool,
}

/// What one run has to do.
pub(crate) struct Plan {
    pub candidates: Vec<Candidate>,
    /// Paths of documents whose file is gone.
    pub missing: Vec<String>,
}

/// What a run looks at.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Folders and files a person asked for.
    pub roots: &'a [PathBuf],
    /// The parts of them that may have changed; all of them if absent.
    pub within: Option<&'a Within>,
    /// Read files again that did not change.
    pub anew: bool,
}

impl<'a> Scope<'a> {
    /// Everything below the roots.
    pub(crate) fn all(roots: &'a [PathBuf]) -> Self {
        Self {
            roots,
            within: None,
            anew: false,
        }
    }
}

/// Walks the roots and compares what is there with the records.
pub(crate) fn plan(
    session: &Session<'_>,
    scope: &Scope<'_>,
    options: &ReadOptions,
    report: &mut IndexReport,
) -> Result<Plan, EngineError> {
    if scope.within.is_none() && !options.allow_empty {
        refuse_emptied(session, scope.roots)?;
    }
    let mut found = Vec::new();
    let skip = [session.folder().to_owned()];
    walk_within(scope.roots, scope.within, options, &skip, |one| {
        match one {
            Ok(file) => found.push(file),
            Err(failure) => report.failed.push(failure),
        }
        ControlFlow::Continue(())
    })?;
    let missing = match scope.within {
        Some(within) => missing(session, within.paths(), &found, report)?,
        None => missing(
            session,
            scope.roots.iter().map(PathBuf::as_path),
            &found,
            report,
        )?,
    };
    let candidates = candidates(session, found, scope.anew, report)?;
    Ok(Plan {
        candidates,
        missing,
    })
}

/// An empty folder of which documents are indexed may be the mount point of a drive. Only a person knows.
fn refuse_emptied(session: &Session<'_>, roots: &[PathBuf]) -> Result<(), EngineError> {
    for root in roots.iter().filter(|root| is_empty_folder(root)) {
        let mut documents = 0;
        session.each_document_below(root, |_| documents += 1)?;
        if documents > 0 {
            let path = root.clone();
            return Err(EngineError::Emptied { path, documents });
        }
    }
    Ok(())
}

fn candidates(
    session: &Session<'_>,
    found: Vec<FoundFile>,
    anew: bool,
    report: &mut IndexReport,
) -> Result<Vec<Candidate>, EngineError> {
    let mut candidates = Vec::new();
    for file in found {
        let path = path_text(&file.path);
        if let Some(failure) = session.failure(&path)?
            && (failure.size, failure.mtime_ns) == (file.size, file.mtime_ns)
            && failure.extractor_version == EXTRACTOR_VERSION
        {
            if failure.reason.is_empty() {
                report.skipped += 1
            } else {
                report.still_failing += 1
            }
            continue;
        }
        match session.document(&path)? {
            Some(known) if !anew && unchanged(&known, &file) => report.unchanged += 1,
            known => candidates.push(Candidate { file, known, anew }),
        }
    }
    Ok(candidates)
}

fn unchanged(known: &DocumentRecord, file: &FoundFile) -> bool {
    let same = (known.size, known.mtime_ns) == (file.size, file.mtime_ns);
    same && known
        .mtime_ns
        .abs_diff(known.indexed_at.saturating_mul(1_000_000_000))
        > RACY_NS as u64
}

/// Records below `looked_at` that the walk did not meet. What lies below a folder that could not be read is not missing.
fn missing<'p>(
    session: &Session<'_>,
    looked_at: impl Iterator<Item = &'p Path>,
    found: &[FoundFile],
    report: &IndexReport,
) -> Result<Vec<String>, EngineError> {
    let met: HashSet<&Path> = found.iter().map(|f| f.path.as_path()).collect();
    let unread: Vec<&Path> = report.failed.iter().map(|f| f.path.as_path()).collect();
    let mut missing = Vec::new();
    for path in looked_at {
        session.each_path_below(path, |path| {
            let file = Path::new(path);
            if !met.contains(file) && !unread.iter().any(|u| file.starts_with(u)) {
                missing.push(path.to_owned());
            }
        })?;
    }
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}

impl Plan {
    /// Whether the same content was until now under a path that is gone.
    pub(crate) fn moved_from(
        &self,
        session: &Session<'_>,
        input: &DocumentInput,
    ) -> Result<bool, EngineError> {
        let twins = session.paths_with_content(&input.content_hash)?;
        Ok(twins
            .iter()
            .any(|twin| *twin != input.path && self.missing.binary_search(twin).is_ok()))
    }
}

/// Paths are stored as text; the walk reports names that are not UTF-8 instead of passing them on.
pub(crate) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
