//! Along which axes do vectors differ most?

use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, Side};
use rayon::prelude::*;

use super::DistilError;
use super::products::{times, transposed};

/// Orthonormal axes.
pub(super) struct Axes {
    /// (width, count): column i is axis i.
    columns: Vec<f32>,
    width: usize,
    count: usize,
}

/// Vectors that one partial sum is over.
const BLOCK: usize = 4096;

/// The `count` axes along which `vectors`, rows of `width` numbers, have the largest squares.
pub(super) fn leading(vectors: &[f32], width: usize, count: usize) -> Result<Axes, DistilError> {
    let squares = vectors
        .par_chunks(BLOCK * width)
        .map(|block| times(&transposed(block, width), block, width))
        .collect::<Vec<_>>();
    let mut sum = vec![0.0f64; width * width];
    for block in squares {
        sum.iter_mut()
            .zip(block)
            .for_each(|(s, v)| *s += f64::from(v));
    }
    let matrix = Mat::from_fn(width, width, |i, j| sum[i * width + j]);
    // Symmetric and finite, as sums of squares of the encoder's vectors are: the iteration then converges.
    let eigen =
        SelfAdjointEigen::new(matrix.as_ref(), Side::Lower).map_err(|_| DistilError::Range {
            name: "the teacher's vectors",
            value: "without principal axes".to_owned(),
            range: "finite and not all the same".to_owned(),
        })?;
    let axes = eigen.U();
    let column = |row: usize, axis: usize| axes[(row, width - 1 - axis)] as f32;
    Ok(Axes {
        columns: (0..width)
            .flat_map(|row| (0..count).map(move |axis| (row, axis)))
            .map(|(row, axis)| column(row, axis))
            .collect(),
        width,
        count,
    })
}

impl Axes {
    /// `vectors` along the axes: rows of `count` numbers.
    pub(super) fn rows(&self, vectors: &[f32]) -> Vec<f32> {
        debug_assert_eq!(vectors.len() % self.width, 0);
        times(vectors, &self.columns, self.count)
    }

    /// As [`Axes::rows`], at unit length.
    pub(super) fn unit_rows(&self, vectors: &[f32]) -> Vec<f32> {
        let mut rows = self.rows(vectors);
        rows.par_chunks_exact_mut(self.count).for_each(|row| {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= length.max(1e-9));
        });
        rows
    }
}
