//! In which precision does a model run on this computer?
//!
//! Beside each model lies `precision.json`: what was measured, on which CPU, and what the person asked for instead, if
//! anything. A measurement of another CPU or of other weights does not count and is made again. The file can be deleted
//! at any time.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use storage::Task;

use super::files::write_synced;
use super::{ModelEntry, ModelStoreError};
use crate::encoder::{
    COSINE_BOUND, EncoderIdentity, MeasureError, Precision, PrecisionReport, cpu_features, fastest,
    measure_precisions,
};

/// The file, in the model's folder.
pub(super) const FILE: &str = "precision.json";

/// Raised when kernels change enough for old measurements to mislead. Older files are measured again.
const VERSION: u32 = 1;

/// How a model runs on this computer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PrecisionChoice {
    /// What it runs in; none before it was measured here, and for encoders that multiply nothing (`static`).
    pub chosen: Option<Precision>,
    /// What the person asked for in place of the fastest.
    pub pinned: Option<Precision>,
    /// What was measured here, the most exact first; empty before.
    pub measured: Vec<PrecisionReport>,
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    version: u32,
    pinned: Option<Precision>,
    measured: Option<Measured>,
}

/// A measurement and what it holds for.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    /// Hash of the encoder's identity.
    encoder: String,
    /// See [`cpu_features`].
    cpu: String,
    /// Smallest cosine that was asked for.
    bound: f32,
    precisions: Vec<PrecisionReport>,
}

impl Measured {
    fn holds_for(&self, identity: &EncoderIdentity) -> bool {
        self.encoder == identity.hash && self.cpu == cpu_features() && self.bound == COSINE_BOUND
    }
}

/// Whether the family has precisions to choose from.
fn has_precisions(identity: &EncoderIdentity) -> bool {
    identity.family == "bert"
}

/// The file of `dir`; an absent, damaged or older one says nothing, since all of it can be made again.
fn read(dir: &Path) -> Record {
    fs::read(dir.join(FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok())
        .filter(|record| record.version == VERSION)
        .unwrap_or_default()
}

fn write(dir: &Path, record: &Record) -> Result<(), ModelStoreError> {
    let bytes = serde_json::to_vec_pretty(record).expect("numbers and text only");
    let fresh = dir.join(format!("{FILE}-{}", std::process::id()));
    write_synced(&fresh, &bytes)?;
    let path = dir.join(FILE);
    fs::rename(&fresh, &path).map_err(ModelStoreError::io("write", &path))
}

/// What the file says of the model, where it holds for this CPU and these weights.
pub(super) fn recorded(entry: &ModelEntry) -> PrecisionChoice {
    if !has_precisions(&entry.identity) {
        return PrecisionChoice::default();
    }
    let Record {
        pinned, measured, ..
    } = read(&entry.path);
    let measured = measured
        .filter(|measured| measured.holds_for(&entry.identity))
        .map_or_else(Vec::new, |measured| measured.precisions);
    let usable = pinned.filter(|wish| fault(&measured, *wish).is_none());
    let fastest = (!measured.is_empty()).then(|| fastest(&measured));
    PrecisionChoice {
        chosen: usable.filter(|_| !measured.is_empty()).or(fastest),
        pinned,
        measured,
    }
}

/// What the file says, measured first if it says nothing that holds here.
pub(super) fn measured(
    entry: &ModelEntry,
    task: Task<'_>,
) -> Result<PrecisionChoice, ModelStoreError> {
    let choice = recorded(entry);
    if choice.chosen.is_some() || !has_precisions(&entry.identity) {
        return Ok(choice);
    }
    let precisions =
        measure_precisions(&entry.path, COSINE_BOUND, task).map_err(|error| match error {
            MeasureError::Model(error) => ModelStoreError::Model(error),
            MeasureError::Encode(error) => ModelStoreError::Encode(error),
        })?;
    let record = Record {
        version: VERSION,
        pinned: choice.pinned,
        measured: Some(Measured {
            encoder: entry.identity.hash.clone(),
            cpu: cpu_features(),
            bound: COSINE_BOUND,
            precisions,
        }),
    };
    write(&entry.path, &record)?;
    Ok(recorded(entry))
}

/// Sets what the model is to run in from now on; `None` for the fastest.
pub(super) fn pin(
    entry: &ModelEntry,
    wish: Option<Precision>,
    task: Task<'_>,
) -> Result<PrecisionChoice, ModelStoreError> {
    let choice = measured(entry, task)?;
    let reason = match wish {
        Some(_) if !has_precisions(&entry.identity) => {
            Some(format!("a {} encoder has none", entry.identity.family))
        }
        Some(wish) => fault(&choice.measured, wish),
        None => None,
    };
    if let (Some(precision), Some(reason)) = (wish, reason) {
        return Err(ModelStoreError::Precision {
            name: entry.identity.name.clone(),
            precision,
            reason,
        });
    }
    if has_precisions(&entry.identity) {
        let mut record = read(&entry.path);
        record.pinned = wish;
        write(&entry.path, &record)?;
    }
    Ok(recorded(entry))
}

/// Why `wish` cannot be used, going by what was measured.
fn fault(measured: &[PrecisionReport], wish: Precision) -> Option<String> {
    match measured.iter().find(|report| report.precision == wish) {
        None => Some("this CPU has no instructions for it".to_owned()),
        Some(report) if !report.within_bound => Some(format!(
            "its vectors are off by more than rounding (smallest cosine to f32 {:.4}, the bound is {COSINE_BOUND})",
            report.least_cosine
        )),
        Some(_) => None,
    }
}
