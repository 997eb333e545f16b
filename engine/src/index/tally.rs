//! How much is in the collection? Counted as documents come and go, kept in the manifest.

use std::collections::BTreeMap;
use std::path::Path;

use storage::documents::DocumentRecord;
use storage::generation::Manifest;

/// Key of the counts by extension in [`Manifest::settings`].
const EXTENSIONS: &str = "extensions";

/// Documents, passages and text of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub documents: u64,
    pub passages: u64,
    pub text_bytes: u64,
    /// Documents by lower-case file name extension, "" for none.
    pub extensions: BTreeMap<String, u64>,
}

impl Tally {
    /// The counts a manifest holds.
    pub(crate) fn read(manifest: &Manifest) -> Self {
        let extensions = manifest
            .settings
            .get(EXTENSIONS)
            .cloned()
            .unwrap_or_default();
        Self {
            documents: manifest.documents,
            passages: manifest.live,
            text_bytes: manifest.text_bytes,
            extensions: serde_json::from_value(extensions).unwrap_or_default(),
        }
    }

    /// Puts the counts into a manifest.
    pub(crate) fn write(&self, manifest: &mut Manifest) {
        manifest.documents = self.documents;
        manifest.live = self.passages;
        manifest.text_bytes = self.text_bytes;
        manifest
            .settings
            .insert(EXTENSIONS.to_owned(), serde_json::json!(self.extensions));
    }

    /// A document came.
    pub(crate) fn add(&mut self, record: &DocumentRecord) {
        self.documents += 1;
        self.passages += record.passages.len() as u64;
        self.text_bytes += text_bytes(record);
        *self.extensions.entry(extension(record)).or_default() += 1;
    }

    /// A document went.
    pub(crate) fn subtract(&mut self, record: &DocumentRecord) {
        self.documents = self.documents.saturating_sub(1);
        self.passages = self.passages.saturating_sub(record.passages.len() as u64);
        self.text_bytes = self.text_bytes.saturating_sub(text_bytes(record));
        if let Some(count) = self.extensions.get_mut(&extension(record)) {
            *count = count.saturating_sub(1);
        }
        self.extensions.retain(|_, count| *count > 0);
    }
}

fn text_bytes(record: &DocumentRecord) -> u64 {
    record
        .passages
        .iter()
        .map(|passage| u64::from(passage.bytes))
        .sum()
}

fn extension(record: &DocumentRecord) -> String {
    let extension = Path::new(&record.path).extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}
