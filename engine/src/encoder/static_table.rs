//! What vector does a text have without a transformer: the mean of its tokens' vectors.
//!
//! Two layouts: model2vec (`embeddings`, optional per-token `weights`, optional `mapping` from token id to row) and
//! sentence-transformers' StaticEmbedding (`embedding.weight`). Numbers are f32, f16 or bf16, or whole numbers (I8) in units
//! of the token's weight: a quarter of the room, read in place.

use std::path::Path;

use super::error::ModelError;
use super::kernels::level::{self, Level};
use super::weights::{Numbers, Tensor, Weights};

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
    level: Level,
}

impl StaticTable {
    /// Opens `dir/model.safetensors`. Returns the table with the digest of its weights.
    ///
    /// # Errors
    /// Missing file or tensor, a mapping past the end of the table.
    pub(crate) fn open(dir: &Path) -> Result<(Self, blake3::Hash), ModelError> {
        let weights = Weights::open(dir)?;
        let table = Self::of(&weights)?;
        let digest = table.digest(&weights)?;
        Ok((table, digest))
    }

    /// The digest of the table, which was taken out of `weights`.
    ///
    /// # Errors
    /// NaN or infinity among its numbers.
    pub(crate) fn digest(&self, weights: &Weights) -> Result<blake3::Hash, ModelError> {
        Ok(with_mapping(weights.digest()?, &self.mapping))
    }

    /// The table in `weights`, whose numbers are still to be looked at.
    ///
    /// # Errors
    /// Missing tensor, a mapping past the end of the table.
    pub(crate) fn of(weights: &Weights) -> Result<Self, ModelError> {
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
        Ok(Self {
            rows,
            dimension,
            mapping,
            weights: factors,
            ids,
            level: Level::best(),
        })
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
        matches!(self.rows.numbers(), Numbers::I8(_))
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

    /// The mean over `ids` into `out`; zeros for no ids. `terms` is room for what it adds up.
    pub(crate) fn mean(&self, ids: &[u32], terms: &mut Vec<(u32, f32)>, out: &mut [f32]) {
        terms.clear();
        terms.extend(ids.iter().map(|id| self.term(*id)));
        out.fill(0.0);
        match self.rows.numbers() {
            Numbers::F32(table) => level::add_rows_f32(self.level, table, terms, out),
            Numbers::F16(table) => level::add_rows_f16(self.level, table, terms, out),
            Numbers::Bf16(table) => level::add_rows_bf16(self.level, table, terms, out),
            Numbers::I8(table) => level::add_rows_i8(self.level, table, terms, out),
            Numbers::Unaligned => self.add_rows_one_by_one(terms, out),
        }
        let n = ids.len().max(1) as f32;
        out.iter_mut().for_each(|o| *o /= n);
    }

    /// Row and factor of a token.
    fn term(&self, id: u32) -> (u32, f32) {
        let row = self.mapping.get(id as usize).copied().unwrap_or(id);
        (row, self.weights.get(id as usize).copied().unwrap_or(1.0))
    }

    /// For files whose numbers begin at odd addresses.
    fn add_rows_one_by_one(&self, terms: &[(u32, f32)], out: &mut [f32]) {
        let mut vector = vec![0.0; self.dimension];
        for (row, factor) in terms {
            self.rows.row(*row as usize, &mut vector);
            out.iter_mut()
                .zip(&vector)
                .for_each(|(o, x)| *o += factor * x);
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
