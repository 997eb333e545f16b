//! Are these the vectors of this encoder?

use storage::generation::EncoderStamp;

use crate::encoder::EncoderIdentity;
use crate::error::EngineError;

/// What a manifest remembers of an encoder.
pub(super) fn stamp_of(identity: &EncoderIdentity) -> EncoderStamp {
    EncoderStamp {
        hash: identity.hash.clone(),
        name: identity.name.clone(),
        family: identity.family.clone(),
        dimension: identity.dimension,
        max_tokens: identity.max_tokens,
    }
}

/// Refuses an encoder other than the one the collection's vectors were made with.
pub(crate) fn check_identity(
    stamp: &EncoderStamp,
    found: &EncoderIdentity,
) -> Result<(), EngineError> {
    if stamp.hash == found.hash {
        return Ok(());
    }
    let (expected, found) = (Box::new(identity_of(stamp)), Box::new(found.clone()));
    Err(EngineError::EncoderMismatch { expected, found })
}

/// The identity a manifest remembers.
pub(crate) fn identity_of(stamp: &EncoderStamp) -> EncoderIdentity {
    EncoderIdentity {
        hash: stamp.hash.clone(),
        name: stamp.name.clone(),
        family: stamp.family.clone(),
        dimension: stamp.dimension,
        max_tokens: stamp.max_tokens,
    }
}
