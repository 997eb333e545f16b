//! Which lists does a vector stand in?

use super::kmeans::row;
use super::linear::{dot, squared};
use super::near::Near;

/// Centroids considered for the second list.
const CHOICES: usize = 10;
/// Weight of a second residual that points like the first (λ of SOAR; Sun et al. 2023, eq. 4).
const PARALLEL: f32 = 1.5;

/// The lists of each vector of `block` (n, e): (n, copies), the nearest first.
pub(super) fn lists(block: &[f32], centroids: &Near<'_>, copies: usize) -> Vec<u32> {
    let count = if copies == 1 {
        1
    } else {
        CHOICES.min(centroids.len())
    };
    let near = centroids.nearest(block, count);
    if copies == 1 {
        return near;
    }
    let rows = block
        .chunks_exact(centroids.d)
        .zip(near.chunks_exact(count));
    rows.flat_map(|(x, near)| [near[0], second(x, near, centroids)])
        .collect()
}

/// The list among `near[1..]` whose residual is short and not parallel to that of `near[0]`: a query
/// for which the first list's score errs then finds the second's right.
fn second(x: &[f32], near: &[u32], centroids: &Near<'_>) -> u32 {
    let residual = |list: u32| -> Vec<f32> {
        let centroid = row(centroids.rows, centroids.d, list as usize);
        x.iter().zip(centroid).map(|(x, c)| x - c).collect()
    };
    let first = residual(near[0]);
    let length = squared(&first).max(f32::MIN_POSITIVE);
    let loss = |list: u32| {
        let other = residual(list);
        let along = dot(&first, &other);
        squared(&other) + PARALLEL * along * along / length
    };
    let rated = near[1..].iter().map(|&list| (loss(list), list));
    rated
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(near[0], |(_, list)| list)
}
