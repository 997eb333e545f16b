//! What was typed after `askance train`?

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use trainer::config::Compute;
use trainer::device::Choice;
use trainer::negatives::Method;

use super::examples;

/// `askance train`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TrainArgs {
    /// What else to do with a run.
    #[command(subcommand)]
    pub command: Option<TrainCommand>,
    /// The run.
    #[command(flatten)]
    pub run: TrainRunArgs,
}

/// What else to do with a run.
#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Draw a run's log as one HTML page with everything in it
    #[command(after_help = examples::TRAIN_REPORT)]
    Report(TrainReportArgs),
    /// Make a table of token vectors of a transformer: thousands of times faster, a tenth of the size, less exact
    #[command(after_help = examples::TRAIN_DISTIL)]
    Distil(TrainDistilArgs),
}

/// `askance train`, without a verb behind it.
#[derive(Debug, Args)]
pub struct TrainRunArgs {
    /// Learn from this folder in BEIR layout: corpus.jsonl, queries.jsonl, qrels/train.tsv [default: from the collection]
    #[arg(long, value_name = "DIR")]
    pub beir: Option<PathBuf>,
    /// Learn from the texts of `--beir` alone, as from a collection: its judgements are not looked at
    #[arg(long, requires = "beir")]
    pub unlabelled: bool,
    /// Encoder to start from: the name of an added one, or a folder in Hugging Face layout [default: the one set by `askance
    /// model use`]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Folder of the run: log, checkpoints, and at the end the trained encoder
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Where negatives come from [default: ance]
    #[arg(long, value_parser = PossibleValuesParser::new(Method::ALL.map(Method::name)).map(method))]
    pub method: Option<Method>,
    /// Where to train
    #[arg(long, default_value = "auto", value_parser = devices())]
    pub device: Choice,
    /// Go on from the last checkpoint in `--out`
    #[arg(long)]
    pub resume: bool,
    /// Print the plan and an estimate of the memory it takes, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Settings.
    #[command(flatten)]
    pub settings: TrainSettings,
}

/// Settings of a run; what is not given comes with the method.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct TrainSettings {
    /// Times every pair of query and answer is seen
    #[arg(long)]
    pub epochs: Option<f64>,
    /// Most steps
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Highest learning rate
    #[arg(long)]
    pub lr: Option<f64>,
    /// Pairs a step
    #[arg(long)]
    pub batch: Option<usize>,
    /// Negatives a pair
    #[arg(long, value_name = "N")]
    pub negatives: Option<usize>,
    /// Steps between two encodings of the corpus
    #[arg(long, value_name = "STEPS")]
    pub refresh_every: Option<u64>,
    /// Same seed, same run
    #[arg(long)]
    pub seed: Option<u64>,
    /// Any other setting by its name, as `--dry-run` prints them; the value is JSON or a word. Can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub other: Vec<(String, serde_json::Value)>,
    /// Settings from a JSON file; those typed beside it win
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `askance train report`.
#[derive(Debug, Args)]
pub struct TrainReportArgs {
    /// Folder of the run: what was given to `--out`
    #[arg(value_name = "DIR")]
    pub run: PathBuf,
    /// Open the page
    #[arg(long)]
    pub open: bool,
}

/// `askance bench train`.
#[derive(Debug, Args)]
pub struct BenchTrainArgs {
    /// Encoder that is trained: the name of an added one, or a folder in Hugging Face layout [default: the one set by
    /// `askance model use`]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Where to train
    #[arg(long, default_value = "auto", value_parser = devices())]
    pub device: Choice,
    /// Texts a step
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    pub batch: u32,
    /// Tokens of a text
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=8_192))]
    pub length: u32,
    /// Steps that are timed
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// What computes: kernels of our own in f16 or f32, or burn's plain operations
    #[arg(long, default_value = "auto", value_parser = PossibleValuesParser::new(Compute::ALL.map(Compute::name)).map(compute))]
    pub compute: Compute,
}

/// `askance train distil`.
#[derive(Debug, Args)]
pub struct TrainDistilArgs {
    /// Transformer to make it of: the name of an added encoder, or a folder in Hugging Face layout
    #[arg(long, value_name = "NAME")]
    pub teacher: String,
    /// Folder in BEIR layout to learn from: its texts, its training queries if it has any. Can be repeated
    #[arg(long, value_name = "DIR", required = true, num_args = 1..)]
    pub beir: Vec<PathBuf>,
    /// Folder of the run: the teacher's vectors, which are kept for other runs, and at the end `model`
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Length of a vector [default: 256]
    #[arg(long, value_name = "N")]
    pub dimension: Option<usize>,
    /// Same seed, same table
    #[arg(long)]
    pub seed: Option<u64>,
    /// Any other setting by its name, as `--json` prints them; the value is JSON. Can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub other: Vec<(String, serde_json::Value)>,
}

const DEVICES: [Choice; 4] = [Choice::Auto, Choice::Cpu, Choice::Vulkan, Choice::Metal];

// clap hands on only names that are in the list.
fn method(name: String) -> Method {
    Method::ALL
        .into_iter()
        .find(|method| method.name() == name)
        .unwrap_or(Method::Ance)
}

fn device(name: String) -> Choice {
    DEVICES
        .into_iter()
        .find(|device| device.name() == name)
        .unwrap_or_default()
}

fn compute(name: String) -> Compute {
    Compute::ALL
        .into_iter()
        .find(|way| way.name() == name)
        .unwrap_or_default()
}

/// `name=value`, where the value is JSON or else a word.
fn setting(text: &str) -> Result<(String, serde_json::Value), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!("'{text}' sets nothing; write NAME=VALUE"));
    };
    let word = || serde_json::Value::String(value.to_owned());
    Ok((
        name.trim().replace('-', "_"),
        serde_json::from_str(value).unwrap_or_else(|_| word()),
    ))
}

/// Reads `--device`.
fn devices() -> impl TypedValueParser<Value = Choice> {
    PossibleValuesParser::new(DEVICES.map(Choice::name)).map(device)
}
