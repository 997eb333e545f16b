//! What is served here, and how is it?

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::error::ApiError;
use super::events::LiveJson;
use super::state::{App, Loaded};
use crate::answer::CollectionJson;

/// Device that encodes on this server.
const DEVICE: &str = "cpu";

/// The server and its collection.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub struct StatusJson {
    /// Version of askance.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Whether files can be opened in the system's own programs from the page.
    pub can_open: bool,
    /// What the collection holds.
    pub collection: CollectionJson,
    /// Files that could not be read, those that are not named included.
    pub failures_total: usize,
    /// What goes on right now.
    pub live: LiveJson,
}

/// `GET /api/v1/status`.
pub async fn get(State(app): State<Arc<App>>) -> Result<Json<StatusJson>, ApiError> {
    let status = app.run(|app| {
        let mut status = app.engine.status()?;
        let failures_total = status.failures.len();
        status.failures.truncate(app.limits.failures);
        Ok(StatusJson {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: app.started.elapsed().as_secs(),
            can_open: app.guard.is_local(),
            collection: CollectionJson::new(&status, DEVICE, precision(app), Vec::new()),
            failures_total,
            live: app.live(),
        })
    });
    status.await.map(Json)
}

/// Numbers the encoder runs in, once it is loaded.
fn precision(app: &App) -> Option<&'static str> {
    match app.encoder() {
        Loaded::Ready(encoder) => encoder.precision(),
        _ => None,
    }
}
