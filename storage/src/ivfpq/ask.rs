//! Which bytes stand for a query, and which lists look best to it?

use super::codebook::Codebook;
use super::model::Model;
use super::pick::pick;
use super::search::Index;
use crate::flat::Metric;
use crate::kernels::Kernels;
use crate::kernels::lut::{self, Affine, ENTRIES};
use crate::kernels::scan::Width;
use crate::kernels::turn::Turning;

/// Steps of the widest table: a byte holds them, rounding included.
const STEPS: f32 = 254.9;

/// What of a model turns queries into tables.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    turning: Turning,
    list_reach: Vec<f32>,
    code_reach: Vec<f32>,
}

impl Asker {
    pub(super) fn new(model: &Model) -> Self {
        Self {
            turning: Turning::new(&model.rotation, model.dimension),
            list_reach: model.lists.reach(),
            code_reach: model.codes.reach(),
        }
    }
}

/// What is known of one query before any list is read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The lists to read, in the order of [`pick`].
    pub(super) picked: Vec<u32>,
    /// Score of each picked list's centroid, in units of the codes' step: the start of its vectors' scores.
    pub(super) bases: Vec<i32>,
    /// Byte tables of the vectors' codes.
    pub(super) tables: Vec<u8>,
}

/// Room to work in.
#[derive(Debug, Default)]
pub(super) struct Room {
    turned: Vec<f32>,
    bounds: Vec<f32>,
    list_tables: Vec<u8>,
    sums: Vec<i32>,
    routes: Vec<f32>,
    keys: Vec<u64>,
}

impl Index {
    /// Turns `query`, makes its tables, scores all lists and picks the best `nprobe`.
    pub(super) fn plan(&self, query: &[f32], nprobe: usize, room: &mut Room, plan: &mut Plan) {
        let (model, geometry) = (&self.view().model, &self.view().geometry);
        let length = self.turn(query, &mut room.turned);
        let norm = (geometry.metric == Metric::L2).then_some(geometry.norm);
        let lists = self.tables(room_of(room), &model.lists, &self.asker.list_reach, None);
        let padded = geometry.padded_lists();
        room.sums.resize(padded, 0);
        room.routes.resize(padded, 0.0);
        self.scan
            .sums(self.view().list_codes(), &room.list_tables, &mut room.sums);
        let table = lut::Lists {
            gains: self.view().gains(),
            biases: self.view().biases(),
        };
        let weight = if norm.is_some() { 1.0 } else { length };
        lut::routes(
            self.level,
            &room.sums,
            table,
            lists,
            weight,
            &mut room.routes,
        );
        let routes = &room.routes[..geometry.lists];
        pick(self.level, routes, nprobe, &mut room.keys, &mut plan.picked);
        let codes = Making {
            turned: &room.turned,
            bounds: &mut room.bounds,
            tables: &mut plan.tables,
        };
        let step = self
            .tables(codes, &model.codes, &self.asker.code_reach, norm)
            .step;
        let score = |&list: &u32| base(lists.score(room.sums[list as usize]), step);
        plan.bases.clear();
        plan.bases.extend(plan.picked.iter().map(score));
    }

    /// Writes R q to `turned` (unit q for cosine) and returns the length of what was turned.
    fn turn(&self, query: &[f32], turned: &mut Vec<f32>) -> f32 {
        let length = Kernels::best().dot(query, query).sqrt();
        let scale = if self.metric() == Metric::Cosine && length > 0.0 {
            1.0 / length
        } else {
            1.0
        };
        self.asker.turning.turn(self.level, query, scale, turned);
        length * scale
    }

    /// Makes the byte tables of `book`, with those of the vector's length behind them for L2. An entry is its table's bound
    /// above nought, so that no table has to be looked through for its least entry. Returns what sums of bytes stand for.
    fn tables(
        &self,
        making: Making<'_>,
        book: &Codebook,
        reach: &[f32],
        norm: Option<(f32, f32)>,
    ) -> Affine {
        let Making {
            turned,
            bounds,
            tables,
        } = making;
        bounds.resize(book.subspaces(), 0.0);
        let widest = 2.0 * lut::bounds(self.level, turned, &book.ends, reach, bounds);
        let (shortest, unit) = norm.unwrap_or_default();
        let span = unit * (book.entries() - 1) as f32;
        // Above 2^-100, so that its inverse is finite.
        let step = (widest.max(span) / STEPS).max(f32::MIN_POSITIVE * 67_108_864.0);
        let own = book.subspaces() * book.entries();
        tables.resize(own, 0);
        lut::bytes(self.level, turned, book.words(), bounds, 1.0 / step, tables);
        let mut offset = -bounds.iter().sum::<f32>();
        if norm.is_some() {
            extend_by_length(tables, book.width, unit / step);
            offset -= book.width.group() as f32 * span + shortest;
        }
        Affine { offset, step }
    }
}

/// What a table is made of and where it goes.
struct Making<'a> {
    turned: &'a [f32],
    bounds: &'a mut Vec<f32>,
    tables: &'a mut Vec<u8>,
}

fn room_of(room: &mut Room) -> Making<'_> {
    Making {
        turned: &room.turned,
        bounds: &mut room.bounds,
        tables: &mut room.list_tables,
    }
}

/// Appends the tables of the numbers of a length, of which every unit takes `unit` steps off the score.
fn extend_by_length(tables: &mut Vec<u8>, width: Width, unit: f32) {
    let last = width.entries() - 1;
    let entry = |at: usize| ((last - at % width.entries()) as f32 * unit).round() as u8;
    tables.extend((0..width.table_bytes()).map(entry));
}

/// `score` in units of the codes' step, far enough from the ends of i32 that no sum wraps.
fn base(score: f32, step: f32) -> i32 {
    const FAR: f32 = (1 << 30) as f32;
    (score / step).clamp(-FAR, FAR) as i32
}

const _: () = assert!(crate::kernels::scan::BLOCK == ENTRIES);
