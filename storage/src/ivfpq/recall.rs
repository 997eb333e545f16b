//! How much of the truth does each setting find, and which setting is the cheapest for a target?
//!
//! The index asks itself: a sample of queries with exact answers gives the recall of each setting. The table
//! stands in the file. Queries may be given; without, they are vectors of the collection itself,
//! disturbed until they lie about as far from their neighbours as a question lies from its answers.

use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::rng::Rng;
use super::search::Index;
use super::settle::{ROW_COST, Setting};
use super::source::{Source, normalise};
use crate::flat;
use crate::matrix::Matrix;
use crate::{PassageId, PassageSet, StorageError, Task};

/// Queries drawn when none are given.
const SAMPLE: usize = 256;
/// Neighbours a query should find.
const K: usize = 10;
/// Share of another vector, and length of the noise, added to a unit vector: noise alone leaves the subspace
/// the vectors lie in, where it disturbs little.
const OTHER: f32 = 0.6;
const NOISE: f32 = 1.0;
const RESCORE: [usize; 6] = [24, 48, 72, 108, 160, 240];

/// One setting, measured.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Point {
    /// Lists read.
    pub nprobe: u32,
    /// Codes looked up in the matrix.
    pub rescore: u32,
    /// Mean share of the true ten best that were found.
    pub recall: f32,
    /// What a search costs, in codes scored.
    pub cost: f32,
}

pub(super) fn bytes(points: &[Point]) -> Vec<u8> {
    bytemuck::cast_slice(points).to_vec()
}

/// Reads [`bytes`]; what is left over at the end is ignored.
pub(super) fn read(bytes: &[u8]) -> Vec<Point> {
    bytes
        .chunks_exact(16)
        .map(bytemuck::pod_read_unaligned)
        .collect()
}

/// Measures the index at `path`; returns the settings that no cheaper one beats, cheapest first,
/// and the number of queries.
pub(super) fn measure(
    path: &Path,
    matrix: &Matrix,
    keep: Option<&PassageSet>,
    queries: Option<&[f32]>,
    seed: u64,
    task: Task<'_>,
) -> Result<(Vec<Point>, usize), StorageError> {
    let index = Index::open(path, matrix.clone())?;
    let queries = match queries {
        Some(queries) => queries.to_vec(),
        None => disturbed(&Source::new(matrix, index.metric(), keep), seed)?,
    };
    if queries.is_empty() || index.vectors() == 0 {
        return Ok((Vec::new(), 0));
    }
    task.report("measuring recall", 0, 0);
    let truth = flat::search_batch(matrix, &queries, K, index.metric(), keep, task)?;
    let truth: Vec<Vec<PassageId>> = truth
        .into_iter()
        .map(|t| t.hits.into_iter().map(|(id, _)| id).collect())
        .collect();
    let mut points = Vec::new();
    for nprobe in grid(index.lists()) {
        task.check()?;
        points.extend(points_at(&index, &queries, &truth, keep, nprobe)?);
    }
    Ok((frontier(points), truth.len()))
}

/// Numbers of lists that are tried: each a quarter more than the last.
fn grid(lists: usize) -> Vec<usize> {
    let mut grid = vec![4.min(lists)];
    while grid[grid.len() - 1] < lists {
        let last = grid[grid.len() - 1];
        grid.push((last + last.div_ceil(4)).min(lists));
    }
    grid
}

/// Recall and cost of reading `nprobe` lists at every depth of [`RESCORE`]. A true neighbour is found exactly when one of
/// its codes is among those looked up, so that one scan to the greatest depth tells all of them.
fn points_at(
    index: &Index,
    queries: &[f32],
    truth: &[Vec<PassageId>],
    keep: Option<&PassageSet>,
    nprobe: usize,
) -> Result<Vec<Point>, StorageError> {
    let rescore = RESCORE[RESCORE.len() - 1];
    let setting = Setting {
        nprobe,
        rescore,
        recall: None,
    };
    let d = index.matrix().dimension();
    let each: Vec<(f32, [f32; RESCORE.len()])> = queries
        .par_chunks_exact(d)
        .zip(truth)
        .map(|(query, truth)| {
            let (ranked, scanned) = index.ranked(query, setting, keep)?;
            Ok((
                scanned as f32,
                RESCORE.map(|depth| share_found(&ranked[..depth.min(ranked.len())], truth)),
            ))
        })
        .collect::<Result<_, StorageError>>()?;
    let n = each.len() as f32;
    let scanned = each.iter().map(|(scanned, _)| scanned).sum::<f32>() / n;
    let point = |(at, depth): (usize, usize)| Point {
        nprobe: nprobe as u32,
        rescore: depth as u32,
        recall: each.iter().map(|(_, recall)| recall[at]).sum::<f32>() / n,
        cost: scanned + ROW_COST * depth as f32,
    };
    Ok(RESCORE.into_iter().enumerate().map(point).collect())
}

fn share_found(ids: &[u32], truth: &[PassageId]) -> f32 {
    if truth.is_empty() {
        return 1.0;
    }
    let found = truth.iter().filter(|id| ids.contains(&id.0)).count();
    found as f32 / truth.len() as f32
}

/// The points that find more than every cheaper one, cheapest first.
fn frontier(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| {
        a.cost
            .total_cmp(&b.cost)
            .then(b.recall.total_cmp(&a.recall))
    });
    let mut best = f32::NEG_INFINITY;
    points.retain(|point| {
        let better = point.recall > best;
        best = best.max(point.recall);
        better
    });
    points
}

/// A sample of the live rows, (n, d), each turned towards another and disturbed, see [`OTHER`].
fn disturbed(source: &Source<'_>, seed: u64) -> Result<Vec<f32>, StorageError> {
    let mut rng = Rng::new(seed, 6);
    let rows = rng.sample(source.len(), SAMPLE);
    let others: Vec<usize> = rows.iter().map(|_| rng.below(source.len())).collect();
    let mut queries = source.read(rows.into_iter())?;
    let others = source.read(others.into_iter())?;
    let d = source.dimension();
    for (query, other) in queries.chunks_exact_mut(d).zip(others.chunks_exact(d)) {
        let length = query.iter().map(|x| x * x).sum::<f32>().sqrt();
        let mut noise: Vec<f32> = query.iter().map(|_| rng.normal()).collect();
        normalise(&mut noise);
        for ((x, noise), other) in query.iter_mut().zip(noise).zip(other) {
            *x += NOISE * length * noise + OTHER * other;
        }
    }
    Ok(queries)
}
