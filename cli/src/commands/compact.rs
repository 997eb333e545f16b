//! What does `askance compact` do?

use engine::Engine;

use crate::Exit;
use crate::output::collection::Compacted;
use crate::session::Session;
use crate::warn::Warning;

/// Rewrites the collection with what is live.
pub fn run(session: &mut Session) -> anyhow::Result<Exit> {
    let engine = Engine::open(&session.places.collection)?;
    let report = session.long(|task| engine.compact(task))?;
    let mut warnings: Vec<_> = report
        .warnings
        .iter()
        .cloned()
        .map(Warning::Engine)
        .collect();
    if report.generation == 0 {
        warnings.push(Warning::EmptyCollection {
            collection: session.places.collection.clone(),
        });
    }
    session.warn(&warnings);
    session.screen.show(&Compacted { report, warnings })?;
    Ok(Exit::Done)
}
