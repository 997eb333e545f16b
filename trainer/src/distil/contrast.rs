//! How is the table moved, batch by batch?

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use storage::Task;

use super::lessons::Lessons;
use super::mine::{Judge, Mined};
use super::products::{times, times_transposed, transposed};
use super::table::Table;
use super::{DistilConfig, DistilError};
use crate::encoder::mix;

/// Share of all steps in which a rate rises to its highest.
const WARM_UP: f32 = 0.05;

/// Batches in order, and how far along they are.
pub(super) struct Contrast<'a> {
    config: &'a DistilConfig,
    lessons: &'a Lessons,
    /// The teacher's vectors of the taught texts along the axes, unit length.
    wanted: &'a [f32],
}

/// One batch of pairs, all of one set.
struct Batch {
    set: usize,
    pairs: Vec<(u32, u32)>,
}

/// A loss's value and its gradient for some vectors.
pub(super) struct Pull {
    pub(super) loss: f32,
    pub(super) gradient: Vec<f32>,
}

impl<'a> Contrast<'a> {
    pub(super) fn new(config: &'a DistilConfig, lessons: &'a Lessons, wanted: &'a [f32]) -> Self {
        Self {
            config,
            lessons,
            wanted,
        }
    }

    /// One epoch of copying. Returns its mean loss.
    pub(super) fn copy(
        &self,
        table: &mut Table,
        epoch: usize,
        task: Task<'_>,
    ) -> Result<f32, DistilError> {
        let config = self.config;
        let order = self.shuffled(0, epoch);
        let batches: Vec<&[usize]> = order.chunks(config.batch).collect();
        let total = batches.len();
        let mut sum = 0.0;
        for (at, batch) in batches.into_iter().enumerate() {
            task.check()?;
            task.report("copying the teacher", at as u64, total as u64);
            let texts = batch
                .iter()
                .map(|text| self.lessons.bags.get(*text))
                .collect();
            let forward = table.forward(texts);
            let wanted = self.rows(batch, table.width());
            let mut pull = towards(&forward.vectors, &wanted, table.width());
            if config.likeness > 0.0 {
                let alike = likeness(&forward.vectors, &wanted, table.width(), config.scale);
                pull.add(&alike, config.likeness);
            }
            let done = progress(epoch, config.copy_epochs, at, total);
            table.step(&[(&forward, &pull.gradient)], config.copy_rate * rate(done));
            sum += pull.loss;
        }
        Ok(sum / total.max(1) as f32)
    }

    /// One epoch of pairs. Returns its mean loss.
    pub(super) fn pairs(
        &self,
        table: &mut Table,
        mined: &Mined,
        judge: &Judge,
        epoch: usize,
        task: Task<'_>,
    ) -> Result<f32, DistilError> {
        let config = self.config;
        let batches = self.batches(epoch);
        let texts = self.shuffled(1, epoch);
        let mut held = texts.chunks(config.batch).cycle();
        let total = batches.len();
        let mut sum = 0.0;
        for (at, batch) in batches.iter().enumerate() {
            task.check()?;
            task.report("holding queries against passages", at as u64, total as u64);
            let seed = mix(config.seed ^ mix(((epoch as u64) << 32) | at as u64));
            let places = held.next().unwrap_or_default();
            let done = progress(epoch, config.pair_epochs, at, total);
            let drawn = self.places(batch, mined, seed);
            let excused = self.excused(batch, &drawn, judge);
            let rate = config.pair_rate * rate(done);
            sum += self.pair_step(table, batch, (places, &drawn), &excused, rate);
        }
        Ok(sum / total.max(1) as f32)
    }

    /// The batch's own passages, then a mined one for each query that has any.
    fn places(&self, batch: &Batch, mined: &Mined, seed: u64) -> Vec<u32> {
        let drawn = batch
            .pairs
            .iter()
            .enumerate()
            .filter_map(|(at, (query, _))| mined.draw(batch.set, *query, mix(seed ^ at as u64)));
        batch.pairs.iter().map(|(_, p)| *p).chain(drawn).collect()
    }

