//! Which files could not be read? Published with each generation, so that readers need not open the records.

use std::fs;
use std::path::Path;

use storage::documents::DocumentStore;
use storage::generation::Generation;

use crate::error::EngineError;
use crate::report::FileFailure;

/// Name of the file in a generation's folder: one JSON object a line, as [`FileFailure`].
pub(crate) const FILE: &str = "failures.jsonl";

/// The file's content. Files that merely hold no text are no failures.
pub(crate) fn to_bytes(store: &DocumentStore) -> Result<Vec<u8>, EngineError> {
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
pub(crate) fn read(generation: &Generation) -> Result<Vec<FileFailure>, EngineError> {
    let path = generation.dir.join(FILE);
    let text = fs::read_to_string(&path).map_err(EngineError::io("read", &path))?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<FileFailure> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(FileFailure {
        path: Path::new(value["path"].as_str()?).to_owned(),
        reason: value["reason"].as_str()?.to_owned(),
    })
}
