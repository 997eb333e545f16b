//! How are blocks of vectors multiplied, always in the same order?
//!
//! faer does the work, on one thread a call; callers cut blocks at fixed boundaries and share those
//! between threads, so that no sum depends on how many threads there are.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};

use crate::StorageError;

/// out = a · bᵀ; `a` is (n, d), `b` (k, d) and `out` (n, k), all row-major.
pub(super) fn times_transposed(a: &[f32], b: &[f32], d: usize, out: &mut [f32]) {
    let (n, k) = (a.len() / d, b.len() / d);
    let a = MatRef::from_row_major_slice(a, n, d);
    let b = MatRef::from_row_major_slice(b, k, d);
    let out = MatMut::from_row_major_slice_mut(out, n, k);
    matmul(out, Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
}

/// out += aᵀ · b; `a` is (n, d), `b` (n, e) and `out` (d, e), all row-major.
pub(super) fn add_transposed_times(a: &[f32], b: &[f32], d: usize, e: usize, out: &mut [f32]) {
    let n = a.len() / d;
    let a = MatRef::from_row_major_slice(a, n, d);
    let b = MatRef::from_row_major_slice(b, n, e);
    let out = MatMut::from_row_major_slice_mut(out, d, e);
    matmul(out, Accum::Add, a.transpose(), b, 1.0, Par::Seq);
}

/// Eigenvalues, descending, and eigenvectors as rows (d, d) of the symmetric `matrix`.
pub(super) fn eigen(matrix: &[f32], d: usize) -> Result<(Vec<f64>, Vec<f32>), StorageError> {
    use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
    let a = Mat::from_fn(d, d, |i, j| f64::from(matrix[i * d + j]));
    let (mut values, mut vectors) = (Diag::<f64>::zeros(d), Mat::<f64>::zeros(d, d));
    let wanted = ComputeEigenvectors::Yes;
    let scratch = self_adjoint_evd_scratch::<f64>(d, wanted, Par::Seq, Default::default());
    self_adjoint_evd(
        a.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| not_converged("eigenvalues of the vectors' covariance"))?;
    let order = || (0..d).rev();
    let values = order().map(|i| values.column_vector()[i]).collect();
    let rows = order().flat_map(|i| (0..d).map(move |j| (i, j)));
    Ok((values, rows.map(|(i, j)| vectors[(j, i)] as f32).collect()))
}

/// The orthogonal (d, d) matrix R that makes Σ rowᵢ(R) · (mᵀ)ᵢ largest, for `m` = Σ x yᵀ: R x is then
/// nearest to y (orthogonal Procrustes; Schönemann 1966).
pub(super) fn procrustes(m: &[f32], d: usize) -> Result<Vec<f32>, StorageError> {
    use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
    let a = Mat::from_fn(d, d, |i, j| f64::from(m[i * d + j]));
    let (mut values, mut u, mut v) = (
        Diag::<f64>::zeros(d),
        Mat::<f64>::zeros(d, d),
        Mat::<f64>::zeros(d, d),
    );
    let full = ComputeSvdVectors::Full;
    let scratch = svd_scratch::<f64>(d, d, full, full, Par::Seq, Default::default());
    svd(
        a.as_ref(),
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .map_err(|_| not_converged("singular values of the rotation"))?;
    let mut rotation = Mat::<f64>::zeros(d, d);
    matmul(
        &mut rotation,
        Accum::Replace,
        &v,
        u.transpose(),
        1.0,
        Par::Seq,
    );
    let cells = (0..d).flat_map(|i| (0..d).map(move |j| (i, j)));
    Ok(cells.map(|(i, j)| rotation[(i, j)] as f32).collect())
}

fn not_converged(what: &str) -> StorageError {
    StorageError::Invalid(format!(
        "the {what} could not be computed; check the vectors for absurdly large numbers"
    ))
}

/// Σ xᵢ yᵢ with one order of additions.
pub(super) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let (xs, x_rest) = x.as_chunks::<16>();
    let (ys, y_rest) = y.as_chunks::<16>();
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += x * y;
        }
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Squared length.
pub(super) fn squared(x: &[f32]) -> f32 {
    dot(x, x)
}
