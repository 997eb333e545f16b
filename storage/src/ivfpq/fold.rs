//! How does an index take in new rows and let dead ones go?
//!
//! [`fold`] writes a new file: rows since the last build enter the lists, dead rows leave, lists that
//! grew too long are split, lists that nearly emptied are dissolved. Model and codes of vectors that stay in
//! their list are kept, so that the cost is that of what changed. The old file is not touched, and the new
//! one is made of live ids alone: nothing of a dead row is copied.

use std::path::Path;

use rayon::prelude::*;

use super::assign;
use super::build::covered;
use super::encode::{Encoder, routing};
use super::kmeans::{self, half_squares};
use super::layout::Geometry;
use super::near::Near;
use super::packing::get_code;
use super::place::{decode, round_trip};
use super::recall;
use super::search::Index;
use super::source::Source;
use super::stream::stream;
use super::writer::{Lists, Slots, write};
use crate::{PassageId, PassageSet, StorageError, Task};

/// A list this many times the mean is split.
const LONG: usize = 4;
/// A list this many times shorter than the mean is dissolved.
const SHORT: usize = 8;

/// Where one copy of a vector goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    list: u32,
    id: u32,
    /// Slot of its code in the old file; `None` when it has to be encoded.
    slot: Option<u32>,
}

/// Writes to the new file `path` the index of the live rows (all, or those in `keep`) of `index`'s matrix.
///
/// # Errors
/// Those of [`super::build`], and [`StorageError::Corrupt`] for a damaged list of `index`.
pub fn fold(
    path: &Path,
    index: &Index,
    keep: Option<&PassageSet>,
    queries: Option<&[f32]>,
    task: Task<'_>,
) -> Result<(), StorageError> {
    let old = &index.view().geometry;
    let source = Source::new(index.matrix(), old.metric, keep);
    let mut work = Folding::new(index, &source)?;
    work.keep_live(keep, task)?;
    work.dissolve_short();
    work.assign(task)?;
    work.split_long(task)?;
    let (mut geometry, lists, slots) = work.finish(task)?;
    let model = &index.view().model;
    write(path, &mut geometry, model, &lists, &slots, &[])?;
    let (points, sample) = recall::measure(path, index.matrix(), keep, queries, old.seed, task)?;
    geometry.sample = sample;
    std::fs::remove_file(path).map_err(StorageError::io("replace", path))?;
    write(path, &mut geometry, model, &lists, &slots, &points)
}

struct Folding<'a> {
    index: &'a Index,
    source: &'a Source<'a>,
    rotation: Vec<f32>,
    e: usize,
    /// As read back from their codes, (L, e).
    centroids: Vec<f32>,
    places: Vec<Place>,
    /// Live rows that need lists.
    homeless: Vec<u32>,
    /// Rows that were in no list.
    fresh: usize,
}

impl<'a> Folding<'a> {
    fn new(index: &'a Index, source: &'a Source<'a>) -> Result<Self, StorageError> {
        let view = index.view();
        let e = view.model.inner();
        Ok(Self {
            index,
            source,
            rotation: view.model.rotation(),
            e,
            centroids: decode(&view.model.lists, view.list_codes(), view.geometry.lists, e),
            places: Vec::new(),
            homeless: Vec::new(),
            fresh: 0,
        })
    }

    fn lists(&self) -> usize {
        self.centroids.len() / self.e
    }

