//! How does an encoder get better, round by round?
//!
//! The loop of ANCE (Xiong et al. 2021, section 4) on one page. A round is some steps of training, then the corpus is
//! encoded with the encoder as it is now, searched for the passages that it wrongly finds near, and the next round
//! trains against those. The dev queries measure every encoding, the best encoder is kept, and at the end it has to
//! beat the one it started from.

use std::path::PathBuf;

use storage::Task;

use crate::error::TrainError;
use crate::gate::{self, Trial, Verdict};
use crate::log::Event;
use crate::run::Run;

pub use crate::run::{Job, Memory, Plan};

#[cfg(test)]
mod tests;

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whether the trained encoder is taken on, and why.
    pub verdict: Verdict,
    /// Folder of the best encoder: `model/` if it is taken on, else `not-adopted/`.
    pub model: PathBuf,
    /// Steps it was trained; 0 is the start.
    pub best_step: u64,
    /// Steps of the run.
    pub steps: u64,
}

/// Trains as `job` says.
///
/// # Errors
/// Anything that stands in the way. When the caller's cancel flag is up, a checkpoint is written first, and the same job
/// with `resume` goes on from it.
pub fn train(job: Job<'_>, task: Task<'_>) -> Result<Outcome, TrainError> {
    let mut run = Run::open(job, task)?;
    match rounds(&mut run, task) {
        Err(error) if error.is_cancelled() => {
            run.checkpoint()?;
            Err(error)
        }
        other => other,
    }
}

fn rounds(run: &mut Run<'_>, task: Task<'_>) -> Result<Outcome, TrainError> {
    run.mine_by_words(task)?;
    loop {
        task.check()?;
        if run.refresh_is_due() {
            run.refresh(task)?;
            run.checkpoint()?;
        }
        if run.step() == run.steps() {
            return finish(run);
        }
        run.collect(task)?;
        run.train_step()?;
        task.report("training", run.step(), run.steps());
    }
}

/// Holds the best encoder against the start, and puts it where its verdict says.
fn finish(run: &mut Run<'_>) -> Result<Outcome, TrainError> {
    let (start, best) = run.standings()?;
    let trial = Trial {
        set: "dev queries".into(),
        before: start.scores(),
        after: best.scores(),
    };
    let verdict = gate::judge(&trial, &[], run.gate())?;
    run.tell(Event::Verdict(verdict.clone()))?;
    let model = run.place(verdict.decision)?;
    Ok(Outcome {
        verdict,
        model,
        best_step: best.step,
        steps: run.steps(),
    })
}
