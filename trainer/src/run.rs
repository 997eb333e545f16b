//! What does a run hold between two steps?
//!
//! [`Run`] is the state; `rounds` is the order in which it moves. Below the run's folder lie `log.jsonl`,
//! `checkpoints/`, `mined/`, `best/` (the best model so far), `work/` (vectors and indexes of the round, removed at the
//! end), and at last `model/` or `not-adopted/`.

mod keep;
mod plan;
mod round;
mod train;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::encoder::{LoadOptions, load};
use storage::{Task, disk};

use crate::batches::{Teacher, Texts};
use crate::checkpoint::Checkpoint;
use crate::config::{RefreshMode, TrainConfig};
use crate::device::{self, Choice, Opened};
use crate::encoder::{Buckets, OpenOptions, TrainEncoder};
use crate::error::TrainError;
use crate::examples::Examples;
use crate::gate::GateConfig;
use crate::guards::Guards;
use crate::log::{self, Event, Log};
use crate::loss::Loss;
use crate::mined;
use crate::negatives::bm25::Searcher;
use crate::negatives::{Mixture, Pools, Source};
use crate::optim::{Optimizer, Schedule};
use crate::refresh::{Inferencer, Place, Snapshot};
use crate::sampler::{Sampler, SamplerConfig};
use crate::step::{StepSettings, Stepper};

pub(crate) use keep::Standing;
pub use plan::{Memory, Plan};

/// Folder of what a round needs and nobody after it.
const WORK: &str = "work";

/// What is to be trained, from what, into what.
pub struct Job<'a> {
    /// The settings.
    pub config: TrainConfig,
    /// Folder of the encoder training starts from.
    pub model: &'a Path,
    /// The run's folder.
    pub out: &'a Path,
    /// The device.
    pub device: Choice,
    /// Go on from the newest checkpoint in `out`, if there is one.
    pub resume: bool,
    /// What is learnt from.
    pub examples: Examples,
    /// Told of every line of the log as it is written.
    pub observe: &'a (dyn Fn(&Event) + Sync),
}

/// A run between two steps.
pub(crate) struct Run<'a> {
    config: TrainConfig,
    out: PathBuf,
    device: Opened,
    examples: Arc<Examples>,
    guards: Guards,
    /// How likely each source of negatives is at each step.
    mixture: Mixture,
    sampler: Sampler,
    texts: Texts,
    teacher: Option<Teacher>,
    /// BM25 over the passages, where it is mined.
    words: Option<Searcher>,
    pools: Pools,
    /// Files of the pools below the run's folder.
    files: BTreeMap<Source, PathBuf>,
    /// Step of the encoder that negatives were mined with last.
    mined_at: u64,
    /// Step of the encoder that was handed over last.
    refreshed: Option<u64>,
    encoder: Arc<TrainEncoder>,
    stepper: Stepper,
    schedule: Schedule,
    inferencer: Inferencer,
    start: Option<Standing>,
    best: Option<Standing>,
    log: Log,
    observe: &'a (dyn Fn(&Event) + Sync),
    /// Hash of the texts.
    corpus: String,
    /// Hash of the weights training started from.
    origin: String,
}

impl<'a> Run<'a> {
    /// Opens device, model and data, checks them against each other, and goes on from a checkpoint if there is one.
    ///
    /// # Errors
    /// Anything that stands in the way, before the first step.
    pub(crate) fn open(job: Job<'a>, task: Task<'_>) -> Result<Self, TrainError> {
        let (config, examples) = (job.config, Arc::new(job.examples));
        config.check()?;
        let device = device::open(job.device)?;
        let (encoder, values) = open_model(job.model, &config, &device)?;
        let encoder = Arc::new(encoder);
        let mixture = mixture(&config, encoder.normalizes())?;
        let sampler = sampler(&config, &examples, &mixture)?;
        let origin = crate::refresh::hash(&values);
        let checkpoint = find(job.out, job.resume, &origin, values.len())?;
        disk::create_private_dir(job.out)?;
        let optimizer = Optimizer::new(config.optimizer(), encoder.layout(), &device.device);
        let settings = settings(&config, &encoder, &device);
        let total = steps(&config, &sampler);
        let mut run = Self {
            guards: Guards::new(&examples, config.guards)?,
            inferencer: inferencer(&config, &encoder, &examples, &device, &mixture, job.out),
            texts: Texts::new(
                Arc::clone(&encoder),
                Arc::clone(&examples),
                [config.query_tokens, config.passage_tokens],
            ),
            schedule: Schedule {
                peak: config.rate(encoder.family()),
                warm_up: (config.warm_up * total as f64) as u64,
                total,
            },
            stepper: Stepper::new(
                Arc::clone(&encoder),
                &values,
                optimizer,
                &device.device,
                settings,
            ),
            log: match &checkpoint {
                Some(checkpoint) => Log::resume(job.out, checkpoint.step)?,
                None => Log::create(job.out)?,
            },
            corpus: mined::corpus_hash(&examples),
            out: job.out.to_path_buf(),
            observe: job.observe,
            teacher: None,
            words: None,
            pools: Pools::default(),
            files: BTreeMap::new(),
            mined_at: 0,
            refreshed: None,
            start: None,
            best: None,
            config,
            device,
            examples,
            mixture,
            sampler,
            encoder,
            origin,
        };
        if let Some(checkpoint) = checkpoint {
            run.restore(checkpoint)?;
        }
        run.announce()?;
        run.test_device(&values)?;
        run.open_teacher(task)?;
        Ok(run)
    }

