//! What happens during a run, line by line?
//!
//! JSON lines: one object with `event` and `seconds` (since the run began) a line, flushed as it is written. A run that was
//! killed may leave half a line at the end; reading leaves that one out, and resuming cuts it off.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize};

use crate::diagnostics::Diagnostics;
use crate::gate::Verdict;
use crate::guards::GuardCounts;
use crate::negatives::Source;

#[cfg(test)]
mod tests;

/// Name of the log in a run's folder.
pub const FILE: &str = "log.jsonl";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds of training behind it, pauses between interruption and resumption left out.
    pub seconds: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began, or went on, with this configuration.
    Config(Config),
    /// An optimiser step was taken.
    Step(Step),
    /// The corpus was encoded again and negatives were mined.
    Refresh(Refresh),
    /// The encoder was measured on the dev queries.
    Eval(Eval),
    /// The paper's figures for the encoder at this step.
    Diagnostics(Diagnostics),
    /// The trained encoder was held against the one training started from.
    Verdict(Verdict),
    /// Something a person should know: a micro-batch that was halved, a checkpoint that was gone back to.
    Note {
        /// The step.
        step: u64,
        /// One sentence.
        text: String,
    },
}

/// The resolved configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The step it holds from: 0, or where the run was resumed.
    pub step: u64,
    /// Steps the run is going to take.
    pub steps: u64,
    /// Name and value of every setting, as printed before step 1.
    pub settings: serde_json::Value,
}

/// One optimiser step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The step, from 0.
    pub step: u64,
    /// Mean loss of its batch; NaN where it was no number.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Learning rate it was taken with.
    pub lr: f64,
    /// Length of the whole gradient before clipping; NaN where it was no number.
    #[serde(deserialize_with = "number")]
    pub grad_norm: f64,
    /// Length of the gradient of each band of layers ("embeddings", "layers 1-2", ...), before clipping; empty where it was
    /// not measured.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "numbers"
    )]
    pub grad_norm_by_layers: BTreeMap<String, f64>,
    /// Mean of σ(s⁻ - s⁺), the last layer's factor of the gradient, over the negatives of each source.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "numbers"
    )]
    pub proxy_by_source: BTreeMap<Source, f64>,
    /// Length of the gradient that the negatives of each source would give alone; empty where it was not measured.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "numbers"
    )]
    pub grad_norm_by_source: BTreeMap<Source, f64>,
    /// Negatives of each source in the batch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub negatives: BTreeMap<Source, u64>,
    /// Texts that went through the encoder a second.
    pub sequences_per_second: f64,
    /// Steps between the encoder that the negatives were mined with and this one.
    pub staleness: u64,
}

/// JSON has no NaN and no infinity: they are written as null.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// As [`number`], one for each key.
fn numbers<'de, K, D>(from: D) -> Result<BTreeMap<K, f64>, D::Error>
where
    K: Deserialize<'de> + Ord,
    D: Deserializer<'de>,
{
    let found: BTreeMap<K, Option<f64>> = Deserialize::deserialize(from)?;
    let number = |(key, number): (K, Option<f64>)| (key, number.unwrap_or(f64::NAN));
    Ok(found.into_iter().map(number).collect())
}

/// New negatives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// Step from which they are used.
    pub step: u64,
    /// Step of the encoder they were mined with.
    pub encoder_step: u64,
    /// Where they come from.
    pub source: Source,
    /// "exact", "ivfpq" or "bm25".
    pub index: String,
    /// Seconds spent on encoding the corpus and the queries.
    pub encode_seconds: f64,
    /// Seconds spent on building the index.
    pub index_seconds: f64,
    /// Seconds spent on mining.
    pub mine_seconds: f64,
    /// Share of the exact answer that mining found, 0 to 1; `None` where it was not measured, because the search is exact.
    pub miner_recall: Option<f64>,
    /// What the guards did.
    pub guards: GuardCounts,
}

impl Refresh {
    /// Steps the encoder was behind when its negatives came into use.
    pub fn staleness(&self) -> u64 {
        self.step.saturating_sub(self.encoder_step)
    }
}

