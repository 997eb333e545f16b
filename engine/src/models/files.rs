//! Which files of a folder are the model, and how are they copied?

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::ModelStoreError;

/// Copies the files of the Hugging Face layout: those at the top and those of the modules that `modules.json` names.
pub(super) fn copy_model(source: &Path, target: &Path) -> Result<(), ModelStoreError> {
    copy_files(source, target)?;
    for module in module_folders(source)? {
        if source.join(&module).is_dir() {
            copy_files(&source.join(&module), &target.join(&module))?;
        }
    }
    Ok(())
}

fn copy_files(source: &Path, target: &Path) -> Result<(), ModelStoreError> {
    fs::create_dir_all(target).map_err(ModelStoreError::io("create", target))?;
    for name in folder_names(source)? {
        let (from, to) = (source.join(&name), target.join(&name));
        if from.is_file() && is_part_of_model(&from) && name != super::precision::FILE {
            fs::copy(&from, &to).map_err(ModelStoreError::io("copy", &from))?;
            sync(&to)?;
        }
    }
    Ok(())
}

/// Weights, configuration, vocabulary, and the model card and licence, which belong to every copy. Weights for other
/// frameworks, often as large again, are left behind.
fn is_part_of_model(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let stem = path
        .file_stem()
        .and_then(OsStr::to_str)
        .unwrap_or_default()
        .to_ascii_uppercase();
    let is_notice = stem.starts_with("LICEN") || stem.starts_with("NOTICE");
    is_notice || matches!(extension, "json" | "safetensors" | "txt" | "md" | "model")
}

/// Folders that `modules.json` names, below `source`; those that would lead elsewhere are left to the loader to refuse.
fn module_folders(source: &Path) -> Result<Vec<PathBuf>, ModelStoreError> {
    #[derive(Deserialize)]
    struct Module {
        path: PathBuf,
    }
    let path = source.join("modules.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read(&path).map_err(ModelStoreError::io("read", &path))?;
    let modules: Vec<Module> = serde_json::from_slice(&text).unwrap_or_default();
    let inside = |p: &PathBuf| {
        p.components().all(|c| matches!(c, Component::Normal(_))) && p.components().count() > 0
    };
    Ok(modules
        .into_iter()
        .map(|module| module.path)
        .filter(inside)
        .collect())
}

/// Names in a folder; none if the folder is absent. Names that are not UTF-8 are nobody's model or model file.
pub(super) fn folder_names(dir: &Path) -> Result<Vec<String>, ModelStoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ModelStoreError::io("read", dir)(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.map(|e| e.file_name().into_string().ok()).transpose()
    };
    entries
        .filter_map(name)
        .collect::<Result<_, _>>()
        .map_err(ModelStoreError::io("read", dir))
}

pub(super) fn folder_bytes(dir: &Path) -> Result<u64, ModelStoreError> {
    let mut bytes = 0;
    for name in folder_names(dir)? {
        let path = dir.join(name);
        let about = path
            .metadata()
            .map_err(ModelStoreError::io("read", &path))?;
        bytes += if about.is_dir() {
            folder_bytes(&path)?
        } else {
            about.len()
        };
    }
    Ok(bytes)
}

pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), ModelStoreError> {
    fs::write(path, bytes).map_err(ModelStoreError::io("write", path))?;
    sync(path)
}

fn sync(path: &Path) -> Result<(), ModelStoreError> {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|f| f.sync_all())
        .map_err(ModelStoreError::io("write", path))
}
