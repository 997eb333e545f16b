//! Which encoder does a command work with?

use std::sync::Arc;

use anyhow::bail;
use engine::encoder::{Encoder, EncoderIdentity};
use engine::models::ModelStore;
use engine::request::Mode;
use engine::{Engine, EngineError};

use crate::warn::Warning;

/// An encoder, if the collection is to have vectors.
pub type Chosen = Option<Arc<dyn Encoder>>;

/// The encoder that new passages of a person's collection get: the one its vectors were made with; in an empty
/// collection the default one. A collection of words stays one until `model use` changes it.
///
/// # Errors
/// The collection's encoder is not on this computer, or an encoder cannot be loaded.
pub fn for_indexing(engine: &Engine, models: &ModelStore) -> anyhow::Result<Chosen> {
    match engine.identity() {
        Some(identity) => Ok(Some(with_identity(&identity, models)?)),
        None if engine.status()?.passages == 0 => default(models),
        None => Ok(None),
    }
}

/// The encoder for indexing ahead of a search by words: the one the vectors were made with, if there are any.
///
/// # Errors
/// It cannot be loaded.
pub fn for_words(engine: &Engine, models: &ModelStore) -> anyhow::Result<Chosen> {
    let entry = engine
        .identity()
        .map(|identity| models.with_hash(&identity.hash))
        .transpose()?
        .flatten();
    Ok(entry
        .map(|entry| models.open(&entry.identity.name))
        .transpose()?)
}

/// The default encoder.
///
/// # Errors
/// It cannot be loaded.
pub fn default(models: &ModelStore) -> anyhow::Result<Chosen> {
    let name = models.default_name()?;
    Ok(name.map(|name| models.open(&name)).transpose()?)
}

/// Gives `engine` the encoder that a search in `mode` needs. Without one, hybrid search becomes search by words, and the
/// warning says why.
///
/// # Errors
/// Dense search without vectors or without their encoder, or an encoder that cannot be loaded.
pub fn for_search(
    engine: &Engine,
    models: &ModelStore,
    mode: Mode,
) -> anyhow::Result<(Mode, Option<Warning>)> {
    if mode == Mode::Bm25 {
        return Ok((mode, None));
    }
    let lack = match engine.identity() {
        Some(identity) => match models.with_hash(&identity.hash)? {
            Some(entry) => {
                engine.set_encoder(models.open(&entry.identity.name)?)?;
                return Ok((mode, None));
            }
            None if mode == Mode::Dense => {
                return Err(EngineError::EncoderNeeded {
                    name: identity.name,
                }
                .into());
            }
            None => Warning::EncoderMissing {
                name: identity.name,
            },
        },
        None if mode == Mode::Dense => bail!(EngineError::NoVectors),
        None => without_vectors(models)?,
    };
    Ok((Mode::Bm25, Some(lack)))
}

/// Why a collection without vectors is searched by words, and what to do about it.
///
/// # Errors
/// The encoders on this computer cannot be listed.
pub fn without_vectors(models: &ModelStore) -> anyhow::Result<Warning> {
    let usable = match models.default_name()? {
        Some(name) => Some(name),
        None => models
            .list()?
            .into_iter()
            .next()
            .map(|entry| entry.identity.name),
    };
    Ok(usable.map_or(Warning::NoEncoder, |model| Warning::NoVectors { model }))
}

/// The encoder with this identity, under whatever name it was added.
///
/// # Errors
/// It is not on this computer, or cannot be loaded.
pub fn with_identity(
    identity: &EncoderIdentity,
    models: &ModelStore,
) -> anyhow::Result<Arc<dyn Encoder>> {
    match models.with_hash(&identity.hash)? {
        Some(entry) => Ok(models.open(&entry.identity.name)?),
        None => bail!(EngineError::EncoderNeeded {
            name: identity.name.clone()
        }),
    }
}
