//! How does a matrix become an index?
//!
//! Training looks at a sample; then two passes over the rows, in order: one assigns each to its lists, one
//! encodes. Rows are read in blocks of fixed size, worked on by all threads and joined in order,
//! so that the same seed gives the same bytes for any number of threads.
//!
//! Memory: the finished file, 12 bytes a vector, and the sample ([`SAMPLE_BYTES`]) about twice; the
//! matrix itself stays on disk.

use std::path::Path;

use half::f16;
use rayon::prelude::*;

use super::assign::{self, Centroids};
use super::codebook::{Codebook, get_code, put_code};
use super::kmeans::{self, half_squares, row};
use super::layout::Geometry;
use super::linear::squared;
use super::model::{self, Model, turned};
use super::recall;
use super::rng::Rng;
use super::source::Source;
use super::writer::{Lists, Slots, write};
use crate::flat::Metric;
use crate::kernels::scan::{BLOCK, GROUP, MAX_SUBSPACES};
use crate::matrix::Matrix;
use crate::{PassageSet, StorageError, Task};

/// Most bytes of training vectors held at a time.
const SAMPLE_BYTES: usize = 512 << 20;
/// Training vectors a list.
const SAMPLE_PER_LIST: usize = 48;
/// Vectors the codebook of residuals is trained on.
const CODE_SAMPLE: usize = 32_768;
/// Blocks of rows in flight: they bound what the passes hold.
const WAVE: usize = 32;
/// Routing counts a list's radius this much: the share of it that its best member may stand closer.
const SPREAD: f32 = 0.15;
/// Codes of a vector's length, as sums of eight nibbles.
pub(super) const NORM_CODES: u32 = 8 * 15;

/// What to build. The defaults suit sentence embeddings.
#[derive(Debug, Clone)]
pub struct BuildParams {
    /// What "near" means; the index answers for this metric only. Default: cosine.
    pub metric: Metric,
    /// Number of lists, 1 to 2^24; never more than vectors. Default `None`: 10 √n. More lists cost time to
    /// choose from, fewer cost time to scan.
    pub lists: Option<usize>,
    /// 4-bit numbers a vector's code has, a multiple of 8 up to 496. Default `None`: three for every
    /// eight coordinates kept. More make candidates better and scanning slower.
    pub subspaces: Option<usize>,
    /// 4-bit numbers a centroid's code has, likewise. Default `None`: one for every two coordinates.
    pub list_subspaces: Option<usize>,
    /// Lists a vector stands in, 1 or 2. Default 2: half the lists need probing, for twice the bytes.
    pub copies: usize,
    /// Same seed and vectors, same bytes. Default 0.
    pub seed: u64,
    /// Queries the index measures its recall with: (n, d) row-major. Default `None`: 256 of the vectors themselves,
    /// disturbed so that they are as far from their neighbours as questions are.
    pub queries: Option<Vec<f32>>,
}

impl Default for BuildParams {
    fn default() -> Self {
        Self {
            metric: Metric::Cosine,
            lists: None,
            subspaces: None,
            list_subspaces: None,
            copies: 2,
            seed: 0,
            queries: None,
        }
    }
}

/// Builds the index of the live rows of `matrix` (all, or those in `keep`) as the new file `path`, which is
/// on the disk when this returns.
///
/// # Errors
/// [`StorageError::Invalid`] for parameters out of range and vectors that are not finite,
/// [`StorageError::Io`], or the caller's cancel flag; an unfinished file may then be left at `path`.
pub fn build(
    path: &Path,
    matrix: &Matrix,
    keep: Option<&PassageSet>,
    params: &BuildParams,
    task: Task<'_>,
) -> Result<(), StorageError> {
    check(params, matrix.dimension())?;
    let source = Source::new(matrix, params.metric, keep);
    let trained = train(&source, params, task)?;
    let placed = place(&source, &trained, task)?;
    let drawn = encode(&source, &trained, &placed, task)?;
    let mut geometry = geometry(&source, matrix, params, &trained, &placed, &drawn);
    write(
        path,
        &mut geometry,
        &placed.model,
        &drawn.lists,
        &drawn.slots,
        &[],
    )?;
    let (points, sample) = recall::measure(
        path,
        matrix,
        keep,
        params.queries.as_deref(),
        params.seed,
        task,
    )?;
    geometry.sample = sample;
    std::fs::remove_file(path).map_err(StorageError::io("replace", path))?;
    write(
        path,
        &mut geometry,
        &placed.model,
        &drawn.lists,
        &drawn.slots,
        &points,
    )
}

