//! Bytes on disk: given ids and vectors, keep them safely and give them back fast.
//!
//! Knows rows, codes and records; knows no text processing, no tantivy, no burn and no HTTP.
//! The modules stand in the order the data flows.

// What everything is named by, and how long work reports.
pub mod error;
pub mod ids;
pub mod set;
pub mod task;

// Bytes to and from the disk.
pub mod disk;
mod format;
mod mapped;

// What the writer knows about each file.
pub mod documents;

// Vectors, and the exact answer to "which are nearest?".
pub mod flat;
pub mod ivfpq;
pub mod kernels;
pub mod matrix;

// Tables of vectors that other programs write.
pub mod npy;

// Everything above tied into one published state.
pub mod generation;

pub use error::StorageError;
pub use ids::{DocumentId, GenerationId, PassageId};
pub use mapped::Mapped;
pub use set::PassageSet;
pub use task::{Cancelled, Progress, Task};

#[cfg(target_endian = "big")]
compile_error!("files are little-endian and read in place; this target would need byte swapping");
