//! How likely is each source at this step?

use serde::{Deserialize, Serialize};

use super::{Draw, Source};

/// One source of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Where its negatives come from.
    pub source: Source,
    /// How one is chosen among the candidates.
    pub draw: Draw,
    /// Points (step, weight), steps ascending. Weights are 0 or more, lie on straight lines between the points and stay
    /// what they were at the ends.
    pub weights: Vec<(u64, f64)>,
}

impl Part {
    /// A part with the same weight throughout.
    pub fn constant(source: Source, draw: Draw, weight: f64) -> Self {
        Self {
            source,
            draw,
            weights: vec![(0, weight)],
        }
    }

    /// The weight at `step`.
    pub fn weight(&self, step: u64) -> f64 {
        let after = self.weights.partition_point(|(at, _)| *at <= step);
        match (after.checked_sub(1), self.weights.get(after)) {
            (None, None) => 0.0,
            (None, Some((_, weight))) => *weight,
            (Some(before), None) => self.weights[before].1,
            (Some(before), Some((end, to))) => {
                let (start, from) = self.weights[before];
                from + (to - from) * (step - start) as f64 / (end - start) as f64
            }
        }
    }
}

/// Sources and their weights over the steps. Without parts there are no mined negatives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    /// In a fixed order, so that the same random number always means the same source.
    pub parts: Vec<Part>,
}

/// A mixture cannot be drawn from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MixtureError {
    /// A weight is negative or no number.
    #[error("the weight of {} negatives at step {step} is {weight}; weights are 0 or more", .source_name)]
    Weight {
        /// Name of the source.
        source_name: &'static str,
        /// The step.
        step: u64,
        /// What was given.
        weight: f64,
    },
    /// Steps do not ascend, or there are none.
    #[error("the schedule of {} negatives needs steps that ascend", .source_name)]
    Steps {
        /// Name of the source.
        source_name: &'static str,
    },
}

impl Mixture {
    /// One source only.
    pub fn only(source: Source, draw: Draw) -> Self {
        Self {
            parts: vec![Part::constant(source, draw, 1.0)],
        }
    }

    /// BM25 alone before step `steps`, then this mixture (the paper's warm-up: "BM25 → Rand", "BM25 → ANCE").
    pub fn after_bm25(mut self, steps: u64) -> Self {
        if steps == 0 || self.parts.is_empty() {
            return self;
        }
        for part in &mut self.parts {
            let late = part.weights.iter().copied().filter(|(at, _)| *at > steps);
            let mut weights = vec![(steps - 1, 0.0), (steps, part.weight(steps))];
            weights.extend(late);
            part.weights = weights;
        }
        self.parts.push(Part {
            source: Source::Bm25,
            draw: Draw::Uniform,
            weights: vec![(steps - 1, 1.0), (steps, 0.0)],
        });
        self
    }

    /// Whether `source` has weight at `step` or later.
    pub fn uses_from(&self, source: Source, step: u64) -> bool {
        let of_source = self.parts.iter().filter(|part| part.source == source);
        of_source.into_iter().any(|part| {
            let later = part.weights.iter().filter(|(at, _)| *at > step);
            part.weight(step) > 0.0 || later.into_iter().any(|(_, weight)| *weight > 0.0)
        })
    }

    /// Whether `source` ever has weight.
    pub fn uses(&self, source: Source) -> bool {
        self.uses_from(source, 0)
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// Weights below 0 or NaN, steps that do not ascend.
    pub fn check(&self) -> Result<(), MixtureError> {
        for Part {
            source, weights, ..
        } in &self.parts
        {
            let source_name = source.name();
            if weights.is_empty() || !weights.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(MixtureError::Steps { source_name });
            }
            let bad = weights
                .iter()
                .find(|(_, weight)| !(*weight >= 0.0 && weight.is_finite()));
            if let Some(&(step, weight)) = bad {
                return Err(MixtureError::Weight {
                    source_name,
                    step,
                    weight,
                });
            }
        }
        Ok(())
    }
}
