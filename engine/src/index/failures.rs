//! Which files could not be read? Published with each generation, so that readers need not open the records.

use std::fs;
use std::path::Path;

use storage::StorageError;
use storage::documents::DocumentStore;
use storage::generation::{Generation, GenerationBuilder, Manifest};

use crate::error::EngineError;
use crate::report::FileFailure;

/// Name of the file in a generation's folder: one JSON object a line, as [`FileFailure`].
const FILE: &str = "failures.jsonl";
/// Key in [`Manifest::settings`] of the first 16 digits of the file's blake3.
const HASH: &str = "failures";

/// Writes the file of a generation in the making.
pub(crate) fn write(
    builder: &GenerationBuilder<'_>,
    store: &DocumentStore,
    manifest: &mut Manifest,
) -> Result<(), EngineError> {
    let bytes = to_bytes(store)?;
    manifest
        .settings
        .insert(HASH.to_owned(), hash(&bytes).into());
    Ok(builder.write(FILE, &bytes)?)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// The file's content. Files that merely hold no text are no failures.
fn to_bytes(store: &DocumentStore) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    for entry in store.failures() {
        let (path, record) = entry?;
        if !record.reason.is_empty() {
            let line = serde_json::json!({ "path": path, "reason": record.reason });
            bytes.extend_from_slice(line.to_string().as_bytes());
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

/// The failures of a generation, ordered by path.
///
/// # Errors
/// The file is missing or not what was written.
pub(crate) fn read(generation: &Generation) -> Result<Vec<FileFailure>, EngineError> {
    let path = generation.dir.join(FILE);
    let damaged = |detail: &str| StorageError::corrupt(&path, "lines", detail);
    let bytes = fs::read(&path).map_err(EngineError::io("read", &path))?;
    // Generations of an earlier version have no hash.
    if let Some(expected) = generation.manifest.settings.get(HASH)
        && *expected != hash(&bytes)
    {
        return Err(damaged("they do not fit the manifest's hash").into());
    }
    let text = String::from_utf8(bytes).map_err(|_| damaged("they are not text"))?;
    let lines = text.lines().map(parse);
    let failures: Option<Vec<_>> = lines.collect();
    Ok(failures.ok_or_else(|| damaged("one is no path with a reason"))?)
}

fn parse(line: &str) -> Option<FileFailure> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(FileFailure {
        path: Path::new(value["path"].as_str()?).to_owned(),
        reason: value["reason"].as_str()?.to_owned(),
    })
}
