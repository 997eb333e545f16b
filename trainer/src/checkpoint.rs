//! From where does an interrupted run go on?
//!
//! A checkpoint is a folder `step-N` with the weights and both moments (`state.safetensors`), everything else as JSON
//! (`run.json`), and a marker written last. A folder without its marker is none. Random numbers need no state: dropout
//! and negatives are pure functions of seed and step. The newest few are kept, so that a run that went wrong can go back.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use storage::{StorageError, disk};

/// Folder of the checkpoints inside a run's folder.
pub const FOLDER: &str = "checkpoints";
const STATE: &str = "state.safetensors";
const RUN: &str = "run.json";
const MARKER: &str = "COMPLETE";

/// Everything that a run needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Steps taken.
    pub step: u64,
    /// All trained numbers.
    pub values: Vec<f32>,
    /// The optimiser's moments; `None` before its first step.
    pub moments: Option<[Vec<f32>; 2]>,
    /// Steps the optimiser took; fewer than `step` if some were left out.
    pub optimizer_steps: u64,
    /// Hash of the model the run started from.
    pub model: String,
    /// What else the run wants to find again.
    pub run: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct RunFile {
    step: u64,
    optimizer_steps: u64,
    model: String,
    /// blake3, hex, of the other file.
    state: String,
    run: serde_json::Value,
}

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file system; the disk may be full.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file is not what was written.
    #[error("{} is damaged: {detail}; delete its folder, and the run goes on from the checkpoint before", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The run started from another model.
    #[error("{} belongs to a run that started from another model; train into another --out, or without --resume", path.display())]
    OtherModel {
        /// The checkpoint.
        path: PathBuf,
    },
}

impl Checkpoint {
    /// Writes it below the run's folder `out` and removes all but the newest `keep`. Returns its folder.
    ///
    /// # Errors
    /// The file system; older checkpoints are then still there.
    pub fn save(&self, out: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        let folder = out.join(FOLDER).join(format!("step-{:09}", self.step));
        disk::remove_tree(&folder)?;
        disk::create_private_dir(&folder)?;
        let state = self.state_bytes(&folder)?;
        let file = RunFile {
            step: self.step,
            optimizer_steps: self.optimizer_steps,
            model: self.model.clone(),
            state: blake3::hash(&state).to_hex().to_string(),
            run: self.run.clone(),
        };
        disk::write_new(&folder.join(STATE), &state)?;
        let text = serde_json::to_vec_pretty(&file).map_err(|e| damaged(&folder.join(RUN), e))?;
        disk::write_new(&folder.join(RUN), &text)?;
        disk::sync_dir(&folder)?;
        disk::write_new(&folder.join(MARKER), b"")?;
        disk::sync_dir(&folder)?;
        disk::sync_dir(&out.join(FOLDER))?;
        prune(out, keep.max(1))?;
        Ok(folder)
    }

    fn state_bytes(&self, folder: &Path) -> Result<Vec<u8>, CheckpointError> {
        let named = [("weights", Some(&self.values))].into_iter().chain(
            ["moment1", "moment2"]
                .into_iter()
                .enumerate()
                .map(|(i, name)| (name, self.moments.as_ref().map(|m| &m[i]))),
        );
        let bytes: Vec<(&str, Vec<u8>)> = named
            .filter_map(|(name, values)| {
                let bytes = values?.iter().flat_map(|v| v.to_le_bytes()).collect();
                Some((name, bytes))
            })
            .collect();
        let views: HashMap<&str, TensorView<'_>> = bytes
            .iter()
            .map(|(name, bytes)| {
                let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
                view.map(|v| (*name, v))
            })
            .collect::<Result<_, _>>()
            .map_err(|e| damaged(&folder.join(STATE), e))?;
        safetensors::serialize(views, None).map_err(|e| damaged(&folder.join(STATE), e))
    }

    /// The newest whole checkpoint of the run in `out` that started from `model` and trains `count` numbers; `None` if
    /// there is none.
    ///
    /// # Errors
    /// The newest is damaged, or of another model.
    pub fn latest(out: &Path, model: &str, count: usize) -> Result<Option<Self>, CheckpointError> {
        match whole(out)?.pop() {
            None => Ok(None),
            Some(folder) => {
                let checkpoint = Self::read(&folder)?;
                if checkpoint.model == model && checkpoint.values.len() == count {
                    Ok(Some(checkpoint))
                } else {
                    Err(CheckpointError::OtherModel { path: folder })
                }
            }
        }
    }

    fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join(RUN);
        let text = fs::read(&path).map_err(StorageError::io("read", &path))?;
        let file: RunFile = serde_json::from_slice(&text).map_err(|e| damaged(&path, e))?;
        let path = folder.join(STATE);
        let state = fs::read(&path).map_err(StorageError::io("read", &path))?;
        if blake3::hash(&state).to_hex().as_str() != file.state {
            return Err(damaged(
                &path,
                "its bytes do not have the hash they were written with",
            ));
        }
        let tensors = SafeTensors::deserialize(&state).map_err(|e| damaged(&path, e))?;
        let column = |name: &str| -> Option<Vec<f32>> {
            let data = tensors.tensor(name).ok()?;
            let words = data.data().as_chunks::<4>().0.iter();
            Some(words.map(|b| f32::from_le_bytes(*b)).collect())
        };
        let values = column("weights").ok_or_else(|| damaged(&path, "it holds no weights"))?;
        let moments = column("moment1")
            .zip(column("moment2"))
            .map(|(m, v)| [m, v]);
        Ok(Self {
            step: file.step,
            values,
            moments,
            optimizer_steps: file.optimizer_steps,
            model: file.model,
            run: file.run,
        })
    }
}

fn damaged(path: &Path, detail: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::Damaged {
        path: path.to_path_buf(),
        detail: detail.to_string(),
    }
}

/// Folders with a marker, oldest first.
fn whole(out: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let folder = out.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found: Vec<PathBuf> = disk::entries(&folder)?
        .iter()
        .map(std::fs::DirEntry::path)
        .filter(|p| p.join(MARKER).exists())
        .collect();
    // Steps have leading zeros: names sort as numbers do.
    found.sort();
    Ok(found)
}

fn prune(out: &Path, keep: usize) -> Result<(), CheckpointError> {
    let found = whole(out)?;
    for folder in &found[..found.len().saturating_sub(keep)] {
        // Without its marker a half removed folder is no checkpoint.
        disk::remove_file(&folder.join(MARKER))?;
        disk::remove_tree(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        Checkpoint {
            step,
            values: vec![1.5, -2.0, step as f32],
            moments: Some([vec![0.1; 3], vec![0.2; 3]]),
            optimizer_steps: step,
            model: "m".into(),
            run: serde_json::json!({"best": 0.5}),
        }
    }

    #[test]
    fn what_is_written_is_read_and_only_the_newest_are_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        for step in [3, 20, 100] {
            checkpoint(step).save(dir.path(), 2).expect("a whole disk");
        }
        let read = Checkpoint::latest(dir.path(), "m", 3).expect("readable");
        assert_eq!(read, Some(checkpoint(100)));
        assert_eq!(whole(dir.path()).expect("a list").len(), 2);
    }

    #[test]
    fn a_folder_without_marker_is_no_checkpoint() {
        let dir = tempfile::tempdir().expect("a folder");
        checkpoint(1).save(dir.path(), 3).expect("a whole disk");
        let second = checkpoint(2).save(dir.path(), 3).expect("a whole disk");
        fs::remove_file(second.join(MARKER)).expect("a marker");
        let read = Checkpoint::latest(dir.path(), "m", 3).expect("readable");
        assert_eq!(read.map(|c| c.step), Some(1));
    }

    #[test]
    fn damage_and_foreign_models_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = checkpoint(1).save(dir.path(), 1).expect("a whole disk");
        let other = Checkpoint::latest(dir.path(), "other", 3);
        assert!(matches!(other, Err(CheckpointError::OtherModel { .. })));
        let path = folder.join(STATE);
        let mut bytes = fs::read(&path).expect("a file");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).expect("writable");
        let read = Checkpoint::latest(dir.path(), "m", 3);
        assert!(matches!(read, Err(CheckpointError::Damaged { .. })));
    }

    #[test]
    fn no_checkpoint_is_no_error() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(
            Checkpoint::latest(dir.path(), "m", 3).expect("nothing there"),
            None
        );
    }
}
