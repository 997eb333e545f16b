//! What does `askance search` do?

use std::path::Path;

use engine::Engine;
use engine::request::{Filter, IndexRequest, Mode, ReadOptions, SearchRequest, VectorSearch};

use super::{encoders, index, notice};
use crate::Exit;
use crate::args::{ReadArgs, SearchArgs};
use crate::date;
use crate::output::hits::{Found, hit_json};
use crate::resolve::{existing, read_options, settings};
use crate::session::Session;
use crate::warn::Warning;

/// Searches the collection, or a folder that it indexes first.
pub fn run(args: &SearchArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let mut request = request(args, session)?;
    let mut warnings = Vec::new();
    if let Some(folder) = &args.in_path {
        let folder = existing(folder)?;
        session.places.collection = session.places.collection_in(&folder);
        warnings.extend(refresh(&folder, &args.read, request.mode, session)?);
    }
    if session.is_interrupted() {
        return Ok(session.stopped());
    }
    let engine = Engine::open(&session.places.collection)?;
    let (mode, lack) = encoders::for_search(&engine, &session.models(), request.mode)?;
    request.mode = mode;
    let response = engine.search(&request)?;
    warnings.extend(response.warnings.iter().cloned().map(Warning::Engine));
    if response.generation == 0 {
        warnings.push(Warning::EmptyCollection {
            collection: session.places.collection.clone(),
        });
    }
    session.warn(&warnings);
    if let Some(lack) = lack.filter(|_| response.generation > 0) {
        say_lack(&lack, session);
        warnings.push(lack);
    }
    let current = session.places.current.clone();
    let found = Found {
        query: request.query,
        response,
        warnings,
        explain: args.show.explain,
        current,
    };
    show(&found, args.show.json_lines, session)
}

fn request(args: &SearchArgs, session: &Session) -> anyhow::Result<SearchRequest> {
    let moment = |option, text: &Option<String>| {
        text.as_ref()
            .map(|text| date::parse(option, text, &session.now))
            .transpose()
    };
    let filter = Filter {
        paths: args.filter.path.clone(),
        extensions: args
            .filter
            .extension
            .iter()
            .map(|ext| ext.trim_start_matches('.').to_owned())
            .collect(),
        after: moment("--after", &args.filter.after)?,
        before: moment("--before", &args.filter.before)?,
    };
    Ok(SearchRequest {
        query: args.query.join(" "),
        mode: args.ranking.mode.into(),
        fusion: args.ranking.fusion.0,
        vectors: if args.ranking.exact {
            VectorSearch::Exact
        } else {
            VectorSearch::Auto
        },
        target_recall: args.ranking.target_recall,
        limit: args.show.limit.into(),
        literal: false,
        fuzzy: args.ranking.fuzzy,
        filter,
    })
}

/// Brings the folder's own collection up to date. It follows the default encoder, as nobody chose one for it; a search
/// by words alone does not wait for vectors.
fn refresh(
    folder: &Path,
    read: &ReadArgs,
    mode: Mode,
    session: &Session,
) -> anyhow::Result<Vec<Warning>> {
    let options = ReadOptions {
        // The folder as it is now was asked for, and only that.
        allow_empty: true,
        ..read_options(read, &settings(&session.places.collection)?)?
    };
    let engine = Engine::open(&session.places.collection)?;
    let has = engine.identity();
    let models = session.models();
    let encoder = if mode == Mode::Bm25 {
        encoders::for_words(&engine, &models)?
    } else {
        encoders::default(&models)?
    };
    let wanted = encoder
        .as_ref()
        .map(|encoder| encoder.identity().hash.clone());
    if has.map(|identity| identity.hash) != wanted && engine.status()?.passages > 0 {
        session.writing(|task| engine.switch_encoder(encoder.clone(), task))?;
    }
    let request = IndexRequest {
        paths: vec![folder.to_owned()],
        options,
        encoder,
    };
    let report = session.writing(|task| engine.index(&request, task))?;
    let changed = report.added + report.changed + report.moved + report.removed;
    if changed > 0 {
        session.talk.note(&format!(
            "indexed {}: {changed} files new, changed or gone",
            folder.display()
        ));
    }
    Ok(index::warnings(&report))
}

/// Says why search is by words only: a lost encoder every time, a plain lack of one once per collection.
fn say_lack(lack: &Warning, session: &Session) {
    let topic = match lack {
        Warning::NoEncoder => "no-encoder",
        Warning::NoVectors { .. } => "no-vectors",
        _ => return session.talk.warn(lack),
    };
    if notice::is_first(&session.places.state, topic, &session.places.collection) {
        session.talk.warn(lack);
    }
}

fn show(found: &Found, json_lines: bool, session: &mut Session) -> anyhow::Result<Exit> {
    if json_lines {
        found
            .response
            .hits
            .iter()
            .try_for_each(|hit| session.screen.json_line(&hit_json(hit)))?;
    } else {
        session.screen.show(found)?;
    }
    // The footer comes below the hits where both streams end on one terminal.
    session.screen.flush()?;
    if session.screen.is_human() && !json_lines {
        session.talk.note(&found.footer());
    }
    match (found.response.hits.is_empty(), found.response.generation) {
        (false, _) => Ok(Exit::Done),
        (true, generation) => {
            if generation > 0 {
                session.talk.note("nothing found");
            }
            Ok(Exit::Nothing)
        }
    }
}
