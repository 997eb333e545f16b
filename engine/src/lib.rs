//! Text in, hits out: files become passages, passages become hits.
//!
//! Pure over `storage`; knows no burn, no HTTP, and never prints.
//! The modules stand in the order the data flows.

// What is asked, what comes back, what goes wrong.
pub mod error;
pub mod report;
pub mod request;

// Files to passages.
pub mod ingest;

// Passages to postings and vectors.
pub mod bm25;
pub mod encoder;
mod index;

// Which encoders there are to choose from.
pub mod models;

// A query to hits, and what lies around them.
pub mod browse;
mod collection;
mod compact;
mod doctor;
pub mod fuse;
mod guard;
mod nearest;
pub mod reading;
mod search;
mod similar;
pub mod snippet;

// Data sets and scores.
pub mod dataset;
pub mod eval;

pub use collection::Engine;
pub use error::EngineError;
pub use index::lists::INDEX_FROM;
