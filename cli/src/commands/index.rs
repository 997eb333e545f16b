//! What does `askance index` do?

use std::path::PathBuf;

use anyhow::bail;
use engine::Engine;
use engine::ingest::walk::is_empty_folder;
use engine::report::IndexReport;
use engine::request::{IndexRequest, ReadOptions};
use engine::settings::Settings;

use super::encoders;
use crate::Exit;
use crate::args::IndexArgs;
use crate::output::collection::Indexed;
use crate::resolve::{existing, read_options, settings};
use crate::session::Session;
use crate::warn::{Warning, list};

/// Adds or refreshes files and folders.
pub fn run(args: &IndexArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let engine = Engine::open(&session.places.collection)?;
    let settings = settings(engine.dir())?;
    let mut warnings = Vec::new();
    let paths = match args.paths.is_empty() {
        true => present(&engine, args, roots(&engine, &settings)?, &mut warnings)?,
        false => args
            .paths
            .iter()
            .map(|path| existing(path))
            .collect::<anyhow::Result<_>>()?,
    };
    let options = ReadOptions {
        allow_empty: args.allow_empty,
        ..read_options(&args.read, &settings)?
    };
    let (encoder, differs) = encoders::for_indexing(&engine, &session.models(), &settings)?;
    warnings.extend(differs);
    let name = encoder
        .as_ref()
        .map(|encoder| encoder.identity().name.clone());
    let request = IndexRequest {
        paths,
        options,
        encoder,
    };
    let report = session.writing(|task| engine.index(&request, task))?;
    warnings.extend(self::warnings(&report));
    session.warn(&warnings);
    let (collection, interrupted) = (session.places.collection.clone(), report.interrupted);
    session.screen.show(&Indexed {
        collection,
        report,
        encoder: name,
        warnings,
    })?;
    if interrupted {
        Ok(session.stopped())
    } else {
        Ok(Exit::Done)
    }
}

/// The folders of the collection: those of its settings and those that were indexed.
///
/// # Errors
/// There are none.
pub fn roots(engine: &Engine, settings: &Settings) -> anyhow::Result<Vec<PathBuf>> {
    let mut roots = settings.roots.clone();
    roots.extend(engine.status()?.roots);
    roots.sort();
    roots.dedup();
    if roots.is_empty() {
        bail!(
            "the collection has no folders yet; name one, or list them as `roots` in {}",
            settings.path.display()
        );
    }
    Ok(roots)
}

/// Those of `roots` that are there; what was indexed of the others stays. One that stands empty and held documents may be
/// the mount point of a drive.
fn present(
    engine: &Engine,
    args: &IndexArgs,
    roots: Vec<PathBuf>,
    warnings: &mut Vec<Warning>,
) -> anyhow::Result<Vec<PathBuf>> {
    let (mut there, mut gone) = (Vec::new(), Vec::new());
    for root in roots {
        let emptied = !args.allow_empty && is_empty_folder(&root) && engine.holds(&root)?;
        match root.exists() && !emptied {
            true => there.push(root),
            false => gone.push(root),
        }
    }
    if there.is_empty() {
        bail!(
            "none of the collection's folders is there, or they are empty: {}",
            list(&gone)
        );
    }
    if !gone.is_empty() {
        warnings.push(Warning::RootsGone { roots: gone });
    }
    Ok(there)
}

/// What a person should know about a run of indexing.
pub fn warnings(report: &IndexReport) -> Vec<Warning> {
    let mut warnings: Vec<_> = report
        .warnings
        .iter()
        .cloned()
        .map(Warning::Engine)
        .collect();
    if !report.failed.is_empty() {
        warnings.push(Warning::Unreadable {
            failed: report.failed.clone(),
        });
    }
    if report.still_failing > 0 {
        warnings.push(Warning::StillFailing {
            files: report.still_failing,
        });
    }
    warnings
}
