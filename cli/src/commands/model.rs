//! What does `askance model` do?

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use engine::Engine;
use engine::encoder::Encoder;
use engine::models::{ModelEntry, ModelStore, ModelStoreError};
use serde_json::json;

use super::index;
use crate::Exit;
use crate::args::{ModelAddArgs, ModelArgs, ModelCommand, ModelUseArgs};
use crate::output::models::{Added, Done, Model, Models, Switched};
use crate::session::Session;

#[cfg(feature = "hub")]
mod hub;

/// What `model use` calls "words only".
const NONE: &str = "none";

/// Lists, adds, chooses or deletes encoders.
pub fn run(args: &ModelArgs, session: &mut Session) -> anyhow::Result<Exit> {
    match &args.command {
        None | Some(ModelCommand::List) => list(session),
        Some(ModelCommand::Add(args)) => add(args, session),
        Some(ModelCommand::Use(args)) => choose(args, session),
        Some(ModelCommand::Remove { name }) => remove(name, session),
    }
}

fn list(session: &mut Session) -> anyhow::Result<Exit> {
    let models = session.models();
    let with_precision = |entry: ModelEntry| {
        let precision = models.precision(&entry.identity.name)?;
        Ok::<_, ModelStoreError>(Model { entry, precision })
    };
    let listed = Models {
        models: models
            .list()?
            .into_iter()
            .map(with_precision)
            .collect::<Result<_, _>>()?,
        default: models.default_name()?,
    };
    let exit = if listed.models.is_empty() {
        Exit::Nothing
    } else {
        Exit::Done
    };
    session.screen.show(&listed)?;
    Ok(exit)
}

fn add(args: &ModelAddArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let models = session.models();
    let is_first = models.list()?.iter().all(|entry| entry.is_builtin);
    let folder = Path::new(&args.source);
    let entry = if folder.exists() {
        models.add(folder, args.name.as_deref())?
    } else if is_hub_id(&args.source) {
        fetch(&args.source, args.name.as_deref(), &models, session)?
    } else {
        bail!(
            "there is no folder {}; give a folder in Hugging Face layout",
            args.source
        )
    };
    if is_first {
        models.set_default(Some(&entry.identity.name))?;
    }
    let precision = session.long(|task| models.measure(&entry.identity.name, task))?;
    session.screen.show(&Added(Model {
        entry: entry.clone(),
        precision,
    }))?;
    session.screen.flush()?;
    session
        .talk
        .note(&next_step(&entry.identity.name, is_first));
    Ok(Exit::Done)
}

fn next_step(name: &str, is_first: bool) -> String {
    match is_first {
        true => format!(
            "new collections use it from now on; `askance model use {name}` encodes the current one"
        ),
        false => format!("`askance model use {name}` makes it the one to search with"),
    }
}

/// `owner/name`, and nothing that looks like a path.
fn is_hub_id(source: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && !p.starts_with(['.', '~', '-'])
            && p.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    source
        .split_once('/')
        .is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(feature = "hub")]
fn fetch(
    id: &str,
    name: Option<&str>,
    models: &ModelStore,
    session: &Session,
) -> anyhow::Result<ModelEntry> {
    let folder = session.long(|task| hub::fetch(id, &session.places.cache.join("hub"), task))?;
    let own = id.rsplit('/').next();
    Ok(models.add(&folder, name.or(own))?)
}

#[cfg(not(feature = "hub"))]
fn fetch(id: &str, _: Option<&str>, _: &ModelStore, _: &Session) -> anyhow::Result<ModelEntry> {
    bail!(
        "there is no folder {id}, and this askance was built without downloads; get the model's folder by other means and \
         give its path, or build askance with `cargo install --path cli --features hub`"
    )
}

fn choose(args: &ModelUseArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let models = session.models();
    let encoder = if args.name == NONE {
        None
    } else {
        Some(open(args, &models, session)?)
    };
    let chosen = encoder.as_ref().map(|encoder| encoder.identity().clone());
    let name = chosen.as_ref().map(|identity| identity.name.clone());
    models.set_default(name.as_deref())?;
    let engine = Engine::open(&session.places.collection)?;
    let has = engine.identity().map(|identity| identity.hash);
    let fits = has == chosen.map(|identity| identity.hash);
    if fits || args.no_reindex || engine.status()?.passages == 0 {
        return said(name.as_deref(), fits, session);
    }
    let report = session.writing(|task| engine.switch_encoder(encoder, task))?;
    session.warn(&index::warnings(&report));
    session.screen.show(&Switched { name, report })?;
    Ok(Exit::Done)
}

/// The encoder in the precision asked for, measured first where that was not done on this CPU.
fn open(
    args: &ModelUseArgs,
    models: &ModelStore,
    session: &Session,
) -> anyhow::Result<Arc<dyn Encoder>> {
    session.long(|task| match args.precision {
        Some(wish) => models.set_precision(&args.name, wish.named(), task),
        None => models.measure(&args.name, task),
    })?;
    Ok(models.open(&args.name)?)
}

fn said(name: Option<&str>, fits: bool, session: &mut Session) -> anyhow::Result<Exit> {
    let sentence = match name {
        Some(name) => format!("new collections use {name}"),
        None => "new collections are searched by words only".to_owned(),
    };
    session.screen.show(&Done {
        sentence,
        json: json!({"default": name, "collection_fits": fits}),
    })?;
    Ok(Exit::Done)
}

fn remove(name: &str, session: &mut Session) -> anyhow::Result<Exit> {
    session.models().remove(name)?;
    let sentence = format!("removed {name}");
    session.screen.show(&Done {
        sentence,
        json: json!({"removed": name}),
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let check = |source, expected| assert_eq!(is_hub_id(source), expected, "{source}");
        check("sentence-transformers/all-MiniLM-L6-v2", true);
        check("all-MiniLM-L6-v2", false);
        check("./models/minilm", false);
        check("../minilm", false);
        check("/models/minilm", false);
        check("~/minilm", false);
        check("a/b/c", false);
    }
}
