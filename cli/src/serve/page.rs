//! Which files make up the page?
//!
//! A few, inside this program: nothing is built, nothing is fetched from elsewhere. They are asked for anew each time and
//! answered by their hash, so that a newer askance shows its own page at once.

use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

/// A file of the page: media type and content.
#[derive(Clone, Copy)]
pub struct Asset(&'static str, &'static str);

const INDEX: Asset = Asset("text/html; charset=utf-8", include_str!("page/index.html"));
const STYLE: Asset = Asset("text/css; charset=utf-8", include_str!("page/style.css"));
const ICON: Asset = Asset("image/svg+xml", include_str!("page/icon.svg"));
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file with its address.
pub const FILES: [(&str, Asset); 8] = [
    ("/", INDEX),
    ("/style.css", STYLE),
    ("/icon.svg", ICON),
    ("/app.js", Asset(SCRIPT, include_str!("page/app.js"))),
    ("/dom.js", Asset(SCRIPT, include_str!("page/dom.js"))),
    ("/keys.js", Asset(SCRIPT, include_str!("page/keys.js"))),
    (
        "/preview.js",
        Asset(SCRIPT, include_str!("page/preview.js")),
    ),
    ("/status.js", Asset(SCRIPT, include_str!("page/status.js"))),
];

impl Asset {
    /// The file, or 304 where the browser has it.
    pub fn answer(self, headers: &HeaderMap) -> Response {
        let Self(media, content) = self;
        let tag = format!("\"{}\"", &blake3::hash(content.as_bytes()).to_hex()[..32]);
        let known = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|given| *given == tag);
        let mut response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, media)], content).into_response()
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Hexadecimal digits in quotes.
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }
}
