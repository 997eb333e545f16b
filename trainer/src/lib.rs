//! How do examples become a better encoder?
//!
//! The modules stand in the order the data flows.

// What there is to learn from.
pub mod examples;
pub mod pairs;

// Which passages the encoder is held against.
pub mod guards;
pub mod mined;
pub mod negatives;
pub mod sampler;

// What a run says about itself, and whether its encoder is taken on.
pub mod diagnostics;
pub mod gate;
pub mod log;
pub mod report;

#[cfg(test)]
mod testing;
