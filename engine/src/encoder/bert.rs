//! What are the token vectors of these token ids?
//!
//! The forward pass of BERT (Devlin et al. 2019) and its relatives, post-LayerNorm. Texts of a batch lie one after
//! another without padding: every linear layer runs over all tokens at once, attention over each text by itself.
//! Letters: T tokens of the batch, t tokens of a text, H hidden width, A heads, D = H / A, F feed-forward width.

use std::ops::Range;
use std::sync::OnceLock;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::config::{BertConfig, Naming};
use super::error::ModelError;
use super::gist;
use super::kernels::attention;
use super::kernels::level::{self, Level};
use super::linear::{Linear, Precision, Words};
use super::ready::Ready;
use super::weights::{Tensor, Weights};

/// A BERT-style encoder, ready to run.
pub(crate) struct Bert {
    config: BertConfig,
    /// (V, H).
    words: Tensor,
    /// What [`gist::common`] says of them, once it was asked for.
    common: OnceLock<Vec<f32>>,
    /// (positions, H), the vector of token type 0 added to each.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    precision: Precision,
    level: Level,
}

/// Gain and bias of a LayerNorm, (H) each.
struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    /// Query, key and value side by side: (3H, H).
    qkv: Linear,
    /// (H, H).
    attended: Linear,
    attended_norm: Norm,
    /// (F, H).
    up: Linear,
    /// (H, F).
    down: Linear,
    down_norm: Norm,
}

/// Buffers of one forward pass, kept between passes.
#[derive(Default)]
pub(crate) struct Scratch {
    /// (T, H): the residual stream, and the result.
    hidden: Vec<f32>,
    /// (T, 3H).
    qkv: Vec<f32>,
    /// (T, H).
    context: Vec<f32>,
    /// (T, H).
    update: Vec<f32>,
    /// (T, F).
    wide: Vec<f32>,
    /// The input of a linear layer in its precision.
    words: Words,
    /// (t, t) of the text and head at work, where faer runs attention.
    scores: Vec<f32>,
    attention: attention::Buffers,
}

