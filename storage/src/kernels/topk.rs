//! Which k of many scores are the best?
//!
//! The slow equivalent: sort all by score (highest first, ties by ascending id) and keep the first k.
//! Here a buffer of twice k is filled with scores that beat the k-th best known so far; when it is
//! full, a partial selection cuts it back to k and raises the bar. After the first few thousand rows
//! nearly every row fails one comparison, so that the cost per row does not depend on k.

use std::cmp::Ordering;

/// Collects the k best of the scores pushed into it. NaN never enters.
///
/// The outcome depends only on the set of pairs pushed, not on their order, as long as ids differ.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    kept: Vec<(u32, f32)>,
    /// Scores below this cannot be among the k best.
    bar: f32,
}

impl TopK {
    /// Room for the `k` best; 0 keeps nothing.
    pub fn new(k: usize) -> Self {
        Self {
            k,
            kept: Vec::new(),
            bar: if k == 0 { f32::NAN } else { f32::NEG_INFINITY },
        }
    }

    /// Scores below the bar cannot enter any more (NaN when k is 0: nothing can).
    #[inline]
    pub fn bar(&self) -> f32 {
        self.bar
    }

    /// Offers one score; higher is better.
    #[inline]
    pub fn push(&mut self, id: u32, score: f32) {
        // Equal scores pass: a lower id may still win the tie.
        if score >= self.bar {
            // Adding zero makes -0 a 0, which compare as equal but sort apart.
            self.kept.push((id, score + 0.0));
            if self.kept.len() >= self.capacity() {
                self.cut();
            }
        }
    }

    /// Offers everything `other` kept.
    pub fn merge(&mut self, other: TopK) {
        for (id, score) in other.kept {
            self.push(id, score);
        }
    }

    /// The k best (id, score), best first, ties by ascending id.
    pub fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.cut();
        self.kept.sort_unstable_by(best_first);
        self.kept
    }

    /// Selecting costs time linear in the buffer, so that twice k makes it constant per entry; the
    /// floor keeps tiny k from selecting on nearly every push.
    fn capacity(&self) -> usize {
        self.k.saturating_mul(2).max(64)
    }

    fn cut(&mut self) {
        if self.kept.len() <= self.k || self.k == 0 {
            return;
        }
        self.kept.select_nth_unstable_by(self.k - 1, best_first);
        self.kept.truncate(self.k);
        self.bar = self.kept[self.k - 1].1;
    }
}

/// The order of a result list: higher scores first, then lower ids.
pub fn best_first(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_what_sorting_everything_would_keep(
            // Few distinct scores, so that ties are common.
            scores in prop::collection::vec(-8i8..8, 0..600),
            k in 0usize..150,
            halves in any::<bool>(),
        ) {
            let mut all: Vec<(u32, f32)> =
                scores.iter().zip(0..).map(|(&s, id)| (id, f32::from(s))).collect();
            let mut top = TopK::new(k);
            if halves {
                let (left, right) = all.split_at(all.len() / 2);
                let mut other = TopK::new(k);
                right.iter().for_each(|&(id, score)| top.push(id, score));
                left.iter().for_each(|&(id, score)| other.push(id, score));
                top.merge(other);
            } else {
                all.iter().for_each(|&(id, score)| top.push(id, score));
            }
            all.sort_by(best_first);
            all.truncate(k);
            prop_assert_eq!(top.into_sorted(), all);
        }
    }

    #[test]
    fn nan_never_enters() {
        let mut top = TopK::new(2);
        top.push(0, f32::NAN);
        top.push(1, f32::NEG_INFINITY);
        assert_eq!(top.into_sorted(), [(1, f32::NEG_INFINITY)]);
    }
}
