//! Which encoder is in this folder?

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use serde::Deserialize;

use super::bert::Bert;
use super::config::{BertConfig, Pipeline, Step, json, model_type};
use super::cpu::{Body, CpuEncoder, Prompt};
use super::dense::{Dense, LayerNorm};
use super::error::ModelError;
use super::identity::Description;
use super::linear::Precision;
use super::pooling::Finish;
use super::ready::{self, About, Ready, Source};
use super::static_table::StaticTable;
use super::tokenizer::{TextTokenizer, TokenizerOptions};
use super::weights::Weights;
use super::{Encoder, EncoderIdentity};

/// How a model is opened. None of it changes the vectors beyond rounding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The name people use for the model. Default: the name of its folder.
    pub name: Option<String>,
    /// Threads for batches of texts; a single text always stays on the calling thread. Default: one a core.
    pub threads: Option<usize>,
    /// Numbers of the linear layers; the static family has none. Default: f32. `measure_precisions` compares them.
    pub precision: Precision,
    /// A file to keep what opening works out, so that the next time takes milliseconds. It is taken where it holds for the
    /// model's files as they are, and written anew where not. Default: none.
    pub kept: Option<PathBuf>,
}

/// Opens the encoder in `dir`: BERT, RoBERTa, XLM-RoBERTa or DistilBERT in Hugging Face layout, with or without the
/// files of sentence-transformers; or a static one in model2vec's or sentence-transformers' layout. Weights are
/// memory-mapped: replace the folder as a whole, do not edit its files while the encoder lives.
///
/// # Errors
/// A file that is missing or broken, sizes that contradict each other, NaN or infinity among the weights, or
/// anything this encoder does not compute. The error names the file and the field or tensor.
pub fn load(dir: &Path, options: &LoadOptions) -> Result<Arc<dyn Encoder>, ModelError> {
    Ok(Arc::new(load_cpu(dir, options)?))
}

/// As [`load`], with its parts in reach.
pub(crate) fn load_cpu(dir: &Path, options: &LoadOptions) -> Result<CpuEncoder, ModelError> {
    if !dir.is_dir() {
        return Err(ModelError::Missing {
            path: dir.to_path_buf(),
            purpose: "the model (config.json, tokenizer.json, model.safetensors)",
        });
    }
    let parts = if model_type(dir)?.as_deref() == Some("model2vec") {
        static_parts(dir, MODEL2VEC_TOKENS, &model2vec_steps(dir)?, options)?
    } else {
        let pipeline = Pipeline::read(dir)?;
        if pipeline.is_static {
            static_embedding(&pipeline, options)?
        } else {
            bert(&pipeline, options)?
        }
    };
    Ok(parts.assemble(dir, options))
}

/// An encoder read from its folder, before it has a name and threads.
struct Parts {
    family: &'static str,
    tokenizer: TextTokenizer,
    body: Body,
    finish: Vec<Finish>,
    query: Prompt,
    passage: Prompt,
    dimension: usize,
    description: Description,
}

impl Parts {
    fn assemble(mut self, dir: &Path, options: &LoadOptions) -> CpuEncoder {
        let max_tokens = self.tokenizer.max_tokens();
        self.description
            .add("family", self.family)
            .add("tokenizer", self.tokenizer.digest())
            .add("text is lower-cased", self.tokenizer.lower_cases())
            .add("maximum length", max_tokens)
            .add("query prompt", &self.query.text)
            .add("passage prompt", &self.passage.text)
            .add("dimension", self.dimension);
        CpuEncoder {
            identity: EncoderIdentity {
                hash: self.description.hash(),
                name: options.name.clone().unwrap_or_else(|| folder_name(dir)),
                family: self.family.to_owned(),
                dimension: self.dimension,
                max_tokens,
            },
            tokenizer: self.tokenizer,
            body: self.body,
            finish: self.finish,
            query: self.query,
            passage: self.passage,
            threads: options.threads.unwrap_or_else(cores),
            pool: OnceLock::new(),
            workspaces: Mutex::default(),
        }
    }
}

