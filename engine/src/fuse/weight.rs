//! How much should meaning count for this query?
//!
//! The dense weight w is chosen per query from what the two legs show, without judgements:
//!
//! ln(x / (1 - x)) = `BIAS` + `PROMINENCE` · (top cosine - mean cosine) + `SPREAD` · ln(deviation of BM25)
//!   + `SIZE` · ln(passages) + `GAP` · (top BM25 - 100th BM25) / top BM25,  w = `LOWEST` + (`HIGHEST` - `LOWEST`) · x
//!
//! - *Prominence*: a best passage far closer than the average one means that the encoder understood the query.
//! - *Spread* is nearly -1, which takes the standardisation of BM25 back: raw BM25 scores compare better between
//!   queries than standardised ones, which grow without bound where few passages match.
//! - *Size* makes up for what the number of passages does to both.
//! - *Gap*: BM25 that singles out a few passages knows better than BM25 that finds hundreds alike.
//!
//! Fitted by `benches/fusion/fit.py`, which also says how it holds up on sets left out of the fit. BM25 has to be
//! scaled as this engine scales it. Cosines of another encoder may lie closer together than MiniLM's: the weight is then too
//! low, never out of bounds.

use super::Moments;

/// Weight where the scores say nothing: of all fixed weights the one whose worst loss to the better leg was smallest.
pub const FIXED: f32 = 0.85;
/// No weight is lower.
pub const LOWEST: f32 = 0.05;
/// No weight is higher.
pub const HIGHEST: f32 = 0.99;

const BIAS: f32 = 0.679;
const PROMINENCE: f32 = 6.117;
const SPREAD: f32 = -1.105;
const SIZE: f32 = -0.214;
const GAP: f32 = -0.661;

/// Added for a table of token vectors, which sees less than a transformer by the same prominence: at weights that suit MiniLM
/// the built-in encoder lost up to .046 nDCG@10 to BM25 alone (`benches/RESULTS.md`).
const STATIC: f32 = -1.5;

/// Rank whose BM25 score stands for the field behind the best.
const FIELD_RANK: usize = 100;

/// What the two legs show for one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Passages that may be hits (those a filter lets through).
    pub passages: u64,
    /// Deviation of BM25 over those passages; a passage that does not match counts 0.
    pub bm25_deviation: f32,
    /// Highest BM25 score.
    pub bm25_top: f32,
    /// 100th highest BM25 score, 0 if fewer match.
    pub bm25_field: f32,
    /// Highest inner product.
    pub dense_top: f32,
    /// Mean inner product over those passages.
    pub dense_mean: f32,
}

impl Evidence {
    /// Reads the evidence off both lists, best first and at least 100 deep where as many were found, and their moments
    /// over `passages` passages.
    pub fn of(
        passages: u64,
        (bm25_scores, bm25): (&[f32], Moments),
        (dense_scores, dense): (&[f32], Moments),
    ) -> Self {
        Self {
            passages,
            bm25_deviation: bm25.deviation,
            bm25_top: bm25_scores.first().copied().unwrap_or(0.0),
            bm25_field: bm25_scores.get(FIELD_RANK - 1).copied().unwrap_or(0.0),
            dense_top: dense_scores.first().copied().unwrap_or(dense.mean),
            dense_mean: dense.mean,
        }
    }

    /// The dense weight, [`LOWEST`] to [`HIGHEST`]; [`FIXED`] if BM25 found nothing that differs or a score is no number.
    pub fn dense_weight(&self) -> f32 {
        self.weight(0.0)
    }

    /// As [`Evidence::dense_weight`], for vectors of the static family.
    pub fn dense_weight_of_static(&self) -> f32 {
        self.weight(STATIC)
    }

    fn weight(&self, more: f32) -> f32 {
        let gap = (self.bm25_top - self.bm25_field) / self.bm25_top;
        let logit = BIAS
            + more
            + PROMINENCE * (self.dense_top - self.dense_mean)
            + SPREAD * self.bm25_deviation.ln()
            + SIZE * (self.passages as f32).ln()
            + GAP * gap;
        if logit.is_finite() {
            LOWEST + (HIGHEST - LOWEST) / (1.0 + (-logit).exp())
        } else {
            FIXED
        }
    }
}
