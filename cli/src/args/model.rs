//! What was typed after `askance model`?

use clap::{Args, Subcommand, ValueEnum};
use engine::encoder::Precision;

use super::examples;

/// `askance model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// What to do with encoders; none lists them.
    #[command(subcommand)]
    pub command: Option<ModelCommand>,
}

/// What to do with encoders.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the encoders on this computer, with the speed and exactness of each precision
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
    /// Numbers it multiplies from now on; `auto` is the fastest whose vectors differ from f32 by rounding only
    /// [default: as before, at first auto]
    #[arg(long, value_name = "KIND")]
    pub precision: Option<PrecisionArg>,
}

/// Numbers an encoder multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// The fastest within the bound, by measurement on this computer.
    Auto,
    /// As the model was trained.
    F32,
    /// 8 bits of mantissa.
    Bf16,
    /// Weights and activations rounded to 8 bits.
    Int8,
}

impl PrecisionArg {
    /// The precision by name; none for `auto`.
    pub fn named(self) -> Option<Precision> {
        match self {
            Self::Auto => None,
            Self::F32 => Some(Precision::F32),
            Self::Bf16 => Some(Precision::Bf16),
            Self::Int8 => Some(Precision::Int8),
        }
    }
}
