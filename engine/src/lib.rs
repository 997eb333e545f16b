//! Text in, hits out: files become passages, passages become hits.
//!
//! Pure over `storage`; knows no burn, no HTTP, and never prints.
//! The modules stand in the order the data flows.

// Files to passages.
pub mod ingest;

// Words to passages.
pub mod bm25;

// Text to vectors.
pub mod encoder;

// What is asked and what comes back.
pub mod report;
pub mod request;
pub mod snippet;
