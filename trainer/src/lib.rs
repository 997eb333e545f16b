//! How do examples become a better encoder?
//!
//! The modules stand in the order the data flows. burn is named in the trainer and nowhere else.

// What is asked for, and on which device.
pub mod config;
pub mod device;

// What there is to learn from.
pub mod examples;
pub mod pairs;

// Which passages the encoder is held against.
pub mod guards;
pub mod mined;
pub mod negatives;
pub mod sampler;

// The model and how it learns.
mod batches;
pub mod distil;
pub mod encoder;
pub mod loss;
pub mod optim;
pub mod selftest;
pub mod speed;
pub mod step;

// The loop, and what outlives a step.
pub mod checkpoint;
pub mod error;
pub mod refresh;
pub mod rounds;
mod run;

// What a run says about itself, and whether its encoder is taken on.
pub mod diagnostics;
pub mod gate;
pub mod log;
pub mod report;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod testing;
