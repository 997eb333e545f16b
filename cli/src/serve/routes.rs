//! Which address leads to which handler?

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::page::{self, Asset};
use super::state::App;
use super::{Limits, documents, embeddings, events, guard, openapi, search, status};

type Handler = MethodRouter<Arc<App>>;

/// Addresses of the API with their handlers; the OpenAPI document describes each.
pub fn api(limits: &Limits) -> Vec<(&'static str, Handler)> {
    let usual = |handler: Handler| within(handler, limits.request, limits.body);
    let texts = |handler| within(handler, limits.embeddings, limits.embeddings_body);
    vec![
        ("/api/v1/search", usual(get(search::get).post(search::post))),
        ("/api/v1/similar", usual(get(search::similar))),
        ("/api/v1/explain", usual(get(search::explain))),
        ("/api/v1/documents", usual(get(documents::list))),
        ("/api/v1/documents/{passage}", usual(get(documents::view))),
        (
            "/api/v1/documents/{passage}/markdown",
            usual(get(documents::rendered)),
        ),
        (
            "/api/v1/documents/{passage}/open",
            usual(post(documents::open)),
        ),
        ("/api/v1/status", usual(get(status::get))),
        // Streams last as long as the page is open.
        ("/api/v1/events", get(events::stream)),
        ("/api/v1/openapi.json", usual(get(openapi::get))),
        ("/v1/embeddings", texts(post(embeddings::post))),
        ("/v1/models", usual(get(embeddings::models))),
    ]
}

fn within(handler: Handler, time: Duration, body: usize) -> Handler {
    handler
        .layer::<_, Infallible>(middleware::from_fn(move |request, next| {
            in_time(time, request, next)
        }))
        .layer(DefaultBodyLimit::max(body))
}

async fn in_time(time: Duration, request: Request, next: Next) -> Response {
    let late = |_| {
        let message = "the request took too long";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", message).into_response()
    };
    let answer = tokio::time::timeout(time, next.run(request)).await;
    answer.unwrap_or_else(late)
}

/// All addresses, behind the guard.
pub fn router(app: Arc<App>) -> Router {
    let router = api(&app.limits)
        .into_iter()
        .fold(Router::new(), |router, (path, handler)| {
            let handler = handler.fallback(wrong_method);
            router.route(path, handler)
        });
    let file = |asset: Asset| get(move |headers: HeaderMap| async move { asset.answer(&headers) });
    page::FILES
        .into_iter()
        .fold(router, |router, (path, asset)| {
            router.route(path, file(asset))
        })
        .fallback(nowhere)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::failed("the request made askance fail; this is a defect, please report it")
        .into_response()
}

async fn nowhere() -> impl IntoResponse {
    let message = "there is nothing here; /api/v1/openapi.json lists what there is";
    ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
}

async fn wrong_method() -> impl IntoResponse {
    let message =
        "this address does not take that method; /api/v1/openapi.json lists what there is";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
