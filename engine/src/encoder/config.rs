//! What do the JSON files of a model folder ask for?
//!
//! Two layers: `config.json` describes the transformer ([`BertConfig`]); the sentence-transformers files
//! (`modules.json` and what it names) describe what is done around it ([`Pipeline`]). A folder without
//! `modules.json` is read as sentence-transformers does: mean pooling, no normalisation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ModelError, read};

/// Non-linearity of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x · Φ(x) with the exact error function.
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`).
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// How tensors are named and positions counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// BERT: positions from 0, token type 0 is added.
    Bert,
    /// RoBERTa and XLM-RoBERTa: as BERT, positions from `pad_token_id` + 1.
    Roberta,
    /// DistilBERT: other tensor names, no token types.
    DistilBert,
}

/// The shape of a BERT-style encoder, from `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Names and positions.
    pub naming: Naming,
    /// V: rows of the word embedding table.
    pub vocabulary: usize,
    /// H: width of the residual stream.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// A: attention heads; divides H.
    pub heads: usize,
    /// F: width of the feed-forward block.
    pub intermediate: usize,
    /// Rows of the position table.
    pub positions: usize,
    /// Row of the position table that the first token takes.
    pub first_position: usize,
    /// Rows of the token type table; 0 for none.
    pub token_types: usize,
    /// ε of every LayerNorm.
    pub layer_norm_eps: f32,
    /// Non-linearity of the feed-forward block.
    pub activation: Activation,
}

impl BertConfig {
    /// Longest input in tokens the position table allows.
    pub fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// `config.json` as written, with DistilBERT's names for the same things.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "activation", default = "gelu")]
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default)]
    type_vocab_size: usize,
    #[serde(default = "default_eps")]
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: Option<usize>,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn gelu() -> String {
    "gelu".into()
}

fn default_eps() -> f32 {
    1e-12
}

/// What a folder's `config.json` says it is.
#[derive(Deserialize)]
struct ModelType {
    model_type: Option<String>,
}

/// `model_type` of `dir/config.json`; `None` if the file or the field is absent.
///
/// # Errors
/// A `config.json` that is not JSON.
pub(crate) fn model_type(dir: &Path) -> Result<Option<String>, ModelError> {
    let found: Option<ModelType> = optional_json(&dir.join("config.json"))?;
    Ok(found.and_then(|c| c.model_type))
}

impl BertConfig {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// Missing or broken file, an architecture other than BERT, RoBERTa, XLM-RoBERTa or DistilBERT, sizes that
    /// contradict each other.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let raw: RawConfig = json(&path, "the sizes of the model")?;
        let naming = naming(&path, &raw.model_type)?;
        absolute_positions(&path, raw.position_embedding_type.as_deref())?;
        let config = Self {
            naming,
            vocabulary: raw.vocab_size,
            hidden: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            intermediate: raw.intermediate_size,
            positions: raw.max_position_embeddings,
            first_position: match naming {
                Naming::Roberta => raw.pad_token_id.unwrap_or(1) + 1,
                Naming::Bert | Naming::DistilBert => 0,
            },
            token_types: match naming {
                Naming::DistilBert => 0,
                Naming::Bert | Naming::Roberta => raw.type_vocab_size,
            },
            layer_norm_eps: raw.layer_norm_eps,
            activation: activation(&path, &raw.hidden_act)?,
        };
        config.consistent(&path)?;
        Ok(config)
    }

    fn consistent(&self, path: &Path) -> Result<(), ModelError> {
        let bad = |detail: String| Err(ModelError::malformed(path, detail));
        for (field, value) in [
            ("vocab_size", self.vocabulary),
            ("hidden_size", self.hidden),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("intermediate_size", self.intermediate),
        ] {
            if value == 0 || value > 1 << 24 {
                return bad(format!("{field} is {value}, expected 1 to 16777216"));
            }
        }
        if !self.hidden.is_multiple_of(self.heads) {
            return bad(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden, self.heads
            ));
        }
        if self.positions <= self.first_position + 2 || self.positions > 1 << 20 {
            return bad(format!(
                "max_position_embeddings {} leaves no room for a text, the first position is {}",
                self.positions, self.first_position
            ));
        }
        if !(self.layer_norm_eps >= 0.0 && self.layer_norm_eps < 1.0) {
            return bad(format!(
                "layer_norm_eps is {}, expected 0 to 1",
                self.layer_norm_eps
            ));
        }
        Ok(())
    }
}