    /// Steps taken.
    pub(crate) fn step(&self) -> u64 {
        self.sampler.position().step
    }

    /// When the trained encoder is taken on.
    pub(crate) fn gate(&self) -> &GateConfig {
        &self.config.gate
    }

    /// Steps in all.
    pub(crate) fn steps(&self) -> u64 {
        self.schedule.total
    }

    /// Writes a line of the log and shows it.
    pub(crate) fn tell(&mut self, event: Event) -> Result<(), TrainError> {
        (self.observe)(&event);
        Ok(self.log.write(event)?)
    }

    pub(crate) fn note(&mut self, text: String) -> Result<(), TrainError> {
        let step = self.step();
        self.tell(Event::Note { step, text })
    }

    /// The weights as they are now.
    fn snapshot(&self) -> Result<Snapshot, TrainError> {
        Ok(Snapshot {
            step: self.step(),
            values: Arc::new(self.stepper.values()?),
        })
    }

    /// The resolved settings, with what was resolved.
    fn announce(&mut self) -> Result<(), TrainError> {
        let settings = plan::resolved(
            &self.config,
            &self.encoder,
            &self.device,
            &self.examples,
            &self.sampler,
        );
        let (step, steps) = (self.step(), self.steps());
        self.tell(Event::Config(log::Config {
            step,
            steps,
            settings,
        }))?;
        if self.examples.dropped.any() {
            self.note(format!("left out: {}", self.examples.dropped))?;
        }
        Ok(())
    }

    fn open_teacher(&mut self, task: Task<'_>) -> Result<(), TrainError> {
        if let Some(folder) = self
            .config
            .teacher
            .clone()
            .filter(|_| self.config.objective.needs_teacher())
        {
            let teacher = load(&folder, &LoadOptions::default())?;
            let scale = self.config.scale(true) as f32;
            self.teacher = Some(Teacher::new(teacher.as_ref(), &self.examples, scale, task)?);
        }
        Ok(())
    }
}

fn open_model(
    model: &Path,
    config: &TrainConfig,
    device: &Opened,
) -> Result<(TrainEncoder, Vec<f32>), TrainError> {
    let options = OpenOptions {
        ance_head: config.ance_head,
        seed: config.seed,
        buckets: buckets(device),
    };
    Ok(TrainEncoder::open(model, options)?)
}

fn buckets(device: &Opened) -> Buckets {
    if device.tunes_shapes() {
        Buckets::Coarse
    } else {
        Buckets::Fine
    }
}

fn mixture(config: &TrainConfig, unit: bool) -> Result<Mixture, TrainError> {
    let scale = config.scale(unit) as f32;
    let mixture = config.method.mixture(scale).after_bm25(config.bm25_steps);
    mixture.check()?;
    Ok(mixture)
}

fn sampler(
    config: &TrainConfig,
    examples: &Examples,
    mixture: &Mixture,
) -> Result<Sampler, TrainError> {
    let wanted = if mixture.parts.is_empty() {
        0
    } else {
        config.negatives
    };
    let settings = SamplerConfig {
        batch: config.batch,
        max_pairs: config.max_pairs,
        seed: config.seed,
    };
    Ok(Sampler::new(examples, settings, wanted)?)
}

fn steps(config: &TrainConfig, sampler: &Sampler) -> u64 {
    let whole = sampler.steps(config.epochs);
    config.max_steps.map_or(whole, |most| whole.min(most))
}

fn settings(config: &TrainConfig, encoder: &TrainEncoder, device: &Opened) -> StepSettings {
    let own = encoder.dropout();
    StepSettings {
        loss: Loss {
            objective: config.objective,
            scale: config.scale(encoder.normalizes()),
            unit: encoder.normalizes(),
            prefixes: config.matryoshka.clone(),
        },
        micro_batch: config.micro_batch.unwrap_or(config.batch),
        clip: config.clip,
        dropout: config
            .dropout
            .map_or([own.hidden, own.attention], |d| [d, d]),
        checkpoint_activations: config.checkpoint_activations,
        seed: config.seed,
        buckets: buckets(device),
    }
}

/// Encoding goes on beside training where that was asked for and a GPU trains.
fn inferencer(
    config: &TrainConfig,
    encoder: &Arc<TrainEncoder>,
    examples: &Arc<Examples>,
    device: &Opened,
    mixture: &Mixture,
    out: &Path,
) -> Inferencer {
    let beside = config.refresh == RefreshMode::Asynchronous && device.is_gpu();
    let place = if device.is_gpu() && !beside {
        Place::Device(device.device.clone(), None)
    } else {
        Place::Cpu
    };
    let mines = mixture.uses(Source::Ance) || mixture.uses(Source::Bm25);
    Inferencer::new(
        Arc::clone(encoder),
        Arc::clone(examples),
        place,
        [beside, mines],
        &out.join(WORK),
    )
}

/// The checkpoint to go on from.
fn find(
    out: &Path,
    resume: bool,
    origin: &str,
    count: usize,
) -> Result<Option<Checkpoint>, TrainError> {
    let started = out.join(log::FILE).exists();
    match (resume, started) {
        (false, true) => Err(TrainError::Occupied {
            path: out.to_path_buf(),
        }),
        (true, true) => Ok(Checkpoint::latest(out, origin, count)?),
        (_, false) => Ok(None),
    }
}
