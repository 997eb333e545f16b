//! How do results become JSON?

use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use engine::report::FileFailure;

use crate::answer::{self, path_text};
use crate::warn::{Warning, texts};

/// A path as text; bytes that are not UTF-8 become U+FFFD.
pub fn path(path: &Path) -> Value {
    Value::String(path_text(path))
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
    Value::Object(answer::object(pairs))
}

/// Warnings as their texts.
pub fn warnings(warnings: &[Warning]) -> Value {
    json!(texts(warnings))
}
