//! Which vectors stand for these texts? In the words of OpenAI's API, so that its clients work here.
//!
//! <https://platform.openai.com/docs/api-reference/embeddings>. The encoder is the collection's, or the default one where
//! the collection has none. `role` is an extension: encoders with prompts treat queries and passages differently.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use engine::encoder::{Encoder, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use storage::Task;

use super::error::ApiError;
use super::state::{App, Loaded};
use crate::commands::encoders;

/// A request for embeddings. Fields that mean nothing here (`user`) are accepted.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "EmbeddingsRequest")]
pub struct EmbeddingsParams {
    /// One text, or up to 256.
    pub input: Input,
    /// Name of the encoder; absent means the one that is served.
    pub model: Option<String>,
    /// How vectors are written: "float" (default) or "base64" of little-endian float32.
    #[serde(default)]
    pub encoding_format: Format,
    /// Length of a vector; only the encoder's own.
    pub dimensions: Option<usize>,
    /// Whether texts are passages (default) or queries.
    #[serde(default)]
    pub role: RoleParam,
}

/// Texts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Input {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EmbeddingFormat")]
pub enum Format {
    /// As numbers.
    #[default]
    Float,
    /// As bytes.
    Base64,
}

/// Which side of a search a text is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Role")]
pub enum RoleParam {
    /// What a document says.
    #[default]
    Passage,
    /// What a person typed.
    Query,
}

/// Embeddings of the texts, in order.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Embeddings")]
pub struct EmbeddingsJson {
    /// "list".
    pub object: String,
    /// One a text.
    pub data: Vec<EmbeddingJson>,
    /// Name of the encoder.
    pub model: String,
    /// Tokens read.
    pub usage: UsageJson,
}

/// One embedding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Embedding")]
pub struct EmbeddingJson {
    /// "embedding".
    pub object: String,
    /// Place of the text, from 0.
    pub index: usize,
    /// The vector.
    pub embedding: Vector,
}

/// A vector.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    /// As numbers.
    Float(Vec<f32>),
    /// As base64 of little-endian float32.
    Base64(String),
}

/// Tokens read.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Usage")]
pub struct UsageJson {
    /// Of the texts.
    pub prompt_tokens: usize,
    /// The same.
    pub total_tokens: usize,
}

/// The encoders that may be named.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Models")]
pub struct ModelsJson {
    /// "list".
    pub object: String,
    /// The one that is served, if there is one.
    pub data: Vec<ModelJson>,
}

/// An encoder.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Model")]
pub struct ModelJson {
    /// Its name.
    pub id: String,
    /// "model".
    pub object: String,
    /// Not known here: 0.
    pub created: u64,
    /// "askance".
    pub owned_by: String,
}

/// `GET /v1/models`.
pub async fn models(State(app): State<Arc<App>>) -> Result<Json<ModelsJson>, ApiError> {
    let models = app.run(|app| {
        let name = match app.engine.identity() {
            Some(identity) => Some(identity.name),
            None => app
                .models
                .default_name()
                .map_err(|e| ApiError::failed(e.to_string()))?,
        };
        let model = |id| ModelJson {
            id,
            object: "model".into(),
            created: 0,
            owned_by: "askance".into(),
        };
        Ok(ModelsJson {
            object: "list".into(),
            data: name.into_iter().map(model).collect(),
        })
    });
    models.await.map(Json)
}

/// `POST /v1/embeddings`.
pub async fn post(
    State(app): State<Arc<App>>,
    body: Result<Json<EmbeddingsParams>, JsonRejection>,
) -> Result<Json<EmbeddingsJson>, ApiError> {
    let params = body?.0;
    let texts = texts(&params.input, app.limits.inputs)?;
    // Raised when the client goes away: this future is dropped then.
    let cancel = Cancel::default();
    let flag = cancel.0.clone();
    let made = app.run(move |app| {
        let encoder = encoder(app)?;
        check(&params, encoder.as_ref())?;
        let role = match params.role {
            RoleParam::Passage => Role::Passage,
            RoleParam::Query => Role::Query,
        };
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let task = Task::new(&|_| {}, &flag);
        let rows = encoder.encode(&views, role, task);
        let rows = rows.map_err(|error| ApiError::failed(error.to_string()))?;
        let tokens = views.iter().map(|text| encoder.count_tokens(text)).sum();
        let data = rows.rows().enumerate().map(|(index, row)| EmbeddingJson {
            object: "embedding".into(),
            index,
            embedding: Vector::new(row, params.encoding_format),
        });
        Ok(EmbeddingsJson {
            object: "list".into(),
            data: data.collect(),
            model: encoder.identity().name.clone(),
            usage: UsageJson {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        })
    });
    made.await.map(Json)
}

#[derive(Default)]
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn texts(input: &Input, most: usize) -> Result<Vec<String>, ApiError> {
    let texts = match input {
        Input::One(text) => vec![text.clone()],
        Input::Many(texts) => texts.clone(),
    };
    match texts.len() {
        0 => Err(ApiError::bad("input holds no text")),
        n if n > most => Err(ApiError::bad(format!(
            "input holds {n} texts; it may hold {most}"
        ))),
        _ => Ok(texts),
    }
}

/// The encoder of the collection, or the default one where it has none.
fn encoder(app: &App) -> Result<Arc<dyn Encoder>, ApiError> {
    let conflict = |reason| ApiError::new(StatusCode::CONFLICT, "no_encoder", reason);
    match app.encoder() {
        Loaded::Ready(encoder) => return Ok(encoder),
        Loaded::Loading(_) => {
            let message = "the encoder is being loaded; try again in a moment";
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "loading",
                message,
            ));
        }
        Loaded::Lacking(reason) if app.engine.identity().is_some() => return Err(conflict(reason)),
        Loaded::Lacking(_) => {}
    }
    let mut spare = app.spare();
    if let Some(encoder) = &*spare {
        return Ok(encoder.clone());
    }
    let none = "there is no encoder on this computer; add one with `askance model add FOLDER`";
    let loaded =
        encoders::default(&app.models).map_err(|e| ApiError::failed(crate::io::sentence(&e)))?;
    let encoder = loaded.ok_or_else(|| conflict(none.to_owned()))?;
    *spare = Some(encoder.clone());
    Ok(encoder)
}

fn check(params: &EmbeddingsParams, encoder: &dyn Encoder) -> Result<(), ApiError> {
    let identity = encoder.identity();
    if let Some(model) = params
        .model
        .as_ref()
        .filter(|model| **model != identity.name)
    {
        let message = format!(
            "there is no model {model:?} here; the encoder is {:?}",
            identity.name
        );
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "model_not_found",
            message,
        ));
    }
    match params.dimensions.filter(|&n| n != identity.dimension) {
        Some(n) => Err(ApiError::bad(format!(
            "dimensions is {n}; vectors of {} have {}",
            identity.name, identity.dimension
        ))),
        None => Ok(()),
    }
}

impl Vector {
    fn new(row: &[f32], format: Format) -> Self {
        match format {
            Format::Float => Self::Float(row.to_vec()),
            Format::Base64 => {
                let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
                Self::Base64(base64(&bytes))
            }
        }
    }
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // The examples of RFC 4648, section 10.
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(
            Vector::new(&[1.0], Format::Base64),
            Vector::Base64("AACAPw==".into())
        );
    }
}
