//! In which order do both legs put the passages together?

use storage::PassageId;

use super::{Bm25Leg, DenseLeg};
use crate::collection::Open;
use crate::fuse::weight::Evidence;
use crate::fuse::{self, Candidate, Fused};
use crate::request::Fusion;

/// The order both legs give together, and the dense weight if they were weighted.
pub(super) fn legs(
    open: &Open,
    bm25: &Option<Bm25Leg<'_>>,
    dense: &Option<DenseLeg>,
    fusion: Fusion,
) -> (Vec<Fused>, Option<f32>) {
    let alone = |hits: &[(PassageId, f32)]| {
        hits.iter()
            .map(|&(id, score)| Fused { id, score })
            .collect()
    };
    match (bm25, dense) {
        (None, None) => (Vec::new(), None),
        (Some(bm25), None) => (alone(&bm25.hits.hits), None),
        (None, Some(dense)) => (alone(&dense.hits.hits), None),
        (Some(bm25), Some(dense)) => fuse_both(open, bm25, dense, fusion),
    }
}

fn fuse_both(
    open: &Open,
    bm25: &Bm25Leg<'_>,
    dense: &DenseLeg,
    fusion: Fusion,
) -> (Vec<Fused>, Option<f32>) {
    let ids = |hits: &[(PassageId, f32)]| hits.iter().map(|hit| hit.0).collect::<Vec<_>>();
    let (words, meaning) = (ids(&bm25.hits.hits), ids(&dense.hits.hits));
    let weight = match fusion {
        Fusion::ReciprocalRank => return (fuse::reciprocal_rank(&words, &meaning), None),
        Fusion::Weighted(weight) => weight,
        Fusion::Chosen => choose_weight(bm25, dense),
    };
    let candidates = candidates(open, bm25, dense, &fuse::union(&words, &meaning));
    (
        fuse::weighted(&candidates, bm25.moments(), dense.moments(), weight),
        Some(weight),
    )
}

/// Both legs' scores of each passage that either found.
fn candidates(
    open: &Open,
    bm25: &Bm25Leg<'_>,
    dense: &DenseLeg,
    ids: &[PassageId],
) -> Vec<Candidate> {
    let words = bm25.evaluation.scores(ids);
    let score = |id| dot(open, &dense.vector, id).unwrap_or(dense.hits.mean as f32);
    ids.iter()
        .zip(words)
        .map(|(&id, bm25)| Candidate {
            id,
            bm25,
            dense: score(id),
        })
        .collect()
}

/// Inner product of the query and the passage's row.
pub(super) fn dot(open: &Open, query: &[f32], id: PassageId) -> Option<f32> {
    Some(product(&open.vectors.as_ref()?.matrix.get(id)?, query))
}

pub(super) fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The dense weight for this query, by what both legs show of it.
fn choose_weight(bm25: &Bm25Leg<'_>, dense: &DenseLeg) -> f32 {
    let scores = |hits: &[(PassageId, f32)]| hits.iter().map(|hit| hit.1).collect::<Vec<f32>>();
    let (words, meaning) = (scores(&bm25.hits.hits), scores(&dense.hits.hits));
    let evidence = Evidence::of(
        dense.hits.scanned,
        (&words, bm25.moments()),
        (&meaning, dense.moments()),
    );
    match dense.encoder.identity().family.as_str() {
        "static" => evidence.dense_weight_of_static(),
        _ => evidence.dense_weight(),
    }
}