    /// One step: `batch` against the passages `places`, while the texts `held` stay with the teacher's vectors.
    fn pair_step(
        &self,
        table: &mut Table,
        batch: &Batch,
        (held, places): (&[usize], &[u32]),
        excused: &[bool],
        rate: f32,
    ) -> f32 {
        let (config, width) = (self.config, table.width());
        let set = &self.lessons.sets[batch.set];
        let queries = batch
            .pairs
            .iter()
            .map(|(q, _)| set.queries.get(*q as usize));
        let queries = table.forward(queries.collect());
        let passages = places.iter().map(|p| set.passages.get(*p as usize));
        let passages = table.forward(passages.collect());
        let (loss, own, others) = in_batch(
            &queries.vectors,
            &passages.vectors,
            excused,
            width,
            config.scale,
        );
        let texts = held
            .iter()
            .map(|text| self.lessons.bags.get(*text))
            .collect();
        let texts = table.forward(texts);
        let mut hold = towards(&texts.vectors, &self.rows(held, width), width);
        hold.gradient.iter_mut().for_each(|g| *g *= config.hold);
        let parts = [
            (&queries, own.as_slice()),
            (&passages, others.as_slice()),
            (&texts, hold.gradient.as_slice()),
        ];
        table.step(&parts, rate);
        loss
    }

    /// Which passages of a batch must not count as wrong, (B, M): answers, the same passage again, and what `judge` finds as
    /// near as the positive.
    fn excused(&self, batch: &Batch, places: &[u32], judge: &Judge) -> Vec<bool> {
        let set = &self.lessons.sets[batch.set];
        let rows = batch.pairs.par_iter().enumerate();
        rows.flat_map_iter(|(row, (query, own))| {
            let bar = judge.bar(judge.score(batch.set, *query, *own));
            places.iter().enumerate().map(move |(column, place)| {
                column != row
                    && (place == own
                        || set.answers(*query, *place)
                        || judge.score(batch.set, *query, *place) >= bar)
            })
        })
        .collect()
    }

    /// The teacher's vectors of some texts.
    fn rows(&self, texts: &[usize], width: usize) -> Vec<f32> {
        let row = |text: &usize| &self.wanted[text * width..][..width];
        texts
            .iter()
            .flat_map(|text| row(text).iter().copied())
            .collect()
    }

    /// All taught texts that have tokens, in an order of this epoch's own.
    fn shuffled(&self, stage: u64, epoch: usize) -> Vec<usize> {
        let bags = &self.lessons.bags;
        let mut order: Vec<usize> = (0..bags.len())
            .filter(|at| !bags.get(*at).is_empty())
            .collect();
        order.shuffle(&mut self.rng(stage, epoch));
        order
    }

    /// The pairs of this epoch, at most so many of a set, in batches that are shuffled.
    fn batches(&self, epoch: usize) -> Vec<Batch> {
        let mut rng = self.rng(2, epoch);
        let mut batches = Vec::new();
        for (at, set) in self.lessons.sets.iter().enumerate() {
            let mut pairs = set.pairs();
            pairs.shuffle(&mut rng);
            pairs.truncate(self.config.pairs_at_most);
            batches.extend(pairs.chunks(self.config.batch).map(|pairs| Batch {
                set: at,
                pairs: pairs.to_vec(),
            }));
        }
        batches.shuffle(&mut rng);
        batches
    }

    fn rng(&self, stage: u64, epoch: usize) -> ChaCha8Rng {
        let seed = mix(self.config.seed ^ mix((stage << 32) | epoch as u64));
        ChaCha8Rng::seed_from_u64(seed)
    }
}

impl Pull {
    fn add(&mut self, other: &Self, weight: f32) {
        self.loss += weight * other.loss;
        let sums = self.gradient.iter_mut().zip(&other.gradient);
        sums.for_each(|(own, other)| *own += weight * other);
    }
}

