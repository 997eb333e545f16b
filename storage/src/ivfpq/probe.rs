//! Which codes of the lists that look best score highest, and what are their rows' exact scores?

use std::cell::RefCell;

use super::codebook::Codebook;
use super::model::Model;
use super::pick::{FIRST, Seen, WAVE, pick};
use super::search::{Answer, Index, Mode, named};
use super::settle::Setting;
use crate::flat::{Metric, Scorer};
use crate::kernels::Kernels;
use crate::kernels::lut::{self, Affine, ENTRIES};
use crate::kernels::scan::{BLOCK, Candidate, GROUP, Run};
use crate::kernels::topk::best_first;
use crate::{PassageId, PassageSet, StorageError};

/// Rows fetched ahead of the one being scored.
const AHEAD: usize = 6;

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
            let scanned = self.candidates(query, setting, keep, scratch)?;
            let scorer = Scorer::new(query, self.metric());
            scratch.kept.clear();
            self.rescore(&scorer, scratch);
            let rescored = scratch.kept.len() + self.score_tail(&scorer, keep, &mut scratch.kept);
            let hits = best(&mut scratch.kept, k);
            let mode = Mode::Lists {
                probed: scratch.picked.len(),
                lists: self.lists(),
                scanned,
                rescored,
                recall: setting.recall,
            };
            Ok(Answer { hits, mode })
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
            let scanned = self.candidates(query, setting, keep, scratch)?;
            let candidates = &mut scratch.candidates;
            candidates.sort_unstable_by(|a, b| b.score.cmp(&a.score).then(a.slot.cmp(&b.slot)));
            let ids = self.view().ids();
            let ranked = candidates.iter().map(|c| ids[c.slot as usize]).collect();
            Ok((ranked, scanned))
        })
    }

    /// Leaves the best codes of the best lists in `scratch.candidates`; returns the number of codes scored.
    fn candidates(
        &self,
        query: &[f32],
        setting: Setting,
        keep: Option<&PassageSet>,
        scratch: &mut Scratch,
    ) -> Result<usize, StorageError> {
        let lists = self.route(query, setting.nprobe, scratch);
        self.scan_lists(lists, setting.rescore, keep, scratch)
    }

    /// Turns the query, makes its tables, scores all lists and picks the best `nprobe` into
    /// `scratch.picked`. Returns what the centroids' sums stand for.
    fn route(&self, query: &[f32], nprobe: usize, scratch: &mut Scratch) -> Affine {
        let Scratch {
            turned,
            tables,
            list_bytes,
            code_bytes,
            sums,
            routes,
            keys,
            picked,
            code_map,
            ..
        } = scratch;
        let (model, geometry) = (&self.view().model, &self.view().geometry);
        let length = self.turn(query, model, turned);
        let lists = self.bytes_of(turned, &model.lists, None, tables, list_bytes);
        let norm = (geometry.metric == Metric::L2).then_some(geometry.norm);
        *code_map = self.bytes_of(turned, &model.codes, norm, tables, code_bytes);
        let padded = geometry.padded_lists();
        sums.resize(padded, 0);
        routes.resize(padded, 0.0);
        self.scan.sums(self.view().list_codes(), list_bytes, sums);
        let table = lut::Lists {
            gains: self.view().gains(),
            biases: self.view().biases(),
        };
        let weight = if geometry.metric == Metric::L2 {
            1.0
        } else {
            length
        };
        lut::routes(self.level, sums, table, lists, weight, routes);
        pick(self.level, &routes[..geometry.lists], nprobe, keys, picked);
        lists
    }

    /// Writes R q to `turned` (unit q for cosine) and returns the length of what was turned.
    fn turn(&self, query: &[f32], model: &Model, turned: &mut Vec<f32>) -> f32 {
        let kernels = Kernels::best();
        let length = kernels.dot(query, query).sqrt();
        let scale = if self.metric() == Metric::Cosine && length > 0.0 {
            1.0 / length
        } else {
            1.0
        };
        turned.clear();
        let rows = model.rotation.chunks_exact(model.dimension);
        turned.extend(rows.map(|row| kernels.dot_half(query, row) * scale));
        length * scale
    }

    /// Makes the byte tables of `book`, with those of the vector's length behind them for L2.
    fn bytes_of(
        &self,
        turned: &[f32],
        book: &Codebook,
        norm: Option<(f32, f32)>,
        tables: &mut Vec<f32>,
        bytes: &mut Vec<u8>,
    ) -> Affine {
        let own = book.subspaces() * ENTRIES;
        tables.resize(own, 0.0);
        lut::tables(self.level, turned, &book.ends, &book.words, tables);
        let mut low = 0.0;
        if let Some((shortest, step)) = norm {
            tables.extend((0..GROUP * ENTRIES).map(|at| -step * (at % ENTRIES) as f32));
            low = shortest;
        }
        bytes.resize(tables.len(), 0);
        let (offset, step) = lut::to_bytes(self.level, tables, bytes);
        Affine {
            offset: offset - low,
            step,
        }
    }

    /// Scans the picked lists, until a whole wave of them held nothing above the bar: those that follow look worse still.
    /// Leaves the lists scanned in `scratch.picked` and the best `depth` candidates in `scratch.candidates`. Returns the number
    /// of codes scored.
    fn scan_lists(
        &self,
        lists: Affine,
        depth: usize,
        keep: Option<&PassageSet>,
        scratch: &mut Scratch,
    ) -> Result<usize, StorageError> {
        let Scratch {
            code_bytes,
            sums,
            picked,
            candidates,
            code_map,
            ..
        } = scratch;
        candidates.clear();
        let (mut bar, mut scanned) = (i32::MIN, 0);
        let room = (2 * depth).max(128);
        // Codes above the bar in this wave of lists.
        let (mut fresh, mut read) = (0, picked.len());
        for (at, &list) in picked.iter().enumerate() {
            if at > FIRST && (at - FIRST).is_multiple_of(WAVE) {
                if bar > i32::MIN && fresh == 0 {
                    read = at;
                    break;
                }
                fresh = 0;
            }
            if let Some(&next) = picked.get(at + 1) {
                lut::prefetch(self.view().peek(next));
            }
            let found = self.view().list(list)?;
            let run = Run {
                codes: found.codes,
                vectors: found.vectors,
                first_slot: found.first_slot,
            };
            scanned += found.vectors;
            let base = base(lists.score(sums[list as usize]), code_map.step);
            let before = candidates.len();
            self.scan.above(run, code_bytes, base, bar, candidates);
            if let Some(keep) = keep {
                self.drop_unwanted(keep, before, candidates);
            }
            fresh += candidates.len() - before;
            if candidates.len() >= room {
                bar = cut(candidates, depth).unwrap_or(bar);
            }
        }
        cut(candidates, depth);
        picked.truncate(read);
        Ok(scanned)
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

    /// Scores the rows of the candidates exactly, each row once, into `scratch.kept`.
    fn rescore(&self, scorer: &Scorer<'_>, scratch: &mut Scratch) {
        let Scratch {
            candidates,
            seen,
            wanted,
            kept,
            ..
        } = scratch;
        let ids = self.view().ids();
        seen.clear(candidates.len());
        wanted.clear();
        // A row that is gone from the matrix is dead, whether `keep` says so or not.
        let fresh = candidates
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

    /// Scores the wanted rows that are not in the lists; returns their number.
    fn score_tail(
        &self,
        scorer: &Scorer<'_>,
        keep: Option<&PassageSet>,
        kept: &mut Vec<(u32, f32)>,
    ) -> usize {
        let before = kept.len();
        for row in self.tail..self.matrix.len() {
            let id = self.matrix.id(row);
            if keep.is_none_or(|keep| keep.contains(id)) {
                let at = self.starts.partition_point(|&start| start <= row) - 1;
                kept.push((
                    id.0,
                    scorer.score_row(self.row_at((at as u32, (row - self.starts[at]) as u32))),
                ));
            }
        }
        kept.len() - before
    }
}

/// `score` in units of the codes' step, far enough from the ends of i32 that no sum wraps.
fn base(score: f32, step: f32) -> i32 {
    const FAR: f32 = (1 << 30) as f32;
    (score / step).clamp(-FAR, FAR) as i32
}

/// Keeps the best `depth` candidates, ties by slot; returns the lowest score kept when some were cut.
fn cut(candidates: &mut Vec<Candidate>, depth: usize) -> Option<i32> {
    if candidates.len() <= depth {
        return None;
    }
    let better_first =
        |a: &Candidate, b: &Candidate| b.score.cmp(&a.score).then(a.slot.cmp(&b.slot));
    candidates.select_nth_unstable_by(depth - 1, better_first);
    candidates.truncate(depth);
    candidates.last().map(|last| last.score)
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
    turned: Vec<f32>,
    tables: Vec<f32>,
    list_bytes: Vec<u8>,
    code_bytes: Vec<u8>,
    code_map: Affine,
    sums: Vec<i32>,
    routes: Vec<f32>,
    keys: Vec<u64>,
    picked: Vec<u32>,
    candidates: Vec<Candidate>,
    seen: Seen,
    wanted: Vec<(u32, (u32, u32))>,
    kept: Vec<(u32, f32)>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

const _: () = assert!(BLOCK == ENTRIES);