fn naming(path: &Path, model_type: &str) -> Result<Naming, ModelError> {
    match model_type {
        "bert" => Ok(Naming::Bert),
        "roberta" | "xlm-roberta" | "camembert" => Ok(Naming::Roberta),
        "distilbert" => Ok(Naming::DistilBert),
        other => Err(ModelError::unsupported(
            path,
            format!("model_type \"{other}\""),
            "bert, roberta, xlm-roberta, camembert, distilbert and model2vec are",
        )),
    }
}

fn activation(path: &Path, name: &str) -> Result<Activation, ModelError> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(ModelError::unsupported(
            path,
            format!("hidden_act \"{other}\""),
            "gelu, gelu_new and relu are",
        )),
    }
}

fn absolute_positions(path: &Path, kind: Option<&str>) -> Result<(), ModelError> {
    match kind {
        None | Some("absolute") => Ok(()),
        Some(other) => Err(ModelError::unsupported(
            path,
            format!("position_embedding_type \"{other}\""),
            "absolute is",
        )),
    }
}

/// How token vectors become one vector; several modes are concatenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The first token.
    Cls,
    /// The largest value of each dimension.
    Max,
    /// The mean.
    Mean,
    /// The sum over the square root of the count.
    MeanSqrtLen,
    /// The mean weighted by position, 1 for the first token.
    WeightedMean,
    /// The last token.
    LastToken,
}

/// Pooling modes by the names of sentence-transformers, in the order in which it concatenates.
const POOLING_NAMES: [(&str, &str, Pooling); 6] = [
    ("cls", "pooling_mode_cls_token", Pooling::Cls),
    ("max", "pooling_mode_max_tokens", Pooling::Max),
    ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    (
        "mean_sqrt_len_tokens",
        "pooling_mode_mean_sqrt_len_tokens",
        Pooling::MeanSqrtLen,
    ),
    (
        "weightedmean",
        "pooling_mode_weightedmean_tokens",
        Pooling::WeightedMean,
    ),
    ("lasttoken", "pooling_mode_lasttoken", Pooling::LastToken),
];

/// `1_Pooling/config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolingConfig {
    /// Modes to concatenate; never empty.
    pub modes: Vec<Pooling>,
    /// Whether the tokens of a prompt take part. Default true.
    pub include_prompt: bool,
    /// Width of the token vectors as the file states it.
    pub hidden: Option<usize>,
}

impl Default for PoolingConfig {
    fn default() -> Self {
        Self {
            modes: vec![Pooling::Mean],
            include_prompt: true,
            hidden: None,
        }
    }
}

/// One step after pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Divide by the Euclidean length.
    Normalize,
    /// A linear layer; its folder.
    Dense(PathBuf),
    /// Mean 0, variance 1, then gain and bias; its folder.
    LayerNorm(PathBuf),
}

/// What sentence-transformers does around the transformer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// Folder of config.json (or of a static embedding's tensors), tokenizer.json and model.safetensors.
    pub model_dir: PathBuf,
    /// The first module is a `StaticEmbedding`.
    pub is_static: bool,
    /// Token vectors to one vector.
    pub pooling: PoolingConfig,
    /// What follows, in order.
    pub steps: Vec<Step>,
    /// `max_seq_length`, special tokens included.
    pub max_tokens: Option<usize>,
    /// Lower-case the text before the tokenizer sees it.
    pub lower_case: bool,
    /// Put before a query: the prompt of that name, or the default prompt if neither role has one of its own.
    pub query_prompt: String,
    /// Put before a passage: the prompt named document, passage or corpus, or the default as above.
    pub passage_prompt: String,
}

