//! How do many queries share what they read?
//!
//! Round by round ([`super::gather`]), queries are grouped by the lists they read next: a list comes from memory once and is scored
//! for all of them. Then candidates of all queries are looked up in the order of the rows. The answers are those of
//! [`Index::probe`], bit for bit.

use std::ops::Range;

use super::ask::{Plan, Room};
use super::gather::{Gathered, Round, rounds};
use super::probe::AHEAD;
use super::search::{Answer, Index};
use super::settle::Setting;
use crate::flat::Scorer;
use crate::kernels::lut;
use crate::{PassageSet, StorageError};

/// Queries that share their reading: more meet in more lists, until their tables (a few KB each) leave the core's cache.
pub(super) const MOST: usize = 256;
/// With fewer, lists are hardly ever shared.
pub(super) const LEAST: usize = 16;

impl Index {
    /// [`Index::probe`] for each of `queries`, (n, dimension).
    pub(super) fn probe_many(
        &self,
        queries: &[f32],
        k: usize,
        setting: Setting,
        keep: Option<&PassageSet>,
    ) -> Result<Vec<Answer>, StorageError> {
        let queries: Vec<&[f32]> = queries.chunks_exact(self.matrix.dimension()).collect();
        let mut room = Room::default();
        let mut each: Vec<One> = Vec::with_capacity(queries.len());
        for query in &queries {
            let mut one = One::default();
            self.plan(query, setting.nprobe, &mut room, &mut one.plan);
            one.gathered.clear(setting.rescore);
            each.push(one);
        }
        self.gather_many(&mut each, keep)?;
        let scorers: Vec<Scorer<'_>> = queries
            .iter()
            .map(|query| Scorer::new(query, self.metric()))
            .collect();
        self.rescore_many(&scorers, &mut each);
        let answers = scorers.iter().zip(&mut each);
        Ok(answers
            .map(|(scorer, one)| {
                self.answer(scorer, k, setting, keep, &one.gathered, &mut one.kept)
            })
            .collect())
    }

    /// Reads the lists of all plans.
    fn gather_many(&self, each: &mut [One], keep: Option<&PassageSet>) -> Result<(), StorageError> {
        let mut meetings = Meetings::default();
        let mut reading: Vec<u32> = (0..each.len() as u32).collect();
        let most = each.iter().map(|one| one.plan.picked.len()).max();
        for round in rounds(most.unwrap_or(0)) {
            meetings.arrange(each, &reading, &round, self.lists());
            for list in 0..self.lists() {
                let members = meetings.of(list);
                if members.is_empty() {
                    continue;
                }
                let found = self.view().list(list as u32)?;
                lut::prefetch(self.view().peek((list + 1).min(self.lists() - 1) as u32));
                for &(query, base) in &meetings.members[members] {
                    let One { plan, gathered, .. } = &mut each[query as usize];
                    self.scan_list(&found, &plan.tables, base, keep, gathered);
                }
            }
            reading.retain(|&query| each[query as usize].gathered.end(&round));
            if reading.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Scores the rows of all candidates, each once for a query, ids ascending.
    fn rescore_many(&self, scorers: &[Scorer<'_>], each: &mut [One]) {
        let ids = self.view().ids();
        let mut rows = Vec::new();
        for (one, query) in each.iter().zip(0u64..) {
            let candidates = one.gathered.candidates.iter();
            rows.extend(candidates.map(|c| u64::from(ids[c.slot as usize]) << 32 | query));
        }
        rows.sort_unstable();
        rows.dedup();
        let place = |row: u64| self.place((row >> 32) as u32);
        for (at, &row) in rows.iter().enumerate() {
            let next = rows.get(at + AHEAD).copied();
            if let Some(next) = next.filter(|next| next >> 32 != row >> 32).and_then(place) {
                self.fetch(next);
            }
            let query = (row & u64::from(u32::MAX)) as usize;
            if let Some(place) = place(row) {
                let score = scorers[query].score_row(self.row_at(place));
                each[query].kept.push(((row >> 32) as u32, score));
            }
        }
    }
}

/// One of the queries.
#[derive(Debug, Default)]
struct One {
    plan: Plan,
    gathered: Gathered,
    kept: Vec<(u32, f32)>,
}

/// Which queries meet in which list.
#[derive(Debug, Default)]
struct Meetings {
    /// First member of each list, and the number of members at the end.
    starts: Vec<u32>,
    /// Number of the query, and the base of its scores in that list; by list.
    members: Vec<(u32, i32)>,
}

impl Meetings {
    /// Sorts what the queries `reading` read in this round by list.
    fn arrange(&mut self, each: &[One], reading: &[u32], round: &Round, lists: usize) {
        let read = |query: u32| {
            let plan = &each[query as usize].plan;
            let places = round.places.start..round.places.end.min(plan.picked.len());
            plan.picked[places.clone()].iter().zip(&plan.bases[places])
        };
        self.starts.clear();
        self.starts.resize(lists + 1, 0);
        for &query in reading {
            read(query).for_each(|(&list, _)| self.starts[list as usize] += 1);
        }
        let mut total = 0;
        for start in &mut self.starts {
            total += *start;
            *start = total;
        }
        self.members.clear();
        self.members.resize(total as usize, (0, 0));
        // Filled from the end of each list's members to their start.
        for &query in reading.iter().rev() {
            for (&list, &base) in read(query) {
                let start = &mut self.starts[list as usize];
                *start -= 1;
                self.members[*start as usize] = (query, base);
            }
        }
    }

    /// Where the members of `list` stand.
    fn of(&self, list: usize) -> Range<usize> {
        self.starts[list] as usize..self.starts[list + 1] as usize
    }
}
