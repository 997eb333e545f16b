//! How does a trained model become a folder that others open?
//!
//! The start's configuration, tokenizer and pooling files are copied; each safetensors file is written anew, with the
//! trained tensors as f32 (a table of whole numbers as such again, with its tokens' weights) and every other tensor as it was. Weights in other formats are left behind: they would be
//! those of the start. The folder is written aside and renamed when it is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use engine::encoder::blueprint::Family;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use storage::{StorageError, disk};

use super::TrainEncoder;
use super::finish::HEAD_FOLDERS;
use super::layout::Kind;

/// A model could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// Creating, copying or renaming failed; the disk may be full.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file of the start could not be read again.
    #[error("cannot read {}, which the start of this run is made of: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file of the start no longer says what it said when the run began.
    #[error("{} changed while the model was in use: {detail}; copy the model folder again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// Shape, type and bytes of a tensor as it is stored.
type Stored = (Vec<usize>, Dtype, Vec<u8>);

/// Files that describe a model and hold no weights.
const DESCRIPTIONS: [&str; 3] = ["json", "txt", "model"];

impl TrainEncoder {
    /// Writes the model with the weights `values` to `out`, replacing a folder of that name.
    ///
    /// # Errors
    /// The disk, or files of the start that are gone.
    pub fn save(&self, values: &[f32], out: &Path) -> Result<(), SaveError> {
        let mut beside = out.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        disk::remove_tree(&beside)?;
        disk::create_private_dir(&beside)?;
        self.copy_descriptions(&beside)?;
        self.write_weights(values, &beside)?;
        if self.new_head {
            self.write_head_modules(&beside)?;
        }
        disk::sync_tree(&beside)?;
        disk::remove_tree(out)?;
        disk::rename(&beside, out)?;
        match out.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(parent) => Ok(disk::sync_dir(parent)?),
            None => Ok(()),
        }
    }

    /// The folders of the model: its own, and those that `modules.json` names.
    fn folders(&self) -> Result<Vec<PathBuf>, SaveError> {
        let path = self.dir.join("modules.json");
        let mut folders = vec![PathBuf::new()];
        if path.exists() {
            let modules: Vec<Value> = read_json(&path)?;
            let named = modules.iter().filter_map(|m| m["path"].as_str());
            let named = named.filter(|p| !p.is_empty()).map(PathBuf::from);
            // A module without settings has no folder where the model came through git.
            folders.extend(named.filter(|p| self.dir.join(p).is_dir()));
        }
        Ok(folders)
    }

    fn copy_descriptions(&self, out: &Path) -> Result<(), SaveError> {
        for folder in self.folders()? {
            disk::create_private_dir(&out.join(&folder))?;
            for entry in disk::entries(&self.dir.join(&folder))? {
                let path = entry.path();
                let described = path
                    .extension()
                    .and_then(|e| e.to_str())
                    .is_some_and(|e| DESCRIPTIONS.contains(&e));
                if described && path.is_file() && !is_shard_index(&path) {
                    let bytes = read(&path)?;
                    let to = out.join(&folder).join(entry.file_name());
                    disk::write_new(&to, &bytes)?;
                }
            }
        }
        self.state_precision(out)
    }

    /// Trained weights are f32; a configuration that still says bf16 would have readers round them.
    fn state_precision(&self, out: &Path) -> Result<(), SaveError> {
        let inner = self.inside(&self.blueprint.pipeline().model_dir);
        let path = out.join(inner).join("config.json");
        if !path.exists() {
            return Ok(());
        }
        let mut config: serde_json::Map<String, Value> = read_json(&path)?;
        for key in ["torch_dtype", "dtype"] {
            if config.contains_key(key) {
                config.insert(key.into(), json!("float32"));
            }
        }
        write_json(&path, &Value::Object(config))
    }

    /// `folder` of the start, relative to it.
    fn inside<'a>(&self, folder: &'a Path) -> &'a Path {
        folder.strip_prefix(&self.dir).unwrap_or(folder)
    }

    fn write_weights(&self, values: &[f32], out: &Path) -> Result<(), SaveError> {
        let mut folders: BTreeMap<&Path, BTreeMap<&str, Stored>> = BTreeMap::new();
        for entry in self.layout.entries() {
            let numbers = self.layout.stored(entry, values);
            let tensors = folders.entry(&entry.folder).or_default();
            if self.is_quantized() && entry.kind == Kind::Table {
                tensors.extend(quantized_table(&entry.name, &numbers, entry.shape[1]));
            } else {
                tensors.insert(&entry.name, f32_tensor(&numbers, entry.shape.clone()));
            }
        }
        for (folder, trained) in folders {
            let to = out.join(self.inside(folder));
            disk::create_private_dir(&to)?;
            let bytes = rewritten(folder, &trained)?;
            disk::write_new(&to.join("model.safetensors"), &bytes)?;
        }
        Ok(())
    }

    fn is_quantized(&self) -> bool {
        matches!(self.blueprint.family(), Family::Static(parts) if parts.quantized)
    }

    /// `modules.json` with the new head in place of what followed pooling, and the settings of the head's modules.
    fn write_head_modules(&self, out: &Path) -> Result<(), SaveError> {
        let width = self.dimension;
        let settings = [
            json!({"in_features": width, "out_features": width, "bias": true,
                   "activation_function": "torch.nn.modules.linear.Identity"}),
            json!({"dimension": width}),
        ];
        let path = out.join("modules.json");
        let mut modules: Vec<Value> = if path.exists() {
            read_json(&path)?
        } else {
            plain_modules(out)?
        };
        let kind = |m: &Value| {
            let full = m["type"].as_str().unwrap_or_default();
            full.rsplit('.').next().unwrap_or_default().to_owned()
        };
        modules
            .retain(|m| ["Transformer", "StaticEmbedding", "Pooling"].contains(&kind(m).as_str()));
        for ((folder, kind), settings) in HEAD_FOLDERS.iter().zip(settings) {
            let at = modules.len();
            modules.push(module(at, folder, kind));
            write_json(&out.join(folder).join("config.json"), &settings)?;
        }
        write_json(&path, &Value::Array(modules))
    }
}

