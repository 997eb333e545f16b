//! Is the trained encoder better than the one it started from?
//!
//! Held-out queries decide, by the paired randomisation test: a trained encoder that does not beat its start beyond chance
//! is not taken on, and neither is one that loses on a guard set. The verdict says why.

use engine::dataset::Run;
use engine::eval::significance::{CompareError, Comparison, compare};
use engine::eval::{Evaluation, Metric, Scores};
use serde::{Deserialize, Serialize};

use crate::examples::{Examples, TrainQuery};

#[cfg(test)]
mod tests;

/// What decides.
pub const METRIC: Metric = Metric::Ndcg(10);

/// When to take an encoder on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GateConfig {
    /// Largest probability that chance alone explains the gain. Default .05.
    pub alpha: f64,
    /// Fewest queries a verdict can rest on. Default 20.
    pub min_queries: usize,
    /// Largest loss of mean nDCG@10 on a guard set that is put up with although it may be chance. Default .005.
    pub max_loss: f64,
    /// Seed of the test. Default 0.
    pub seed: u64,
}

impl Default for GateConfig {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            min_queries: 20,
            max_loss: 0.005,
            seed: 0,
        }
    }
}

/// What becomes of the trained encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It takes the place of the one it started from.
    Adopted,
    /// The one it started from stays.
    Kept,
}

/// Two encoders on one set of queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the set.
    pub set: String,
    /// Queries.
    pub queries: usize,
    /// Mean nDCG@10 of the encoder training started from.
    pub before: f64,
    /// Mean nDCG@10 of the trained one.
    pub after: f64,
    /// Queries on which the trained one is better, and worse.
    pub wins: usize,
    /// See `wins`.
    pub losses: usize,
    /// Probability of a difference this large if the two were the same.
    pub p: f64,
}

/// The decision and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What becomes of the encoder.
    pub decision: Decision,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// The held-out queries first, then the guard sets.
    pub outcomes: Vec<Outcome>,
}

/// Scores of both encoders on one set of queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Name of the set, for messages.
    pub set: String,
    /// Of the encoder training started from.
    pub before: Scores,
    /// Of the trained one.
    pub after: Scores,
}

impl Trial {
    fn outcome(&self, seed: u64) -> Result<Outcome, CompareError> {
        let Comparison {
            queries,
            wins,
            losses,
            p,
            ..
        } = compare(&self.before, &self.after, seed)?;
        Ok(Outcome {
            set: self.set.clone(),
            queries,
            before: self.before.mean(),
            after: self.after.mean(),
            wins,
            losses,
            p,
        })
    }
}

/// Decides by the held-out queries and the guard sets, which must not get worse.
///
/// # Errors
/// The two lists of a trial are not over the same queries.
pub fn judge(
    held_out: &Trial,
    guard_sets: &[Trial],
    config: &GateConfig,
) -> Result<Verdict, CompareError> {
    let main = held_out.outcome(config.seed)?;
    let mut against = objections(&main, config);
    let mut outcomes = vec![main];
    for trial in guard_sets {
        let outcome = trial.outcome(config.seed)?;
        against.extend(guard_objection(&outcome, config));
        outcomes.push(outcome);
    }
    let decision = if against.is_empty() {
        Decision::Adopted
    } else {
        Decision::Kept
    };
    let reasons = if against.is_empty() {
        vec![gain(&outcomes[0])]
    } else {
        against
    };
    Ok(Verdict {
        decision,
        reasons,
        outcomes,
    })
}

/// What speaks against taking the encoder on, by the held-out queries.
fn objections(outcome: &Outcome, config: &GateConfig) -> Vec<String> {
    let Outcome {
        set,
        queries,
        before,
        after,
        p,
        ..
    } = outcome;
    let mut against = Vec::new();
    if *queries < config.min_queries {
        against.push(format!(
            "{set}: {queries} queries are too few to tell gain from chance; at least {} are needed",
            config.min_queries
        ));
    }
    if after <= before {
        against.push(format!(
            "{set}: nDCG@10 went from {before:.4} to {after:.4}, which is no gain"
        ));
    } else if *p > config.alpha {
        against.push(format!(
            "{set}: nDCG@10 went from {before:.4} to {after:.4}, but chance alone does as much with probability {p:.3} \
             (limit {})",
            config.alpha
        ));
    }
    against
}

/// A guard set speaks against it if it lost more than a little, or anything beyond chance.
fn guard_objection(outcome: &Outcome, config: &GateConfig) -> Option<String> {
    let loss = outcome.before - outcome.after;
    let lost = loss > config.max_loss || (loss > 0.0 && outcome.p <= config.alpha);
    lost.then(|| {
        format!(
            "{}: nDCG@10 fell from {:.4} to {:.4} (p = {:.3}), and a guard set must not get worse",
            outcome.set, outcome.before, outcome.after, outcome.p
        )
    })
}

fn gain(outcome: &Outcome) -> String {
    format!(
        "{}: nDCG@10 rose from {:.4} to {:.4} over {} queries, better on {}, worse on {} (p = {:.3})",
        outcome.set,
        outcome.before,
        outcome.after,
        outcome.queries,
        outcome.wins,
        outcome.losses,
        outcome.p
    )
}

/// Scores rankings of `queries` (dev or training ones of `examples`): passages with scores, in any order; a document
/// counts at its best passage. Gives nDCG@10 and MRR@10 by query.
pub fn score(
    examples: &Examples,
    queries: &[TrainQuery],
    rankings: &[Vec<(u32, f32)>],
) -> (Scores, Scores) {
    let mut run = Run::new("askance");
    for (query, ranking) in queries.iter().zip(rankings) {
        for (passage, score) in ranking {
            let document = examples.document_of(*passage);
            run.push(
                &query.id,
                examples.documents[document as usize].id.as_str(),
                *score,
            );
        }
    }
    let evaluation = Evaluation::new(&examples.qrels(queries), &run);
    (
        evaluation.metric(METRIC),
        evaluation.metric(Metric::Mrr(10)),
    )
}