fn check(params: &BuildParams, dimension: usize) -> Result<(), StorageError> {
    let bad = |message: String| Err(StorageError::Invalid(message));
    let codes =
        |m: usize| (GROUP..=MAX_SUBSPACES - 2 * GROUP).contains(&m) && m.is_multiple_of(GROUP);
    for m in [params.subspaces, params.list_subspaces]
        .into_iter()
        .flatten()
    {
        if !codes(m) {
            return bad(format!(
                "{m} subspaces; a multiple of 8 from 8 to 496 is needed"
            ));
        }
    }
    if params
        .lists
        .is_some_and(|lists| !(1..=1 << 24).contains(&lists))
    {
        return bad("an index has 1 to 2^24 lists".into());
    }
    if !(1..=2).contains(&params.copies) {
        return bad(format!(
            "{} copies of each vector; 1 or 2 are possible",
            params.copies
        ));
    }
    match &params.queries {
        Some(queries)
            if queries.len() % dimension != 0 || queries.iter().any(|x| !x.is_finite()) =>
        {
            bad(format!(
                "queries must be whole vectors of {dimension} finite numbers"
            ))
        }
        _ => Ok(()),
    }
}

/// What the sample taught.
struct Trained {
    /// R, (e, d).
    rotation: Vec<f16>,
    /// (L, e).
    centroids: Vec<f32>,
    lists: Codebook,
    subspaces: usize,
    copies: usize,
    metric: Metric,
    seed: u64,
    e: usize,
}

fn train(
    source: &Source<'_>,
    params: &BuildParams,
    task: Task<'_>,
) -> Result<Trained, StorageError> {
    let (n, d) = (source.len(), source.dimension());
    let wanted = params.lists.unwrap_or_else(|| default_lists(n));
    let count = wanted.min(n).max(1);
    task.report("reading a sample", 0, 0);
    let sample = sample(source, (count * SAMPLE_PER_LIST).max(1 << 14), params.seed)?;
    let principal = model::components(&sample, d)?;
    let e = principal.len() / d;
    let reduced = turned(&sample, d, &principal);
    drop(sample);
    task.report("finding lists", 0, 0);
    let centroids = kmeans::train(&reduced, e, count, params.seed, task)?;
    let subspaces = params.subspaces.unwrap_or_else(|| whole_groups(e * 3 / 8));
    let residuals = residuals(&reduced, e, &centroids, params.seed);
    let turn = model::rotation(&residuals, e, subspaces, params.seed, task)?;
    let centroids = turned(&centroids, e, &turn);
    let list_subspaces = params
        .list_subspaces
        .unwrap_or_else(|| whole_groups(e.div_ceil(2)));
    Ok(Trained {
        rotation: model::compose(&turn, &principal, e)
            .into_iter()
            .map(f16::from_f32)
            .collect(),
        lists: Codebook::train(&centroids, e, list_subspaces, params.seed),
        centroids,
        subspaces,
        copies: params.copies.min(count),
        metric: params.metric,
        seed: params.seed,
        e,
    })
}

fn default_lists(n: usize) -> usize {
    let many = (10.0 * (n as f64).sqrt()) as usize;
    many.min(n / 8).next_multiple_of(BLOCK)
}

fn whole_groups(m: usize) -> usize {
    m.next_multiple_of(GROUP)
        .clamp(GROUP, MAX_SUBSPACES - 2 * GROUP)
}

/// Up to `count` live rows; one zero vector when there are none.
fn sample(source: &Source<'_>, count: usize, seed: u64) -> Result<Vec<f32>, StorageError> {
    if source.len() == 0 {
        return Ok(vec![0.0; source.dimension()]);
    }
    let most = (SAMPLE_BYTES / 4 / source.dimension()).max(1);
    let rows = Rng::new(seed, 3).sample(source.len(), count.min(most));
    source.read(rows.into_iter())
}

/// Residuals of up to [`model::ROTATION_SAMPLE`] rows of `data` from their nearest centroids.
fn residuals(data: &[f32], e: usize, centroids: &[f32], seed: u64) -> Vec<f32> {
    let rows = Rng::new(seed, 4).sample(data.len() / e, model::ROTATION_SAMPLE);
    let mut chosen: Vec<f32> = rows
        .iter()
        .flat_map(|&at| row(data, e, at))
        .copied()
        .collect();
    let halves = half_squares(centroids, e);
    chosen.par_chunks_mut(kmeans::ROWS * e).for_each(|block| {
        let near = kmeans::nearest(block, e, centroids, &halves, 1);
        for (x, list) in block.chunks_exact_mut(e).zip(near) {
            subtract(x, row(centroids, e, list as usize));
        }
    });
    chosen
}