fn module(at: usize, folder: &str, kind: &str) -> Value {
    json!({"idx": at, "name": at.to_string(), "path": folder,
           "type": format!("sentence_transformers.models.{kind}")})
}

/// What a folder without `modules.json` means: a transformer and mean pooling.
fn plain_modules(out: &Path) -> Result<Vec<Value>, SaveError> {
    let config: Value = read_json(&out.join("config.json"))?;
    let width = config.get("hidden_size").or_else(|| config.get("dim"));
    disk::create_private_dir(&out.join("1_Pooling"))?;
    write_json(
        &out.join("1_Pooling/config.json"),
        &json!({"word_embedding_dimension": width, "pooling_mode_mean_tokens": true}),
    )?;
    Ok(vec![
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
    ])
}

/// The tensors of `folder` as one safetensors file, those of `trained` replaced or added.
fn rewritten(folder: &Path, trained: &BTreeMap<&str, Stored>) -> Result<Vec<u8>, SaveError> {
    let files: Vec<(PathBuf, Vec<u8>)> = weight_files(folder)?
        .into_iter()
        .map(|path| read(&path).map(|bytes| (path, bytes)))
        .collect::<Result<_, _>>()?;
    let mut views: Vec<(String, TensorView<'_>)> = Vec::new();
    for (path, bytes) in &files {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| changed(path, e))?;
        views.extend(
            tensors
                .tensors()
                .into_iter()
                .filter(|(name, _)| !trained.contains_key(name.as_str())),
        );
    }
    let path = folder.join("model.safetensors");
    for (name, (shape, dtype, bytes)) in trained {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        views.push(((*name).to_owned(), view.map_err(|e| changed(&path, e))?));
    }
    safetensors::serialize(views, None).map_err(|e| changed(&path, e))
}

pub(crate) fn f32_tensor(numbers: &[f32], shape: Vec<usize>) -> Stored {
    let bytes = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
    (shape, Dtype::F32, bytes)
}

/// A static encoder's table `name`, rows of `width` numbers, as whole numbers and the weights that are their units.
pub(crate) fn quantized_table<'a>(
    name: &'a str,
    rows: &[f32],
    width: usize,
) -> [(&'a str, Stored); 2] {
    let (numbers, weights) = quantized(rows, width);
    let count = weights.len();
    let bytes = numbers.iter().map(|n| n.cast_unsigned()).collect();
    [
        (name, (vec![count, width], Dtype::I8, bytes)),
        ("weights", f32_tensor(&weights, vec![count])),
    ]
}

/// Each row of `width` numbers as whole ones from -127 to 127, and the unit that makes its largest 127.
pub(crate) fn quantized(rows: &[f32], width: usize) -> (Vec<i8>, Vec<f32>) {
    let (mut numbers, mut units) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows.chunks_exact(width) {
        let unit = row.iter().fold(0.0f32, |most, v| most.max(v.abs())) / 127.0;
        let one = if unit > 0.0 { unit } else { 1.0 };
        numbers.extend(row.iter().map(|v| (v / one).round() as i8));
        units.push(unit);
    }
    (numbers, units)
}

/// The safetensors files of a folder; none for a head that is new.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, SaveError> {
    let index = folder.join("model.safetensors.index.json");
    if index.exists() {
        let index: Value = read_json(&index)?;
        let mut names: Vec<&str> = index["weight_map"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.values().filter_map(Value::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        return Ok(names.into_iter().map(|n| folder.join(n)).collect());
    }
    let single = folder.join("model.safetensors");
    Ok(single.exists().then_some(single).into_iter().collect())
}

fn is_shard_index(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".safetensors.index.json")
}

fn changed(path: &Path, detail: impl std::fmt::Display) -> SaveError {
    SaveError::Changed {
        path: path.to_path_buf(),
        detail: detail.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SaveError> {
    fs::read(path).map_err(|source| SaveError::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, SaveError> {
    serde_json::from_slice(&read(path)?).map_err(|e| changed(path, e))
}

fn write_json(path: &Path, value: &Value) -> Result<(), SaveError> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    disk::remove_file(path)?;
    Ok(disk::write_new(path, text.as_bytes())?)
}
