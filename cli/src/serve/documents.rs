//! What does this document say, and which documents are there?
//!
//! A client names passages, never paths: a path is only ever taken from the index. Text comes from the index too; the one
//! file that is read is a Markdown file to render, and only if its bytes are those that were indexed.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use engine::browse::Origin;
use engine::request::SearchRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::markdown::{self, Node};
use super::params::{self, ListParams, ViewParams};
use super::search::Pairs;
use super::state::App;
use crate::answer::{DocumentJson, DocumentsJson, path_text};

/// Files that some systems run when they are opened: their folder is opened in their place.
const PROGRAMS: [&str; 34] = [
    "app", "appimage", "bat", "cmd", "com", "command", "cpl", "desktop", "exe", "hta", "inf",
    "jar", "js", "jse", "lnk", "msi", "msc", "pif", "ps1", "py", "pyw", "reg", "run", "scf", "scr",
    "sh", "terminal", "url", "vb", "vbe", "vbs", "webloc", "ws", "wsf",
];

/// The number of a passage in an address.
pub type Named = Result<UrlPath<u32>, PathRejection>;

/// A Markdown file, rendered.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Rendered")]
pub struct RenderedJson {
    /// The file.
    pub path: String,
    /// Its blocks: text, and elements that hold no markup of the file's own.
    pub nodes: Vec<Node>,
}

/// What to open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The file in its program.
    #[default]
    File,
    /// The folder it lies in.
    Folder,
}

/// What to open.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Open")]
pub struct OpenParams {
    /// "file" (default) or "folder".
    pub what: What,
}

/// What was opened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Opened")]
pub struct OpenedJson {
    /// The file or folder.
    pub opened: String,
}

/// `GET /api/v1/documents`.
pub async fn list(
    State(app): State<Arc<App>>,
    pairs: Pairs,
) -> Result<Json<DocumentsJson>, ApiError> {
    let params: ListParams = params::read(pairs?.0)?;
    let (filter, order, limit) = params.request(&app.limits)?;
    let list = app.run(move |app| Ok(app.engine.documents(&filter, order, params.skip, limit)?));
    Ok(Json(DocumentsJson::from(&list.await?)))
}

/// `GET /api/v1/documents/{passage}`.
pub async fn view(
    State(app): State<Arc<App>>,
    passage: Named,
    pairs: Pairs,
) -> Result<Json<DocumentJson>, ApiError> {
    let passage = passage?.0;
    let params: ViewParams = params::read(pairs?.0)?;
    let (around, request) = params.request(&app.limits)?;
    let view = app.run(move |app| show(app, passage, around, request.as_ref()));
    view.await.map(Json)
}

fn show(
    app: &App,
    passage: u32,
    around: usize,
    request: Option<&SearchRequest>,
) -> Result<DocumentJson, ApiError> {
    let engine = &app.engine;
    let here = engine.passage(passage)?.ok_or_else(ApiError::gone)?;
    let at = engine
        .place_in_document(passage)?
        .ok_or_else(ApiError::gone)?;
    let first = at.saturating_sub(around);
    let document = engine.document(&here.path, first..at + around + 1)?;
    let document = document.ok_or_else(ApiError::gone)?;
    let ids: Vec<u32> = document.passages.iter().map(|one| one.passage).collect();
    // A newer generation may have come between two of these calls.
    if !ids.contains(&passage) {
        return Err(ApiError::gone());
    }
    let origin = engine.origin(passage)?;
    let marks = request.map(|request| engine.highlights(request, &ids));
    let marks = marks.transpose()?.unwrap_or_default();
    Ok(DocumentJson::new(&document, first, origin.as_ref(), &marks))
}

/// `GET /api/v1/documents/{passage}/markdown`.
pub async fn rendered(
    State(app): State<Arc<App>>,
    passage: Named,
) -> Result<Json<RenderedJson>, ApiError> {
    let passage = passage?.0;
    let rendered = app.run(move |app| {
        let origin = app.engine.origin(passage)?.ok_or_else(ApiError::gone)?;
        if origin.kind != "markdown" {
            let message = format!("{} is no Markdown", path_text(&origin.path));
            return Err(ApiError::new(StatusCode::CONFLICT, "not_markdown", message));
        }
        let text = unchanged(&origin, app.limits.markdown)?;
        Ok(RenderedJson {
            path: path_text(&origin.path),
            nodes: markdown::render(&text),
        })
    });
    rendered.await.map(Json)
}

/// The text of the file, if its bytes are those that were indexed: whatever lies at its path by now, nothing else is read
/// out to a client.
fn unchanged(origin: &Origin, most: u64) -> Result<String, ApiError> {
    let refused = |code, what: &str| {
        let message = format!("{} {what}", path_text(&origin.path));
        ApiError::new(StatusCode::CONFLICT, code, message)
    };
    if origin.size > most {
        return Err(refused("too_large", "is too large to render"));
    }
    let changed = || refused("changed", "changed since it was indexed");
    let mut bytes = Vec::new();
    let file = File::open(&origin.path).map_err(|_| changed())?;
    // A pipe or a device would make the read wait for ever.
    let is_file = file.metadata().is_ok_and(|meta| meta.is_file());
    let read = is_file && file.take(origin.size + 1).read_to_end(&mut bytes).is_ok();
    if !read || *blake3::hash(&bytes).as_bytes() != origin.content_hash {
        return Err(changed());
    }
    String::from_utf8(bytes).map_err(|_| refused("encoding", "is not UTF-8"))
}

/// `POST /api/v1/documents/{passage}/open`.
pub async fn open(
    State(app): State<Arc<App>>,
    passage: Named,
    body: Result<Json<OpenParams>, JsonRejection>,
) -> Result<Json<OpenedJson>, ApiError> {
    let (passage, what) = (passage?.0, body?.0.what);
    if !app.guard.is_local() {
        let message = "files are opened only where the server listens on this computer alone";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not_local", message));
    }
    let opened = app.run(move |app| {
        let here = app.engine.passage(passage)?.ok_or_else(ApiError::gone)?;
        let target = target(&here.path, what)?;
        let failed = |error| ApiError::failed(format!("no program could be started: {error}"));
        (app.opener)(target).map_err(failed)?;
        let opened = path_text(target);
        Ok(OpenedJson { opened })
    });
    opened.await.map(Json)
}

/// The file or the folder to open; never a program.
fn target(file: &Path, what: What) -> Result<&Path, ApiError> {
    if !file.exists() {
        let message = format!("{} is not there any more", path_text(file));
        return Err(ApiError::new(StatusCode::NOT_FOUND, "gone", message));
    }
    let extension = file.extension().unwrap_or_default();
    let extension = extension.to_string_lossy().to_ascii_lowercase();
    let is_program = PROGRAMS.contains(&extension.as_str()) || is_executable(file);
    match what {
        What::File if !is_program => Ok(file),
        _ => Ok(file.parent().unwrap_or(file)),
    }
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map(|meta| meta.permissions().mode());
    mode.is_ok_and(|mode| mode & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    false
}
