//! Which rows answer a query, and how were they found?

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use super::model::Model;
use super::recall::Point;
use super::view::View;
use crate::flat::{self, Metric, Scorer};
use crate::kernels::lut::{self, Affine, ENTRIES};
use crate::kernels::scan::{BLOCK, Candidate, GROUP, Run, Scan};
use crate::kernels::topk::{TopK, best_first};
use crate::kernels::{Kernels, Level};
use crate::matrix::{Matrix, Rows};
use crate::{PassageId, PassageSet, StorageError};

/// The best lists that are probed first and best first, so that the bar rises early; the others follow in file order.
const FIRST: usize = 16;
/// Rows fetched ahead of the one being scored.
const AHEAD: usize = 6;
/// With at most this many wanted rows, reading them all is faster than probing.
const FEW: usize = 1024;

/// How to search. `nprobe` and `rescore` win over `target_recall`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchParams {
    /// Number of hits wanted. Default 10.
    pub k: usize,
    /// Lists read, at least 1; more than there are means all. Default: from `target_recall`.
    pub nprobe: Option<usize>,
    /// Best codes looked up in the matrix, a vector's codes in two lists counted as two; at least `k` times
    /// the copies are. Default: from `target_recall`.
    pub rescore: Option<usize>,
    /// Share of the true `k` best that must be found on average, as measured on the index's own sample, 0 to 1.
    /// 1 searches exactly. Default .95.
    pub target_recall: f32,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self {
            k: 10,
            nprobe: None,
            rescore: None,
            target_recall: 0.95,
        }
    }
}

/// How an answer was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Every wanted row was scored exactly.
    Exact,
    /// Some lists were read.
    Lists {
        /// Lists read.
        probed: usize,
        /// Lists there are.
        lists: usize,
        /// Codes scored.
        scanned: usize,
        /// Rows scored exactly, those of the tail included.
        rescored: usize,
        /// Recall measured for this setting with k = 10; `None` for settings given by hand or with
        /// a filter.
        recall: Option<f32>,
    },
}

/// Hits, and how they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The best passages found with their exact scores, best first, ties by ascending id.
    pub hits: Vec<(PassageId, f32)>,
    /// How.
    pub mode: Mode,
}

/// An opened index over the matrix it was built from, which may have gained and lost rows since.
#[derive(Debug)]
pub struct Index {
    view: View,
    matrix: Matrix,
    /// First row that is not in the lists.
    tail: usize,
    /// First row of each segment, and the number of rows at the end.
    starts: Vec<usize>,
    scan: Scan,
    level: Level,
}

/// What a search settles on before it starts.
#[derive(Debug, Clone, Copy)]
struct Setting {
    nprobe: usize,
    rescore: usize,
    recall: Option<f32>,
}

impl Index {
    /// Opens the index file `path` over `matrix`: the one it was built from, or a later one with the same
    /// ids and vectors for the rows that are left.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Version`] or [`StorageError::Corrupt`], and
    /// [`StorageError::Invalid`] when the matrix has another dimension.
    pub fn open(path: &Path, matrix: Matrix) -> Result<Self, StorageError> {
        let view = View::open(path)?;
        let (ours, theirs) = (view.geometry.dimension, matrix.dimension());
        if ours != theirs {
            return Err(StorageError::Invalid(format!(
                "{} indexes vectors of {ours} numbers, the matrix holds {theirs}; build the index again",
                path.display()
            )));
        }
        let mut starts = vec![0];
        for segment in matrix.segments() {
            starts.push(starts[starts.len() - 1] + segment.len());
        }
        let tail = first_row_from(&matrix, view.geometry.covered);
        Ok(Self {
            view,
            matrix,
            tail,
            starts,
            scan: Scan::best(),
            level: Level::best(),
        })
    }

    /// The same index scanned with other kernels; tests compare them.
    #[must_use]
    pub fn with_scan(mut self, scan: Scan) -> Self {
        self.scan = scan;
        self
    }

    /// The metric it answers for.
    pub fn metric(&self) -> Metric {
        self.view.geometry.metric
    }

    /// Number of lists.
    pub fn lists(&self) -> usize {
        self.view.geometry.lists
    }

    /// Vectors in the lists, those that died since included.
    pub fn vectors(&self) -> usize {
        self.view.geometry.vectors
    }

    /// Rows of the matrix that are not in the lists and so are searched exactly.
    pub fn tail(&self) -> usize {
        self.matrix.len() - self.tail
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.view.bytes()
    }

    /// What the index measured of itself, cheapest first, and the number of queries it was measured with.
    pub fn measured(&self) -> (&[Point], usize) {
        (&self.view.points, self.view.geometry.sample)
    }

    /// The matrix behind it.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Compares every list with its checksum.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`].
    pub fn verify(&self) -> Result<(), StorageError> {
        (0..self.lists() as u32).try_for_each(|list| self.view.list(list).map(|_| ()))
    }

