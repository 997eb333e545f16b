//! What goes on right now, and how does the page hear of it?

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ApiError;
use super::state::{App, Loaded};
use crate::live;

/// Time between two signs of life; shorter than the time a silent connection has.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What goes on right now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Live")]
pub struct LiveJson {
    /// Generation that answers searches; 0 is an empty collection.
    pub generation: u64,
    /// How far the encoder is.
    pub encoder: EncoderState,
    /// How far the work is that some process does on the collection; null if none does.
    pub progress: Option<live::Report>,
    /// Why the newest generation cannot be opened; null if it can.
    pub trouble: Option<String>,
}

/// How far the encoder is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EncoderState {
    /// "loading", "ready", or "lacking": then search is by words.
    pub state: String,
    /// Its name, once known.
    pub name: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

impl From<&Loaded> for EncoderState {
    fn from(loaded: &Loaded) -> Self {
        let (state, name, reason) = match loaded {
            Loaded::Loading(name) => ("loading", Some(name.clone()), None),
            Loaded::Ready(encoder) => ("ready", Some(encoder.identity().name.clone()), None),
            Loaded::Lacking(reason) => ("lacking", None, Some(reason.clone())),
        };
        Self {
            state: state.to_owned(),
            name: name.filter(|name| !name.is_empty()),
            reason,
        }
    }
}

/// `GET /api/v1/events`: what goes on, at once and whenever it changes, as server-sent events of the type `live`.
pub async fn stream(
    State(app): State<Arc<App>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let Ok(slot) = app.streams.clone().try_acquire_owned() else {
        let message = "too many pages listen already; close some";
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            message,
        ));
    };
    let (out, events) = mpsc::channel(4);
    tokio::spawn(async move {
        let _slot = slot;
        let mut news = app.watch();
        news.mark_changed();
        loop {
            tokio::select! {
                () = app.stopped() => return,
                () = out.closed() => return,
                changed = news.changed() => if changed.is_err() { return },
            }
            let live = news.borrow_and_update().clone();
            // Numbers and text: there is nothing in it that JSON could not hold.
            let Ok(event) = Event::default().event("live").json_data(live) else {
                return;
            };
            if out.send(Ok(event)).await.is_err() {
                return;
            }
        }
    });
    let alive = KeepAlive::new().interval(HEARTBEAT);
    Ok(Sse::new(ReceiverStream::new(events)).keep_alive(alive))
}