    /// Takes over the places of live vectors; live rows without one are homeless.
    fn keep_live(&mut self, keep: Option<&PassageSet>, task: Task<'_>) -> Result<(), StorageError> {
        let view = self.index.view();
        let mut known = vec![false; self.source.len()];
        for list in 0..self.lists() as u32 {
            task.check()?;
            let found = view.list(list)?;
            let slots = found.first_slot..found.first_slot + found.vectors as u32;
            for slot in slots {
                let id = view.ids()[slot as usize];
                let wanted = keep.is_none_or(|keep| keep.contains(PassageId(id)));
                if let Some(at) = self.source.position(PassageId(id)).filter(|_| wanted) {
                    known[at] = true;
                    self.places.push(Place {
                        list,
                        id,
                        slot: Some(slot),
                    });
                }
            }
        }
        let new = (0u32..)
            .zip(known)
            .filter(|(_, known)| !known)
            .map(|(at, _)| at);
        self.homeless = new.collect();
        self.fresh = self.homeless.len();
        Ok(())
    }

    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.lists()];
        self.places
            .iter()
            .for_each(|place| counts[place.list as usize] += 1);
        counts
    }

    fn mean(&self) -> usize {
        (self.source.len() * self.index.view().geometry.copies).div_ceil(self.lists())
    }

    /// Takes out lists that nearly emptied. Their vectors lose all their places and are assigned anew with the new rows.
    fn dissolve_short(&mut self) {
        let (counts, mean) = (self.counts(), self.mean());
        let copies = self.index.view().geometry.copies;
        let mut short: Vec<bool> = counts
            .iter()
            .map(|&c| (c as usize) * SHORT < mean)
            .collect();
        let left = short.iter().filter(|short| !**short).count();
        if left < copies.max(1) {
            short.fill(false);
        }
        let lost: PassageSet = self
            .places
            .iter()
            .filter(|p| short[p.list as usize])
            .map(|p| PassageId(p.id))
            .collect();
        self.places
            .retain(|place| !lost.contains(PassageId(place.id)));
        let rows = lost
            .iter()
            .filter_map(|id| self.source.position(id))
            .map(|at| at as u32);
        self.homeless.extend(rows);
        self.homeless.sort_unstable();
        let mut number = 0;
        let renamed: Vec<u32> = short
            .iter()
            .map(|&short| {
                let old = number;
                number += u32::from(!short);
                old
            })
            .collect();
        self.places
            .iter_mut()
            .for_each(|place| place.list = renamed[place.list as usize]);
        let (e, kept) = (self.e, short.iter());
        let rows = self
            .centroids
            .chunks_exact(e)
            .zip(kept)
            .filter(|(_, short)| !**short);
        self.centroids = rows.flat_map(|(centroid, _)| centroid).copied().collect();
    }

    /// Rows of the source numbered `at`, in the model's coordinates.
    fn turned(&self, at: &[u32]) -> Result<Vec<f32>, StorageError> {
        let rows = self.source.read(at.iter().map(|&at| at as usize))?;
        Ok(super::model::turned(
            &rows,
            self.source.dimension(),
            &self.rotation,
        ))
    }

    /// Gives every homeless row its lists.
    fn assign(&mut self, task: Task<'_>) -> Result<(), StorageError> {
        let copies = self.index.view().geometry.copies;
        let seed = self.index.view().geometry.seed;
        let centroids = Near::new(&self.centroids, self.e, seed);
        let homeless = std::mem::take(&mut self.homeless);
        for wave in homeless.chunks(kmeans::ROWS * 32) {
            task.check()?;
            let found: Vec<Vec<u32>> = wave
                .par_chunks(kmeans::ROWS)
                .map(|rows| Ok(assign::lists(&self.turned(rows)?, &centroids, copies)))
                .collect::<Result<_, StorageError>>()?;
            for (lists, &row) in found.concat().chunks_exact(copies).zip(wave) {
                let id = self.source.id(row as usize).0;
                self.places.extend(lists.iter().map(|&list| Place {
                    list,
                    id,
                    slot: None,
                }));
            }
        }
        Ok(())
    }

    /// Cuts lists that grew too long into lists of about the mean; their vectors go to the nearest part.
    fn split_long(&mut self, task: Task<'_>) -> Result<(), StorageError> {
        self.places.sort_unstable();
        let mean = self.mean().max(crate::kernels::scan::BLOCK);
        let counts = self.counts();
        let mut start = 0;
        for (list, count) in (0u32..).zip(counts) {
            let members = start..start + count as usize;
            start = members.end;
            if count as usize > LONG * mean {
                task.check()?;
                self.split(list, members, (count as usize).div_ceil(mean))?;
            }
        }
        Ok(())
    }

    fn split(
        &mut self,
        list: u32,
        members: std::ops::Range<usize>,
        parts: usize,
    ) -> Result<(), StorageError> {
        let rows: Vec<u32> = self.places[members.clone()]
            .iter()
            .filter_map(|place| self.source.position(PassageId(place.id)))
            .map(|at| at as u32)
            .collect();
        let turned = self.turned(&rows)?;
        let seed = self.index.view().geometry.seed ^ u64::from(list);
        let trained = kmeans::train(&turned, self.e, parts, seed, Task::silent())?;
        let (_, trained) = round_trip(&self.index.view().model.lists, &trained, self.e);
        let near = kmeans::nearest(
            &turned,
            self.e,
            &trained,
            &half_squares(&trained, self.e),
            1,
        );
        let (first, more) = trained.split_at(self.e);
        let next = self.lists() as u32;
        self.centroids[list as usize * self.e..][..self.e].copy_from_slice(first);
        self.centroids.extend_from_slice(more);
        for (place, part) in self.places[members].iter_mut().zip(near) {
            place.list = if part == 0 { list } else { next + part - 1 };
            place.slot = None;
        }
        Ok(())
    }

    fn finish(&mut self, task: Task<'_>) -> Result<(Geometry, Lists, Slots), StorageError> {
        self.places.sort_unstable();
        let view = self.index.view();
        let (list_codes, decoded) = round_trip(&view.model.lists, &self.centroids, self.e);
        let encoder = Encoder::of(view, &decoded);
        let counts = self.counts();
        let mut slots = Slots::new(&counts, encoder.width(), encoder.code_length())?;
        for (done, part) in self.places.chunks(kmeans::ROWS * 32).enumerate() {
            task.check()?;
            task.report(
                "folding",
                (done * kmeans::ROWS * 32) as u64,
                self.places.len() as u64,
            );
            let codes: Vec<Vec<u8>> = part
                .par_iter()
                .map(|place| self.code(&encoder, *place))
                .collect::<Result<_, StorageError>>()?;
            for (place, code) in part.iter().zip(codes) {
                slots.push(place.list, place.id, &code);
            }
        }
        let spread = self.spread(&decoded, task)?;
        let (gains, biases) = routing(view.geometry.metric, &decoded, self.e, &counts, &spread);
        let geometry = Geometry {
            lists: counts.len(),
            blocks: slots.blocks(),
            vectors: self.source.len(),
            covered: covered(self.index.matrix()).max(view.geometry.covered),
            points: 0,
            sample: 0,
            folded: view.geometry.folded.saturating_add(self.fresh),
            ..view.geometry.clone()
        };
        Ok((
            geometry,
            Lists {
                codes: list_codes,
                counts,
                gains,
                biases,
            },
            slots,
        ))
    }

    /// The code of one copy: the old one, or a new one.
    fn code(&self, encoder: &Encoder<'_>, place: Place) -> Result<Vec<u8>, StorageError> {
        let view = self.index.view();
        if let Some(slot) = place.slot {
            let mut code = vec![0; encoder.code_length()];
            get_code(encoder.width(), view.codes(), slot as usize, &mut code);
            return Ok(code);
        }
        let at = self
            .source
            .position(PassageId(place.id))
            .ok_or_else(|| gone(place.id))?;
        let row = self.source.read(std::iter::once(at))?;
        let code = encoder
            .encode(&row, &[place.list])
            .pop()
            .ok_or_else(|| gone(place.id))?;
        Ok(code.numbers)
    }

    /// Sum of squared distances to the centroid in each list.
    fn spread(&self, decoded: &[f32], task: Task<'_>) -> Result<Vec<f32>, StorageError> {
        let copies = self.index.view().geometry.copies;
        let mut homes = vec![u32::MAX; self.source.len() * copies];
        let mut spread = vec![0.0; self.lists()];
        for place in &self.places {
            if let Some(at) = self.source.position(PassageId(place.id)) {
                let home = &mut homes[at * copies..(at + 1) * copies];
                if let Some(free) = home.iter_mut().find(|list| **list == u32::MAX) {
                    *free = place.list;
                }
            }
        }
        let work = |start: usize, rows: &[f32]| {
            let turned = super::model::turned(rows, self.source.dimension(), &self.rotation);
            let each = turned
                .chunks_exact(self.e)
                .zip(homes[start * copies..].chunks_exact(copies));
            let far = |x: &[f32], list: u32| -> f32 {
                x.iter()
                    .zip(kmeans::row(decoded, self.e, list as usize))
                    .map(|(x, c)| (x - c) * (x - c))
                    .sum()
            };
            each.flat_map(|(x, lists)| {
                lists
                    .iter()
                    .filter(|l| **l != u32::MAX)
                    .map(move |&list| (list, far(x, list)))
            })
            .collect::<Vec<_>>()
        };
        stream(self.source, "measuring lists", task, work, |found| {
            found
                .into_iter()
                .for_each(|(list, far)| spread[list as usize] += far);
        })?;
        Ok(spread)
    }
}

fn gone(id: u32) -> StorageError {
    StorageError::Invalid(format!(
        "passage {id} left the matrix while its index was folded"
    ))
}
