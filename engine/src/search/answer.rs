//! What does a person get to see of a ranking?

use std::time::Instant;

use storage::PassageId;

use super::join::dot;
use super::{Ranking, milliseconds};
use crate::collection::Open;
use crate::error::EngineError;
use crate::reading::title_of;
use crate::report::{Explanation, Hit, LegScore, SearchResponse};

impl Ranking<'_> {
    /// How vectors were compared, if they were.
    pub(crate) fn dense_search(&self) -> Option<&str> {
        self.dense.as_ref().map(|leg| leg.how.as_str())
    }

    /// The first `limit` hits with snippets.
    pub(crate) fn respond(
        mut self,
        open: &Open,
        limit: usize,
    ) -> Result<SearchResponse, EngineError> {
        let started = Instant::now();
        let hits = self.hits(open, limit)?;
        self.timings.push(("snippets", milliseconds(started)));
        Ok(SearchResponse {
            hits,
            mode: self.mode,
            dense_search: self.dense_search().map(str::to_owned),
            encoder: self
                .dense
                .as_ref()
                .map(|leg| leg.encoder.identity().clone()),
            device: self
                .dense
                .as_ref()
                .map(|leg| leg.encoder.device().to_owned()),
            precision: self.dense.as_ref().and_then(|leg| leg.encoder.precision()),
            generation: open.generation.id.0,
            eligible: self.eligible,
            timings_ms: self.timings,
            warnings: self.warnings,
        })
    }

    fn hits(&self, open: &Open, limit: usize) -> Result<Vec<Hit>, EngineError> {
        let shown = &self.order[..limit.min(self.order.len())];
        let stored = shown
            .iter()
            .map(|fused| open.index.passage(fused.id))
            .collect::<Result<Vec<_>, _>>()?;
        let excerpts = self.excerpts(&open.index.matcher(&self.query)?, &stored);
        let hits = shown.iter().zip(stored).zip(excerpts).enumerate();
        Ok(hits
            .map(|(index, ((fused, stored), snippet))| Hit {
                rank: index + 1,
                score: fused.score,
                title: title_of(&stored),
                heading: stored.heading,
                line: stored.start.line,
                end_line: stored.end.line,
                page: stored.start.page,
                byte: stored.start.byte,
                passage: fused.id.0,
                snippet,
                explain: self.explain(open, fused.id),
                path: stored.path.into(),
            })
            .collect())
    }

    fn explain(&self, open: &Open, id: PassageId) -> Explanation {
        let rank = |hits: &[(PassageId, f32)]| {
            hits.iter()
                .position(|hit| hit.0 == id)
                .map(|index| index + 1)
        };
        let bm25 = self.bm25.as_ref().and_then(|leg| {
            let score = leg.evaluation.scores(&[id])[0];
            let standardised = leg.moments().standardise(score);
            (score > 0.0).then(|| LegScore {
                score,
                standardised,
                rank: rank(&leg.hits.hits),
            })
        });
        let dense = self.dense.as_ref().and_then(|leg| {
            let score = dot(open, &leg.vector, id)?;
            Some(LegScore {
                score,
                standardised: leg.moments().standardise(score),
                rank: rank(&leg.hits.hits),
            })
        });
        Explanation {
            bm25,
            dense,
            dense_weight: self.dense_weight,
        }
    }
}