impl Bert {
    /// Takes the tensors that `config` asks for out of `weights`; layers are packed on all threads of rayon.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub(crate) fn open(
        config: BertConfig,
        weights: &Weights,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let layers = (0..config.layers)
            .into_par_iter()
            .map(|i| {
                let names = |parts: &[&str]| layer_names(&config, i, parts);
                Layer::open(&config, weights, i, |parts, shape| {
                    Linear::stacked(weights, &names(parts), shape, precision)
                })
            })
            .collect::<Result<_, _>>()?;
        Self::around(layers, config, weights, precision)
    }

    /// The same with its layers taken from `ready`.
    ///
    /// # Errors
    /// As [`Bert::open`], or layers that `ready` does not hold.
    pub(crate) fn open_kept(
        config: BertConfig,
        weights: &Weights,
        precision: Precision,
        ready: &mut Ready,
    ) -> Result<Self, ModelError> {
        let layers = (0..config.layers)
            .map(|i| {
                Layer::open(&config, weights, i, |parts, shape| {
                    let stacked = [parts.len() * shape[0], shape[1]];
                    let absent = || weights.bad(parts[0], "is not among what was kept".into());
                    Linear::kept(ready, stacked, precision).ok_or_else(absent)
                })
            })
            .collect::<Result<_, _>>()?;
        Self::around(layers, config, weights, precision)
    }

    fn around(
        layers: Vec<Layer>,
        config: BertConfig,
        weights: &Weights,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let (h, naming) = (config.hidden, config.naming);
        let words = weights.tensor("embeddings.word_embeddings.weight", &[config.vocabulary, h])?;
        Ok(Self {
            words,
            common: OnceLock::new(),
            positions: positions(&config, weights)?,
            norm: Norm::open(weights, &tensor_name(naming, "embeddings.LayerNorm"), h)?,
            layers,
            precision,
            level: Level::best(),
            config,
        })
    }

    /// What [`Bert::open_kept`] takes; `None` where layers are not packed.
    pub(crate) fn slabs(&self) -> Option<Vec<&[u32]>> {
        let mut slabs = Vec::new();
        for layer in &self.layers {
            for linear in [&layer.qkv, &layer.attended, &layer.up, &layer.down] {
                slabs.append(&mut linear.slabs()?);
            }
        }
        Some(slabs)
    }

    /// The numbers its layers multiply.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Width of the token vectors.
    pub(crate) fn hidden(&self) -> usize {
        self.config.hidden
    }

    /// Roughly what `ids`, each below V, are about, without the layers.
    pub(crate) fn gist(&self, ids: &[u32]) -> Vec<f32> {
        let common = self.common.get_or_init(|| gist::common(&self.words));
        gist::gist(&self.words, common, ids)
    }

    /// Token vectors, (T, H), of the texts whose ids lie in `ids` one after another; text i ends before `ends[i]`.
    /// Each text is at most [`BertConfig::longest`] tokens, each id below V.
    pub(crate) fn forward<'s>(
        &self,
        ids: &[u32],
        ends: &[usize],
        scratch: &'s mut Scratch,
    ) -> &'s [f32] {
        scratch.resize(&self.config, ids.len());
        self.embed(ids, ends, &mut scratch.hidden);
        for layer in &self.layers {
            self.attend(layer, ends, scratch);
            self.feed_forward(layer, scratch);
        }
        &scratch.hidden
    }

    /// Word, position and type vectors, summed and normalised.
    fn embed(&self, ids: &[u32], ends: &[usize], hidden: &mut [f32]) {
        let h = self.config.hidden;
        for (row, id) in hidden.chunks_exact_mut(h).zip(ids) {
            self.words.row(*id as usize, row);
        }
        let positions = &self.positions[self.config.first_position * h..];
        for text in texts(ends) {
            let positions = &positions[..text.len() * h];
            self.add_norm(
                &self.norm,
                &mut hidden[text.start * h..text.end * h],
                positions,
            );
        }
    }

    /// `hidden` ← LayerNorm(`hidden` + `update`).
    fn add_norm(&self, norm: &Norm, hidden: &mut [f32], update: &[f32]) {
        let eps = self.config.layer_norm_eps;
        level::add_norm(self.level, hidden, update, &norm.gain, &norm.bias, eps);
    }

    /// Self-attention, its output layer, residual and LayerNorm.
    fn attend(&self, layer: &Layer, ends: &[usize], s: &mut Scratch) {
        layer.qkv.apply(&s.hidden, &mut s.words, None, &mut s.qkv);
        for text in texts(ends) {
            self.attention(text, s);
        }
        layer
            .attended
            .apply(&s.context, &mut s.words, None, &mut s.update);
        self.add_norm(&layer.attended_norm, &mut s.hidden, &s.update);
    }

    /// softmax(Q Kᵀ / √D) V of the tokens `text` for each head.
    fn attention(&self, text: Range<usize>, s: &mut Scratch) {
        let (h, heads) = (self.config.hidden, self.config.heads);
        let qkv = &s.qkv[text.start * 3 * h..text.end * 3 * h];
        let context = &mut s.context[text.start * h..text.end * h];
        if let Some((dot, level)) = self.precision.attention(h / heads) {
            attention::attention(dot, level, qkv, heads, h, &mut s.attention, context);
            return;
        }
        plain_attention(self.level, qkv, heads, h, &mut s.scores, context);
    }

    /// The feed-forward block, residual and LayerNorm.
    fn feed_forward(&self, layer: &Layer, s: &mut Scratch) {
        let activation = Some(self.config.activation);
        layer
            .up
            .apply(&s.hidden, &mut s.words, activation, &mut s.wide);
        layer.down.apply(&s.wide, &mut s.words, None, &mut s.update);
        self.add_norm(&layer.down_norm, &mut s.hidden, &s.update);
    }
}

/// The tokens of each text.
fn texts(ends: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| start..*end)
}

impl Norm {
    fn open(weights: &Weights, name: &str, hidden: usize) -> Result<Self, ModelError> {
        let read = |part: &str| {
            weights
                .tensor(&format!("{name}.{part}"), &[hidden])
                .map(|t| t.to_f32())
        };
        Ok(Self {
            gain: read("weight")?,
            bias: read("bias")?,
        })
    }
}

impl Layer {
    /// Layer `i`; `linear` gives the linear layer stacked from the named parts, each of a shape (out, in).
    fn open(
        config: &BertConfig,
        weights: &Weights,
        i: usize,
        mut linear: impl FnMut(&[&str], [usize; 2]) -> Result<Linear, ModelError>,
    ) -> Result<Self, ModelError> {
        let (h, f) = (config.hidden, config.intermediate);
        let norm = |part: &str| Norm::open(weights, &layer_names(config, i, &[part])[0], h);
        let qkv = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ];
        Ok(Self {
            qkv: linear(&qkv, [h, h])?,
            attended: linear(&["attention.output.dense"], [h, h])?,
            attended_norm: norm("attention.output.LayerNorm")?,
            up: linear(&["intermediate.dense"], [f, h])?,
            down: linear(&["output.dense"], [h, f])?,
            down_norm: norm("output.LayerNorm")?,
        })
    }
}

/// The full names of parts of layer `i`.
fn layer_names(config: &BertConfig, i: usize, parts: &[&str]) -> Vec<String> {
    let name = |part: &&str| tensor_name(config.naming, &format!("encoder.layer.{i}.{part}"));
    parts.iter().map(name).collect()
}

