//! Against which wrong passages is a positive held in this step?
//!
//! A [`Mixture`] says how likely each [`Source`] is at each step. Mining gives each query a [`Pool`] of candidates for a
//! source; [`Negatives`] draws from the pools, keeps to the guards, and fills up with random passages where a pool has
//! nothing left. In-batch negatives are no source: they cost no passage and are the loss's business.

use serde::{Deserialize, Serialize};

pub mod bm25;
pub mod dense;
mod draw;
mod method;
mod mixture;
#[cfg(test)]
mod tests;

pub use draw::{Draw, Drawn, Negatives};
pub use method::Method;
pub use mixture::{Mixture, MixtureError, Part};

/// Where a negative comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Anywhere in the corpus.
    Random,
    /// The best passages by BM25.
    Bm25,
    /// The nearest passages of the index in force.
    Ance,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Random, Self::Bm25, Self::Ance];

    /// As it stands in logs and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Bm25 => "bm25",
            Self::Ance => "ance",
        }
    }
}

/// A passage that was found for a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place.
    pub passage: u32,
    /// Its score by the source: inner product or cosine of the index, or BM25.
    pub score: f32,
    /// Cosine of its vector and the query's under the encoder in force; NaN while nobody measured it.
    pub cosine: f32,
}

/// What was found for one query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The best passage of each labelled document, in the order of [`crate::examples::TrainQuery::positives`].
    pub positives: Vec<Candidate>,
    /// Candidates that passed the guards, best first, one passage a document.
    pub candidates: Vec<Candidate>,
}

/// Candidates of one source for every training query, in the order of [`crate::examples::Examples::queries`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pool {
    /// What was found, one for each query.
    pub queries: Vec<Found>,
}

/// The pools at hand. A source without one gives nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pools {
    /// By BM25.
    pub bm25: Option<Pool>,
    /// By the index in force.
    pub ance: Option<Pool>,
}

impl Pools {
    /// The pool of `source`, if it has one.
    pub fn get(&self, source: Source) -> Option<&Pool> {
        match source {
            Source::Random => None,
            Source::Bm25 => self.bm25.as_ref(),
            Source::Ance => self.ance.as_ref(),
        }
    }
}