/// Scores on the dev queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eval {
    /// Step of the encoder; 0 is the start.
    pub step: u64,
    /// Mean nDCG@10, 0 to 1.
    pub ndcg: f64,
    /// Mean MRR@10, 0 to 1.
    pub mrr: f64,
    /// Queries they are over.
    pub queries: usize,
    /// Seconds it took.
    pub took: f64,
}

/// The log cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A line is not one of a log.
    #[error("{}, line {line}: {source}; remove the line, or train anew", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl LogError {
    fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path: path.clone(),
            source,
        }
    }
}

/// A log being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    begun: Instant,
    /// Seconds of training before this process.
    before: f64,
}

impl Log {
    /// Starts a new log in the run's folder `dir`; an old one is replaced.
    ///
    /// # Errors
    /// The file system.
    pub fn create(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let file = File::create(&path).map_err(LogError::io("write", &path))?;
        Ok(Self {
            path,
            file,
            begun: Instant::now(),
            before: 0.0,
        })
    }

    /// Goes on with the log in `dir` from `step` on: lines of that step and later, which an interrupted run wrote after its
    /// last checkpoint, are cut off, and so is half a line at the end.
    ///
    /// # Errors
    /// The file system, or a line in the middle that is none.
    pub fn resume(dir: &Path, step: u64) -> Result<Self, LogError> {
        let path = dir.join(FILE);
        let io = LogError::io("write", &path);
        let mut end = 0;
        let mut before = 0.0;
        for (line, bytes) in lines(&path)? {
            if line.event.is_at_or_after(step) {
                break;
            }
            (end, before) = (bytes, line.seconds);
        }
        let mut file = OpenOptions::new().write(true).open(&path).map_err(&io)?;
        file.set_len(end).map_err(&io)?;
        file.seek(SeekFrom::Start(end)).map_err(&io)?;
        Ok(Self {
            path,
            file,
            begun: Instant::now(),
            before,
        })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// The file system.
    pub fn write(&mut self, event: Event) -> Result<(), LogError> {
        let line = Line {
            seconds: self.before + self.begun.elapsed().as_secs_f64(),
            event,
        };
        let io = LogError::io("write", &self.path);
        let mut text = serde_json::to_vec(&line).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        // One call, so that a kill tears at most this line.
        self.file.write_all(&text).map_err(io)
    }
}

impl Event {
    /// Whether the event belongs to what a run resumed at `step` does again. A refresh at the step and an evaluation at it
    /// come before it, the step itself after.
    fn is_at_or_after(&self, step: u64) -> bool {
        match self {
            Self::Step(at) => at.step >= step,
            Self::Refresh(at) => at.step > step,
            Self::Eval(at) => at.step > step,
            Self::Diagnostics(at) => at.step > step,
            Self::Config(at) => at.step > step,
            Self::Note { step: at, .. } => *at > step,
            Self::Verdict(_) => true,
        }
    }
}

/// All lines of the log in `dir`; half a line at the end is left out.
///
/// # Errors
/// The file system, or a line in the middle that is none.
pub fn read(dir: &Path) -> Result<Vec<Line>, LogError> {
    let lines = lines(&dir.join(FILE))?;
    Ok(lines.into_iter().map(|(line, _)| line).collect())
}

/// Lines and the byte at which each ends.
fn lines(path: &Path) -> Result<Vec<(Line, u64)>, LogError> {
    let io = LogError::io("read", path);
    let mut reader = BufReader::new(File::open(path).map_err(&io)?);
    let (mut found, mut end, mut text) = (Vec::new(), 0, Vec::new());
    for number in 1.. {
        text.clear();
        let read = reader.read_until(b'\n', &mut text).map_err(&io)?;
        if !text.ends_with(b"\n") {
            break;
        }
        end += read as u64;
        let line = serde_json::from_slice(&text).map_err(|source| LogError::Line {
            path: path.to_path_buf(),
            line: number,
            source,
        })?;
        found.push((line, end));
    }
    Ok(found)
}

/// Name and value of every setting, names of groups and settings joined by dots.
pub fn rows(settings: &serde_json::Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    flatten("", settings, &mut found);
    found
}

fn flatten(path: &str, value: &serde_json::Value, rows: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(&path, value, rows);
            }
        }
        serde_json::Value::String(text) => rows.push((path.to_owned(), text.clone())),
        other => rows.push((path.to_owned(), other.to_string())),
    }
}
