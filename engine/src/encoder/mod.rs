//! What vector stands for this text?
//!
//! [`load`] opens a model folder and gives an [`Encoder`] that runs on the CPU. Text goes downward through the
//! modules: `tokenizer` to ids, `bert` or `static_table` to token vectors, `pooling` and `dense` to one vector;
//! `cpu` spreads batches over the cores.

// What a model folder says.
pub mod config;
mod error;
mod identity;
mod weights;

// Text to vectors.
mod bert;
mod cpu;
mod dense;
mod gist;
mod kernels;
mod linear;
mod load;
mod pooling;
mod precision;
mod ready;
mod static_table;
mod tokenizer;

// The same, taken apart for training.
pub mod blueprint;

// For the tests of this and other crates.
pub mod testing;

#[cfg(test)]
mod tests;

use storage::Task;

pub use error::ModelError;
pub use linear::Precision;
#[cfg(feature = "builtin")]
pub(crate) use load::embedded;
pub use load::{LoadOptions, load};
pub use precision::{
    COSINE_BOUND, MeasureError, PrecisionReport, cpu_features, fastest, measure_precisions,
};

/// Which side of the search a text is on; encoders with prompts treat the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What a person typed.
    Query,
    /// What a document says.
    Passage,
}

/// Everything that decides an encoder's vectors. Two encoders with the same `hash` give the same vectors.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct EncoderIdentity {
    /// blake3, hex, over weights, tokenizer, pooling, normalisation, prompts, maximum length and dimension.
    pub hash: String,
    /// The name people use for it. Not part of the hash.
    pub name: String,
    /// "bert" or "static".
    pub family: String,
    /// Length of a vector.
    pub dimension: usize,
    /// Longest input in tokens, special tokens included; longer texts are cut.
    pub max_tokens: usize,
}

/// Vectors of a batch of texts: `values` is (n, `dimension`) row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// Length of a row.
    pub dimension: usize,
    /// n × dimension numbers.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// The vectors one by one, each of `dimension` numbers.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimension)
    }
}

/// Turns text into vectors. Implemented here on the CPU and by `trainer` on a GPU.
pub trait Encoder: Send + Sync {
    /// What decides the vectors; stored with everything made from them.
    fn identity(&self) -> &EncoderIdentity;

    /// Encodes `texts` in order. Texts longer than the maximum are cut, empty texts give a defined vector.
    ///
    /// # Errors
    /// The caller's cancel flag, or a device failure. Never the content of a text.
    fn encode(&self, texts: &[&str], role: Role, task: Task<'_>)
    -> Result<Embeddings, EncodeError>;

    /// Number of tokens `text` takes, special tokens left out, without cutting.
    fn count_tokens(&self, text: &str) -> usize;

    /// How near each of `texts` seems to `query`, from -1 to 1, at a small part of the cost of encoding them: enough to
    /// choose what to encode. None where there is no cheaper way, or no need of one.
    fn skim(&self, _query: &str, _texts: &[&str]) -> Option<Vec<f32>> {
        None
    }

    /// What computes: "cpu", or the name of a GPU. Every answer names it.
    fn device(&self) -> &str {
        "cpu"
    }

    /// The numbers it multiplies: "f32", "bf16", "int8"; none if it multiplies nothing. Every answer names it.
    fn precision(&self) -> Option<&'static str> {
        None
    }
}

/// Encoding failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] storage::Cancelled),
    /// The device the encoder runs on failed.
    #[error("encoder {name}: {detail}")]
    Device {
        /// Name of the encoder.
        name: String,
        /// The device's answer.
        detail: String,
    },
    /// The tokenizer refused a text. Opening a model checks that it does not happen.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
}
