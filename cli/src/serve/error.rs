//! What does a client hear when its request cannot be answered?

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use schemars::JsonSchema;
use serde::Serialize;

/// Why a request was refused or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// `{"error": {...}}`, in the shape that clients of OpenAI's API understand too.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Failed")]
pub struct ErrorJson {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub struct ErrorBody {
    /// One word for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Whose fault it is: "invalid_request_error" or "server_error".
    #[serde(rename = "type")]
    pub kind: String,
}

impl ApiError {
    /// An answer of `status`, with a word for programs and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// 400: the request does not make sense.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 404: the passage is not in the generation that is current now.
    pub fn gone() -> Self {
        let message = "this passage is no longer there: its document changed or was removed since; search again";
        Self::new(StatusCode::NOT_FOUND, "gone", message)
    }

    /// 500: not the client's fault.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = if self.status.is_server_error() {
            "server_error"
        } else {
            "invalid_request_error"
        };
        let body = ErrorJson {
            error: ErrorBody {
                code: self.code.to_owned(),
                message: self.message,
                kind: kind.to_owned(),
            },
        };
        (self.status, Json(body)).into_response()
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Filter(_) | EngineError::TooLarge { .. } => Self::bad(message),
            EngineError::NoVectors | EngineError::EncoderNeeded { .. } => {
                Self::new(StatusCode::CONFLICT, "no_encoder", message)
            }
            _ => Self::failed(message),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
            _ => "bad_request",
        };
        Self::new(rejection.status(), code, rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad(rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::bad(rejection.body_text())
    }
}
