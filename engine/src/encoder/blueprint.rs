//! What does training need to know of a model folder: its parts, its numbers, and the ids of a text?
//!
//! The same files as [`super::load`] reads, with the same checks, but handed out in pieces: sizes, tensors as `f32`
//! with the names they are stored under, and token ids. Nothing here runs the model.

use std::path::{Path, PathBuf};

use super::bert::tensor_name;
use super::config::{BertConfig, Pipeline, Step, model_type};
use super::dense::{DenseConfig, LAYER_NORM_EPS};
use super::error::ModelError;
use super::load::{MODEL2VEC_TOKENS, STATIC_TOKENS, bert_tokens, model2vec_steps};
use super::static_table::StaticTable;
use super::tokenizer::TextTokenizer;
use super::weights::Weights;
use super::{EncodeError, Role};

/// The numbers of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor {
    /// The safetensors file's folder.
    pub folder: PathBuf,
    /// Name in the file, prefix included.
    pub name: String,
    /// Lengths of the axes, outermost first.
    pub shape: Vec<usize>,
    /// The numbers, row-major.
    pub values: Vec<f32>,
}

/// What comes before pooling.
#[derive(Debug, Clone, PartialEq)]
pub enum Family {
    /// A transformer.
    Bert(BertConfig),
    /// The mean of token vectors.
    Static(StaticLayout),
}

/// The static family: one row a token.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticLayout {
    /// (rows, dimension).
    pub table: StoredTensor,
    /// Row of each token id; empty means the id itself.
    pub mapping: Vec<u32>,
    /// Factor of each token id; empty means 1.
    pub factors: Vec<f32>,
    /// Whether the file holds whole numbers (I8) in units of the factors, a row a token. `table` then holds what they stand
    /// for: rows with their factor in them, and `factors` is empty.
    pub quantized: bool,
}

/// One step after pooling, with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum FinishStep {
    /// Divide by the Euclidean length.
    Normalize,
    /// y = W x + b, then tanh if `tanh`.
    Dense {
        /// W, (out, in).
        weight: StoredTensor,
        /// b, (out).
        bias: Option<StoredTensor>,
        /// Whether the result goes through tanh.
        tanh: bool,
    },
    /// Mean 0, variance 1, then gain and bias.
    LayerNorm {
        /// (width).
        gain: StoredTensor,
        /// (width).
        bias: StoredTensor,
        /// ε beside the variance.
        eps: f32,
    },
}

/// A model folder, taken apart.
pub struct Blueprint {
    family: Family,
    pipeline: Pipeline,
    finish: Vec<FinishStep>,
    weights: Weights,
    tokenizer: TextTokenizer,
}

/// The ids that a static encoder with another model's tokenizer reads: no special tokens, none that is unknown.
pub struct StaticTokens {
    tokenizer: TextTokenizer,
}

impl StaticTokens {
    /// Reads `tokenizer.json` in `dir`.
    ///
    /// # Errors
    /// A missing or broken file.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let tokenizer = TextTokenizer::open(dir, usize::MAX, MODEL2VEC_TOKENS)?;
        Ok(Self { tokenizer })
    }

    /// Every token by its id; an empty one where there is none, or a special one.
    pub fn vocabulary(&self) -> Vec<String> {
        let mut tokens = Vec::new();
        for (token, id) in self.tokenizer.vocabulary() {
            let id = id as usize;
            tokens.resize(tokens.len().max(id + 1), String::new());
            if !self.tokenizer.is_special(&token) {
                tokens[id] = token;
            }
        }
        tokens
    }

    /// The first `longest` ids of `text`.
    ///
    /// # Errors
    /// The tokenizer refuses the text; opening it makes that all but impossible.
    pub fn ids(&self, text: &str, longest: usize) -> Result<Vec<u32>, EncodeError> {
        let mut ids = Vec::new();
        self.tokenizer.ids_within(text, longest, &mut ids)?;
        Ok(ids)
    }
}

