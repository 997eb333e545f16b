//! What do the files of sentence-transformers put around the transformer?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::optional_json;
use super::pooling::{PoolingConfig, read_pooling};
use crate::encoder::error::ModelError;

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
