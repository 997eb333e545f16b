//! Which rows of the lists that look best are nearest?

use std::cell::RefCell;

use super::ask::{Plan, Room};
use super::gather::Gathered;
use super::pick::Seen;
use super::search::{Answer, Index, Mode, named};
use super::settle::Setting;
use crate::flat::Scorer;
use crate::kernels::topk::best_first;
use crate::{PassageId, PassageSet, StorageError};

/// Rows fetched ahead of the one being scored.
pub(super) const AHEAD: usize = 6;

impl Index {
    /// Searches the lists as `setting` says, and the tail.
    pub(super) fn probe(
        &self,
        query: &[f32],
        k: usize,
        setting: Setting,
        keep: Option<&PassageSet>,
    ) -> Result<Answer, StorageError> {
        SCRATCH.with_borrow_mut(|scratch| {
            self.candidates(query, setting, keep, scratch)?;
            let scorer = Scorer::new(query, self.metric());
            scratch.kept.clear();
            self.rescore(&scorer, scratch);
            Ok(self.answer(
                &scorer,
                k,
                setting,
                keep,
                &scratch.gathered,
                &mut scratch.kept,
            ))
        })
    }

    /// Ids of the codes that `setting` would look up in the matrix, the best code first, and the number of codes
    /// scored for them. A vector may come twice.
    pub(super) fn ranked(
        &self,
        query: &[f32],
        setting: Setting,
        keep: Option<&PassageSet>,
    ) -> Result<(Vec<u32>, usize), StorageError> {
        SCRATCH.with_borrow_mut(|scratch| {
            self.candidates(query, setting, keep, scratch)?;
            let candidates = &mut scratch.gathered.candidates;
            candidates.sort_unstable_by(|a, b| b.score.cmp(&a.score).then(a.slot.cmp(&b.slot)));
            let ids = self.view().ids();
            let ranked = candidates.iter().map(|c| ids[c.slot as usize]).collect();
            Ok((ranked, scratch.gathered.scanned))
        })
    }

    /// Leaves the best codes of the best lists in `scratch.gathered`.
    fn candidates(
        &self,
        query: &[f32],
        setting: Setting,
        keep: Option<&PassageSet>,
        scratch: &mut Scratch,
    ) -> Result<(), StorageError> {
        self.plan(query, setting.nprobe, &mut scratch.room, &mut scratch.plan);
        scratch.gathered.clear(setting.rescore);
        self.gather(&scratch.plan, keep, &mut scratch.gathered)
    }

    /// Scores the rows of the candidates exactly, each row once, into `scratch.kept`.
    fn rescore(&self, scorer: &Scorer<'_>, scratch: &mut Scratch) {
        let Scratch {
            gathered,
            seen,
            wanted,
            kept,
            ..
        } = scratch;
        let ids = self.view().ids();
        seen.clear(gathered.candidates.len());
        wanted.clear();
        // A row that is gone from the matrix is dead, whether `keep` says so or not.
        let fresh = gathered
            .candidates
            .iter()
            .map(|c| ids[c.slot as usize])
            .filter(|&id| seen.insert(id));
        wanted.extend(fresh.filter_map(|id| Some((id, self.place(id)?))));
        for (at, &(id, place)) in wanted.iter().enumerate() {
            if at == 0 {
                wanted
                    .iter()
                    .take(AHEAD)
                    .for_each(|&(_, place)| self.fetch(place));
            }
            if let Some(&(_, place)) = wanted.get(at + AHEAD) {
                self.fetch(place);
            }
            kept.push((id, scorer.score_row(self.row_at(place))));
        }
    }

    /// The answer out of the rows scored in `kept`, and the tail.
    pub(super) fn answer(
        &self,
        scorer: &Scorer<'_>,
        k: usize,
        setting: Setting,
        keep: Option<&PassageSet>,
        gathered: &Gathered,
        kept: &mut Vec<(u32, f32)>,
    ) -> Answer {
        self.score_tail(scorer, keep, kept);
        let mode = Mode::Lists {
            probed: gathered.read,
            lists: self.lists(),
            scanned: gathered.scanned,
            rescored: kept.len(),
            recall: setting.recall,
        };
        let hits = best(kept, k);
        Answer { hits, mode }
    }

    /// Scores the wanted rows that are not in the lists.
    fn score_tail(
        &self,
        scorer: &Scorer<'_>,
        keep: Option<&PassageSet>,
        kept: &mut Vec<(u32, f32)>,
    ) {
        for row in self.tail..self.matrix.len() {
            let id = self.matrix.id(row);
            if keep.is_none_or(|keep| keep.contains(id)) {
                let at = self.starts.partition_point(|&start| start <= row) - 1;
                let place = (at as u32, (row - self.starts[at]) as u32);
                kept.push((id.0, scorer.score_row(self.row_at(place))));
            }
        }
    }
}

/// The k best, best first.
fn best(kept: &mut Vec<(u32, f32)>, k: usize) -> Vec<(PassageId, f32)> {
    // Adding zero makes -0 a 0, as the exact search does; NaN (of infinite sums) sorts last there too.
    kept.retain_mut(|(_, score)| {
        *score += 0.0;
        !score.is_nan()
    });
    if k > 0 && kept.len() > k {
        kept.select_nth_unstable_by(k - 1, best_first);
    }
    kept.truncate(k);
    kept.sort_unstable_by(best_first);
    named(kept.iter().copied())
}

/// Buffers of one search, kept by each thread.
#[derive(Debug, Default)]
struct Scratch {
    room: Room,
    plan: Plan,
    gathered: Gathered,
    seen: Seen,
    wanted: Vec<(u32, (u32, u32))>,
    kept: Vec<(u32, f32)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}
