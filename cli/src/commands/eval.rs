//! What does `askance eval` do?

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use engine::dataset::trec;
use engine::encoder::Encoder;
use engine::eval::Metric;
use engine::eval::runner::{EvalReport, EvalRequest, evaluate};
use engine::models::ModelStore;
use engine::request::Mode;

use super::encoders::Chosen;
use crate::Exit;
use crate::args::EvalArgs;
use crate::output::evaluation::{Scored, SetScores};
use crate::session::Session;
use crate::warn::Warning;

/// What is reported, in this order.
const METRICS: [Metric; 5] = [
    Metric::Ndcg(10),
    Metric::Mrr(10),
    Metric::Recall(100),
    Metric::Recall(1000),
    Metric::Map,
];

/// Scores search on sets with known answers.
pub fn run(args: &EvalArgs, session: &mut Session) -> anyhow::Result<Exit> {
    if args.run.is_some() && args.beir.len() > 1 {
        bail!("--run writes one set's ranking; name one folder with --beir");
    }
    let mode = Mode::from(args.mode);
    let encoder = encoder(args, mode, session)?;
    let name = encoder
        .as_ref()
        .map(|encoder| encoder.identity().name.clone());
    let precision = encoder.as_ref().and_then(|encoder| encoder.precision());
    let mut scored = Scored {
        sets: Vec::new(),
        mode,
        encoder: name,
        precision,
        warnings: Vec::new(),
    };
    for folder in &args.beir {
        let report = one(folder, mode, args, encoder.clone(), session)?;
        if let Some(file) = &args.run {
            trec::write_run(file, &report.run)?;
        }
        let set = set_name(folder);
        scored.warnings.extend(
            report
                .warnings
                .iter()
                .map(|text| Warning::Engine(format!("{set}: {text}"))),
        );
        scored.sets.push(scores(set, &report));
    }
    session.warn(&scored.warnings);
    session.screen.show(&scored)?;
    Ok(Exit::Done)
}

/// The encoder asked for, else the default one; none for words only. Scores of another search than the one asked for
/// would mislead, so there is no falling back here.
fn encoder(args: &EvalArgs, mode: Mode, session: &Session) -> anyhow::Result<Chosen> {
    let models = session.models();
    match (mode, &args.model) {
        (Mode::Bm25, _) => Ok(None),
        (_, Some(name)) => open(name, args, &models).map(Some),
        (_, None) => match models.default_name()? {
            Some(name) => open(&name, args, &models).map(Some),
            None => bail!(
                "no encoder is chosen; give one with `--model NAME`, or score words alone with `--mode bm25`"
            ),
        },
    }
}

fn open(name: &str, args: &EvalArgs, models: &ModelStore) -> anyhow::Result<Arc<dyn Encoder>> {
    Ok(match args.precision.named() {
        Some(precision) => models.open_in(name, precision)?,
        None => models.open(name)?,
    })
}

fn one(
    folder: &Path,
    mode: Mode,
    args: &EvalArgs,
    encoder: Chosen,
    session: &Session,
) -> anyhow::Result<EvalReport> {
    let request = EvalRequest {
        beir: folder.to_owned(),
        split: args.split.clone(),
        mode,
        fusion: args.fusion.0,
        encoder,
        vectors: args.index.into(),
        target_recall: args.target_recall,
        scratch: session.places.cache.join("eval"),
    };
    session
        .long(|task| evaluate(&request, task))
        .with_context(|| format!("cannot score {}", folder.display()))
}

fn set_name(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder
        .file_name()
        .unwrap_or(folder.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn scores(set: String, report: &EvalReport) -> SetScores {
    SetScores {
        set,
        metrics: METRICS
            .iter()
            .map(|metric| (metric.to_string(), report.mean(*metric)))
            .collect(),
        queries: report.evaluation.queries(),
        dense_search: report.dense_search.clone(),
        latency_ms: vec![
            ("p50", report.latency_ms(0.5)),
            ("p99", report.latency_ms(0.99)),
        ],
    }
}
