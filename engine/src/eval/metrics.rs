//! What is this ranking of one query worth?

use std::fmt;
use std::str::FromStr;

/// A measure of a ranking, between 0 and 1. Relevant means a grade of 1 or more; k counts ranks from the top.
///
/// Parsed from and printed as `ndcg@10`, `mrr@10`, `recall@100`, `map`, `success@5`, `p@5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Normalised discounted cumulative gain of the first k (Järvelin and Kekäläinen, TOIS 2002) with the grade itself
    /// as gain and discount log2(rank + 1), over that of the best possible order: trec_eval's `ndcg_cut`.
    /// Not the 2^grade - 1 variant.
    Ndcg(usize),
    /// One over the rank of the first relevant document, 0 if it is beyond k: `recip_rank` of the run cut at k.
    Mrr(usize),
    /// Share of all relevant documents among the first k: `recall`.
    Recall(usize),
    /// Average precision: precision at the rank of each relevant document found, summed, over the number of all
    /// relevant documents: `map`.
    Map,
    /// 1 if any of the first k is relevant: `success`.
    Success(usize),
    /// Relevant documents among the first k, over k even if fewer were found: `P`.
    Precision(usize),
}

impl Metric {
    /// The value for one query. `gains` are those of the ranked documents, `ideal` those of all relevant documents,
    /// descending and above 0.
    pub(super) fn value(self, gains: &[u32], ideal: &[u32]) -> f64 {
        match self {
            Self::Ndcg(k) => ratio(discounted(head(gains, k)), discounted(head(ideal, k))),
            Self::Mrr(k) => {
                let first = head(gains, k).iter().position(|gain| *gain > 0);
                first.map_or(0.0, |index| 1.0 / (index + 1) as f64)
            }
            Self::Recall(k) => ratio(relevant(gains, k), ideal.len() as f64),
            Self::Map => ratio(summed_precision(gains), ideal.len() as f64),
            Self::Success(k) => relevant(gains, k).min(1.0),
            Self::Precision(k) => ratio(relevant(gains, k), k as f64),
        }
    }

    fn parts(self) -> (&'static str, Option<usize>) {
        match self {
            Self::Ndcg(k) => ("ndcg", Some(k)),
            Self::Mrr(k) => ("mrr", Some(k)),
            Self::Recall(k) => ("recall", Some(k)),
            Self::Map => ("map", None),
            Self::Success(k) => ("success", Some(k)),
            Self::Precision(k) => ("p", Some(k)),
        }
    }
}

fn head(gains: &[u32], k: usize) -> &[u32] {
    &gains[..gains.len().min(k)]
}

/// Sum of gain / log2(rank + 1), ranks from 1.
fn discounted(gains: &[u32]) -> f64 {
    let ranks = (2..).map(|rank: u32| f64::from(rank).log2());
    gains
        .iter()
        .zip(ranks)
        .map(|(gain, discount)| f64::from(*gain) / discount)
        .sum()
}

fn relevant(gains: &[u32], k: usize) -> f64 {
    head(gains, k).iter().filter(|gain| **gain > 0).count() as f64
}

/// Sum of the precision at the rank of each relevant document.
fn summed_precision(gains: &[u32]) -> f64 {
    let ranks = gains.iter().enumerate().filter(|(_, gain)| **gain > 0);
    ranks
        .zip(1..)
        .map(|((index, _), found)| f64::from(found) / (index + 1) as f64)
        .sum()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (name, Some(k)) => write!(f, "{name}@{k}"),
            (name, None) => f.write_str(name),
        }
    }
}

impl serde::Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Metric {
    type Err = ParseMetricError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseMetricError(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let Some((name, cutoff)) = lower.split_once('@') else {
            return if lower == "map" {
                Ok(Self::Map)
            } else {
                Err(unknown())
            };
        };
        let k = cutoff.parse().ok().filter(|k| *k > 0).ok_or_else(unknown)?;
        match name {
            "ndcg" => Ok(Self::Ndcg(k)),
            "mrr" => Ok(Self::Mrr(k)),
            "recall" => Ok(Self::Recall(k)),
            "success" => Ok(Self::Success(k)),
            "p" => Ok(Self::Precision(k)),
            _ => Err(unknown()),
        }
    }
}

/// The text names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no metric; there are ndcg@k, mrr@k, recall@k, map, success@k and p@k with k from 1"
)]
pub struct ParseMetricError(String);
