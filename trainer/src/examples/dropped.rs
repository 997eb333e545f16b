//! What of a data set could not be used?

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the data set held and could not be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Documents without title and text.
    pub empty_documents: usize,
    /// Queries without text.
    pub empty_queries: usize,
    /// Judged queries that queries.jsonl lacks.
    pub unknown_queries: usize,
    /// Positive judgements of documents that the corpus lacks or that are empty.
    pub missing_positives: usize,
    /// Queries left without any positive.
    pub without_positive: usize,
    /// Training queries that stand in the dev or test split as well.
    pub in_other_splits: usize,
}

impl Dropped {
    fn parts(&self) -> [(usize, &'static str); 6] {
        [
            (self.empty_documents, "documents without text"),
            (self.empty_queries, "queries without text"),
            (
                self.unknown_queries,
                "judged queries that are not among the queries",
            ),
            (
                self.missing_positives,
                "judgements of documents that the corpus lacks",
            ),
            (self.without_positive, "queries left without a positive"),
            (
                self.in_other_splits,
                "training queries that stand in the dev or test split too",
            ),
        ]
    }

    /// What there is to report, in brackets after a sentence's part; empty if nothing.
    pub(super) fn in_brackets(&self) -> String {
        match self.any() {
            true => format!(" ({self})"),
            false => String::new(),
        }
    }

    /// Whether there is anything to report.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts().into_iter().filter(|(count, _)| *count > 0);
        let said: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        f.write_str(&said.join(", "))
    }
}
