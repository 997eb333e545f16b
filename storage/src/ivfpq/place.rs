//! Which lists does every vector stand in, and what do its codewords have to fit?

use super::assign;
use super::codebook::Codebook;
use super::encode::norm_codes;
use super::kmeans::row;
use super::linear::squared;
use super::model::{Model, turned};
use super::near::Near;
use super::packing::{block_bytes, get_code, put_code};
use super::rng::Rng;
use super::score_aware;
use super::source::Source;
use super::stream::stream;
use super::train::Trained;
use crate::kernels::scan::BLOCK;
use crate::{StorageError, Task};

/// Vectors the codebook of residuals is trained on.
const CODE_SAMPLE: usize = 32_768;

/// Where every vector goes, and the centroids as they will be read back.
pub(super) struct Placed {
    pub(super) model: Model,
    /// Lists of live row i: (n, copies).
    pub(super) lists: Vec<u32>,
    pub(super) counts: Vec<u32>,
    /// Codes of the centroids in blocks.
    pub(super) list_codes: Vec<u8>,
    /// The centroids behind those codes, (L, e).
    pub(super) decoded: Vec<f32>,
    pub(super) norm: (f32, f32),
}

pub(super) fn place(
    source: &Source<'_>,
    trained: &Trained,
    task: Task<'_>,
) -> Result<Placed, StorageError> {
    let (e, copies, d) = (trained.e, trained.copies, source.dimension());
    let count = trained.centroids.len() / e;
    let rotation: Vec<f32> = trained.rotation.iter().map(|x| x.to_f32()).collect();
    let centroids = Near::new(&trained.centroids, e, trained.seed);
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
    let (residuals, directions) = code_sample(source, trained, &rotation, &lists, &decoded)?;
    let mut codes = Codebook::train(
        &residuals,
        e,
        trained.subspaces,
        trained.width,
        trained.seed,
    );
    if trained.anisotropy > 1.0 {
        score_aware::refine(&mut codes, &residuals, &directions, trained.anisotropy);
    }
    let model = Model {
        dimension: d,
        rotation: trained.rotation.clone(),
        lists: trained.lists.clone(),
        codes,
    };
    let low = if lengths.0.is_finite() {
        lengths.0
    } else {
        0.0
    };
    let norm = (
        low,
        ((lengths.1 - low) / norm_codes(trained.width) as f32).max(f32::MIN_POSITIVE),
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
    let blocks = (rows.len() / e).div_ceil(BLOCK);
    let mut codes = vec![0; blocks * block_bytes(book.width, m)];
    let mut decoded = vec![0.0; rows.len()];
    let mut numbers = vec![0; m];
    for (at, (x, out)) in rows
        .chunks_exact(e)
        .zip(decoded.chunks_exact_mut(e))
        .enumerate()
    {
        book.encode(x, &mut numbers);
        book.decode(&numbers, out);
        put_code(book.width, &mut codes, at, &numbers);
    }
    (codes, decoded)
}

/// The rows behind `codes`: the centroids of an index that was opened.
pub(super) fn decode(book: &Codebook, codes: &[u8], count: usize, e: usize) -> Vec<f32> {
    let mut numbers = vec![0; book.subspaces()];
    let mut rows = vec![0.0; count * e];
    for (at, out) in rows.chunks_exact_mut(e).enumerate() {
        get_code(book.width, codes, at, &mut numbers);
        book.decode(&numbers, out);
    }
    rows
}

/// Residuals to train the vectors' codebook on, from all of a row's lists, and the vectors they are left of.
fn code_sample(
    source: &Source<'_>,
    trained: &Trained,
    rotation: &[f32],
    lists: &[u32],
    decoded: &[f32],
) -> Result<(Vec<f32>, Vec<f32>), StorageError> {
    let (e, copies) = (trained.e, trained.copies);
    if source.len() == 0 {
        return Ok((vec![0.0; e], vec![0.0; e]));
    }
    let rows = Rng::new(trained.seed, 5).sample(source.len(), CODE_SAMPLE / copies);
    let turned = turned(
        &source.read(rows.iter().copied())?,
        source.dimension(),
        rotation,
    );
    let mut residuals = Vec::with_capacity(turned.len() * copies);
    let mut vectors = Vec::with_capacity(turned.len() * copies);
    for (x, at) in turned.chunks_exact(e).zip(rows) {
        for &list in &lists[at * copies..(at + 1) * copies] {
            let centroid = row(decoded, e, list as usize);
            residuals.extend(x.iter().zip(centroid).map(|(x, c)| x - c));
            vectors.extend_from_slice(x);
        }
    }
    Ok((residuals, vectors))
}
