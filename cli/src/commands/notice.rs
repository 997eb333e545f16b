//! Was this said about this collection before?

use std::fs;
use std::path::Path;

/// Whether `topic` is said about `collection` for the first time; from then on it is not. Where that cannot be remembered
/// it is said again, which does no harm.
pub fn is_first(state: &Path, topic: &str, collection: &Path) -> bool {
    let hash = blake3::hash(collection.as_os_str().as_encoded_bytes()).to_hex();
    let marker = state.join("said").join(format!("{topic}-{}", &hash[..32]));
    if marker.exists() {
        return false;
    }
    let written = fs::create_dir_all(state.join("said")).and_then(|()| fs::write(&marker, b""));
    // An unwritable state folder shows itself by the repeated notice.
    let _ = written;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_said_once_per_collection() {
        let state = tempfile::tempdir().expect("a temporary folder");
        let first = |topic, collection| is_first(state.path(), topic, Path::new(collection));
        assert!(first("no-encoder", "/a"));
        assert!(!first("no-encoder", "/a"));
        assert!(first("no-encoder", "/b"));
        assert!(first("other", "/a"));
    }
}
