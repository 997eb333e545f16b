//! What was typed after `askance model`?

use clap::{Args, Subcommand};

use super::examples;

/// `askance model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// What to do with encoders.
    #[command(subcommand)]
    pub command: ModelCommand,
}

/// What to do with encoders.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the encoders on this computer
    List,
    /// Copy an encoder from a folder in Hugging Face layout (or fetch one by its id)
    #[command(after_help = examples::MODEL_ADD)]
    Add(ModelAddArgs),
    /// Search by meaning with this encoder from now on; `none` goes back to words
    #[command(after_help = examples::MODEL_USE)]
    Use(ModelUseArgs),
    /// Delete an encoder from this computer
    Remove {
        /// Its name, as `askance model list` shows it
        name: String,
    },
}

/// `askance model add`.
#[derive(Debug, Args)]
pub struct ModelAddArgs {
    /// A folder with config.json, tokenizer.json and model.safetensors, or a Hugging Face id such as
    /// sentence-transformers/all-MiniLM-L6-v2
    #[arg(value_name = "DIR_OR_ID")]
    pub source: String,
    /// Name to keep it under [default: last part of the folder or id]
    #[arg(long)]
    pub name: Option<String>,
}

/// `askance model use`.
#[derive(Debug, Args)]
pub struct ModelUseArgs {
    /// Name of an added encoder, or `none`
    pub name: String,
    /// Only set the default for new collections; leave this collection as it is
    #[arg(long)]
    pub no_reindex: bool,
}