    /// The rows nearest to `query` among those in `keep` (all, if not given). Dead rows must not be in `keep`.
    ///
    /// # Errors
    /// [`StorageError::Invalid`] for a query of another dimension or one that is not finite, for an
    /// `nprobe` of 0 and a target that is no share; [`StorageError::Corrupt`] for a damaged list.
    pub fn search(
        &self,
        query: &[f32],
        params: &SearchParams,
        keep: Option<&PassageSet>,
    ) -> Result<Answer, StorageError> {
        flat::check(&self.matrix, query)?;
        let wanted = keep.map(PassageSet::len);
        let Some(setting) = self.settle(params, wanted)? else {
            return self.exact(query, params.k, keep, wanted);
        };
        SCRATCH.with_borrow_mut(|scratch| self.probe(query, params.k, setting, keep, scratch))
    }

    /// Nprobe and depth for `params`; `None` when the search should be exact.
    fn settle(
        &self,
        params: &SearchParams,
        wanted: Option<usize>,
    ) -> Result<Option<Setting>, StorageError> {
        if params.nprobe == Some(0) {
            return Err(StorageError::Invalid(
                "nprobe is 0; probe at least one list".into(),
            ));
        }
        if !(0.0..=1.0).contains(&params.target_recall) {
            let target = params.target_recall;
            return Err(StorageError::Invalid(format!(
                "a target recall of {target}; it is a share from 0 to 1"
            )));
        }
        let by_hand = params.nprobe.is_some() || params.rescore.is_some();
        if wanted.is_some_and(|wanted| wanted <= FEW.max(params.k))
            || (!by_hand && params.target_recall >= 1.0)
        {
            return Ok(None);
        }
        let point = self
            .view
            .points
            .iter()
            .find(|p| p.recall >= params.target_recall);
        if point.is_none() && params.nprobe.is_none() {
            return Ok(None);
        }
        Ok(Some(self.setting(params, point, wanted)))
    }

    fn setting(
        &self,
        params: &SearchParams,
        point: Option<&Point>,
        wanted: Option<usize>,
    ) -> Setting {
        // More hits, or fewer wanted rows, reach further out; how much further was measured once and is a
        // square root in both.
        let reach = (params.k.max(10) as f64 / 10.0).sqrt();
        let share = wanted
            .map_or(1.0, |w| w as f64 / self.vectors().max(1) as f64)
            .min(1.0);
        let scaled = |n: usize| (n as f64 * reach / share.sqrt()).ceil() as usize;
        let nprobe = params
            .nprobe
            .unwrap_or_else(|| point.map_or(1, |p| scaled(p.nprobe as usize)));
        let depth = point.map_or(64, |p| p.rescore as usize) * params.k.max(10) / 10;
        let copies = self.view.geometry.copies;
        Setting {
            nprobe: nprobe.min(self.lists()),
            rescore: params.rescore.unwrap_or(depth).max(params.k * copies),
            recall: point
                .filter(|_| params.nprobe.is_none() && params.rescore.is_none() && wanted.is_none())
                .map(|p| p.recall),
        }
    }

    fn exact(
        &self,
        query: &[f32],
        k: usize,
        keep: Option<&PassageSet>,
        wanted: Option<usize>,
    ) -> Result<Answer, StorageError> {
        let few = wanted.is_some_and(|wanted| wanted <= FEW.max(self.matrix.len() / 64));
        let hits = match keep {
            Some(keep) if few => {
                let scorer = Scorer::new(query, self.metric());
                let mut top = TopK::new(k);
                for id in keep.iter() {
                    if let Some(row) = self.row(id.0) {
                        top.push(id.0, scorer.score_row(row));
                    }
                }
                named(top.into_sorted())
            }
            _ => flat::search(&self.matrix, query, k, self.metric(), keep)?.hits,
        };
        Ok(Answer {
            hits,
            mode: Mode::Exact,
        })
    }

    fn probe(
        &self,
        query: &[f32],
        k: usize,
        setting: Setting,
        keep: Option<&PassageSet>,
        scratch: &mut Scratch,
    ) -> Result<Answer, StorageError> {
        let lists = self.route(query, setting.nprobe, scratch);
        let scanned = self.scan_lists(lists, setting.rescore, keep, scratch)?;
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
            picked,
            code_map,
            ..
        } = scratch;
        let (model, geometry) = (&self.view.model, &self.view.geometry);
        let length = self.turn(query, model, turned);
        let lists = self.bytes_of(turned, &model.lists, None, tables, list_bytes);
        let norm = (geometry.metric == Metric::L2).then_some(geometry.norm);
        *code_map = self.bytes_of(turned, &model.codes, norm, tables, code_bytes);
        let padded = geometry.padded_lists();
        sums.resize(padded, 0);
        routes.resize(padded, 0.0);
        self.scan.sums(self.view.list_codes(), list_bytes, sums);
        let table = lut::Lists {
            gains: self.view.gains(),
            biases: self.view.biases(),
        };
        let weight = if geometry.metric == Metric::L2 {
            1.0
        } else {
            length
        };
        lut::routes(self.level, sums, table, lists, weight, routes);
        pick(self.level, &routes[..geometry.lists], nprobe, picked);
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
        book: &super::codebook::Codebook,
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

