//! Where did these negatives come from, and are they still the ones that were written?
//!
//! A mined file is a safetensors file, so that any tool opens it: for positives and for candidates the number of each
//! query (`offsets`, n + 1), `passages`, `scores` and `cosines`, side by side. Its metadata holds the [`Provenance`] and a
//! hash of the numbers. It is written aside, synced and renamed; a file under its name is whole.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use storage::{StorageError, disk};

use crate::guards::GuardConfig;
use crate::negatives::dense::Mining;
use crate::negatives::{Candidate, Found, Pool, Source};

/// Key of the metadata.
const KEY: &str = "askance";
/// The lists of a query, as tensors are prefixed.
const POSITIVES: &str = "positives";
const CANDIDATES: &str = "candidates";

/// Everything that decides the content of a mined file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Where the candidates come from.
    pub source: Source,
    /// Hash of the encoder whose vectors were searched; empty for BM25.
    pub encoder: String,
    /// Step the encoder was trained to.
    pub step: u64,
    /// Seed of the run.
    pub seed: u64,
    /// blake3, hex, of the queries' and passages' texts: [`corpus_hash`].
    pub corpus: String,
    /// Guards that stood.
    pub guards: GuardConfig,
    /// What the mining run did.
    pub mining: Mining,
}

/// A mined file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinedError {
    /// The file system.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The bytes are not what was written.
    #[error("{} is no whole file of mined negatives: {detail}; delete it, and mining makes it anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// It was mined for other texts.
    #[error("{} was mined for other queries or passages; delete it, and mining makes it anew", path.display())]
    OtherExamples {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    provenance: Provenance,
    /// blake3, hex, of the numbers, positives first.
    blake3: String,
}

/// The texts negatives are mined for, in one hash.
pub fn corpus_hash(examples: &crate::examples::Examples) -> String {
    let mut hash = blake3::Hasher::new();
    let queries = examples.queries.iter().map(|query| query.text.as_str());
    let passages = examples
        .passages
        .iter()
        .map(|passage| passage.text.as_str());
    for text in queries.chain(passages) {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// Writes `pool` to `path`; a file that was there is replaced as a whole.
///
/// # Errors
/// The file system; what was at `path` then still is.
pub fn write(path: &Path, pool: &Pool, provenance: &Provenance) -> Result<(), MinedError> {
    let columns: Vec<Column> = [POSITIVES, CANDIDATES]
        .into_iter()
        .flat_map(|prefix| columns(prefix, pool))
        .collect();
    let header = Header {
        provenance: provenance.clone(),
        blake3: hash(columns.iter().map(|column| column.bytes.as_slice())),
    };
    let damaged = |detail: String| MinedError::Damaged {
        path: path.to_path_buf(),
        detail,
    };
    let header = serde_json::to_string(&header).map_err(|error| damaged(error.to_string()))?;
    let views = columns
        .iter()
        .map(|column| Ok((column.name.as_str(), column.view()?)));
    let views: Result<Vec<_>, SafeTensorError> = views.collect();
    let views = views.map_err(|error| damaged(error.to_string()))?;
    let bytes = serialize(views, Some(HashMap::from([(KEY.to_owned(), header)])))
        .map_err(|error| damaged(error.to_string()))?;
    Ok(disk::replace_atomically(path, &bytes)?)
}

/// Reads a mined file and checks it; `corpus` is what [`corpus_hash`] gives for the examples at hand.
///
/// # Errors
/// The file cannot be read, is damaged, or was mined for other texts.
pub fn read(path: &Path, corpus: &str) -> Result<(Pool, Provenance), MinedError> {
    let damaged = |detail: String| MinedError::Damaged {
        path: path.to_path_buf(),
        detail,
    };
    let bytes = fs::read(path).map_err(StorageError::io("read", path))?;
    let whole = parse(&bytes).map_err(damaged)?;
    if whole.1.corpus != corpus {
        return Err(MinedError::OtherExamples {
            path: path.to_path_buf(),
        });
    }
    Ok(whole)
}

fn parse(bytes: &[u8]) -> Result<(Pool, Provenance), String> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let header = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
    let header = header.ok_or_else(|| format!("it has no metadata {KEY:?}"))?;
    let header: Header = serde_json::from_str(header).map_err(|error| error.to_string())?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut seen = Vec::new();
    let mut lists = Vec::new();
    for prefix in [POSITIVES, CANDIDATES] {
        let read = |suffix: &str, dtype: Dtype| column(&tensors, &name(prefix, suffix), dtype);
        let parts = [
            read("offsets", Dtype::U32)?,
            read("passages", Dtype::U32)?,
            read("scores", Dtype::F32)?,
            read("cosines", Dtype::F32)?,
        ];
        seen.extend(parts);
        lists.push(candidates(parts)?);
    }
    if hash(seen.into_iter()) != header.blake3 {
        return Err("its numbers do not have the hash they were written with".to_owned());
    }
    let [positives, candidates] =
        <[_; 2]>::try_from(lists).map_err(|_| "lists are missing".to_owned())?;
    if positives.len() != candidates.len() {
        return Err(format!(
            "it has positives for {} queries and candidates for {}",
            positives.len(),
            candidates.len()
        ));
    }
    let queries = positives.into_iter().zip(candidates);
    let queries = queries.map(|(positives, candidates)| Found {
        positives,
        candidates,
    });
    Ok((
        Pool {
            queries: queries.collect(),
        },
        header.provenance,
    ))
}

/// One tensor of the file.
struct Column {
    name: String,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl Column {
    fn view(&self) -> Result<TensorView<'_>, SafeTensorError> {
        TensorView::new(self.dtype, vec![self.bytes.len() / 4], &self.bytes)
    }
}

fn name(prefix: &str, suffix: &str) -> String {
    format!("{prefix}.{suffix}")
}

fn list<'f>(found: &'f Found, prefix: &str) -> &'f [Candidate] {
    if prefix == POSITIVES {
        &found.positives
    } else {
        &found.candidates
    }
}