/// Attention through faer: `context`, (t, H), from `qkv`, (t, 3H).
fn plain_attention(
    level: Level,
    qkv: &[f32],
    heads: usize,
    hidden: usize,
    scores: &mut Vec<f32>,
    context: &mut [f32],
) {
    let (t, d) = (context.len() / hidden, hidden / heads);
    scores.resize(t * t, 0.0);
    let qkv = MatRef::from_row_major_slice(qkv, t, 3 * hidden);
    let mut context = MatMut::from_row_major_slice_mut(context, t, hidden);
    for head in 0..heads {
        let part = |which: usize| qkv.subcols(which * hidden + head * d, d);
        let mut products = MatMut::from_row_major_slice_mut(scores.as_mut_slice(), t, t);
        matmul(
            &mut products,
            Accum::Replace,
            part(0),
            part(1).transpose(),
            1.0,
            Par::Seq,
        );
        for row in scores.chunks_exact_mut(t) {
            level::softmax(level, row, 1.0 / (d as f32).sqrt());
        }
        matmul(
            context.as_mut().subcols_mut(head * d, d),
            Accum::Replace,
            MatRef::from_row_major_slice(scores.as_slice(), t, t),
            part(2),
            1.0,
            Par::Seq,
        );
    }
}

impl Scratch {
    fn resize(&mut self, config: &BertConfig, tokens: usize) {
        let h = config.hidden;
        self.hidden.resize(tokens * h, 0.0);
        self.qkv.resize(tokens * 3 * h, 0.0);
        self.context.resize(tokens * h, 0.0);
        self.update.resize(tokens * h, 0.0);
        self.wide.resize(tokens * config.intermediate, 0.0);
    }
}

/// The position table with the vector of token type 0 added to each row.
fn positions(config: &BertConfig, weights: &Weights) -> Result<Vec<f32>, ModelError> {
    let h = config.hidden;
    let mut table = weights
        .tensor(
            "embeddings.position_embeddings.weight",
            &[config.positions, h],
        )?
        .to_f32();
    if config.token_types > 0 {
        let types = weights
            .tensor(
                "embeddings.token_type_embeddings.weight",
                &[config.token_types, h],
            )?
            .to_f32();
        for row in table.chunks_exact_mut(h) {
            row.iter_mut().zip(&types).for_each(|(p, t)| *p += t);
        }
    }
    Ok(table)
}

/// DistilBERT's names for parts of BERT.
const DISTILBERT_NAMES: [(&str, &str); 8] = [
    ("encoder.layer.", "transformer.layer."),
    ("attention.self.query", "attention.q_lin"),
    ("attention.self.key", "attention.k_lin"),
    ("attention.self.value", "attention.v_lin"),
    ("attention.output.dense", "attention.out_lin"),
    ("attention.output.LayerNorm", "sa_layer_norm"),
    ("intermediate.dense", "ffn.lin1"),
    ("output.dense", "ffn.lin2"),
];

/// The name under which BERT's `name` is stored.
pub(crate) fn tensor_name(naming: Naming, name: &str) -> String {
    match naming {
        Naming::Bert | Naming::Roberta => name.to_owned(),
        Naming::DistilBert => {
            let named = DISTILBERT_NAMES
                .iter()
                .fold(name.to_owned(), |n, (bert, distil)| n.replace(bert, distil));
            named.replace(".output.LayerNorm", ".output_layer_norm")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kernels::scalar;
    use super::*;

    /// The way of CPUs without tiles, by its definition, at every level and odd lengths.
    #[test]
    fn attention_through_faer_equals_its_definition() {
        let value = |i: usize| ((i * 29 + 7) % 23) as f32 / 11.0 - 1.0;
        for level in Level::available() {
            for (t, heads, d) in [(1, 1, 4), (5, 2, 3), (17, 3, 8), (33, 2, 32)] {
                let h = heads * d;
                let qkv: Vec<f32> = (0..t * 3 * h).map(value).collect();
                let (mut scores, mut found) = (Vec::new(), vec![0.0; t * h]);
                plain_attention(level, &qkv, heads, h, &mut scores, &mut found);
                let part = |which: usize, token: usize, head: usize| {
                    let at = token * 3 * h + which * h + head * d;
                    &qkv[at..at + d]
                };
                for (token, head) in (0..t).flat_map(|t| (0..heads).map(move |head| (t, head))) {
                    let product = |other| -> f32 {
                        let (q, k) = (part(0, token, head), part(1, other, head));
                        q.iter().zip(k).map(|(q, k)| q * k).sum()
                    };
                    let mut weights: Vec<f32> = (0..t).map(product).collect();
                    scalar::softmax(&mut weights, 1.0 / (d as f32).sqrt());
                    for column in 0..d {
                        let values = (0..t).map(|other| part(2, other, head)[column]);
                        let wanted: f32 = weights.iter().zip(values).map(|(w, v)| w * v).sum();
                        let found = found[token * h + head * d + column];
                        assert!((found - wanted).abs() < 1e-4, "{level:?} t = {t} D = {d}");
                    }
                }
            }
        }
    }
}
