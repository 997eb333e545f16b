//! How does a collection look to programs?

use engine::report::{IndexStatus, Status};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{EncoderJson, object, path_text};

/// What a collection holds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Collection")]
pub struct CollectionJson {
    /// The collection's folder.
    pub collection: String,
    /// Current generation; 0 is empty.
    pub generation: u64,
    /// When it was published, RFC 3339.
    pub published: Option<String>,
    /// Folders and files that were indexed.
    pub roots: Vec<String>,
    /// Documents with passages.
    pub documents: u64,
    /// Live passages.
    pub passages: u64,
    /// Bytes of text in them.
    pub text_bytes: u64,
    /// Documents by file extension, most first.
    pub extensions: Map<String, Value>,
    /// Encoder of the vectors, if there are any.
    pub encoder: Option<EncoderJson>,
    /// Device that encodes; null without an encoder.
    pub device: Option<String>,
    /// Numbers the encoder runs in: "f32", "bf16" or "int8"; null if that was not measured on this computer yet.
    pub precision: Option<String>,
    /// How vectors are searched.
    pub dense_search: Option<String>,
    /// The index of the vectors, and what it measured of itself; null without one.
    pub index: Option<IndexJson>,
    /// Why the index cannot be used; null if it can, or if there is none.
    pub index_damage: Option<String>,
    /// Bytes on disk by store.
    pub bytes_on_disk: Map<String, Value>,
    /// Files that could not be read.
    pub failures: Vec<FailureJson>,
    /// Who is writing right now.
    pub writer: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl CollectionJson {
    /// What `status` says, with the device that encodes, the numbers it does that in, and what a person should know.
    pub fn new(
        status: &Status,
        device: &str,
        precision: Option<&str>,
        warnings: Vec<String>,
    ) -> Self {
        let failures = status.failures.iter().map(|failure| FailureJson {
            path: path_text(&failure.path),
            reason: failure.reason.clone(),
        });
        Self {
            collection: path_text(&status.collection),
            generation: status.generation,
            published: status.published.clone(),
            roots: status.roots.iter().map(|root| path_text(root)).collect(),
            documents: status.documents,
            passages: status.passages,
            text_bytes: status.text_bytes,
            extensions: object(&status.extensions),
            encoder: status.encoder.as_ref().map(EncoderJson::from),
            device: status.encoder.as_ref().map(|_| device.to_owned()),
            precision: precision.map(str::to_owned),
            dense_search: status.dense_search.clone(),
            index: status.index.as_ref().map(IndexJson::from),
            index_damage: status.index_damage.clone(),
            bytes_on_disk: object(&status.bytes_on_disk),
            failures: failures.collect(),
            writer: status.writer.clone(),
            warnings,
        }
    }
}

/// An IVF-PQ index, and what it measured of itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Index")]
pub struct IndexJson {
    /// Lists.
    pub lists: u64,
    /// Vectors in them, those that died since included.
    pub vectors: u64,
    /// Newer rows, searched exactly beside it.
    pub tail: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Queries it was measured with.
    pub sample: u64,
    /// Settings, cheapest first; none cheaper finds as much.
    pub measured: Vec<RecallJson>,
}

impl From<&IndexStatus> for IndexJson {
    fn from(index: &IndexStatus) -> Self {
        let measured = index.measured.iter().map(|point| RecallJson {
            nprobe: point.nprobe,
            rescore: point.rescore,
            recall: point.recall,
        });
        Self {
            lists: index.lists,
            vectors: index.vectors,
            tail: index.tail,
            bytes: index.bytes,
            sample: index.sample,
            measured: measured.collect(),
        }
    }
}

/// One setting of an index, measured.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Recall")]
pub struct RecallJson {
    /// Lists read.
    pub nprobe: u32,
    /// Codes looked up in the matrix.
    pub rescore: u32,
    /// Share of the true ten nearest that it finds, 0 to 1.
    pub recall: f32,
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub struct FailureJson {
    /// The file.
    pub path: String,
    /// One sentence.
    pub reason: String,
}
