//! Which encoder is part of the program?
//!
//! A table of token vectors made by `recipes/builtin.sh`, in the folder `engine/builtin` as any other model would be; its
//! card is `engine/builtin/MODEL.md`. It is read in place: nothing is unpacked but for training, which reads a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::write_synced;
use super::{DESCRIPTOR, ModelEntry, ModelStoreError, Unfinished};
use crate::encoder::{Encoder, EncoderIdentity, ModelError, embedded};

/// Its name.
pub(super) const NAME: &str = "glance";

const TOKENIZER: &[u8] = include_bytes!("../../builtin/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../../builtin/model.safetensors");

/// Its files.
const FILES: [(&str, &[u8]); 5] = [
    ("config.json", include_bytes!("../../builtin/config.json")),
    ("tokenizer.json", TOKENIZER),
    ("model.safetensors", WEIGHTS),
    ("MODEL.md", include_bytes!("../../builtin/MODEL.md")),
    (DESCRIPTOR, IDENTITY),
];

/// What [`load`] finds, so that the encoder need not be opened to be listed.
const IDENTITY: &[u8] = include_bytes!("../../builtin/askance.json");

/// The encoder as the store `models` lists it.
pub(super) fn entry(models: &Path) -> ModelEntry {
    let identity: EncoderIdentity =
        serde_json::from_slice(IDENTITY).expect("a file of the program, which a test reads");
    ModelEntry {
        path: folder(models, &identity),
        bytes: FILES.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        identity,
        is_builtin: true,
    }
}

/// Opens it.
pub(super) fn load() -> Result<Arc<dyn Encoder>, ModelError> {
    embedded(NAME, TOKENIZER, WEIGHTS)
}

/// Where it is unpacked to; a program with another one has another place.
fn folder(models: &Path, identity: &EncoderIdentity) -> PathBuf {
    models.join(format!(".{NAME}-{}", &identity.hash[..16]))
}

/// Its files as a folder below `models`.
pub(super) fn unpacked(models: &Path) -> Result<PathBuf, ModelStoreError> {
    let target = entry(models).path;
    if target.exists() {
        return Ok(target);
    }
    let unfinished = Unfinished(models.join(format!(".unpacking-{}", std::process::id())));
    fs::create_dir_all(&unfinished.0).map_err(ModelStoreError::io("create", &unfinished.0))?;
    for (name, bytes) in FILES {
        write_synced(&unfinished.0.join(name), bytes)?;
    }
    match fs::rename(&unfinished.0, &target) {
        // Another process was first.
        Err(_) if target.exists() => Ok(target),
        renamed => {
            renamed.map_err(ModelStoreError::io("create", &target))?;
            Ok(target)
        }
    }
}

#[cfg(test)]
mod tests {
    use storage::Task;

    use super::*;
    use crate::encoder::{LoadOptions, Role};

    #[test]
    fn what_is_listed_is_what_is_opened_and_what_is_unpacked() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listed = entry(dir.path());
        let opened = load().expect("the encoder of the program");
        assert_eq!(&listed.identity, opened.identity());
        let folder = unpacked(dir.path()).expect("room for a folder");
        assert_eq!(folder, unpacked(dir.path()).expect("the same again"));
        let options = LoadOptions {
            name: Some(NAME.to_owned()),
            ..LoadOptions::default()
        };
        let from_disk = crate::encoder::load(&folder, &options).expect("a whole model");
        assert_eq!(from_disk.identity(), opened.identity());
    }

    #[test]
    fn it_knows_words_from_each_other() {
        let encoder = load().expect("the encoder of the program");
        let texts = [
            "how to repair a bicycle",
            "fixing the wheel of a bike",
            "the parliament passed a new tax law",
        ];
        let vectors = encoder.encode(&texts, Role::Passage, Task::silent());
        let vectors = vectors.expect("no cancel flag");
        let rows: Vec<&[f32]> = vectors.rows().collect();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        assert!((dot(rows[0], rows[0]) - 1.0).abs() < 1e-4);
        assert!(dot(rows[0], rows[1]) > dot(rows[0], rows[2]) + 0.2);
    }

    #[test]
    fn its_files_stay_below_ten_megabytes() {
        assert!(entry(Path::new("")).bytes < 10_000_000);
    }
}
