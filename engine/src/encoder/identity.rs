//! When do two encoders give the same vectors?
//!
//! When the blake3 hash over a plain-text description of everything that decides them is the same: weights,
//! tokenizer, architecture, pooling, normalisation, prompts, maximum length, dimension. The precision the CPU
//! computes in is not part of it: vectors of one identity agree up to rounding, within the bound that
//! [`super::precision`] enforces, on every machine and device.

use std::fmt::{Display, Write};

/// Collects the description.
pub(crate) struct Description {
    text: String,
}

impl Description {
    /// An empty description. The version changes when the same files begin to give other vectors.
    pub(crate) fn new() -> Self {
        Self {
            text: "askance encoder 1\n".into(),
        }
    }

    /// Adds one fact. Values are quoted, so that no value can look like another line.
    pub(crate) fn add(&mut self, key: &str, value: impl Display) -> &mut Self {
        writeln!(self.text, "{key} = {:?}", value.to_string())
            .expect("writing to a String cannot fail");
        self
    }

    /// The hash, hex.
    pub(crate) fn hash(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex().to_string()
    }
}
