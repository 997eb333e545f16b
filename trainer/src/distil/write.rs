//! How is the table written, so that askance and model2vec read it?

use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::json;
use storage::{StorageError, disk};

use super::DistilError;
use super::table::Table;
use crate::encoder::{SaveError, quantized_table};

/// Writes `table` and the tokenizer of `teacher` to the folder `out`, which it replaces.
pub(super) fn model(table: &Table, teacher: &Path, out: &Path) -> Result<(), DistilError> {
    let tokenizer = teacher.join("tokenizer.json");
    let tokens = fs::read(&tokenizer).map_err(StorageError::io("read", &tokenizer))?;
    let beside = out.with_extension("tmp");
    disk::remove_tree(&beside)?;
    disk::create_private_dir(&beside)?;
    disk::write_new(&beside.join("tokenizer.json"), &tokens)?;
    disk::write_new(&beside.join("config.json"), config(table).as_bytes())?;
    disk::write_new(&beside.join("model.safetensors"), &weights(table, out)?)?;
    disk::sync_tree(&beside)?;
    disk::remove_tree(out)?;
    Ok(disk::rename(&beside, out)?)
}

fn config(table: &Table) -> String {
    let config = json!({
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "hidden_dim": table.width(),
        "seq_length": 1_000_000,
        "normalize": true,
    });
    format!("{config:#}\n")
}

fn weights(table: &Table, out: &Path) -> Result<Vec<u8>, DistilError> {
    let changed = |detail: String| SaveError::Changed {
        path: out.join("model.safetensors"),
        detail,
    };
    let tensors = quantized_table("embeddings", table.rows(), table.width());
    let mut views = Vec::new();
    for (name, (shape, dtype, bytes)) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        views.push((*name, view.map_err(|e| changed(e.to_string()))?));
    }
    let bytes = safetensors::serialize(views, None).map_err(|e| changed(e.to_string()))?;
    Ok(bytes)
}
