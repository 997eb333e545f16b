//! How are blocks of vectors multiplied?
//!
//! faer does it, a block of rows a thread, so that no sum depends on how many threads there are.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows of a block.
const ROWS: usize = 64;

/// a bᵀ: `a` is (n, d), `b` (m, d), the result (n, m), all row-major.
pub(super) fn times_transposed(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let (n, m) = (a.len() / d, b.len() / d);
    let mut out = vec![0.0; n * m];
    if m == 0 {
        return out;
    }
    let blocks = out.par_chunks_mut(ROWS * m).zip(a.par_chunks(ROWS * d));
    blocks.for_each(|(out, a)| {
        let rows = a.len() / d;
        let out = MatMut::from_row_major_slice_mut(out, rows, m);
        let a = MatRef::from_row_major_slice(a, rows, d);
        let b = MatRef::from_row_major_slice(b, m, d);
        matmul(out, Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
    });
    out
}

/// a b: `a` is (n, m), `b` (m, d), the result (n, d), all row-major.
pub(super) fn times(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let m = b.len() / d;
    let n = a.len().checked_div(m).unwrap_or(0);
    let mut out = vec![0.0; n * d];
    if m == 0 {
        return out;
    }
    let blocks = out.par_chunks_mut(ROWS * d).zip(a.par_chunks(ROWS * m));
    blocks.for_each(|(out, a)| {
        let rows = a.len() / m;
        let out = MatMut::from_row_major_slice_mut(out, rows, d);
        let a = MatRef::from_row_major_slice(a, rows, m);
        let b = MatRef::from_row_major_slice(b, m, d);
        matmul(out, Accum::Replace, a, b, 1.0, Par::Seq);
    });
    out
}

/// `a` (n, m) with rows and columns exchanged.
pub(super) fn transposed(a: &[f32], m: usize) -> Vec<f32> {
    let n = a.len().checked_div(m).unwrap_or(0);
    let mut out = vec![0.0; a.len()];
    for (i, row) in a.chunks_exact(m.max(1)).enumerate() {
        for (j, value) in row.iter().enumerate() {
            out[j * n + i] = *value;
        }
    }
    out
}
