//! The whole loop on the project's small corpus, with a tiny encoder, on the CPU.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::encoder::{LoadOptions, load};

use super::*;
use crate::config::{IndexChoice, TrainConfig};
use crate::device::Choice;
use crate::examples::{Examples, Options};
use crate::log::{self, Line};
use crate::loss::Objective;
use crate::negatives::{Method, Source};
use crate::oracle::model_dir;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/beir")
}

fn examples() -> Examples {
    Examples::from_beir(&corpus(), &Options::default()).expect("the small corpus")
}

/// A short run: a batch of 4, a round of 3 steps, 8 steps.
fn config(method: Method) -> TrainConfig {
    TrainConfig {
        batch: 4,
        negatives: 2,
        depth: 10,
        max_steps: Some(8),
        epochs: 10.0,
        refresh_every: 3,
        learning_rate: Some(1e-3),
        query_tokens: 16,
        passage_tokens: 24,
        ..TrainConfig::preset(method)
    }
}

struct Case<'a> {
    config: TrainConfig,
    model: PathBuf,
    out: &'a Path,
    resume: bool,
    /// Raise the cancel flag once this step is taken.
    stop_after: Option<u64>,
}

impl<'a> Case<'a> {
    fn new(config: TrainConfig, out: &'a Path) -> Self {
        Self {
            config,
            model: model_dir("bert"),
            out,
            resume: false,
            stop_after: None,
        }
    }

    fn run(&self) -> Result<Outcome, TrainError> {
        let cancel = AtomicBool::new(false);
        let observe = |event: &Event| {
            if let Event::Step(step) = event
                && Some(step.step) == self.stop_after
            {
                cancel.store(true, Ordering::Relaxed);
            }
        };
        let job = Job {
            config: self.config.clone(),
            model: &self.model,
            out: self.out,
            device: Choice::Cpu,
            resume: self.resume,
            examples: examples(),
            observe: &observe,
        };
        train(job, Task::new(&|_| {}, &cancel))
    }
}

fn losses(lines: &[Line]) -> Vec<f64> {
    let step = |line: &Line| match &line.event {
        Event::Step(step) => Some(step.loss),
        _ => None,
    };
    lines.iter().filter_map(step).collect()
}

#[test]
fn every_method_trains_to_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    for method in Method::ALL {
        let out = dir.path().join(method.name());
        let outcome = Case::new(config(method), &out).run().expect("a run");
        assert_eq!(outcome.steps, 8);
        let lines = log::read(&out).expect("a log");
        assert_eq!(losses(&lines).len(), 8, "{method:?}");
        assert!(losses(&lines).iter().all(|l| l.is_finite()));
        let evals: Vec<u64> = lines
            .iter()
            .filter_map(|l| match &l.event {
                Event::Eval(eval) => Some(eval.step),
                _ => None,
            })
            .collect();
        assert_eq!(evals, [0, 3, 6, 8], "{method:?}");
        assert!(load(&outcome.model, &LoadOptions::default()).is_ok());
        assert!(!out.join("work").exists() && !out.join("best").exists());
        assert_negatives(method, &lines);
    }
}

/// Negatives come from where the method says, random ones filling up.
fn assert_negatives(method: Method, lines: &[Line]) {
    let count = |source: Source| -> u64 {
        let of = |line: &Line| match &line.event {
            Event::Step(step) => step.negatives.get(&source).copied().unwrap_or(0),
            _ => 0,
        };
        lines.iter().map(of).sum()
    };
    let refreshes = |wanted: Source| {
        let of = |line: &&Line| matches!(&line.event, Event::Refresh(r) if r.source == wanted);
        lines.iter().filter(of).count()
    };
    let mixture = method.mixture(20.0);
    for source in [Source::Bm25, Source::Ance] {
        assert_eq!(
            count(source) > 0,
            mixture.uses(source),
            "{method:?} {source:?}"
        );
    }
    let total: u64 = Source::ALL.into_iter().map(count).sum();
    assert_eq!(
        total,
        if mixture.parts.is_empty() {
            0
        } else {
            8 * 4 * 2
        }
    );
    assert_eq!(
        refreshes(Source::Ance),
        if mixture.uses(Source::Ance) { 3 } else { 0 }
    );
}

#[test]
fn a_run_that_was_stopped_loses_what_the_unbroken_one_loses() {
    let dir = tempfile::tempdir().expect("a folder");
    let whole = dir.path().join("whole");
    // Dropout on, and a method that draws from both pools.
    let config = TrainConfig {
        bm25_steps: 2,
        ..config(Method::Ance)
    };
    Case::new(config.clone(), &whole).run().expect("a run");
    let wanted = losses(&log::read(&whole).expect("a log"));
    for stop_after in [0, 2, 4, 7] {
        let out = dir.path().join(format!("stopped-{stop_after}"));
        let mut case = Case::new(config.clone(), &out);
        case.stop_after = Some(stop_after);
        let stopped = case.run().expect_err("stopped");
        assert!(stopped.is_cancelled(), "{stopped}");
        case.resume = true;
        case.stop_after = None;
        let outcome = case.run().expect("the rest");
        assert_eq!(
            losses(&log::read(&out).expect("a log")),
            wanted,
            "{stop_after}"
        );
        // Ended runs can be resumed too, and say the same.
        assert_eq!(case.run().expect("an end"), outcome);
    }
}