/// One entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `config_sentence_transformers.json`.
#[derive(Deserialize, Default)]
struct PromptFile {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    #[serde(default)]
    default_prompt_name: Option<String>,
}

/// `sentence_bert_config.json`.
#[derive(Deserialize, Default)]
struct LengthFile {
    #[serde(default)]
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: Option<bool>,
}

/// `tokenizer_config.json`, as far as it decides anything here.
#[derive(Deserialize, Default)]
struct TokenizerFile {
    #[serde(default)]
    model_max_length: Option<f64>,
    #[serde(default)]
    truncation_side: Option<String>,
}

impl Pipeline {
    /// Reads `modules.json` of `dir` and the files it names.
    ///
    /// # Errors
    /// Broken files and modules this encoder does not compute, by name.
    pub fn read(dir: &Path) -> Result<Self, ModelError> {
        let mut pipeline = Self::plain(dir);
        let path = dir.join("modules.json");
        let modules: Vec<Module> = optional_json(&path)?.unwrap_or_default();
        for (at, module) in modules.iter().enumerate() {
            pipeline.add_module(dir, &path, at, module)?;
        }
        pipeline.read_lengths()?;
        pipeline.read_prompts(dir)?;
        Ok(pipeline)
    }

    /// A folder without any of those files: mean pooling and nothing after it.
    pub(crate) fn plain(dir: &Path) -> Self {
        Self {
            model_dir: dir.to_path_buf(),
            is_static: false,
            pooling: PoolingConfig::default(),
            steps: Vec::new(),
            max_tokens: None,
            lower_case: false,
            query_prompt: String::new(),
            passage_prompt: String::new(),
        }
    }

    fn add_module(
        &mut self,
        dir: &Path,
        path: &Path,
        at: usize,
        module: &Module,
    ) -> Result<(), ModelError> {
        let folder = inside(dir, path, &module.path)?;
        let kind = module.kind.rsplit('.').next().unwrap_or_default();
        match (at, kind) {
            (0, "Transformer") => self.model_dir = folder,
            (0, "StaticEmbedding") => {
                self.model_dir = folder;
                self.is_static = true;
            }
            (1, "Pooling") if !self.is_static => self.pooling = read_pooling(&folder)?,
            (1.., "Normalize") => self.steps.push(Step::Normalize),
            (1.., "Dense") => self.steps.push(Step::Dense(folder)),
            (1.., "LayerNorm") => self.steps.push(Step::LayerNorm(folder)),
            _ => {
                return Err(ModelError::unsupported(
                    path,
                    format!("module {} \"{}\"", at, module.kind),
                    "Transformer with Pooling, or StaticEmbedding, followed by Dense, LayerNorm and Normalize are",
                ));
            }
        }
        Ok(())
    }

    fn read_lengths(&mut self) -> Result<(), ModelError> {
        let lengths: LengthFile =
            optional_json(&self.model_dir.join("sentence_bert_config.json"))?.unwrap_or_default();
        let path = self.model_dir.join("tokenizer_config.json");
        let tokenizer: TokenizerFile = optional_json(&path)?.unwrap_or_default();
        if tokenizer.truncation_side.as_deref() == Some("left") {
            return Err(ModelError::unsupported(
                &path,
                "truncation_side \"left\"",
                "right is",
            ));
        }
        // Tokenizers without a limit write 1e30 here.
        let tokenizer_limit = tokenizer
            .model_max_length
            .filter(|n| (1.0..1e9).contains(n))
            .map(|n| n as usize);
        self.max_tokens = lengths.max_seq_length.or(tokenizer_limit);
        self.lower_case = lengths.do_lower_case.unwrap_or(false);
        Ok(())
    }