fn subtract(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x -= y);
}

/// Where every vector goes, and the centroids as they will be read back.
struct Placed {
    model: Model,
    /// Lists of live row i: (n, copies).
    lists: Vec<u32>,
    counts: Vec<u32>,
    /// Codes of the centroids in blocks.
    list_codes: Vec<u8>,
    /// The centroids behind those codes, (L, e).
    decoded: Vec<f32>,
    norm: (f32, f32),
}

fn place(source: &Source<'_>, trained: &Trained, task: Task<'_>) -> Result<Placed, StorageError> {
    let (e, copies, d) = (trained.e, trained.copies, source.dimension());
    let count = trained.centroids.len() / e;
    let rotation: Vec<f32> = trained.rotation.iter().map(|x| x.to_f32()).collect();
    let halves = half_squares(&trained.centroids, e);
    let centroids = Centroids {
        rows: &trained.centroids,
        halves: &halves,
        e,
    };
    let mut lists = Vec::with_capacity(source.len() * copies);
    let (mut counts, mut sums) = (vec![0u32; count], vec![0.0f32; count * e]);
    let mut lengths = (f32::INFINITY, 0.0f32);
    let work = |_: usize, rows: &[f32]| {
        let turned = turned(rows, d, &rotation);
        let lists = assign::lists(&turned, &centroids, copies);
        let halves: Vec<f32> = rows.chunks_exact(d).map(|x| squared(x) / 2.0).collect();
        (turned, lists, halves)
    };
    stream(
        source,
        "assigning vectors to lists",
        task,
        work,
        |(turned, near, halves)| {
            for (x, near) in turned.chunks_exact(e).zip(near.chunks_exact(copies)) {
                for &list in near {
                    counts[list as usize] += 1;
                    let sum = &mut sums[list as usize * e..][..e];
                    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
                }
            }
            lengths = halves
                .iter()
                .fold(lengths, |(low, high), &h| (low.min(h), high.max(h)));
            lists.extend(near);
        },
    )?;
    let means = means(&sums, &counts, &trained.centroids, e);
    let (list_codes, decoded) = round_trip(&trained.lists, &means, e);
    let residuals = code_sample(source, trained, &rotation, &lists, &decoded)?;
    let model = Model {
        dimension: d,
        rotation: trained.rotation.clone(),
        lists: trained.lists.clone(),
        codes: Codebook::train(&residuals, e, trained.subspaces, trained.seed),
    };
    let low = if lengths.0.is_finite() {
        lengths.0
    } else {
        0.0
    };
    let norm = (
        low,
        ((lengths.1 - low) / NORM_CODES as f32).max(f32::MIN_POSITIVE),
    );
    Ok(Placed {
        model,
        lists,
        counts,
        list_codes,
        decoded,
        norm,
    })
}

/// The mean of each list's members; an empty list keeps its centroid.
fn means(sums: &[f32], counts: &[u32], centroids: &[f32], e: usize) -> Vec<f32> {
    let rows = sums
        .chunks_exact(e)
        .zip(centroids.chunks_exact(e))
        .zip(counts);
    rows.flat_map(|((sum, centroid), &count)| {
        let mean = |(s, c): (&f32, &f32)| if count == 0 { *c } else { s / count as f32 };
        sum.iter().zip(centroid).map(mean).collect::<Vec<_>>()
    })
    .collect()
}

/// Codes of `rows` (n, e) in whole blocks, and the rows behind them.
pub(super) fn round_trip(book: &Codebook, rows: &[f32], e: usize) -> (Vec<u8>, Vec<f32>) {
    let m = book.subspaces();
    let mut codes = vec![0; (rows.len() / e).div_ceil(BLOCK) * m / 2 * BLOCK];
    let mut decoded = vec![0.0; rows.len()];
    let mut nibbles = vec![0; m];
    for (at, (x, out)) in rows
        .chunks_exact(e)
        .zip(decoded.chunks_exact_mut(e))
        .enumerate()
    {
        book.encode(x, &mut nibbles);
        book.decode(&nibbles, out);
        put_code(&mut codes, at, &nibbles);
    }
    (codes, decoded)
}