#[test]
fn a_run_that_was_killed_goes_on_from_its_last_whole_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let (whole, out) = (dir.path().join("whole"), dir.path().join("killed"));
    Case::new(config(Method::AncePairwise), &whole)
        .run()
        .expect("a run");
    let mut case = Case::new(config(Method::AncePairwise), &out);
    case.stop_after = Some(4);
    case.run().expect_err("stopped");
    // A kill leaves the checkpoint it was writing without its marker.
    let marker = out.join("checkpoints/step-000000005/COMPLETE");
    std::fs::remove_file(marker).expect("a checkpoint of the stop");
    case.resume = true;
    case.stop_after = None;
    case.run().expect("the rest");
    let read = |dir: &Path| losses(&log::read(dir).expect("a log"));
    assert_eq!(read(&out), read(&whole));
}

#[test]
fn a_folder_in_use_and_other_settings_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut case = Case::new(config(Method::Random), dir.path());
    case.run().expect("a run");
    assert!(matches!(case.run(), Err(TrainError::Occupied { .. })));
    case.resume = true;
    case.config.batch = 3;
    let refused = case.run().expect_err("another batch").to_string();
    assert!(refused.contains("batch"), "{refused}");
    case.config.batch = 4;
    case.model = model_dir("roberta");
    assert!(matches!(case.run(), Err(TrainError::Checkpoint(_))));
}

#[test]
fn bad_input_is_named_before_the_first_step() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |config: TrainConfig| {
        let out = dir.path().join("never");
        let error = Case::new(config, &out)
            .run()
            .expect_err("refused")
            .to_string();
        assert!(!out.join("checkpoints").exists());
        error
    };
    let many = TrainConfig {
        negatives: 1000,
        ..config(Method::Random)
    };
    assert!(refused(many).contains("1000 negatives"));
    let none = TrainConfig {
        batch: 0,
        ..config(Method::Random)
    };
    assert!(refused(none).contains("batch is 0"));
    let mut case = Case::new(config(Method::Random), dir.path());
    case.model = dir.path().join("nowhere");
    assert!(matches!(case.run(), Err(TrainError::Model(_))));
}

#[test]
fn other_losses_families_and_indexes_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let base = config(Method::Ance);
    let cases = [
        (
            "static",
            TrainConfig {
                matryoshka: vec![8, 4],
                ..base.clone()
            },
        ),
        (
            "model2vec",
            TrainConfig {
                index: IndexChoice::Ivfpq,
                ..base.clone()
            },
        ),
        (
            "roberta",
            TrainConfig {
                micro_batch: Some(2),
                ..base.clone()
            },
        ),
        (
            "distilbert",
            TrainConfig {
                ance_head: true,
                learning_rate: Some(1e-4),
                ..base.clone()
            },
        ),
        (
            "bert",
            TrainConfig {
                objective: Objective::MarginMse,
                teacher: Some(model_dir("static")),
                ..base.clone()
            },
        ),
        (
            "bert",
            TrainConfig {
                objective: Objective::Distil,
                teacher: Some(model_dir("roberta")),
                ..base.clone()
            },
        ),
        (
            "bert",
            TrainConfig {
                optimizer: crate::optim::Algorithm::Lamb,
                ..base
            },
        ),
    ];
    for (number, (model, config)) in cases.into_iter().enumerate() {
        let out = dir.path().join(number.to_string());
        let mut case = Case::new(config, &out);
        case.model = model_dir(model);
        let outcome = case.run().unwrap_or_else(|e| panic!("{model}: {e}"));
        assert!(
            load(&outcome.model, &LoadOptions::default()).is_ok(),
            "{model}"
        );
    }
}

#[test]
fn the_plan_is_what_happens() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model_dir("bert");
    let job = Job {
        config: config(Method::Ance),
        model: &model,
        out: dir.path(),
        device: Choice::Cpu,
        resume: false,
        examples: examples(),
        observe: &|_| {},
    };
    let plan = Plan::of(&job).expect("a plan");
    assert_eq!((plan.steps, plan.encodings), (8, 4));
    assert!(plan.memory.parameters > 0 && plan.memory.activations > 0);
    assert!(
        std::fs::read_dir(dir.path())
            .expect("a folder")
            .next()
            .is_none()
    );
    let seen = Mutex::new(None);
    let observe = |event: &Event| {
        if let Event::Config(config) = event {
            *seen.lock().expect("one thread") = Some(config.settings.clone());
        }
    };
    let job = Job {
        observe: &observe,
        ..job
    };
    train(job, Task::silent()).expect("a run");
    assert_eq!(seen.into_inner().expect("one thread"), Some(plan.settings));
}
