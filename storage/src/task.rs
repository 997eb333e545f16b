//! How does long work say how far it is, and how is it told to stop?

use std::sync::atomic::{AtomicBool, Ordering};

/// One report of long work: `done` of `total` units of `stage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as a person would say it: "reading files", "encoding passages".
    pub stage: &'static str,
    /// Units finished.
    pub done: u64,
    /// Units in all; 0 while not known.
    pub total: u64,
}

/// The two lines between long work and its caller: a report callback and a cancel flag.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    progress: &'a (dyn Fn(Progress) + Sync),
    cancel: &'a AtomicBool,
}

/// The caller raised the cancel flag; the work stopped at a safe point and published nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Task<'a> {
    /// A task that reports to `progress` and stops soon after `cancel` turns true.
    pub fn new(progress: &'a (dyn Fn(Progress) + Sync), cancel: &'a AtomicBool) -> Self {
        Self { progress, cancel }
    }

    /// A task that nobody watches and nobody cancels.
    pub fn silent() -> Task<'static> {
        Task {
            progress: &|_| {},
            cancel: &NEVER,
        }
    }

    /// The same task with nobody watching: for a step whose caller reports in larger units.
    pub fn quiet(self) -> Self {
        Self {
            progress: &|_| {},
            ..self
        }
    }

    /// The same task without its cancel flag: for saving what was done when the flag was raised.
    pub fn unstoppable(self) -> Self {
        Self {
            cancel: &NEVER,
            ..self
        }
    }

    /// Reports `done` of `total` units of `stage`. Cheap enough for every batch, not for every row.
    pub fn report(&self, stage: &'static str, done: u64, total: u64) {
        (self.progress)(Progress { stage, done, total });
    }

    /// Fails once the caller asked to stop.
    ///
    /// # Errors
    /// [`Cancelled`].
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }
}