impl Blueprint {
    /// Opens the model in `dir`: the same families and layouts as [`super::load`].
    ///
    /// # Errors
    /// As [`super::load`].
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let pipeline = if model_type(dir)?.as_deref() == Some("model2vec") {
            let mut pipeline = Pipeline::plain(dir);
            pipeline.steps = model2vec_steps(dir)?;
            return Self::open_static(pipeline, MODEL2VEC_TOKENS);
        } else {
            Pipeline::read(dir)?
        };
        if pipeline.is_static {
            Self::open_static(pipeline, STATIC_TOKENS)
        } else {
            Self::open_bert(pipeline)
        }
    }

    fn open_bert(pipeline: Pipeline) -> Result<Self, ModelError> {
        let dir = &pipeline.model_dir;
        let config = BertConfig::read(dir)?;
        let options = bert_tokens(&pipeline, &config);
        let tokenizer = TextTokenizer::open(dir, config.vocabulary, options)?;
        let weights = Weights::open(dir)?.with_prefix_of("embeddings.word_embeddings.weight");
        let width = config.hidden * pipeline.pooling.modes.len();
        Ok(Self {
            finish: finish(&pipeline.steps, width)?,
            family: Family::Bert(config),
            pipeline,
            weights,
            tokenizer,
        })
    }

    fn open_static(
        pipeline: Pipeline,
        tokens: super::tokenizer::TokenizerOptions,
    ) -> Result<Self, ModelError> {
        let dir = &pipeline.model_dir;
        let (table, _) = StaticTable::open(dir)?;
        let tokenizer = TextTokenizer::open(dir, table.ids(), tokens)?;
        let mut values = table.values();
        let mut factors = table.factors().to_vec();
        let quantized = table.is_quantized() && table.mapping().is_empty();
        if quantized {
            unfold(&mut values, &mut factors, table.dimension());
        }
        let layout = StaticLayout {
            table: StoredTensor {
                folder: dir.clone(),
                name: table.tensor().to_owned(),
                shape: vec![values.len() / table.dimension(), table.dimension()],
                values,
            },
            mapping: table.mapping().to_vec(),
            factors,
            quantized,
        };
        Ok(Self {
            finish: finish(&pipeline.steps, table.dimension())?,
            family: Family::Static(layout),
            weights: Weights::open(dir)?,
            pipeline,
            tokenizer,
        })
    }

    /// What comes before pooling.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// What sentence-transformers does around the model.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The steps after pooling, in order.
    pub fn finish(&self) -> &[FinishStep] {
        &self.finish
    }

    /// The transformer's tensor that BERT calls `name`, of exactly `shape`.
    ///
    /// # Errors
    /// No such tensor, another shape, another type of number.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<StoredTensor, ModelError> {
        let name = match &self.family {
            Family::Bert(config) => tensor_name(config.naming, name),
            Family::Static(_) => name.to_owned(),
        };
        stored(&self.weights, &self.pipeline.model_dir, &name, shape)
    }

    /// Longest input in tokens, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.tokenizer.max_tokens()
    }

    /// The ids of `text`, prompt and special tokens included, cut to `longest` tokens.
    ///
    /// # Errors
    /// The tokenizer refuses the text; opening the model makes that all but impossible.
    pub fn ids(&self, text: &str, role: Role, longest: usize) -> Result<Vec<u32>, EncodeError> {
        let mut ids = Vec::new();
        let prompted = format!("{}{text}", self.prompt(role));
        self.tokenizer.ids_within(&prompted, longest, &mut ids)?;
        Ok(ids)
    }

    /// Leading tokens that pooling leaves out: the prompt's, where the pooling excludes it.
    pub fn skipped(&self, role: Role) -> usize {
        if self.pipeline.pooling.include_prompt {
            0
        } else {
            self.tokenizer.prompt_tokens(self.prompt(role))
        }
    }

    fn prompt(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.pipeline.query_prompt,
            Role::Passage => &self.pipeline.passage_prompt,
        }
    }
}

/// Puts the factors into the rows of `width` numbers.
fn unfold(values: &mut [f32], factors: &mut Vec<f32>, width: usize) {
    for (row, factor) in values.chunks_exact_mut(width).zip(factors.iter()) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
    factors.clear();
}

fn stored(
    weights: &Weights,
    folder: &Path,
    name: &str,
    shape: &[usize],
) -> Result<StoredTensor, ModelError> {
    let tensor = weights.tensor(name, shape)?;
    Ok(StoredTensor {
        folder: folder.to_path_buf(),
        name: weights.stored_name(name).unwrap_or_else(|| name.to_owned()),
        shape: shape.to_vec(),
        values: tensor.to_f32(),
    })
}

/// The steps with their numbers; `width` is what pooling gives.
fn finish(steps: &[Step], mut width: usize) -> Result<Vec<FinishStep>, ModelError> {
    let mut ready = Vec::new();
    for step in steps {
        ready.push(match step {
            Step::Normalize => FinishStep::Normalize,
            Step::Dense(dir) => {
                let (config, tanh) = DenseConfig::read(dir, width)?;
                let weights = Weights::open(dir)?;
                let out = config.out_features;
                let weight = stored(&weights, dir, "linear.weight", &[out, width])?;
                width = out;
                let bias = || stored(&weights, dir, "linear.bias", &[out]);
                FinishStep::Dense {
                    weight,
                    bias: config.bias.then(bias).transpose()?,
                    tanh,
                }
            }
            Step::LayerNorm(dir) => {
                let weights = Weights::open(dir)?;
                FinishStep::LayerNorm {
                    gain: stored(&weights, dir, "norm.weight", &[width])?,
                    bias: stored(&weights, dir, "norm.bias", &[width])?,
                    eps: LAYER_NORM_EPS,
                }
            }
        });
    }
    Ok(ready)
}
