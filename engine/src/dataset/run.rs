//! Which documents did a system retrieve for each query, with which scores?

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Retrieved documents with their scores. The order follows from the scores alone, never from the order of insertion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// Name of the system, one word; last column of a run file.
    pub tag: String,
    hits: BTreeMap<String, Vec<(String, f32)>>,
}

impl Run {
    /// An empty run of the system `tag`.
    pub fn new(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            hits: BTreeMap::new(),
        }
    }

    /// Adds a retrieved document. Scores have single precision as in trec_eval, so what ties there ties here;
    /// NaN counts as the lowest score. A document added twice counts once, at its better score.
    pub fn push(&mut self, query: &str, document: impl Into<String>, score: f32) {
        // Adding zero turns -0 into 0: the two are a tie.
        let score = if score.is_nan() {
            f32::NEG_INFINITY
        } else {
            score + 0.0
        };
        let hit = (document.into(), score);
        match self.hits.get_mut(query) {
            Some(hits) => hits.push(hit),
            None => drop(self.hits.insert(query.to_owned(), vec![hit])),
        }
    }

    /// Queries with at least one hit, in ascending order.
    pub fn queries(&self) -> impl ExactSizeIterator<Item = &str> {
        self.hits.keys().map(String::as_str)
    }

    /// Documents retrieved for `query`, best first: score descending, ties by document id descending (byte order), each
    /// document once. This is trec_eval's order; ranks in a file play no part.
    pub fn ranking(&self, query: &str) -> Vec<(&str, f32)> {
        let hits = self.hits.get(query).map_or(&[][..], Vec::as_slice);
        let mut ranking: Vec<(&str, f32)> = hits.iter().map(|(id, s)| (id.as_str(), *s)).collect();
        ranking.sort_unstable_by(trec_order);
        let mut seen = std::collections::HashSet::new();
        ranking.retain(|(id, _)| seen.insert(*id));
        ranking
    }
}

fn trec_order(a: &(&str, f32), b: &(&str, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| b.0.cmp(a.0))
}
