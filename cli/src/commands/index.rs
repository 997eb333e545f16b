//! What does `askance index` do?

use engine::Engine;
use engine::report::IndexReport;
use engine::request::IndexRequest;

use super::encoders;
use crate::Exit;
use crate::args::IndexArgs;
use crate::output::collection::Indexed;
use crate::resolve::{existing, read_options};
use crate::session::Session;
use crate::warn::Warning;

/// Adds or refreshes files and folders.
pub fn run(args: &IndexArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let paths = args
        .paths
        .iter()
        .map(|path| existing(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let options = read_options(&args.read)?;
    let engine = Engine::open(&session.places.collection)?;
    let encoder = encoders::for_indexing(&engine, &session.models())?;
    let name = encoder
        .as_ref()
        .map(|encoder| encoder.identity().name.clone());
    let request = IndexRequest {
        paths,
        options,
        encoder,
    };
    let report = session.writing(|task| engine.index(&request, task))?;
    let warnings = warnings(&report);
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
