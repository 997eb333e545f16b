//! What does `askance remove` do?

use engine::Engine;

use crate::Exit;
use crate::args::RemoveArgs;
use crate::output::collection::Removed;
use crate::resolve::perhaps_gone;
use crate::session::Session;
use crate::warn::Warning;

/// Forgets files and folders.
pub fn run(args: &RemoveArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let paths: Vec<_> = args
        .paths
        .iter()
        .map(|path| perhaps_gone(path, &session.places.current))
        .collect();
    let engine = Engine::open(&session.places.collection)?;
    let report = session.writing(|task| engine.remove(&paths, task))?;
    let warnings: Vec<_> = report
        .unknown
        .iter()
        .cloned()
        .map(|path| Warning::NotInCollection { path })
        .collect();
    session.warn(&warnings);
    let exit = if report.documents == 0 {
        Exit::Nothing
    } else {
        Exit::Done
    };
    session.screen.show(&Removed { report, warnings })?;
    Ok(exit)
}