    fn read_prompts(&mut self, dir: &Path) -> Result<(), ModelError> {
        let path = dir.join("config_sentence_transformers.json");
        let file: PromptFile = optional_json(&path)?.unwrap_or_default();
        let named = |name: &str| file.prompts.get(name).cloned().flatten();
        let default = match &file.default_prompt_name {
            None => String::new(),
            Some(name) => named(name).ok_or_else(|| {
                ModelError::malformed(
                    &path,
                    format!("default_prompt_name is \"{name}\", which prompts does not hold"),
                )
            })?,
        };
        let query = named("query");
        let passage = ["document", "passage", "corpus"]
            .iter()
            .find_map(|n| named(n));
        // A default next to a prompt for one role would put, say, the query's prompt before passages.
        let default = if query.is_none() && passage.is_none() {
            default
        } else {
            String::new()
        };
        self.query_prompt = query.unwrap_or_else(|| default.clone());
        self.passage_prompt = passage.unwrap_or(default);
        Ok(())
    }
}

/// The folder `name` of `modules.json` below `dir`; a path that leaves `dir` is refused.
fn inside(dir: &Path, path: &Path, name: &str) -> Result<PathBuf, ModelError> {
    let relative = Path::new(name);
    let stays = relative.components().all(|c| {
        matches!(
            c,
            std::path::Component::Normal(_) | std::path::Component::CurDir
        )
    });
    if stays {
        Ok(dir.join(relative))
    } else {
        Err(ModelError::malformed(
            path,
            format!("module path \"{name}\" leaves the model folder"),
        ))
    }
}

fn read_pooling(folder: &Path) -> Result<PoolingConfig, ModelError> {
    let path = folder.join("config.json");
    let raw: serde_json::Map<String, serde_json::Value> =
        json(&path, "how token vectors become one vector")?;
    let modes = match raw.get("pooling_mode") {
        Some(named) => named_modes(&path, named)?,
        None => flagged_modes(&raw),
    };
    let width = raw
        .get("embedding_dimension")
        .or_else(|| raw.get("word_embedding_dimension"));
    Ok(PoolingConfig {
        modes,
        include_prompt: raw
            .get("include_prompt")
            .and_then(serde_json::Value::as_bool)
            .unwrap_or(true),
        hidden: width
            .and_then(serde_json::Value::as_u64)
            .map(|n| n as usize),
    })
}

/// `"pooling_mode": "mean"` or a list of names.
fn named_modes(path: &Path, value: &serde_json::Value) -> Result<Vec<Pooling>, ModelError> {
    let names = match value {
        serde_json::Value::Array(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    };
    let modes: Option<Vec<Pooling>> = names
        .iter()
        .map(|n| POOLING_NAMES.iter().find(|m| n == m.0).map(|m| m.2))
        .collect();
    modes.filter(|m| !m.is_empty()).ok_or_else(|| {
        ModelError::unsupported(
            path,
            format!("pooling_mode {value}"),
            "cls, max, mean, mean_sqrt_len_tokens, weightedmean and lasttoken are",
        )
    })
}

/// `"pooling_mode_mean_tokens": true` and its siblings; none set means mean.
fn flagged_modes(raw: &serde_json::Map<String, serde_json::Value>) -> Vec<Pooling> {
    let set = |flag: &str| raw.get(flag) == Some(&serde_json::Value::Bool(true));
    let modes: Vec<Pooling> = POOLING_NAMES
        .iter()
        .filter(|m| set(m.1))
        .map(|m| m.2)
        .collect();
    if modes.is_empty() {
        vec![Pooling::Mean]
    } else {
        modes
    }
}

/// Parses the JSON file `path`, which holds `purpose`.
pub(crate) fn json<T: DeserializeOwned>(
    path: &Path,
    purpose: &'static str,
) -> Result<T, ModelError> {
    let bytes = read(path, purpose)?;
    serde_json::from_slice(&bytes).map_err(|e| ModelError::malformed(path, e.to_string()))
}

/// As [`json`], `None` if there is no such file.
pub(crate) fn optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    if path.exists() {
        json(path, "").map(Some)
    } else {
        Ok(None)
    }
}
