//! How does an encoder come from the Hugging Face Hub?

use std::path::{Path, PathBuf};

use anyhow::Context;
use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo};
use storage::Task;

/// Fetches the files of the Hugging Face layout of `id` into `cache` and returns their folder. Files fetched before are
/// not fetched again.
///
/// # Errors
/// No connection, no such model, a cache that cannot be written, or the cancel flag.
pub fn fetch(id: &str, cache: &Path, task: Task<'_>) -> anyhow::Result<PathBuf> {
    let api: Api = ApiBuilder::new()
        .with_cache_dir(cache.to_owned())
        .with_progress(false)
        .build()?;
    let repo = api.model(id.to_owned());
    let about = repo.info().with_context(|| {
        format!("cannot find {id} on the Hugging Face Hub; check the id and the connection")
    })?;
    let kept = Cache::new(cache.to_owned()).repo(Repo::model(id.to_owned()));
    let names = about
        .siblings
        .iter()
        .map(|file| file.rfilename.as_str())
        .filter(|name| is_part_of_model(name));
    let mut folder = None;
    for name in names {
        task.check()?;
        let path = match kept.get(name) {
            Some(path) => path,
            None => repo
                .download_with_progress(
                    name,
                    Fetched {
                        task,
                        done: 0,
                        total: 0,
                    },
                )
                .with_context(|| {
                    format!("cannot fetch {name} of {id}; run the command again to go on")
                })?,
        };
        if name == "config.json" {
            folder = path.parent().map(Path::to_owned);
        }
    }
    folder.with_context(|| {
        format!("{id} has no config.json, so it is no encoder in Hugging Face layout")
    })
}

/// What lies at the top or in a folder of a sentence-transformers module ("1_Pooling"); weights for other frameworks lie
/// in folders of other names or have other extensions.
fn is_part_of_model(name: &str) -> bool {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let is_place = folder.is_empty()
        || (folder.starts_with(|c: char| c.is_ascii_digit()) && folder.contains('_'));
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    is_place
        && (matches!(extension, "json" | "safetensors" | "txt" | "md")
            || file.starts_with("LICENSE"))
}

/// Reports one file's bytes.
struct Fetched<'a> {
    task: Task<'a>,
    done: u64,
    total: u64,
}

impl Progress for Fetched<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.total = size as u64;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.task.report("bytes fetched", self.done, self.total);
    }

    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::is_part_of_model;

    #[test]
    fn other_frameworks_are_left_behind() {
        for part in [
            "config.json",
            "model.safetensors",
            "1_Pooling/config.json",
            "2_Dense/model.safetensors",
            "README.md",
        ] {
            assert!(is_part_of_model(part), "{part}");
        }
        for other in [
            "pytorch_model.bin",
            "onnx/model.onnx",
            "openvino/config.json",
            "rust_model.ot",
            ".gitattributes",
        ] {
            assert!(!is_part_of_model(other), "{other}");
        }
    }
}
