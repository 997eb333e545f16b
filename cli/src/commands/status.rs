//! What does `askance status` do?

use engine::Engine;

use crate::Exit;
use crate::output::collection::Held;
use crate::session::Session;
use crate::warn::Warning;

/// Shows what the collection holds.
pub fn run(session: &mut Session) -> anyhow::Result<Exit> {
    let status = Engine::open(&session.places.collection)?.status()?;
    let mut warnings = Vec::new();
    if status.generation == 0 {
        warnings.push(Warning::EmptyCollection {
            collection: session.places.collection.clone(),
        });
    }
    session.warn(&warnings);
    let current = session.places.current.clone();
    session.screen.show(&Held {
        status,
        device: "cpu",
        warnings,
        current,
    })?;
    Ok(Exit::Done)
}