fn folder_name(dir: &Path) -> String {
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    absolute
        .file_name()
        .map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A transformer with what sentence-transformers does around it.
fn bert(pipeline: &Pipeline, options: &LoadOptions) -> Result<Parts, ModelError> {
    let dir = &pipeline.model_dir;
    let precision = options.precision;
    if !precision.is_available() {
        return Err(ModelError::unsupported(
            dir,
            format!("precision {precision:?} on this CPU"),
            "f32 is on every CPU",
        ));
    }
    let config = BertConfig::read(dir)?;
    let tokens = bert_tokens(pipeline, &config);
    let weights = Weights::open(dir)?.with_prefix_of("embeddings.word_embeddings.weight");
    let kept = Kept::of(dir, &weights, options, config.vocabulary);
    let reopen = |ready: &mut Ready| Bert::open_kept(config.clone(), &weights, precision, ready);
    let (tokenizer, bert, digest) = match kept.as_ref().and_then(|kept| kept.open(reopen)) {
        Some(opened) => opened,
        None => {
            let (tokenizer, body) = rayon::join(
                || TextTokenizer::open(dir, config.vocabulary, tokens),
                || Bert::open(config.clone(), &weights, precision),
            );
            let (tokenizer, bert, digest) = (tokenizer?, body?, weights.digest()?);
            if let (Some(kept), Some(slabs)) = (&kept, bert.slabs()) {
                kept.write(&tokenizer, digest, slabs);
            }
            (tokenizer, bert, digest)
        }
    };
    let pooling = pipeline.pooling.clone();
    if let Some(width) = pooling.hidden.filter(|w| *w != config.hidden) {
        return Err(ModelError::malformed(
            &dir.join("1_Pooling/config.json"),
            format!(
                "is for vectors of {width} numbers, config.json says hidden_size {}",
                config.hidden
            ),
        ));
    }
    let mut description = Description::new();
    description
        .add("weights", digest)
        .add("architecture", format!("{config:?}"))
        .add("pooling", format!("{:?}", pooling.modes))
        .add("prompt is pooled", pooling.include_prompt);
    let width = config.hidden * pooling.modes.len();
    let (finish, dimension) = finish(&pipeline.steps, width, &mut description)?;
    let prompt = |text: &String| Prompt {
        skipped: if pooling.include_prompt {
            0
        } else {
            tokenizer.prompt_tokens(text)
        },
        text: text.clone(),
    };
    Ok(Parts {
        family: "bert",
        query: prompt(&pipeline.query_prompt),
        passage: prompt(&pipeline.passage_prompt),
        tokenizer,
        body: Body::Bert(Box::new(bert), pooling),
        finish,
        dimension,
        description,
    })
}

/// The file that keeps what opening works out, and what it has to hold for.
struct Kept<'a> {
    path: &'a Path,
    dir: &'a Path,
    source: Source,
    /// Rows of the embedding table.
    rows: usize,
}

impl<'a> Kept<'a> {
    /// None if nobody asked for one.
    fn of(dir: &'a Path, weights: &Weights, options: &'a LoadOptions, rows: usize) -> Option<Self> {
        let path = options.kept.as_deref()?;
        let mut files: Vec<PathBuf> = weights.paths().map(Path::to_path_buf).collect();
        files.push(dir.join("tokenizer.json"));
        let precision = options.precision;
        // A file that cannot be looked at is named when it is opened.
        let source = Source::of(&files, precision, precision.packed_for()).ok()?;
        Some(Self {
            path,
            dir,
            source,
            rows,
        })
    }

    /// Tokenizer, body and digest of the weights as they were kept; none if they were not, or hold no more: then the model
    /// itself is opened, and says what is wrong with it if anything is.
    fn open<T>(
        &self,
        body: impl FnOnce(&mut Ready) -> Result<T, ModelError>,
    ) -> Option<(TextTokenizer, T, blake3::Hash)> {
        let mut ready = Ready::open(self.path, &self.source).ok()?;
        let digest = blake3::Hash::from_hex(&ready.about.weights).ok()?;
        let vocabulary = ready.slab(ready.about.vocabulary)?;
        let notes = ready.about.tokenizer.clone();
        let tokenizer = TextTokenizer::stored(self.dir, self.rows, notes, vocabulary)?;
        let body = body(&mut ready).ok()?;
        ready.is_used_up().then_some((tokenizer, body, digest))
    }

    /// Keeps what was worked out. Tokenizers other than BERT's have no vocabulary of ours to keep.
    fn write(&self, tokenizer: &TextTokenizer, digest: blake3::Hash, slabs: Vec<&[u32]>) {
        let Some((notes, vocabulary)) = tokenizer.notes() else {
            return;
        };
        let about = About {
            source: self.source.clone(),
            weights: digest.to_hex().to_string(),
            tokenizer: notes,
            vocabulary: vocabulary.len(),
        };
        let slabs: Vec<&[u32]> = std::iter::once(vocabulary).chain(slabs).collect();
        // A folder that cannot be written to, or a full disk: the next opening takes as long as this one.
        let _ = ready::write(self.path, &about, &slabs);
    }
}

/// How a transformer's texts become ids.
pub(super) fn bert_tokens(pipeline: &Pipeline, config: &BertConfig) -> TokenizerOptions {
    let longest = config.longest();
    TokenizerOptions {
        specials: true,
        lower_case: pipeline.lower_case,
        drop_unknown: false,
        max_tokens: Some(pipeline.max_tokens.map_or(longest, |n| n.min(longest))),
    }
}

/// sentence-transformers' `StaticEmbedding`: no special tokens, the tokenizer's own cut.
pub(super) const STATIC_TOKENS: TokenizerOptions = TokenizerOptions {
    specials: false,
    lower_case: false,
    drop_unknown: false,
    max_tokens: None,
};

