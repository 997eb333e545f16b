//! How is a run written down, and picked up again?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::eval::Scores;
use serde::{Deserialize, Serialize};
use storage::disk;

use super::Run;
use crate::checkpoint::Checkpoint;
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::gate::{self, Decision};
use crate::mined::{self, Provenance};
use crate::negatives::{Pool, Source};
use crate::sampler::Position;

/// Dev scores of one encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Steps it was trained.
    pub(crate) step: u64,
    /// nDCG@10 by dev query, in ascending order of id.
    per_query: Vec<(String, f64)>,
}

impl Standing {
    pub(crate) fn new(step: u64, scores: &Scores) -> Self {
        Self {
            step,
            per_query: scores.per_query.clone(),
        }
    }

    pub(crate) fn scores(&self) -> Scores {
        Scores {
            metric: gate::METRIC,
            per_query: self.per_query.clone(),
        }
    }
}

/// What a checkpoint keeps beside weights and moments.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    config: TrainConfig,
    corpus: String,
    position: Position,
    start: Option<Standing>,
    best: Option<Standing>,
    mined_at: u64,
    refreshed: Option<u64>,
    files: BTreeMap<Source, PathBuf>,
}

/// Folder of the mined files.
const MINED: &str = "mined";
/// Folder of the best encoder while the run goes on.
pub(super) const BEST: &str = "best";
/// Folder of the best encoder that is taken on.
const ADOPTED: &str = "model";
/// Folder of the best encoder that is not.
const NOT_ADOPTED: &str = "not-adopted";

impl Run<'_> {
    /// Writes down everything that the steps from here on depend on.
    ///
    /// # Errors
    /// The device, or the file system.
    pub(crate) fn checkpoint(&mut self) -> Result<(), TrainError> {
        let kept = Kept {
            config: self.config.clone(),
            corpus: self.corpus.clone(),
            position: self.sampler.position().clone(),
            start: self.start.clone(),
            best: self.best.clone(),
            mined_at: self.mined_at,
            refreshed: self.refreshed,
            files: self.files.clone(),
        };
        let checkpoint = Checkpoint {
            step: self.step(),
            values: self.stepper.values()?,
            moments: self.stepper.moment_values()?,
            optimizer_steps: self.stepper.optimizer().steps(),
            model: self.origin.clone(),
            run: serde_json::to_value(kept).map_err(TrainError::Kept)?,
        };
        checkpoint.save(&self.out, self.config.keep_checkpoints)?;
        self.prune_mined()
    }

    /// Dev scores of the start and of the best encoder so far.
    ///
    /// # Errors
    /// Nothing was measured, which a run that got here always did.
    pub(crate) fn standings(&self) -> Result<(Standing, Standing), TrainError> {
        let both = self.start.clone().zip(self.best.clone());
        both.ok_or(TrainError::Unmeasured)
    }

    /// Puts the best encoder where `decision` says, and removes what only the run needed. Returns its folder.
    ///
    /// # Errors
    /// The file system.
    pub(crate) fn place(&self, decision: Decision) -> Result<PathBuf, TrainError> {
        let model = self.out.join(match decision {
            Decision::Adopted => ADOPTED,
            Decision::Kept => NOT_ADOPTED,
        });
        // A run that had ended before is resumed: its encoder has its place already.
        let places = [BEST, ADOPTED, NOT_ADOPTED].map(|name| self.out.join(name));
        if let Some(found) = places.iter().find(|p| p.exists() && **p != model) {
            disk::remove_tree(&model)?;
            disk::rename(found, &model)?;
        }
        disk::remove_tree(&self.out.join(super::WORK))?;
        disk::sync_dir(&self.out)?;
        Ok(model)
    }

    /// Goes on from `checkpoint`.
    ///
    /// # Errors
    /// It was written with other settings or texts, or a mined file is damaged.
    pub(super) fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), TrainError> {
        let kept: Kept = serde_json::from_value(checkpoint.run).map_err(TrainError::Kept)?;
        let changed = differing(&kept.config, &self.config);
        if !changed.is_empty() {
            return Err(TrainError::OtherSettings { changed });
        }
        if kept.corpus != self.corpus {
            return Err(TrainError::OtherExamples);
        }
        self.sampler.resume(kept.position)?;
        self.stepper.restore(
            &checkpoint.values,
            checkpoint.moments,
            checkpoint.optimizer_steps,
        );
        for (source, file) in &kept.files {
            let (pool, _) = mined::read(&self.out.join(file), &self.corpus)?;
            self.set_pool(*source, pool);
        }
        self.files = kept.files;
        self.mined_at = kept.mined_at;
        self.refreshed = kept.refreshed;
        (self.start, self.best) = (kept.start, kept.best);
        Ok(())
    }

    /// Puts a pool in force and writes its file.
    ///
    /// # Errors
    /// The file system.
    pub(super) fn keep_pool(
        &mut self,
        pool: Pool,
        provenance: &Provenance,
    ) -> Result<(), TrainError> {
        let source = provenance.source;
        disk::create_private_dir(&self.out.join(MINED))?;
        let name = format!("{}-{:09}.safetensors", source.name(), provenance.step);
        let file = Path::new(MINED).join(name);
        mined::write(&self.out.join(&file), &pool, provenance)?;
        self.files.insert(source, file);
        self.set_pool(source, pool);
        Ok(())
    }

    fn set_pool(&mut self, source: Source, pool: Pool) {
        match source {
            Source::Ance => self.pools.ance = Some(pool),
            Source::Bm25 => self.pools.bm25 = Some(pool),
            // Random negatives are drawn from the corpus itself.
            Source::Random => {}
        }
    }

    /// Removes mined files that no checkpoint can name any more: of each source, all but the newest few.
    fn prune_mined(&self) -> Result<(), TrainError> {
        let folder = self.out.join(MINED);
        for source in self.files.keys() {
            let prefix = format!("{}-", source.name());
            let mut names: Vec<PathBuf> = disk::entries(&folder)?
                .iter()
                .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
                .map(std::fs::DirEntry::path)
                .collect();
            names.sort();
            let spare = names.len().saturating_sub(self.config.keep_checkpoints + 1);
            for name in &names[..spare] {
                disk::remove_file(name)?;
            }
        }
        Ok(())
    }
}

/// Names of the settings in which two runs differ, those without influence on the steps left out.
fn differing(a: &TrainConfig, b: &TrainConfig) -> Vec<String> {
    let object = |config: &TrainConfig| {
        let neutral = TrainConfig {
            keep_checkpoints: 1,
            ..config.clone()
        };
        match serde_json::to_value(neutral) {
            Ok(serde_json::Value::Object(object)) => object,
            _ => serde_json::Map::new(),
        }
    };
    let (a, b) = (object(a), object(b));
    a.iter()
        .filter(|(name, value)| b.get(*name) != Some(value))
        .map(|(name, _)| name.clone())
        .collect()
}
