//! What belongs to one generation?

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::matrix::{Dtype, Matrix};
use crate::{DocumentId, GenerationId, PassageId, StorageError};

use super::Generation;
use super::text;

/// The contents of one generation, as JSON under a sealed first line in its `MANIFEST`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Number of the generation, as in its folder's name.
    pub generation: GenerationId,
    /// When it was published, RFC 3339.
    pub published: String,
    /// What made the vectors; absent in a collection without an encoder.
    pub encoder: Option<EncoderStamp>,
    /// Number type of new rows.
    pub dtype: Dtype,
    /// Rows of all matrix segments, dead ones included.
    pub rows: u64,
    /// Passages that can be found.
    pub live: u64,
    /// Documents.
    pub documents: u64,
    /// Bytes of text of the live passages.
    pub text_bytes: u64,
    /// Document ids from here on are unused.
    pub next_document: DocumentId,
    /// Passage ids from here on are unused.
    pub next_passage: PassageId,
    /// The matrix segments, ids ascending.
    pub matrices: Vec<MatrixEntry>,
    /// File of the IVF-PQ index; absent where vectors are searched exactly.
    pub index: Option<String>,
    /// The BM25 index's own commit, in the engine's words.
    pub bm25: String,
    /// Files and folders a person asked to index.
    pub roots: Vec<String>,
    /// What the engine needs to know besides.
    pub settings: BTreeMap<String, serde_json::Value>,
}

/// Identity of the encoder that made a generation's vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderStamp {
    /// Decides: vectors of different hashes never meet.
    pub hash: String,
    /// The name people use.
    pub name: String,
    /// "bert" or "static".
    pub family: String,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Longest input in tokens.
    pub max_tokens: usize,
}

/// One matrix segment of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixEntry {
    /// File name inside the generation's folder.
    pub file: String,
    /// Number of rows, at least 1.
    pub rows: u64,
    /// Lowest id.
    pub first: PassageId,
    /// Highest id.
    pub last: PassageId,
}

impl Manifest {
    /// The manifest of an empty collection, to be filled: f16 rows, no encoder.
    pub fn empty(generation: GenerationId) -> Self {
        Self {
            generation,
            published: String::new(),
            encoder: None,
            dtype: Dtype::F16,
            rows: 0,
            live: 0,
            documents: 0,
            text_bytes: 0,
            next_document: DocumentId(0),
            next_passage: PassageId(0),
            matrices: Vec::new(),
            index: None,
            bm25: String::new(),
            roots: Vec::new(),
            settings: BTreeMap::new(),
        }
    }

    /// Reads and checks a manifest.
    pub(super) fn read(path: &Path) -> Result<Self, StorageError> {
        let bytes = std::fs::read(path).map_err(StorageError::io("read", path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| StorageError::corrupt(path, "first line", "it is not text"))?;
        let body = text::check_sealed(path, &text, "generation", text::MANIFEST_VERSION)?;
        let manifest: Self = serde_json::from_str(body)
            .map_err(|e| StorageError::corrupt(path, "body", e.to_string()))?;
        manifest.check(path)?;
        Ok(manifest)
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> String {
        let mut body = serde_json::to_string_pretty(self)
            .expect("string keys and plain values always have a JSON form");
        body.push('\n');
        text::sealed("generation", text::MANIFEST_VERSION, &body)
    }

    /// Do the numbers agree, and do file names stay inside the folder?
    pub(super) fn check(&self, path: &Path) -> Result<(), StorageError> {
        let wrong = |detail: String| Err(StorageError::corrupt(path, "body", detail));
        let names = self
            .matrices
            .iter()
            .map(|entry| &entry.file)
            .chain(&self.index);
        for name in names {
            let plain = Path::new(name)
                .file_name()
                .is_some_and(|n| n == name.as_str());
            if !plain {
                return wrong(format!("{name:?} is no plain file name"));
            }
        }
        if let Some(entry) = self.matrices.iter().find(|entry| entry.rows == 0) {
            return wrong(format!("{} has no rows", entry.file));
        }
        let rows: u64 = self.matrices.iter().map(|entry| entry.rows).sum();
        if rows != self.rows {
            return wrong(format!("{} rows in all, {rows} in the segments", self.rows));
        }
        if !self.matrices.is_empty() && self.encoder.is_none() {
            return wrong("matrix segments without an encoder".into());
        }
        Ok(())
    }
}

impl Generation {
    /// The file of the IVF-PQ index, if the generation has one.
    pub fn index_path(&self) -> Option<std::path::PathBuf> {
        let name = self.manifest.index.as_ref()?;
        Some(self.dir.join(name))
    }

    /// Opens the embedding matrix; `None` without an encoder.
    ///
    /// # Errors
    /// Those of [`Matrix::open`], and [`StorageError::Corrupt`] when the rows are not those the
    /// manifest lists.
    pub fn matrix(&self) -> Result<Option<Matrix>, StorageError> {
        let Some(encoder) = &self.manifest.encoder else {
            return Ok(None);
        };
        let names = self
            .manifest
            .matrices
            .iter()
            .map(|entry| entry.file.as_str());
        let matrix = Matrix::open(&self.dir, names, encoder.dimension)?;
        // Segments without rows are left out, and listed ones have rows: both lists are equally long
        // unless a file was exchanged for an empty one, which the total shows.
        if matrix.len() as u64 != self.manifest.rows {
            let detail = format!("{} rows listed, {} found", self.manifest.rows, matrix.len());
            return Err(StorageError::corrupt(
                self.dir.join(super::MANIFEST),
                "body",
                detail,
            ));
        }
        for (segment, entry) in matrix.segments().iter().zip(&self.manifest.matrices) {
            let found = (segment.first(), segment.last());
            if found != (Some(entry.first), Some(entry.last)) {
                let detail = format!("the manifest lists {entry:?}");
                return Err(StorageError::corrupt(segment.path(), "header", detail));
            }
        }
        Ok(Some(matrix))
    }
}
