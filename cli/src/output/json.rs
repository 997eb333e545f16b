//! How do results become JSON?

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use engine::report::FileFailure;

use crate::warn::{Warning, texts};

/// A path as text; bytes that are not UTF-8 become U+FFFD.
pub fn path(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}

/// Paths as text.
pub fn paths<'a>(paths: impl IntoIterator<Item = impl AsRef<Path> + 'a>) -> Value {
    paths.into_iter().map(|p| path(p.as_ref())).collect()
}

/// Files that could not be read: `[{"path", "reason"}]`.
pub fn failures(failures: &[FileFailure]) -> Value {
    failures
        .iter()
        .map(|f| json!({"path": path(&f.path), "reason": f.reason}))
        .collect()
}

/// Pairs in order as one object.
pub fn object<K: AsRef<str>, V: Serialize>(pairs: &[(K, V)]) -> Value {
    let entry = |(key, value): &(K, V)| (key.as_ref().to_owned(), json!(value));
    Value::Object(pairs.iter().map(entry).collect::<Map<_, _>>())
}

/// Warnings as their texts.
pub fn warnings(warnings: &[Warning]) -> Value {
    json!(texts(warnings))
}
