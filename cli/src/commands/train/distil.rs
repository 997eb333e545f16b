//! What does `askance train distil` do?

use std::path::Path;

use engine::encoder::{LoadOptions, load};
use serde_json::{Map, Value, json};
use trainer::distil::{DistilConfig, Epoch, Job, distil};

use crate::Exit;
use crate::args::TrainDistilArgs;
use crate::output::train::Distilled;
use crate::session::Session;

/// Makes a static encoder of a transformer.
pub fn run(args: &TrainDistilArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let config = config(args)?;
    let folder = super::folder_of(&args.teacher, session)?;
    let teacher = teacher(&args.teacher, &folder, session)?;
    let outcome = session.long_on(|task, meter| {
        let job = Job {
            config: config.clone(),
            teacher: teacher.as_ref(),
            teacher_dir: &folder,
            sets: &args.beir,
            out: &args.out,
            observe: &|epoch| meter.note(&line(epoch)),
        };
        distil(&job, task)
    });
    match outcome {
        Err(error) if error.is_cancelled() => {
            let kept = "what the teacher has encoded is kept; the same command goes on from there";
            session.talk.note(kept);
            Ok(session.stopped())
        }
        outcome => {
            let outcome = outcome?;
            session.screen.show(&Distilled { outcome, config })?;
            Ok(Exit::Done)
        }
    }
}

/// An added encoder in the precision chosen for it, a folder in f32.
fn teacher(
    name: &str,
    folder: &Path,
    session: &Session,
) -> anyhow::Result<std::sync::Arc<dyn engine::encoder::Encoder>> {
    let models = session.models();
    let is_added = models.list()?.iter().any(|entry| entry.path == folder);
    Ok(match is_added {
        true => models.open(name)?,
        false => load(folder, &LoadOptions::default())?,
    })
}

fn config(args: &TrainDistilArgs) -> anyhow::Result<DistilConfig> {
    let mut given: Map<String, Value> = Map::new();
    let typed = [
        ("dimension", args.dimension.map(|value| json!(value))),
        ("seed", args.seed.map(|value| json!(value))),
    ];
    given.extend(
        typed
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    given.extend(args.other.iter().cloned());
    Ok(serde_json::from_value(Value::Object(given))?)
}

/// "copy 2: loss .1234, dev nDCG@10 .5012 (scifact .51, ...)".
fn line(epoch: &Epoch) -> String {
    let sets: Vec<String> = epoch
        .dev
        .iter()
        .map(|(name, ndcg)| format!("{name} {ndcg:.3}"))
        .collect();
    let loss = epoch
        .loss
        .map_or_else(String::new, |loss| format!("loss {loss:.4}, "));
    format!(
        "{} {}: {loss}dev nDCG@10 {:.4} ({})",
        epoch.stage,
        epoch.epoch,
        epoch.mean(),
        sets.join(", ")
    )
}
