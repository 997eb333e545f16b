//! Is this passage one of those wanted?
//!
//! A plain bitmap: one load and one shift per question, which a scan asks once per row.
//! Memory is one bit per id up to the largest (a million passages: 125 KB).

use crate::ids::PassageId;

/// A set of passages as a bitmap indexed by [`PassageId`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassageSet {
    words: Vec<u64>,
}

impl PassageSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ids of `ids`, end exclusive.
    pub fn from_range(ids: std::ops::Range<u32>) -> Self {
        ids.map(PassageId).collect()
    }

    /// Adds `id`; growing the bitmap costs one bit per id below it.
    pub fn insert(&mut self, id: PassageId) {
        let word = id.0 as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (id.0 % 64);
    }

    /// Takes `id` out; nothing happens when it is not in the set.
    pub fn remove(&mut self, id: PassageId) {
        if let Some(word) = self.words.get_mut(id.0 as usize / 64) {
            *word &= !(1 << (id.0 % 64));
        }
    }

    /// Is `id` in the set?
    #[inline]
    pub fn contains(&self, id: PassageId) -> bool {
        match self.words.get(id.0 as usize / 64) {
            Some(word) => word >> (id.0 % 64) & 1 == 1,
            None => false,
        }
    }

    /// Number of ids in the set, by counting.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Is no id in the set?
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// Keeps only the ids that `other` holds too.
    pub fn intersect(&mut self, other: &PassageSet) {
        self.words.truncate(other.words.len());
        for (word, &mask) in self.words.iter_mut().zip(&other.words) {
            *word &= mask;
        }
    }

    /// The bitmap: bit `i % 64` of word `i / 64` says whether passage `i` is in the set.
    /// Ids past the last word are not.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// `count` of the ids, evenly spread by rank and ascending; all where there are no more. Whole words are skipped
    /// by counting.
    pub fn spread(&self, count: usize) -> Vec<PassageId> {
        let mut ranks = crate::flat::spread(self.len(), count).peekable();
        let mut ids = Vec::with_capacity(count.min(64 * self.words.len()));
        let mut passed = 0;
        for (&word, at) in self.words.iter().zip(0u32..) {
            let after = passed + word.count_ones() as usize;
            let mut left = word;
            while let Some(rank) = ranks.next_if(|&rank| rank < after) {
                while passed < rank {
                    left &= left - 1;
                    passed += 1;
                }
                ids.push(PassageId(at * 64 + left.trailing_zeros()));
            }
            passed = after;
        }
        ids
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = PassageId> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(&word, at)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| PassageId(at * 64 + bit))
        })
    }
}

impl FromIterator<PassageId> for PassageSet {
    fn from_iter<I: IntoIterator<Item = PassageId>>(ids: I) -> Self {
        let mut set = Self::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_as_an_ordered_set(
            added in prop::collection::vec(0u32..500, 0..80),
            removed in prop::collection::vec(0u32..600, 0..40),
            other in prop::collection::btree_set(0u32..300, 0..80),
        ) {
            let mut set: PassageSet = added.iter().copied().map(PassageId).collect();
            let mut naive: BTreeSet<u32> = added.into_iter().collect();
            for id in removed {
                set.remove(PassageId(id));
                naive.remove(&id);
            }
            prop_assert_eq!(set.len(), naive.len());
            prop_assert!((0..700).all(|id| set.contains(PassageId(id)) == naive.contains(&id)));
            let all: Vec<u32> = naive.iter().copied().collect();
            for count in [0, 1, 3, 40, 1000] {
                let expected = crate::flat::spread(all.len(), count).map(|at| all[at]);
                let found = set.spread(count).into_iter().map(|id| id.0);
                prop_assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            }
            set.intersect(&other.iter().copied().map(PassageId).collect());
            let common: Vec<u32> = naive.intersection(&other).copied().collect();
            prop_assert_eq!(set.iter().map(|id| id.0).collect::<Vec<_>>(), common);
        }
    }
}
