//! Which passages answer, which are like this one, and why?

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use engine::report::SearchResponse;
use engine::request::{Mode, SearchRequest};
use schemars::JsonSchema;
use serde::Serialize;

use super::error::ApiError;
use super::params::{self, ExplainParams, SearchParams};
use super::state::{App, Loaded};
use crate::answer::{AnswerJson, TermJson};

/// A query string, pair by pair.
pub type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What each word of a query adds to a passage's BM25 score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Explanation")]
pub struct TermsJson {
    /// The words, the most telling first.
    pub terms: Vec<TermJson>,
}

/// `GET /api/v1/search`.
pub async fn get(State(app): State<Arc<App>>, pairs: Pairs) -> Result<Json<AnswerJson>, ApiError> {
    search(app, params::read(pairs?.0)?).await
}

/// `POST /api/v1/search`.
pub async fn post(
    State(app): State<Arc<App>>,
    body: Result<Json<SearchParams>, JsonRejection>,
) -> Result<Json<AnswerJson>, ApiError> {
    search(app, body?.0).await
}

/// `GET /api/v1/similar`.
pub async fn similar(
    State(app): State<Arc<App>>,
    pairs: Pairs,
) -> Result<Json<AnswerJson>, ApiError> {
    let params: SearchParams = params::read(pairs?.0)?;
    let Some(passage) = params.passage else {
        return Err(ApiError::bad(
            "passage is missing: the passage to find more like",
        ));
    };
    let request = params.request(&app.limits)?;
    let answer = app.run(move |app| {
        let (request, warnings) = fitting(app, request)?;
        let found = app
            .engine
            .similar(passage, &request)?
            .ok_or_else(ApiError::gone)?;
        Ok(answer("", &found, warnings))
    });
    answer.await.map(Json)
}

/// `GET /api/v1/explain`.
pub async fn explain(
    State(app): State<Arc<App>>,
    pairs: Pairs,
) -> Result<Json<TermsJson>, ApiError> {
    let params: ExplainParams = params::read(pairs?.0)?;
    let request = params.request(&app.limits)?;
    let terms = app.run(move |app| {
        let terms = app.engine.term_scores(&request, params.passage)?;
        let terms = terms.ok_or_else(ApiError::gone)?;
        Ok(TermsJson {
            terms: terms.iter().map(TermJson::from).collect(),
        })
    });
    terms.await.map(Json)
}

async fn search(app: Arc<App>, params: SearchParams) -> Result<Json<AnswerJson>, ApiError> {
    if params.passage.is_some() {
        return Err(ApiError::bad("passage belongs to /api/v1/similar"));
    }
    let request = params.request(&app.limits)?;
    let found = app.run(move |app| {
        let (request, warnings) = fitting(app, request)?;
        let found = app.engine.search(&request)?;
        Ok(answer(&request.query, &found, warnings))
    });
    found.await.map(Json)
}

/// The request in a mode that can run, with the reason where that is not the mode that was asked for.
fn fitting(
    app: &App,
    mut request: SearchRequest,
) -> Result<(SearchRequest, Vec<String>), ApiError> {
    if request.mode == Mode::Bm25 {
        return Ok((request, Vec::new()));
    }
    let reason = match app.encoder() {
        Loaded::Ready(_) => return Ok((request, Vec::new())),
        Loaded::Lacking(reason) => reason,
        Loaded::Loading(_) => {
            "searching by words only while the encoder is being loaded".to_owned()
        }
    };
    if request.mode == Mode::Dense {
        return Err(ApiError::new(StatusCode::CONFLICT, "no_encoder", reason));
    }
    request.mode = Mode::Bm25;
    Ok((request, vec![reason]))
}

fn answer(query: &str, found: &SearchResponse, mut warnings: Vec<String>) -> AnswerJson {
    // The engine says itself when the collection is empty; why words alone are searched matters only where there are any.
    if found.generation == 0 {
        warnings.clear();
    }
    warnings.extend(found.warnings.iter().cloned());
    AnswerJson::new(query, found, warnings)
}
