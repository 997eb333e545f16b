//! What vector does a text have without a transformer: the mean of its tokens' vectors.
//!
//! Two layouts: model2vec (`embeddings`, optional per-token `weights`, optional `mapping` from token id to row) and
//! sentence-transformers' StaticEmbedding (`embedding.weight`). Numbers are f32, f16 or bf16, or whole numbers (I8) in units
//! of the token's weight: a quarter of the room, read in place.

use std::path::Path;

use super::error::ModelError;
use super::weights::{Tensor, Weights};

/// Token vectors.
pub(crate) struct StaticTable {
    /// (rows, dimension).
    rows: Tensor,
    dimension: usize,
    /// Row of each token id; empty means the id itself.
    mapping: Vec<u32>,
    /// Factor of each token id; empty means 1.
    weights: Vec<f32>,
    /// Token ids the table answers for.
    ids: usize,
}

impl StaticTable {
    /// Opens `dir/model.safetensors`. Returns the table with the digest of its weights.
    ///
    /// # Errors
    /// Missing file or tensor, a mapping past the end of the table.
    pub(crate) fn open(dir: &Path) -> Result<(Self, blake3::Hash), ModelError> {
        Self::of(&Weights::open(dir)?)
    }

    /// As [`StaticTable::open`], of a file that is open.
    ///
    /// # Errors
    /// As [`StaticTable::open`].
    pub(crate) fn of(weights: &Weights) -> Result<(Self, blake3::Hash), ModelError> {
        let name = ["embeddings", "embedding.weight"]
            .into_iter()
            .find(|n| weights.has(n))
            .unwrap_or("embeddings");
        let rows = weights.table(name)?;
        let [n_rows, dimension] = *rows.shape() else {
            return Err(weights.bad(
                name,
                format!("has shape {:?}, expected two axes", rows.shape()),
            ));
        };
        if n_rows == 0 || dimension == 0 {
            return Err(weights.bad(name, "is empty".into()));
        }
        let mapping = if weights.has("mapping") {
            weights.integers("mapping")?
        } else {
            Vec::new()
        };
        if let Some(row) = mapping.iter().find(|r| **r as usize >= n_rows) {
            return Err(weights.bad("mapping", format!("names row {row} of {n_rows}")));
        }
        let ids = if mapping.is_empty() {
            n_rows
        } else {
            mapping.len()
        };
        let factors = if weights.has("weights") {
            weights.tensor("weights", &[ids])?.to_f32()
        } else {
            Vec::new()
        };
        let digest = with_mapping(weights.digest()?, &mapping);
        let table = Self {
            rows,
            dimension,
            mapping,
            weights: factors,
            ids,
        };
        Ok((table, digest))
    }

    /// Name of the table's tensor.
    pub(crate) fn tensor(&self) -> &str {
        self.rows.name()
    }

    /// The table itself, (rows, dimension).
    pub(crate) fn values(&self) -> Vec<f32> {
        self.rows.to_f32()
    }

    /// Whether the numbers are whole ones in units of the token's weight.
    pub(crate) fn is_quantized(&self) -> bool {
        self.rows.as_i8().is_some()
    }

    /// Row of each token id; empty means the id itself.
    pub(crate) fn mapping(&self) -> &[u32] {
        &self.mapping
    }

    /// Factor of each token id; empty means 1.
    pub(crate) fn factors(&self) -> &[f32] {
        &self.weights
    }

    /// Length of a vector.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Token ids the table answers for: 0 up to this.
    pub(crate) fn ids(&self) -> usize {
        self.ids
    }

    /// The mean over `ids` into `out`; zeros for no ids.
    pub(crate) fn mean(&self, ids: &[u32], out: &mut [f32]) {
        out.fill(0.0);
        match self.rows.as_i8() {
            Some(all) => self.add_quantized(all, ids, out),
            None => self.add(ids, out),
        }
        let n = ids.len().max(1) as f32;
        out.iter_mut().for_each(|o| *o /= n);
    }

    fn add(&self, ids: &[u32], out: &mut [f32]) {
        let mut buffer = Vec::new();
        for id in ids {
            let (row, factor) = self.place(*id);
            let vector = self.row(row, &mut buffer);
            out.iter_mut()
                .zip(vector)
                .for_each(|(o, x)| *o += factor * x);
        }
    }

    fn add_quantized(&self, all: &[i8], ids: &[u32], out: &mut [f32]) {
        for id in ids {
            let (row, factor) = self.place(*id);
            let vector = &all[row * self.dimension..(row + 1) * self.dimension];
            out.iter_mut()
                .zip(vector)
                .for_each(|(o, x)| *o += factor * f32::from(*x));
        }
    }

    /// Row and factor of a token.
    fn place(&self, id: u32) -> (usize, f32) {
        let id = id as usize;
        let row = self.mapping.get(id).map_or(id, |row| *row as usize);
        (row, self.weights.get(id).copied().unwrap_or(1.0))
    }

    /// Row `row`, in place if it is stored as f32, otherwise through `buffer`.
    fn row<'a>(&'a self, row: usize, buffer: &'a mut Vec<f32>) -> &'a [f32] {
        let d = self.dimension;
        match self.rows.as_f32() {
            Some(all) => &all[row * d..(row + 1) * d],
            None => {
                buffer.resize(d, 0.0);
                self.rows.row(row, buffer);
                buffer
            }
        }
    }
}

fn with_mapping(digest: blake3::Hash, mapping: &[u32]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(digest.as_bytes());
    mapping.iter().for_each(|row| {
        hasher.update(&row.to_le_bytes());
    });
    hasher.finalize()
}