    /// Scans the picked lists and leaves the best `depth` candidates in `scratch.candidates`. Returns the number
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
        for (at, &list) in picked.iter().enumerate() {
            if let Some(&next) = picked.get(at + 1) {
                lut::prefetch(self.view.peek(next));
            }
            let found = self.view.list(list)?;
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
            if candidates.len() >= room {
                bar = cut(candidates, depth).unwrap_or(bar);
            }
        }
        cut(candidates, depth);
        Ok(scanned)
    }

    /// Keeps only wanted candidates of those from `start` on.
    fn drop_unwanted(&self, keep: &PassageSet, start: usize, candidates: &mut Vec<Candidate>) {
        let ids = self.view.ids();
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
        let ids = self.view.ids();
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

    /// Segment and row of `id`.
    fn place(&self, id: u32) -> Option<(u32, u32)> {
        let segments = self.matrix.segments();
        let at = match segments.len() {
            1 => 0,
            _ => segments.partition_point(|s| s.last().is_none_or(|last| last.0 < id)),
        };
        let row = segments.get(at)?.row_of(PassageId(id))?;
        Some((at as u32, row as u32))
    }

    fn row(&self, id: u32) -> Option<Rows<'_>> {
        self.place(id).map(|place| self.row_at(place))
    }

    fn row_at(&self, (segment, row): (u32, u32)) -> Rows<'_> {
        let row = row as usize;
        self.matrix.segments()[segment as usize].rows_in(row..row + 1)
    }

    fn fetch(&self, place: (u32, u32)) {
        match self.row_at(place) {
            Rows::F32(row) => lut::prefetch(bytemuck::cast_slice(row)),
            Rows::F16(row) => lut::prefetch(bytemuck::cast_slice(row)),
        }
    }
}

/// The first row of `matrix` whose id is at least `covered`.
fn first_row_from(matrix: &Matrix, covered: u64) -> usize {
    let Range { mut start, mut end } = 0..matrix.len();
    while start < end {
        let middle = start.midpoint(end);
        if u64::from(matrix.id(middle).0) < covered {
            start = middle + 1;
        } else {
            end = middle;
        }
    }
    start
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

fn named(hits: impl IntoIterator<Item = (u32, f32)>) -> Vec<(PassageId, f32)> {
    hits.into_iter()
        .map(|(id, score)| (PassageId(id), score))
        .collect()
}

/// Numbers of the `nprobe` lists with the highest `routes` (ties by number): the first few best first, the others
/// ascending. `nprobe` is 1 to the number of lists.
fn pick(level: Level, routes: &[f32], nprobe: usize, picked: &mut Vec<u32>) {
    picked.clear();
    let bar = lowest_bar(level, routes, nprobe);
    picked.extend(
        (0u32..)
            .zip(routes)
            .filter(|&(_, &route)| route >= bar)
            .map(|(list, _)| list),
    );
    let better_first = |a: &u32, b: &u32| {
        routes[*b as usize]
            .total_cmp(&routes[*a as usize])
            .then(a.cmp(b))
    };
    if picked.len() > nprobe {
        picked.select_nth_unstable_by(nprobe - 1, better_first);
        picked.truncate(nprobe);
    }
    if nprobe > FIRST {
        picked.select_nth_unstable_by(FIRST - 1, better_first);
        picked[FIRST..].sort_unstable();
    }
    picked[..FIRST.min(nprobe)].sort_unstable_by(better_first);
}

/// A score that at least `nprobe` routes reach, and few more: by halving the range of scores.
fn lowest_bar(level: Level, routes: &[f32], nprobe: usize) -> f32 {
    let (mut low, mut high) = lut::range(level, routes);
    let enough = nprobe + nprobe / 16;
    for _ in 0..16 {
        let middle = low.midpoint(high);
        let count = lut::count_from(level, routes, middle);
        if count >= nprobe {
            low = middle;
            if count <= enough {
                break;
            }
        } else {
            high = middle;
        }
    }
    low
}

/// A set of ids that is emptied often: open addressing in a table at most a quarter full.
#[derive(Debug, Default)]
struct Seen {
    table: Vec<u64>,
}

impl Seen {
    const FREE: u64 = u64::MAX;

    /// Empties it and makes room for `count` ids.
    fn clear(&mut self, count: usize) {
        self.table.clear();
        self.table
            .resize((4 * count + 4).next_power_of_two(), Self::FREE);
    }

    /// Adds `id`; was it new?
    fn insert(&mut self, id: u32) -> bool {
        let mask = self.table.len() - 1;
        let mut at = (id.wrapping_mul(0x9e37_79b1) >> 7) as usize & mask;
        while self.table[at] != Self::FREE {
            if self.table[at] == u64::from(id) {
                return false;
            }
            at = (at + 1) & mask;
        }
        self.table[at] = id.into();
        true
    }
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
