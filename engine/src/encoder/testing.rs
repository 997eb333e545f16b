//! How do tests search by vectors without a model?
//!
//! [`HashingEncoder`] needs no files: it hashes words into a few dimensions. It is for tests only. `load` never
//! returns it and no command reaches it, because vectors of this kind must not be taken for meaning.

use storage::Task;

use super::pooling::normalize;
use super::{Embeddings, EncodeError, Encoder, EncoderIdentity, Role};

/// Feature hashing of lower-cased words with signs (Weinberger et al. 2009), unit length. Texts that share words
/// have similar vectors; the same words in any order have the same.
#[derive(Debug, Clone)]
pub struct HashingEncoder {
    identity: EncoderIdentity,
}

impl HashingEncoder {
    /// An encoder of `dimension` numbers, at least 1. Two of the same dimension are the same encoder.
    pub fn new(dimension: usize) -> Self {
        assert!(dimension > 0, "a vector has at least one number");
        Self {
            identity: EncoderIdentity {
                hash: blake3::hash(format!("hashing {dimension}").as_bytes())
                    .to_hex()
                    .to_string(),
                name: format!("hashing-{dimension}"),
                family: "hashing".into(),
                dimension,
                max_tokens: 256,
            },
        }
    }

    /// Adds ±1 at the place each word hashes to.
    fn vector(&self, text: &str) -> Vec<f32> {
        let mut vector = vec![0.0; self.identity.dimension];
        for word in words(text).take(self.identity.max_tokens) {
            let hash = blake3::hash(word.to_lowercase().as_bytes());
            let bytes = hash.as_bytes();
            let place = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            let sign = if bytes[4] & 1 == 0 { 1.0 } else { -1.0 };
            vector[place % self.identity.dimension] += sign;
        }
        normalize(&mut vector);
        vector
    }
}

impl Encoder for HashingEncoder {
    fn identity(&self) -> &EncoderIdentity {
        &self.identity
    }

    fn encode(&self, texts: &[&str], _: Role, task: Task<'_>) -> Result<Embeddings, EncodeError> {
        task.check()?;
        Ok(Embeddings {
            dimension: self.identity.dimension,
            values: texts.iter().flat_map(|t| self.vector(t)).collect(),
        })
    }

    fn count_tokens(&self, text: &str) -> usize {
        words(text).count()
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
}
