//! How does training see the rows of a matrix?
//!
//! Block by block, widened to f32, scaled to unit length where the metric is cosine, with dead rows
//! left out. Memory does not grow with the matrix.

use crate::flat::Metric;
use crate::matrix::Matrix;
use crate::{PassageId, PassageSet, StorageError};

/// The live rows of a matrix.
pub(super) struct Source<'a> {
    matrix: &'a Matrix,
    metric: Metric,
    /// Numbers of the live rows, ascending.
    rows: Vec<u32>,
}

impl<'a> Source<'a> {
    pub(super) fn new(matrix: &'a Matrix, metric: Metric, keep: Option<&PassageSet>) -> Self {
        let live = |&(_, id): &(u32, PassageId)| keep.is_none_or(|keep| keep.contains(id));
        let rows = (0u32..).zip(matrix.ids()).filter(live).map(|(row, _)| row);
        Self {
            matrix,
            metric,
            rows: rows.collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn dimension(&self) -> usize {
        self.matrix.dimension()
    }

    /// Id of live row `at`.
    pub(super) fn id(&self, at: usize) -> PassageId {
        self.matrix.id(self.rows[at] as usize)
    }

    /// Number of the live row of `id`.
    pub(super) fn position(&self, id: PassageId) -> Option<usize> {
        let row = u32::try_from(self.matrix.row_of(id)?).ok()?;
        self.rows.binary_search(&row).ok()
    }

    /// The live rows numbered `at`, (n, d).
    pub(super) fn read(
        &self,
        at: impl ExactSizeIterator<Item = usize>,
    ) -> Result<Vec<f32>, StorageError> {
        let d = self.dimension();
        let mut out = vec![0.0; at.len() * d];
        for (at, out) in at.zip(out.chunks_exact_mut(d)) {
            self.matrix.row_f32(self.rows[at] as usize, out);
            self.prepare(at, out)?;
        }
        Ok(out)
    }

    fn prepare(&self, at: usize, row: &mut [f32]) -> Result<(), StorageError> {
        if let Some(bad) = row.iter().find(|x| !x.is_finite()) {
            let id = self.id(at).0;
            let message = format!("the vector of passage {id} holds {bad}; encode it again");
            return Err(StorageError::Invalid(message));
        }
        if self.metric == Metric::Cosine {
            normalise(row);
        }
        Ok(())
    }
}

/// Scales to unit length; the zero vector stays.
pub(super) fn normalise(row: &mut [f32]) {
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if square > 0.0 {
        let factor = (1.0 / square.sqrt()) as f32;
        row.iter_mut().for_each(|x| *x *= factor);
    }
}
