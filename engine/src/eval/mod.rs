//! How good is this ranking, and is the difference between two of them more than chance?

mod metrics;
pub mod runner;
pub mod significance;
#[cfg(test)]
mod tests;

pub use metrics::{Metric, ParseMetricError};

use crate::dataset::{Qrels, Run};

/// A run held against judgements. Rules, those of trec_eval:
///
/// - documents are ordered by score, descending, ties by document id, descending ([`Run::ranking`]);
/// - a document without a judgement is not relevant; grades below 0 count as 0;
/// - a query with a relevant document but without hits counts 0 in every mean;
/// - a query without any relevant document is left out: no ranking of it is better than another (pytrec_eval lists it
///   with 0, which lowers its means where judgements have such queries);
/// - queries of the run that nobody judged are left out.
///
/// Every mean is over the same [`Evaluation::queries`], and every denominator counts all relevant documents of the
/// judgements, found or not, in the corpus or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    judged: Vec<Judged>,
    without_relevant: usize,
    without_hits: usize,
    without_judgement: usize,
}

/// One query: what was found against what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judged {
    query: String,
    /// Gain of each retrieved document, best ranked first; 0 is not relevant.
    gains: Vec<u32>,
    /// Gains of all relevant documents, descending; never empty, all above 0.
    ideal: Vec<u32>,
}

impl Evaluation {
    /// Holds `run` against `qrels`.
    pub fn new(qrels: &Qrels, run: &Run) -> Self {
        let judged: Vec<Judged> = qrels
            .iter()
            .map(|(query, grades)| Judged {
                query: query.to_owned(),
                gains: gains(run, query, |document| grades.get(document).copied()),
                ideal: descending(grades.values().copied().map(gain).filter(|gain| *gain > 0)),
            })
            .filter(|judged| !judged.ideal.is_empty())
            .collect();
        Self {
            without_relevant: qrels.iter().len() - judged.len(),
            without_hits: judged
                .iter()
                .filter(|judged| judged.gains.is_empty())
                .count(),
            without_judgement: run
                .queries()
                .filter(|query| qrels.grades(query).is_none())
                .count(),
            judged,
        }
    }

    /// Number of queries every mean is over.
    pub fn queries(&self) -> usize {
        self.judged.len()
    }

    /// Judged queries left out because nothing is relevant to them.
    pub fn without_relevant(&self) -> usize {
        self.without_relevant
    }

    /// Queries among [`Evaluation::queries`] that the run found nothing for.
    pub fn without_hits(&self) -> usize {
        self.without_hits
    }

    /// Queries of the run left out because nobody judged them.
    pub fn without_judgement(&self) -> usize {
        self.without_judgement
    }

    /// The value of `metric` for each query, in ascending order of query id.
    pub fn metric(&self, metric: Metric) -> Scores {
        let per_query = self.judged.iter().map(|judged| {
            (
                judged.query.clone(),
                metric.value(&judged.gains, &judged.ideal),
            )
        });
        Scores {
            metric,
            per_query: per_query.collect(),
        }
    }
}

/// Gains of the retrieved documents in the order of their ranking.
fn gains(run: &Run, query: &str, grade: impl Fn(&str) -> Option<i32>) -> Vec<u32> {
    let ranking = run.ranking(query).into_iter();
    ranking
        .map(|(document, _)| grade(document).map_or(0, gain))
        .collect()
}

fn gain(grade: i32) -> u32 {
    grade.max(0).unsigned_abs()
}

fn descending(values: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable_by(|a, b| b.cmp(a));
    values
}

/// One metric over all queries.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// What was measured.
    pub metric: Metric,
    /// Query id and value, 0 to 1, in ascending order of id.
    pub per_query: Vec<(String, f64)>,
}

impl Scores {
    /// The mean over all queries; 0 without any.
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.per_query.iter().map(|(_, value)| value).sum();
        sum / self.per_query.len().max(1) as f64
    }
}