fn static_embedding(pipeline: &Pipeline, options: &LoadOptions) -> Result<Parts, ModelError> {
    let prompt = |text: &String| Prompt {
        text: text.clone(),
        skipped: 0,
    };
    let dir = &pipeline.model_dir;
    let mut parts = static_parts(dir, STATIC_TOKENS, &pipeline.steps, options)?;
    parts.query = prompt(&pipeline.query_prompt);
    parts.passage = prompt(&pipeline.passage_prompt);
    Ok(parts)
}

/// `config.json` of model2vec.
#[derive(Deserialize)]
struct Model2VecConfig {
    #[serde(default)]
    normalize: bool,
}

/// model2vec drops unknown tokens and then cuts: 512 is the default of its `encode`.
pub(super) const MODEL2VEC_TOKENS: TokenizerOptions = TokenizerOptions {
    specials: false,
    lower_case: false,
    drop_unknown: true,
    max_tokens: Some(512),
};

/// What model2vec's `config.json` asks for after the mean.
pub(super) fn model2vec_steps(dir: &Path) -> Result<Vec<Step>, ModelError> {
    let config: Model2VecConfig = json(&dir.join("config.json"), "the settings of the model")?;
    Ok(config
        .normalize
        .then_some(Step::Normalize)
        .into_iter()
        .collect())
}

fn static_parts(
    dir: &Path,
    tokens: TokenizerOptions,
    steps: &[Step],
    options: &LoadOptions,
) -> Result<Parts, ModelError> {
    let weights = Weights::open(dir)?;
    let table = StaticTable::of(&weights)?;
    let kept = Kept::of(dir, &weights, options, table.ids());
    let opened = kept.as_ref().and_then(|kept| kept.open(|_| Ok(())));
    let (tokenizer, digest) = match opened {
        Some((tokenizer, (), digest)) => (tokenizer, digest),
        None => {
            let tokenizer = TextTokenizer::open(dir, table.ids(), tokens)?;
            let digest = table.digest(&weights)?;
            if let Some(kept) = &kept {
                kept.write(&tokenizer, digest, Vec::new());
            }
            (tokenizer, digest)
        }
    };
    static_of((table, digest), tokenizer, tokens, steps)
}

/// A static encoder of its opened parts.
fn static_of(
    (table, digest): (StaticTable, blake3::Hash),
    tokenizer: TextTokenizer,
    tokens: TokenizerOptions,
    steps: &[Step],
) -> Result<Parts, ModelError> {
    let mut description = Description::new();
    description
        .add("weights", digest)
        .add("unknown tokens are dropped", tokens.drop_unknown);
    let (finish, dimension) = finish(steps, table.dimension(), &mut description)?;
    Ok(Parts {
        family: "static",
        tokenizer,
        body: Body::Static(table),
        finish,
        query: Prompt::default(),
        passage: Prompt::default(),
        dimension,
        description,
    })
}

/// The static encoder called `name` whose files are part of the program: unknown tokens are dropped, vectors have unit
/// length, as in model2vec's layout with `normalize`.
///
/// # Errors
/// Damaged files.
#[cfg(feature = "builtin")]
pub(crate) fn embedded(
    name: &str,
    tokenizer: &'static [u8],
    weights: &'static [u8],
) -> Result<Arc<dyn Encoder>, ModelError> {
    let path = |file| Path::new(name).join(file);
    let weights = Weights::embedded(&path("model.safetensors"), weights)?;
    let table = StaticTable::of(&weights)?;
    let digest = table.digest(&weights)?;
    let tokenizer = TextTokenizer::of(
        &path("tokenizer.json"),
        tokenizer,
        table.ids(),
        MODEL2VEC_TOKENS,
    )?;
    let parts = static_of(
        (table, digest),
        tokenizer,
        MODEL2VEC_TOKENS,
        &[Step::Normalize],
    )?;
    let options = LoadOptions {
        name: Some(name.to_owned()),
        ..LoadOptions::default()
    };
    Ok(Arc::new(parts.assemble(Path::new(name), &options)))
}

/// Opens the steps after pooling; the last width is the encoder's dimension.
fn finish(
    steps: &[Step],
    mut width: usize,
    description: &mut Description,
) -> Result<(Vec<Finish>, usize), ModelError> {
    let mut ready = Vec::new();
    for step in steps {
        match step {
            Step::Normalize => {
                description.add("step", "normalize");
                ready.push(Finish::Normalize);
            }
            Step::LayerNorm(dir) => {
                let (norm, digest) = LayerNorm::open(dir, width)?;
                description.add("step", "layer norm").add("weights", digest);
                ready.push(Finish::LayerNorm(norm));
            }
            Step::Dense(dir) => {
                let (dense, digest) = Dense::open(dir, width)?;
                width = dense.width();
                description
                    .add("step", "dense")
                    .add("weights", digest)
                    .add("tanh", dense.tanh());
                ready.push(Finish::Dense(dense));
            }
        }
    }
    Ok((ready, width))
}
