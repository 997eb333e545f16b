//! How do examples become a better encoder?
//!
//! The modules stand in the order the data flows. burn is named here and nowhere else.

// Where training runs.
pub mod device;
pub mod selftest;

// The model and how it learns.
pub mod encoder;
pub mod loss;
pub mod optim;
pub mod step;

// What outlives the process.
pub mod checkpoint;

#[cfg(test)]
mod testing;
