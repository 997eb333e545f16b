//! Which passages have the best scores, without sorting all?

use roaring::RoaringBitmap;
use storage::PassageId;

/// A set of passages that is asked once for each match.
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(set: &RoaringBitmap) -> Self {
        let words = set.max().map_or(0, |max| max as usize / 64 + 1);
        let mut bits = vec![0u64; words];
        for id in set {
            bits[id as usize / 64] |= 1 << (id % 64);
        }
        Self(bits)
    }

    pub(super) fn has(&self, id: u32) -> bool {
        self.0
            .get(id as usize / 64)
            .is_some_and(|word| word >> (id % 64) & 1 == 1)
    }
}

/// The best passages so far.
pub(super) struct Best {
    depth: usize,
    kept: Vec<(PassageId, f32)>,
    /// Scores below cannot be among the best.
    threshold: f32,
}

impl Best {
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            kept: Vec::new(),
            threshold: 0.0,
        }
    }

    pub(super) fn offer(&mut self, passage: u32, score: f32) {
        if score < self.threshold || self.depth == 0 {
            return;
        }
        self.kept.push((PassageId(passage), score));
        if self.kept.len() >= self.depth.saturating_mul(2) {
            self.kept.select_nth_unstable_by(self.depth - 1, by_score);
            self.kept.truncate(self.depth);
            self.threshold = self.kept[self.depth - 1].1;
        }
    }

    pub(super) fn into_hits(mut self) -> Vec<(PassageId, f32)> {
        self.kept.sort_unstable_by(by_score);
        self.kept.truncate(self.depth);
        self.kept
    }
}

fn by_score(a: &(PassageId, f32), b: &(PassageId, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}
