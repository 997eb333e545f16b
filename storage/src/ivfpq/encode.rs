//! How are vectors written as codes, and lists scored?

use super::kmeans;
use super::linear::squared;
use super::model::{Model, turned};
use super::place::Placed;
use super::score_aware;
use super::source::Source;
use super::stream::stream;
use super::train::{Trained, subtract};
use super::view::View;
use super::writer::{Lists, Slots};
use crate::flat::Metric;
use crate::kernels::scan::Width;

use crate::{StorageError, Task};

/// Routing counts a list's radius this much: the share of it that its best member may stand closer.
const SPREAD: f32 = 0.15;
/// Largest code of a vector's length, the sum of a group of numbers.
pub(super) fn norm_codes(width: Width) -> u32 {
    (width.group() * (width.entries() - 1)) as u32
}

/// What the second pass fills.
pub(super) struct Drawn {
    pub(super) slots: Slots,
    pub(super) lists: Lists,
}

pub(super) fn encode(
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
        anisotropy: trained.anisotropy,
    };
    let mut slots = Slots::new(&placed.counts, encoder.width(), encoder.code_length())?;
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
                slots.push(code.list, source.id(start + at).0, &code.numbers);
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
    /// See [`super::BuildParams::anisotropy`].
    pub(super) anisotropy: f32,
}

/// The code of a vector in one list.
pub(super) struct Code {
    pub(super) list: u32,
    /// One number a byte.
    pub(super) numbers: Vec<u8>,
    /// Squared distance to the list's centroid.
    pub(super) distance: f32,
}

impl<'a> Encoder<'a> {
    /// The encoder that an opened index was made with, over `centroids`.
    pub(super) fn of(view: &'a View, centroids: &'a [f32]) -> Self {
        let geometry = &view.geometry;
        Self {
            model: &view.model,
            rotation: view.model.rotation(),
            centroids,
            norm: (geometry.metric == Metric::L2).then_some(geometry.norm),
            anisotropy: geometry.anisotropy,
        }
    }

    /// Bits of a code's numbers.
    pub(super) fn width(&self) -> Width {
        self.model.codes.width
    }

    /// Numbers of a code.
    pub(super) fn code_length(&self) -> usize {
        let length = usize::from(self.norm.is_some());
        self.model.codes.subspaces() + length * self.width().group()
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
        let mut numbers = vec![0; self.code_length()];
        let (code, length) = numbers.split_at_mut(self.model.codes.subspaces());
        self.model.codes.encode(&residual, code);
        if self.anisotropy > 1.0 {
            let book = &self.model.codes;
            score_aware::improve(book, &residual, x, self.anisotropy, code);
        }
        if let Some(norm) = self.norm {
            put_length(squared(row) / 2.0, norm, self.width(), length);
        }
        Code {
            list,
            numbers,
            distance: squared(&residual),
        }
    }
}

/// Writes half a squared length as numbers that add up to its code.
fn put_length(half: f32, (low, step): (f32, f32), width: Width, numbers: &mut [u8]) {
    let most = norm_codes(width) as f32;
    let mut left = ((half - low) / step).round().clamp(0.0, most) as u32;
    for number in numbers {
        let part = left.min(width.entries() as u32 - 1);
        *number = part as u8;
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
