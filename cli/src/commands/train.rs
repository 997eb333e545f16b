//! What does `askance train` do?

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use engine::Engine;
use serde_json::{Map, Value, json};
use trainer::config::TrainConfig;
use trainer::examples::{Chunking, Examples, Options};
use trainer::gate::Decision;
use trainer::log::Event;
use trainer::pairs::{self, PairOptions, PairReport};
use trainer::report;
use trainer::rounds::{self, Job, Outcome, Plan};

use crate::Exit;
use crate::args::{TrainArgs, TrainCommand, TrainReportArgs, TrainRunArgs, TrainSettings};
use crate::output::json;
use crate::output::models::Done;
use crate::output::train::{Planned, Trained};
use crate::session::Session;
use crate::talk::shown;
use crate::warn::Warning;

mod distil;
mod watch;

use watch::Watch;

/// Trains, or draws a run.
pub fn run(args: &TrainArgs, session: &mut Session) -> anyhow::Result<Exit> {
    match &args.command {
        Some(TrainCommand::Report(args)) => draw(args, session),
        Some(TrainCommand::Distil(args)) => distil::run(args, session),
        None => train(&args.run, session),
    }
}

fn draw(args: &TrainReportArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let page = report::write(&args.run)?;
    session.screen.show(&Done {
        sentence: shown(&page, &session.places.current),
        json: json!({"report": json::path(&page)}),
    })?;
    if args.open {
        open::that_detached(&page).with_context(|| format!("cannot open {}", page.display()))?;
    }
    Ok(Exit::Done)
}

fn train(args: &TrainRunArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let config = config(args)?;
    let (name, model) = start(args.model.as_deref(), session)?;
    let (examples, pairs) = examples(args, &config, &model, session)?;
    let dropped = examples.dropped.clone();
    let job = Job {
        config,
        model: &model,
        out: args.out.as_deref().unwrap_or(Path::new("")),
        device: args.device,
        resume: args.resume,
        examples,
        observe: &|_| (),
    };
    if args.dry_run {
        let plan = Plan::of(&job)?;
        let model = name;
        session.screen.show(&Planned {
            model,
            plan,
            dropped,
            pairs,
        })?;
        return Ok(Exit::Done);
    }
    let out = job.out;
    let outcome = session.long_on(|task, meter| {
        let watch = Watch::new(meter);
        let observe = |event: &Event| watch.event(event);
        let job = Job {
            observe: &observe,
            ..job
        };
        rounds::train(job, task)
    });
    match outcome {
        Err(error) if error.is_cancelled() => {
            session
                .talk
                .note("saved; the same command with --resume goes on from here");
            Ok(session.stopped())
        }
        outcome => finish(args, name, out, outcome?, session),
    }
}

fn finish(
    args: &TrainRunArgs,
    started_from: String,
    out: &Path,
    outcome: Outcome,
    session: &mut Session,
) -> anyhow::Result<Exit> {
    let page = report::write(out)?;
    let adopted = adopt(args, &started_from, &outcome, session)?;
    session.screen.show(&Trained {
        outcome,
        page,
        adopted,
        started_from,
    })?;
    Ok(Exit::Done)
}

/// The settings: those of the method, then those of `--config`, then those typed.
fn config(args: &TrainRunArgs) -> anyhow::Result<TrainConfig> {
    let TrainSettings {
        epochs,
        steps,
        lr,
        batch,
        negatives,
        refresh_every,
        seed,
        other,
        config,
    } = &args.settings;
    let mut given: Map<String, Value> = match config {
        None => Map::new(),
        Some(path) => read_settings(path)?,
    };
    let typed = [
        ("method", args.method.map(|method| json!(method))),
        ("epochs", epochs.map(|value| json!(value))),
        ("max_steps", steps.map(|value| json!(value))),
        ("learning_rate", lr.map(|value| json!(value))),
        ("batch", batch.map(|value| json!(value))),
        ("negatives", negatives.map(|value| json!(value))),
        ("refresh_every", refresh_every.map(|value| json!(value))),
        ("seed", seed.map(|value| json!(value))),
    ];
    let typed = typed
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.extend(typed.chain(other.iter().cloned()));
    let config = TrainConfig::from_json(&Value::Object(given).to_string())?;
    config.check()?;
    Ok(config)
}