/// The rows behind `codes`: the centroids of an index that was opened.
pub(super) fn decode(book: &Codebook, codes: &[u8], count: usize, e: usize) -> Vec<f32> {
    let mut nibbles = vec![0; book.subspaces()];
    let mut rows = vec![0.0; count * e];
    for (at, out) in rows.chunks_exact_mut(e).enumerate() {
        get_code(codes, at, &mut nibbles);
        book.decode(&nibbles, out);
    }
    rows
}

/// Residuals to train the vectors' codebook on, from all of a row's lists.
fn code_sample(
    source: &Source<'_>,
    trained: &Trained,
    rotation: &[f32],
    lists: &[u32],
    decoded: &[f32],
) -> Result<Vec<f32>, StorageError> {
    let (e, copies) = (trained.e, trained.copies);
    if source.len() == 0 {
        return Ok(vec![0.0; e]);
    }
    let rows = Rng::new(trained.seed, 5).sample(source.len(), CODE_SAMPLE / copies);
    let turned = turned(
        &source.read(rows.iter().copied())?,
        source.dimension(),
        rotation,
    );
    let mut out = Vec::with_capacity(turned.len() * copies);
    for (x, at) in turned.chunks_exact(e).zip(rows) {
        for &list in &lists[at * copies..(at + 1) * copies] {
            let centroid = row(decoded, e, list as usize);
            out.extend(x.iter().zip(centroid).map(|(x, c)| x - c));
        }
    }
    Ok(out)
}

/// What the second pass fills.
struct Drawn {
    slots: Slots,
    lists: Lists,
}

fn encode(
    source: &Source<'_>,
    trained: &Trained,
    placed: &Placed,
    task: Task<'_>,
) -> Result<Drawn, StorageError> {
    let (e, copies, d) = (trained.e, trained.copies, source.dimension());
    let encoder = Encoder {
        model: &placed.model,
        rotation: placed.model.rotation(),
        centroids: &placed.decoded,
        norm: (trained.metric == Metric::L2).then_some(placed.norm),
    };
    let block_bytes = encoder.code_length() / 2 * BLOCK;
    let mut slots = Slots::new(&placed.counts, block_bytes)?;
    let mut spread = vec![0.0f32; placed.counts.len()];
    let work = |start: usize, rows: &[f32]| {
        let end = start + rows.len() / d;
        (
            start,
            encoder.encode(rows, &placed.lists[start * copies..end * copies]),
        )
    };
    stream(source, "encoding vectors", task, work, |(start, codes)| {
        for (at, code) in codes.chunks(copies).enumerate() {
            for code in code {
                slots.push(code.list, source.id(start + at).0, &code.nibbles);
                spread[code.list as usize] += code.distance;
            }
        }
    })?;
    let (gains, biases) = routing(trained.metric, &placed.decoded, e, &placed.counts, &spread);
    let lists = Lists {
        codes: placed.list_codes.clone(),
        counts: placed.counts.clone(),
        gains,
        biases,
    };
    Ok(Drawn { slots, lists })
}

/// Turns rows into codes.
pub(super) struct Encoder<'a> {
    pub(super) model: &'a Model,
    /// R as f32.
    pub(super) rotation: Vec<f32>,
    /// As read back from their codes, (L, e).
    pub(super) centroids: &'a [f32],
    /// L2: see [`Geometry::norm`].
    pub(super) norm: Option<(f32, f32)>,
}

/// The code of a vector in one list.
pub(super) struct Code {
    pub(super) list: u32,
    /// One number below 16 a byte.
    pub(super) nibbles: Vec<u8>,
    /// Squared distance to the list's centroid.
    pub(super) distance: f32,
}