/// Share of a stage that is done.
fn progress(epoch: usize, epochs: usize, at: usize, total: usize) -> f32 {
    ((epoch - 1) * total + at) as f32 / (epochs * total).max(1) as f32
}

/// The rate's share of its highest: up, then down to 0.
fn rate(done: f32) -> f32 {
    (done / WARM_UP)
        .min((1.0 - done) / (1.0 - WARM_UP))
        .max(1e-3)
}

/// 1 − cosine, a mean over the texts. All vectors have unit length.
pub(super) fn towards(vectors: &[f32], wanted: &[f32], width: usize) -> Pull {
    let n = (vectors.len() / width).max(1) as f32;
    let products = vectors.iter().zip(wanted).map(|(v, w)| v * w);
    Pull {
        loss: 1.0 - products.sum::<f32>() / n,
        gradient: wanted.iter().map(|w| -w / n).collect(),
    }
}

/// How far each text's likenesses to the others are from the teacher's: the divergence between the two softmaxes, a mean
/// over the texts. One text alone is like no other.
pub(super) fn likeness(vectors: &[f32], wanted: &[f32], width: usize, scale: f32) -> Pull {
    let n = vectors.len() / width;
    if n < 2 {
        return Pull {
            loss: 0.0,
            gradient: vec![0.0; vectors.len()],
        };
    }
    let mut own = times_transposed(vectors, vectors, width);
    let mut taught = times_transposed(wanted, wanted, width);
    let rows = own
        .par_chunks_exact_mut(n)
        .zip(taught.par_chunks_exact_mut(n));
    let losses: Vec<f32> = rows
        .enumerate()
        .map(|(at, (own, taught))| {
            own[at] = f32::NEG_INFINITY;
            taught[at] = f32::NEG_INFINITY;
            log_softmax(own, scale);
            log_softmax(taught, scale);
            let mut loss = 0.0;
            for (column, (own, taught)) in own.iter_mut().zip(taught.iter()).enumerate() {
                let (p, t) = (own.exp(), taught.exp());
                if column != at {
                    loss += t * (taught - *own);
                }
                *own = (p - t) * scale / n as f32;
            }
            loss
        })
        .collect();
    let mut gradient = times(&own, vectors, width);
    let back = times(&transposed(&own, n), vectors, width);
    gradient.iter_mut().zip(back).for_each(|(g, b)| *g += b);
    Pull {
        loss: losses.iter().sum::<f32>() / n.max(1) as f32,
        gradient,
    }
}

/// −log softmax of each query's own passage among those of the batch that are not excused: its mean, and its gradient for
/// queries and passages. Row i's own passage is passage i.
pub(super) fn in_batch(
    queries: &[f32],
    passages: &[f32],
    excused: &[bool],
    width: usize,
    scale: f32,
) -> (f32, Vec<f32>, Vec<f32>) {
    let (b, m) = (queries.len() / width, passages.len() / width);
    let mut scores = times_transposed(queries, passages, width);
    let rows = scores
        .par_chunks_exact_mut(m)
        .zip(excused.par_chunks_exact(m));
    let losses: Vec<f32> = rows
        .enumerate()
        .map(|(at, (row, excused))| {
            let columns = row.iter_mut().zip(excused);
            columns
                .filter(|(_, excused)| **excused)
                .for_each(|(score, _)| *score = f32::NEG_INFINITY);
            log_softmax(row, scale);
            let loss = -row[at];
            for (column, score) in row.iter_mut().enumerate() {
                let own = f32::from(u8::from(column == at));
                *score = (score.exp() - own) * scale / b as f32;
            }
            loss
        })
        .collect();
    let own = times(&scores, passages, width);
    let others = times(&transposed(&scores, m), queries, width);
    (losses.iter().sum::<f32>() / b.max(1) as f32, own, others)
}

/// Turns `scores` into log softmax of `scale` times them.
fn log_softmax(scores: &mut [f32], scale: f32) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|s| ((s - most) * scale).exp()).sum();
    let log = most * scale + sum.ln();
    scores.iter_mut().for_each(|s| *s = *s * scale - log);
}
