//! May this passage be a negative for that query?
//!
//! Most of the best hits that nobody labelled are relevant all the same (Qu et al. 2021 found about 70 %), and training
//! against them destroys an encoder. So a candidate is refused if it is labelled, part of the same whole as a positive, or
//! nearly the same text; and beside a given positive, if it scores nearly as high (the positive-aware margin of Moreira
//! et al. 2024).

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::examples::Examples;

mod duplicates;
#[cfg(test)]
mod tests;

pub use duplicates::{Duplicates, jaccard};

/// Which guards stand. Labelled positives are always refused.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GuardConfig {
    /// Refuse other passages and documents of a positive's group. Default yes.
    pub same_document: bool,
    /// Refuse texts that share at least this share (Jaccard) of their three-word shingles with a positive's;
    /// `None` looks at no text. Default .8.
    pub near_duplicate: Option<f32>,
    /// How far below its positive a mined negative has to score. Default: below .95 of it.
    pub margin: Margin,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            same_document: true,
            near_duplicate: Some(0.8),
            margin: Margin::Relative(0.95),
        }
    }
}

/// How far below its positive a mined negative has to score, by cosine under the encoder in force.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// Anywhere.
    None,
    /// Below this share of the positive's cosine (TopK-PercPos). Where that is negative, as far below it as the share
    /// would be below a positive one.
    Relative(f32),
    /// At least so much below (TopK-MarginPos); the paper has .05.
    Absolute(f32),
}

impl Margin {
    /// Whether a candidate of cosine `candidate` may stand beside a positive of cosine `positive`. What nobody measured
    /// (NaN) may.
    pub fn allows(self, candidate: f32, positive: f32) -> bool {
        let bar = match self {
            Self::None => return true,
            Self::Relative(share) => positive - (1.0 - share) * positive.abs(),
            Self::Absolute(distance) => positive - distance,
        };
        // What cannot be compared passes.
        candidate < bar || candidate.is_nan() || bar.is_nan()
    }
}

/// Why a passage is refused for a query, whatever its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objection {
    /// Its document is labelled relevant.
    Labelled,
    /// It is part of the same whole as a labelled document.
    SameDocument,
    /// Its text is that of a labelled document, nearly.
    NearDuplicate,
}

/// What the guards did to the candidates of a mining run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCounts {
    /// Candidates looked at.
    pub candidates: u64,
    /// Refused: labelled relevant.
    pub labelled: u64,
    /// Refused: part of the same whole.
    pub same_document: u64,
    /// Refused: nearly the same text.
    pub near_duplicate: u64,
    /// Refused as another passage of a document that is a candidate already.
    pub repeated: u64,
    /// Pairs of a candidate that passed and a positive it scores too close to.
    pub margin: u64,
    /// Pairs of a candidate that passed and a positive: what `margin` is a part of.
    pub pairs: u64,
    /// Queries.
    pub queries: u64,
    /// Queries left with fewer candidates than negatives asked for, beside their hardest positive; random passages fill up.
    pub starved_queries: u64,
}

impl GuardCounts {
    /// Counts one refusal.
    pub fn refuse(&mut self, objection: Objection) {
        match objection {
            Objection::Labelled => self.labelled += 1,
            Objection::SameDocument => self.same_document += 1,
            Objection::NearDuplicate => self.near_duplicate += 1,
        }
    }
}

impl AddAssign for GuardCounts {
    fn add_assign(&mut self, other: Self) {
        self.candidates += other.candidates;
        self.labelled += other.labelled;
        self.same_document += other.same_document;
        self.near_duplicate += other.near_duplicate;
        self.repeated += other.repeated;
        self.margin += other.margin;
        self.pairs += other.pairs;
        self.queries += other.queries;
        self.starved_queries += other.starved_queries;
    }
}

/// A guard is set to something impossible.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it has to be {range}")]
pub struct GuardError {
    name: &'static str,
    value: f32,
    range: &'static str,
}

/// The guards, ready to be asked.
#[derive(Debug, Clone)]
pub struct Guards {
    config: GuardConfig,
    duplicates: Option<Duplicates>,
}

impl Guards {
    /// Looks at the texts once.
    ///
    /// # Errors
    /// A share outside 0 to 1, a margin that is no number.
    pub fn new(examples: &Examples, config: GuardConfig) -> Result<Self, GuardError> {
        config.check()?;
        let duplicates = config
            .near_duplicate
            .map(|share| Duplicates::new(examples.passages.iter().map(|p| p.body()), share));
        Ok(Self { config, duplicates })
    }

    /// How they are set.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Why `passage` must not be a negative for the training query `query`, if it must not.
    pub fn objection(&self, examples: &Examples, query: u32, passage: u32) -> Option<Objection> {
        let query = &examples.queries[query as usize];
        let document = examples.document_of(passage);
        if query.is_positive(document) {
            return Some(Objection::Labelled);
        }
        let group = examples.documents[document as usize].group;
        let positives = || {
            query
                .positives
                .iter()
                .map(|at| &examples.documents[*at as usize])
        };
        if self.config.same_document && positives().any(|positive| positive.group == group) {
            return Some(Objection::SameDocument);
        }
        let duplicates = self.duplicates.as_ref()?;
        let near = positives()
            .flat_map(|positive| positive.passages.clone())
            .any(|positive| {
                duplicates.near(positive, passage, |at| {
                    examples.passages[at as usize].body()
                })
            });
        near.then_some(Objection::NearDuplicate)
    }
}

impl GuardConfig {
    fn check(&self) -> Result<(), GuardError> {
        let refuse = |name, value, range| Err(GuardError { name, value, range });
        match (self.near_duplicate, self.margin) {
            (Some(share), _) if !(share > 0.0 && share <= 1.0) => refuse(
                "the share that makes a near-duplicate",
                share,
                "above 0 and at most 1",
            ),
            (_, Margin::Relative(share)) if !(0.0..=1.0).contains(&share) => {
                refuse("the positive-aware share", share, "from 0 to 1")
            }
            (_, Margin::Absolute(distance)) if !(0.0..=2.0).contains(&distance) => {
                refuse("the positive-aware distance", distance, "from 0 to 2")
            }
            _ => Ok(()),
        }
    }
}