/// Offsets, passages, scores and cosines of the lists called `prefix`.
fn columns(prefix: &str, pool: &Pool) -> [Column; 4] {
    let column = |suffix: &str, dtype, bytes: Vec<u8>| Column {
        name: name(prefix, suffix),
        dtype,
        bytes,
    };
    let all = || pool.queries.iter().flat_map(|found| list(found, prefix));
    let lengths = pool
        .queries
        .iter()
        .map(|found| list(found, prefix).len() as u32);
    let ends = lengths.scan(0u32, |sum, length| {
        *sum += length;
        Some(*sum)
    });
    let offsets = std::iter::once(0)
        .chain(ends)
        .flat_map(u32::to_le_bytes)
        .collect();
    let passages = all().flat_map(|c| c.passage.to_le_bytes()).collect();
    let scores = all().flat_map(|c| c.score.to_le_bytes()).collect();
    let cosines = all().flat_map(|c| c.cosine.to_le_bytes()).collect();
    [
        column("offsets", Dtype::U32, offsets),
        column("passages", Dtype::U32, passages),
        column("scores", Dtype::F32, scores),
        column("cosines", Dtype::F32, cosines),
    ]
}

fn column<'b>(tensors: &SafeTensors<'b>, name: &str, dtype: Dtype) -> Result<&'b [u8], String> {
    let view = tensors
        .tensor(name)
        .map_err(|error| format!("{name}: {error}"))?;
    if view.dtype() == dtype && view.shape().len() == 1 {
        Ok(view.data())
    } else {
        Err(format!("{name} is not a list of {dtype:?}"))
    }
}

/// The lists of all queries out of offsets, passages, scores and cosines.
fn candidates(parts: [&[u8]; 4]) -> Result<Vec<Vec<Candidate>>, String> {
    let [offsets, passages, scores, cosines] = parts.map(words);
    if passages.len() != scores.len() || passages.len() != cosines.len() {
        return Err("passages, scores and cosines differ in number".to_owned());
    }
    let all: Vec<Candidate> = passages
        .iter()
        .zip(scores.iter().zip(&cosines))
        .map(|(passage, (score, cosine))| Candidate {
            passage: *passage,
            score: f32::from_bits(*score),
            cosine: f32::from_bits(*cosine),
        })
        .collect();
    let ranges = offsets
        .windows(2)
        .map(|ends| all.get(ends[0] as usize..ends[1] as usize));
    let lists = ranges.map(|range| range.map(<[_]>::to_vec));
    lists
        .collect::<Option<_>>()
        .ok_or_else(|| "its offsets do not ascend within the lists".to_owned())
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let quads = bytes
        .chunks_exact(4)
        .map(|quad| <[u8; 4]>::try_from(quad).unwrap_or_default());
    quads.map(u32::from_le_bytes).collect()
}

fn hash<'b>(columns: impl Iterator<Item = &'b [u8]>) -> String {
    let mut hash = blake3::Hasher::new();
    for bytes in columns {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests;