impl Encoder<'_> {
    /// 4-bit numbers of a code.
    pub(super) fn code_length(&self) -> usize {
        self.model.codes.subspaces() + if self.norm.is_some() { GROUP } else { 0 }
    }

    /// The codes of `rows` (n, d) in their `lists` (n, copies), row by row.
    pub(super) fn encode(&self, rows: &[f32], lists: &[u32]) -> Vec<Code> {
        let (d, e) = (self.model.dimension, self.model.inner());
        let copies = lists.len() / (rows.len() / d).max(1);
        let turned = turned(rows, d, &self.rotation);
        let each = rows
            .chunks_exact(d)
            .zip(turned.chunks_exact(e))
            .zip(lists.chunks_exact(copies.max(1)));
        each.flat_map(|((row, x), lists)| lists.iter().map(move |&list| self.code(row, x, list)))
            .collect()
    }

    fn code(&self, row: &[f32], x: &[f32], list: u32) -> Code {
        let mut residual = x.to_vec();
        subtract(
            &mut residual,
            kmeans::row(self.centroids, x.len(), list as usize),
        );
        let mut nibbles = vec![0; self.code_length()];
        let (code, length) = nibbles.split_at_mut(self.model.codes.subspaces());
        self.model.codes.encode(&residual, code);
        if let Some(norm) = self.norm {
            put_length(squared(row) / 2.0, norm, length);
        }
        Code {
            list,
            nibbles,
            distance: squared(&residual),
        }
    }
}

/// Writes half a squared length as eight nibbles that add up to its code.
fn put_length(half: f32, (low, step): (f32, f32), nibbles: &mut [u8]) {
    let mut left = ((half - low) / step).round().clamp(0.0, NORM_CODES as f32) as u32;
    for nibble in nibbles {
        let part = left.min(15);
        *nibble = part as u8;
        left -= part;
    }
}

/// Factor and addend of each list's routing score. A centroid is shorter than its members, the more the wider
/// its list: dividing by the square root of its length, and adding a share of the radius, made up
/// for it best among the powers and shares tried. L2 needs its half squared length instead.
pub(super) fn routing(
    metric: Metric,
    centroids: &[f32],
    e: usize,
    counts: &[u32],
    spread: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let squares: Vec<f32> = centroids.chunks_exact(e).map(squared).collect();
    if metric == Metric::L2 {
        return (
            vec![1.0; squares.len()],
            squares.iter().map(|s| -s / 2.0).collect(),
        );
    }
    let mean = squares.iter().map(|s| s.sqrt()).sum::<f32>() / squares.len() as f32;
    let gain = |s: &f32| {
        if *s > 0.0 && mean > 0.0 {
            (mean / s.sqrt()).sqrt().min(4.0)
        } else {
            1.0
        }
    };
    let radius = |(&count, &sum): (&u32, &f32)| SPREAD * (sum / count.max(1) as f32).sqrt();
    (
        squares.iter().map(gain).collect(),
        counts.iter().zip(spread).map(radius).collect(),
    )
}

fn geometry(
    source: &Source<'_>,
    matrix: &Matrix,
    params: &BuildParams,
    trained: &Trained,
    placed: &Placed,
    drawn: &Drawn,
) -> Geometry {
    Geometry {
        metric: params.metric,
        dimension: source.dimension(),
        inner: trained.e,
        subspaces: trained.subspaces,
        list_subspaces: trained.lists.subspaces(),
        lists: placed.counts.len(),
        blocks: drawn.slots.blocks(),
        vectors: source.len(),
        copies: trained.copies,
        covered: covered(matrix),
        seed: params.seed,
        norm: if params.metric == Metric::L2 {
            placed.norm
        } else {
            (0.0, 0.0)
        },
        points: 0,
        sample: 0,
        model_crc: 0,
        lists_crc: 0,
        recall_crc: 0,
    }
}

/// Ids below this are in the index or dead.
pub(super) fn covered(matrix: &Matrix) -> u64 {
    match matrix.len() {
        0 => 0,
        n => u64::from(matrix.id(n - 1).0) + 1,
    }
}

/// Reads all live rows in blocks, lets all threads `work` on (number of the first row, rows), and hands the results
/// to `join` in order. At most [`WAVE`] blocks are held at a time.
pub(super) fn stream<T: Send>(
    source: &Source<'_>,
    stage: &'static str,
    task: Task<'_>,
    work: impl Fn(usize, &[f32]) -> T + Sync,
    mut join: impl FnMut(T),
) -> Result<(), StorageError> {
    let starts: Vec<usize> = (0..source.len()).step_by(kmeans::ROWS).collect();
    for wave in starts.chunks(WAVE) {
        task.check()?;
        task.report(stage, wave[0] as u64, source.len() as u64);
        let done: Vec<T> = wave
            .par_iter()
            .map(|&start| {
                let end = (start + kmeans::ROWS).min(source.len());
                Ok(work(start, &source.read(start..end)?))
            })
            .collect::<Result<_, StorageError>>()?;
        done.into_iter().for_each(&mut join);
    }
    Ok(())
}
