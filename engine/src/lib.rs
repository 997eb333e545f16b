//! Text in, hits out: files become passages, passages become hits.
//!
//! Pure over `storage`; knows no burn, no HTTP, and never prints.
//! The modules stand in the order the data flows.

// Files to passages.
pub mod ingest;

// Text to vectors.
pub mod encoder;

// Two rankings to one.
pub mod fuse;

// Judged collections, and what a ranking is worth on them.
pub mod dataset;
pub mod eval;

// What is asked and what comes back.
pub mod report;
pub mod request;