fn read_settings(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no JSON object of settings", path.display()))
}

/// Name and folder of the encoder to start from.
pub(super) fn start(model: Option<&str>, session: &Session) -> anyhow::Result<(String, PathBuf)> {
    let models = session.models();
    let Some(name) = model.map_or_else(|| models.default_name(), |name| Ok(Some(name.into())))?
    else {
        bail!(
            "no encoder is chosen; give the one to start from with `--model NAME`, or add one with `askance model add`"
        );
    };
    let folder = folder_of(&name, session)?;
    Ok((name, folder))
}

/// The folder of an encoder: `name` itself if it is one, else that of an added one.
fn folder_of(name: &str, session: &Session) -> anyhow::Result<PathBuf> {
    let folder = session.places.current.join(name);
    if folder.join("config.json").exists() || folder.join("modules.json").exists() {
        return Ok(folder);
    }
    Ok(session.models().folder(name)?)
}

/// What to learn from; with a report where the texts ask the questions.
fn examples(
    args: &TrainRunArgs,
    config: &TrainConfig,
    model: &Path,
    session: &Session,
) -> anyhow::Result<(Examples, Option<PairReport>)> {
    let beir = args.beir.as_deref();
    if let Some(dir) = beir.filter(|_| !args.unlabelled) {
        return Ok((labelled(dir, config, model)?, None));
    }
    let (path, pieces) = match beir {
        Some(dir) => (dir, pairs::collection::read_beir(dir)?),
        None => (
            session.places.collection.as_path(),
            pairs::collection::read(&session.places.collection)?,
        ),
    };
    let options = PairOptions {
        held_out: config.held_out,
        dev_at_most: config.dev_at_most,
        seed: config.seed,
        ..PairOptions::default()
    };
    let (examples, report) = pairs::examples(path.to_path_buf(), &pieces, &options)?;
    Ok((examples, Some(report)))
}

fn labelled(dir: &Path, config: &TrainConfig, model: &Path) -> anyhow::Result<Examples> {
    let options = Options {
        held_out: config.held_out,
        dev_at_most: config.dev_at_most,
        seed: config.seed,
        ..Options::default()
    };
    if config.chunks == 1 {
        return Ok(Examples::from_beir(dir, &options)?);
    }
    let encoder = engine::encoder::load(model, &engine::encoder::LoadOptions::default())?;
    let chunking = Chunking::MaxP {
        max_tokens: config.passage_tokens,
        chunks: config.chunks,
        count: &|text| encoder.count_tokens(text),
    };
    Ok(Examples::from_beir(
        dir,
        &Options {
            chunking,
            ..options
        },
    )?)
}

/// Makes the trained encoder that of the collection it was trained on, if it won. Returns its name.
fn adopt(
    args: &TrainRunArgs,
    start: &str,
    outcome: &Outcome,
    session: &mut Session,
) -> anyhow::Result<Option<String>> {
    if args.beir.is_some() || outcome.verdict.decision == Decision::Kept {
        return Ok(None);
    }
    let models = session.models();
    let base = Path::new(start)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let taken = models.list()?;
    let is_free = |name: &String| taken.iter().all(|entry| entry.identity.name != *name);
    let name = (1..)
        .map(|number| format!("{base}-own-{number}"))
        .find(is_free)
        .context("no free name")?;
    models.add(&outcome.model, Some(&name))?;
    let engine = Engine::open(&session.places.collection)?;
    let encoder = models.open(&name)?;
    let report = session.long(|task| engine.switch_encoder(Some(encoder), task))?;
    let warnings: Vec<Warning> = super::index::warnings(&report);
    session.warn(&warnings);
    Ok(Some(name))
}
