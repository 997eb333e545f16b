//! Why did a run not begin, or not go on, and what should the person do next?

use std::path::PathBuf;

use engine::encoder::{EncodeError, ModelError};
use engine::eval::significance::CompareError;
use storage::{Cancelled, StorageError};

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::device::DeviceError;
use crate::diagnostics::DiagnosticsError;
use crate::encoder::SaveError;
use crate::guards::GuardError;
use crate::log::LogError;
use crate::mined::MinedError;
use crate::negatives::MixtureError;
use crate::negatives::bm25::Bm25MineError;
use crate::refresh::RefreshError;
use crate::sampler::SamplerError;
use crate::selftest::SelfTestError;
use crate::step::StepError;

/// A run failed. What was written so far stays; `--resume` goes on from the last checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A guard is set to something impossible.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A schedule of sources makes no sense.
    #[error(transparent)]
    Mixture(#[from] MixtureError),
    /// No such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device computes something else than the CPU.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
    /// The start, or the teacher, cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is nothing to sample.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The folder holds a run already.
    #[error("{} holds a run already; go on with it by --resume, or train into another --out", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The run was begun with other settings.
    #[error("the run was begun with other values of {}; resume with the same, or train into another --out", changed.join(", "))]
    OtherSettings {
        /// Names of the settings.
        changed: Vec<String>,
    },
    /// The run was begun on other texts.
    #[error("the run was begun on other queries or passages; train into another --out")]
    OtherExamples,
    /// A checkpoint's description cannot be written or read.
    #[error(
        "the checkpoint's run.json: {0}; delete that checkpoint, and the run goes on from the one before"
    )]
    Kept(serde_json::Error),
    /// A step.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Encoding the corpus.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// Tokens or a teacher's vectors.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Mining by words.
    #[error(transparent)]
    Words(#[from] Bm25MineError),
    /// Vectors, indexes, folders.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A mined file.
    #[error(transparent)]
    Mined(#[from] MinedError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The trained model cannot be written.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// The figures.
    #[error(transparent)]
    Diagnostics(#[from] DiagnosticsError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The comparison with the start.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// No encoder of the run was measured on the dev queries.
    #[error("the run's checkpoint names no measured encoder; train into another --out")]
    Unmeasured,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl TrainError {
    /// Whether the caller asked for it.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled(_)
                | Self::Storage(StorageError::Cancelled(_))
                | Self::Encode(EncodeError::Cancelled(_))
                | Self::Words(Bm25MineError::Cancelled(_))
                | Self::Refresh(
                    RefreshError::Cancelled(_)
                        | RefreshError::Encode(EncodeError::Cancelled(_))
                        | RefreshError::Storage(StorageError::Cancelled(_))
                )
                | Self::Diagnostics(
                    DiagnosticsError::Storage(StorageError::Cancelled(_))
                        | DiagnosticsError::Bm25(Bm25MineError::Cancelled(_))
                )
        )
    }
}
