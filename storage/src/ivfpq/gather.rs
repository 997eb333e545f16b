//! Which codes of the lists that look best score highest?
//!
//! Lists are read in rounds ([`rounds`]). What is kept is the best `depth` codes of all lists read, ties by slot, and reading ends
//! after a round that held no code as good as the worst of those: neither depends on the order within a round, so that one
//! query alone and many that share their reading ([`super::batch`]) find the same.

use std::ops::Range;

use super::ask::Plan;
use super::pick::{FIRST, WAVE};
use super::search::Index;
use super::view::List;
use crate::kernels::lut;
use crate::kernels::scan::{Candidate, Run};
use crate::{PassageId, PassageSet, StorageError};

/// The best codes so far.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) candidates: Vec<Candidate>,
    /// Codes scored.
    pub(super) scanned: usize,
    /// Lists read.
    pub(super) read: usize,
    /// Score of the worst of the best `depth` at the last cut: codes below it are not wanted.
    bar: i32,
    /// Codes of this round that reached the bar.
    fresh: usize,
    depth: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            candidates: Vec::new(),
            scanned: 0,
            read: 0,
            bar: i32::MIN,
            fresh: 0,
            depth: 1,
        }
    }
}

impl Gathered {
    /// Empties it for a search that looks up `depth` codes.
    pub(super) fn clear(&mut self, depth: usize) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        *self = Self {
            candidates,
            depth,
            ..Self::default()
        };
    }

    /// Ends a round; does reading on pay?
    pub(super) fn end(&mut self, round: &Round) -> bool {
        self.read = round.places.end;
        self.cut();
        let pays = round.number < 2 || self.fresh > 0 || self.bar == i32::MIN;
        self.fresh = 0;
        pays
    }

    fn cut(&mut self) {
        if self.candidates.len() <= self.depth {
            return;
        }
        let better_first =
            |a: &Candidate, b: &Candidate| b.score.cmp(&a.score).then(a.slot.cmp(&b.slot));
        self.candidates
            .select_nth_unstable_by(self.depth - 1, better_first);
        self.candidates.truncate(self.depth);
        self.bar = self.candidates[self.depth - 1].score;
    }
}

/// Some of the picked lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) number: usize,
    /// Places in [`Plan::picked`].
    pub(super) places: Range<usize>,
}

/// The rounds that `count` picked lists are read in: first those that raise the bar, then wave by wave.
pub(super) fn rounds(count: usize) -> impl Iterator<Item = Round> {
    let starts = std::iter::once(0).chain((FIRST..count).step_by(WAVE));
    starts.enumerate().map(move |(number, start)| {
        let end = if number == 0 { FIRST } else { start + WAVE };
        Round {
            number,
            places: start..end.min(count),
        }
    })
}

impl Index {
    /// Reads the lists of `plan` into `gathered`, which is empty.
    pub(super) fn gather(
        &self,
        plan: &Plan,
        keep: Option<&PassageSet>,
        gathered: &mut Gathered,
    ) -> Result<(), StorageError> {
        for round in rounds(plan.picked.len()) {
            for at in round.places.clone() {
                if let Some(&next) = plan.picked.get(at + 1) {
                    lut::prefetch(self.view().peek(next));
                }
                let list = self.view().list(plan.picked[at])?;
                self.scan_list(&list, &plan.tables, plan.bases[at], keep, gathered);
            }
            if !gathered.end(&round) {
                break;
            }
        }
        Ok(())
    }

    /// Scores the codes of one list.
    pub(super) fn scan_list(
        &self,
        list: &List<'_>,
        tables: &[u8],
        base: i32,
        keep: Option<&PassageSet>,
        gathered: &mut Gathered,
    ) {
        let run = Run {
            codes: list.codes,
            blocks: list.blocks,
            vectors: list.vectors,
            first_slot: list.first_slot,
        };
        let width = self.view().geometry.width;
        let before = gathered.candidates.len();
        // A code as good as the bar may win its tie.
        let bar = gathered.bar.saturating_sub(1);
        self.scan
            .above(width, run, tables, base, bar, &mut gathered.candidates);
        if let Some(keep) = keep {
            self.drop_unwanted(keep, before, &mut gathered.candidates);
        }
        gathered.scanned += list.vectors;
        gathered.fresh += gathered.candidates.len() - before;
        if gathered.candidates.len() >= (2 * gathered.depth).max(128) {
            gathered.cut();
        }
    }

    /// Keeps only wanted candidates of those from `start` on.
    fn drop_unwanted(&self, keep: &PassageSet, start: usize, candidates: &mut Vec<Candidate>) {
        let ids = self.view().ids();
        let mut end = start;
        for at in start..candidates.len() {
            let wanted = keep.contains(PassageId(ids[candidates[at].slot as usize]));
            candidates[end] = candidates[at];
            end += usize::from(wanted);
        }
        candidates.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_cover_all_lists_once() {
        for count in [1, 5, 16, 17, 48, 49, 500] {
            let rounds: Vec<Round> = rounds(count).collect();
            let places: Vec<usize> = rounds.iter().flat_map(|r| r.places.clone()).collect();
            assert_eq!(places, (0..count).collect::<Vec<_>>());
            assert!(
                rounds
                    .iter()
                    .enumerate()
                    .all(|(at, r)| r.number == at && !r.places.is_empty())
            );
            assert!(rounds.iter().skip(1).all(|r| r.places.len() <= WAVE));
        }
    }
}
