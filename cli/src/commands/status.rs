//! What does `askance status` do?

use engine::Engine;
use engine::encoder::Precision;

use crate::Exit;
use crate::output::collection::Held;
use crate::resolve::settings;
use crate::session::Session;
use crate::shelf::Shelf;
use crate::warn::Warning;

/// Shows what the collection holds.
pub fn run(session: &mut Session) -> anyhow::Result<Exit> {
    let status = Engine::open(&session.places.collection)?.status()?;
    let settings = settings(&session.places.collection)?;
    let shelf = Shelf::new(&session.places);
    let others = shelf.glance().into_iter().skip(1);
    let others =
        others.map(|(named, status)| (named.name, status.map_err(|error| error.to_string())));
    let mut warnings = Vec::new();
    if status.generation == 0 {
        warnings.push(Warning::EmptyCollection {
            collection: session.places.collection.clone(),
        });
    }
    let precision = status
        .encoder
        .as_ref()
        .map(|identity| precision(&identity.hash, session))
        .transpose()?
        .flatten();
    session.warn(&warnings);
    let current = session.places.current.clone();
    session.screen.show(&Held {
        status,
        settings,
        others: others.collect(),
        device: "cpu",
        precision,
        warnings,
        current,
    })?;
    Ok(Exit::Done)
}

/// What the encoder with this identity runs in, if it is on this computer and was measured here.
fn precision(hash: &str, session: &Session) -> anyhow::Result<Option<&'static str>> {
    let models = session.models();
    let Some(entry) = models.with_hash(hash)? else {
        return Ok(None);
    };
    let choice = models.precision(&entry.identity.name)?;
    Ok(choice.chosen.map(Precision::name))
}
