//! Bytes on disk: given ids and vectors, keep them safely and give them back fast.
//!
//! Knows rows, codes and records; knows no text processing, no tantivy, no burn and no HTTP.
//! The modules stand in the order the data flows.

// What everything is named by, and how long work reports.
pub mod error;
pub mod ids;
pub mod task;

pub use error::StorageError;
pub use ids::{DocumentId, GenerationId, PassageId};
pub use task::{Cancelled, Progress, Task};
