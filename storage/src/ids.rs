//! What is a document, a passage, a generation called?

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// One file (or one record of a data set) of a collection. Never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
pub struct DocumentId(pub u64);

/// One passage of a document, and the id of its row in the embedding matrix.
/// Ids ascend in the order of indexing, never shift and are never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
pub struct PassageId(pub u32);

/// One published state of a collection; 0 is the empty collection, each publish adds 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
pub struct GenerationId(pub u64);
