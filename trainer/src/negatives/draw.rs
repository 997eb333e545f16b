//! Which of the candidates is taken?

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Candidate, Mixture, Pools, Source};
use crate::examples::Examples;
use crate::guards::Guards;

/// Random passages tried before the corpus is gone through in order.
const TRIES: usize = 32;

/// How one candidate is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// All alike.
    #[default]
    Uniform,
    /// p ∝ exp(-a (s - s⁺ - b)²) with s and s⁺ the logits of candidate and positive: neither too easy nor likely to be
    /// unlabelled positives (SimANS; Zhou et al. 2022, equation 4). Without measured cosines: all alike.
    SimAns {
        /// How sharp; the paper has .5.
        a: f32,
        /// How much above the positive the peak lies; the paper has 0.
        b: f32,
        /// What a cosine is multiplied with to become a logit.
        scale: f32,
    },
}

impl Draw {
    /// SimANS with the paper's constants.
    pub fn sim_ans(scale: f32) -> Self {
        Self::SimAns {
            a: 0.5,
            b: 0.0,
            scale,
        }
    }

    /// Weight of a candidate beside a positive of cosine `positive`, 0 to 1.
    pub fn weight(self, candidate: &Candidate, positive: f32) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::SimAns { a, b, scale } => {
                let distance =
                    f64::from(scale) * f64::from(candidate.cosine - positive) - f64::from(b);
                let weight = (-f64::from(a) * distance * distance).exp();
                if weight.is_nan() { 1.0 } else { weight }
            }
        }
    }

    /// Place of one of `candidates`; `None` if there are none.
    pub fn choose(
        self,
        candidates: &[Candidate],
        positive: f32,
        rng: &mut impl Rng,
    ) -> Option<usize> {
        let last = candidates.len().checked_sub(1)?;
        if self == Self::Uniform {
            return Some(rng.random_range(0..=last));
        }
        let weights: Vec<f64> = candidates
            .iter()
            .map(|candidate| self.weight(candidate, positive))
            .collect();
        Some(weighted(&weights, rng).unwrap_or(last))
    }
}

/// A place chosen with probability proportional to `weights`; `None` if all are 0.
fn weighted(weights: &[f64], rng: &mut impl Rng) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut left = rng.random::<f64>() * total;
    let mut chosen = None;
    for (at, weight) in weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        // The last one stands in for what rounding left over.
        chosen = Some(at);
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    chosen
}

/// A negative, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// Its place.
    pub passage: u32,
    /// The source that gave it; random where the one that was asked had nothing left.
    pub source: Source,
}

/// Everything that negatives are drawn from.
#[derive(Clone, Copy)]
pub struct Negatives<'a> {
    /// Texts and labels.
    pub examples: &'a Examples,
    /// What no negative may be.
    pub guards: &'a Guards,
    /// Which sources, when.
    pub mixture: &'a Mixture,
    /// What was mined.
    pub pools: &'a Pools,
    /// Negatives a pair gets.
    pub count: usize,
}

impl Negatives<'_> {
    /// The passage that stands for the labelled `document` of `query`: with several passages the best by the index in
    /// force, the first while nothing was mined.
    pub fn positive(&self, query: u32, document: u32) -> u32 {
        let found = self.mined_positive(Source::Ance, query, document);
        found.map_or_else(
            || self.examples.first_passage(document),
            |positive| positive.passage,
        )
    }

    /// Draws the negatives of one pair at `step`, no document twice. Fewer than `count` only if the corpus has no more.
    pub fn draw(&self, query: u32, document: u32, step: u64, rng: &mut impl Rng) -> Vec<Drawn> {
        let mut drawn: Vec<Drawn> = Vec::with_capacity(self.count);
        if self.mixture.parts.is_empty() {
            return drawn;
        }
        let weights: Vec<f64> = self
            .mixture
            .parts
            .iter()
            .map(|part| part.weight(step))
            .collect();
        for _ in 0..self.count {
            let part = weighted(&weights, rng).map(|at| &self.mixture.parts[at]);
            let mined = part.and_then(|part| {
                let passage = self.mined(part.source, part.draw, query, document, &drawn, rng)?;
                let source = part.source;
                Some(Drawn { passage, source })
            });
            let random = |passage| Drawn {
                passage,
                source: Source::Random,
            };
            let negative = match mined {
                Some(negative) => Some(negative),
                None => self.random(query, &drawn, rng).map(random),
            };
            match negative {
                Some(negative) => drawn.push(negative),
                None => break,
            }
        }
        drawn
    }

    fn mined_positive(&self, source: Source, query: u32, document: u32) -> Option<Candidate> {
        let found = self.pools.get(source)?.queries.get(query as usize)?;
        let labelled = &self.examples.queries[query as usize].positives;
        found
            .positives
            .get(labelled.binary_search(&document).ok()?)
            .copied()
    }

    fn mined(
        &self,
        source: Source,
        draw: Draw,
        query: u32,
        document: u32,
        drawn: &[Drawn],
        rng: &mut impl Rng,
    ) -> Option<u32> {
        let found = self.pools.get(source)?.queries.get(query as usize)?;
        let positive = self
            .mined_positive(source, query, document)
            .map_or(f32::NAN, |found| found.cosine);
        let free = |candidate: &Candidate| {
            self.guards
                .config()
                .margin
                .allows(candidate.cosine, positive)
                && !self.holds(drawn, candidate.passage)
        };
        let candidates: Vec<Candidate> = found.candidates.iter().copied().filter(free).collect();
        let at = draw.choose(&candidates, positive, rng)?;
        Some(candidates[at].passage)
    }

    fn random(&self, query: u32, drawn: &[Drawn], rng: &mut impl Rng) -> Option<u32> {
        let passages = self.examples.passages.len() as u32;
        let free = |passage: &u32| {
            !self.holds(drawn, *passage)
                && self
                    .guards
                    .objection(self.examples, query, *passage)
                    .is_none()
        };
        let tried = (0..TRIES).map(|_| rng.random_range(0..passages)).find(free);
        tried.or_else(|| {
            let start = rng.random_range(0..passages);
            (start..passages).chain(0..start).find(free)
        })
    }

    fn holds(&self, drawn: &[Drawn], passage: u32) -> bool {
        let document = self.examples.document_of(passage);
        drawn
            .iter()
            .any(|other| self.examples.document_of(other.passage) == document)
    }
}
