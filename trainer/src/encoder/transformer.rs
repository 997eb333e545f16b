//! What are the token vectors of a padded batch, with gradients?
//!
//! BERT (Devlin et al. 2019) and its relatives, post-LayerNorm, the same model as `engine`'s. Attention is written out
//! here because dropout belongs on the probabilities: burn's own module drops logits, which trains another model.
//! Letters: B texts, L tokens, H hidden width, A heads, D = H / A, F feed-forward width.

use burn::tensor::{Tensor, activation, module};
use engine::encoder::ModelError;
use engine::encoder::blueprint::Blueprint;
use engine::encoder::config::{BertConfig, Pooling};

use super::batch::TokenBatch;
use super::fused::{Fused, LayerAt, LinearAt, MatrixAt};
use super::kernels::NormAt;
use super::layout::{Band, Kind, Layout, Slot, Weights};
use super::ops::{LinearSlots, Noise, NormSlots, activate};
use super::packed::Tables;

/// Where a transformer's tensors lie.
pub(super) struct Transformer {
    config: BertConfig,
    words: Slot,
    positions: Slot,
    types: Option<Slot>,
    norm: NormSlots,
    layers: Vec<Layer>,
}

struct Layer {
    query: LinearSlots,
    key: LinearSlots,
    value: LinearSlots,
    attended: LinearSlots,
    attended_norm: NormSlots,
    up: LinearSlots,
    down: LinearSlots,
    down_norm: NormSlots,
}

/// Takes tensors from a model folder into the layout.
struct Reader<'a> {
    blueprint: &'a Blueprint,
    layout: &'a mut Layout,
    values: &'a mut Vec<f32>,
    band: Band,
    eps: f64,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize], kind: Kind) -> Result<Slot, ModelError> {
        let tensor = self.blueprint.tensor(name, shape)?;
        Ok(self.layout.add(tensor, kind, self.band, self.values))
    }

    fn linear(&mut self, name: &str, input: usize, out: usize) -> Result<LinearSlots, ModelError> {
        Ok(LinearSlots {
            weight: self.tensor(&format!("{name}.weight"), &[out, input], Kind::Matrix)?,
            bias: Some(self.tensor(&format!("{name}.bias"), &[out], Kind::Bias)?),
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<NormSlots, ModelError> {
        Ok(NormSlots {
            gain: self.tensor(&format!("{name}.weight"), &[width], Kind::Norm)?,
            bias: self.tensor(&format!("{name}.bias"), &[width], Kind::Norm)?,
            eps: self.eps,
        })
    }

    fn layer(&mut self, i: usize, h: usize, f: usize) -> Result<Layer, ModelError> {
        self.band = Band::Layer(i);
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        Ok(Layer {
            query: self.linear(&name("attention.self.query"), h, h)?,
            key: self.linear(&name("attention.self.key"), h, h)?,
            value: self.linear(&name("attention.self.value"), h, h)?,
            attended: self.linear(&name("attention.output.dense"), h, h)?,
            attended_norm: self.norm(&name("attention.output.LayerNorm"), h)?,
            up: self.linear(&name("intermediate.dense"), h, f)?,
            down: self.linear(&name("output.dense"), f, h)?,
            down_norm: self.norm(&name("output.LayerNorm"), h)?,
        })
    }
}

impl Transformer {
    /// Takes the tensors that `config` asks for; their numbers go to the end of `values`.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub(super) fn open(
        blueprint: &Blueprint,
        config: &BertConfig,
        layout: &mut Layout,
        values: &mut Vec<f32>,
    ) -> Result<Self, ModelError> {
        let (h, f) = (config.hidden, config.intermediate);
        let mut reader = Reader {
            blueprint,
            layout,
            values,
            band: Band::Embeddings,
            eps: f64::from(config.layer_norm_eps),
        };
        let mut table = |name: &str, rows| {
            reader.tensor(&format!("embeddings.{name}"), &[rows, h], Kind::Table)
        };
        let words = table("word_embeddings.weight", config.vocabulary)?;
        let positions = table("position_embeddings.weight", config.positions)?;
        let types = (config.token_types > 0)
            .then(|| table("token_type_embeddings.weight", config.token_types))
            .transpose()?;
        let norm = reader.norm("embeddings.LayerNorm", h)?;
        let layers = (0..config.layers)
            .map(|i| reader.layer(i, h, f))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config: config.clone(),
            words,
            positions,
            types,
            norm,
            layers,
        })
    }

    /// The same transformer for kernels of our own, if they can run it.
    pub(super) fn fused(&self, layout: &Layout, pooling: Pooling) -> Option<Fused> {
        let start = |slot: Slot| layout.entry(slot).start;
        let linear = |l: &LinearSlots| {
            let entry = layout.entry(l.weight);
            Some(LinearAt {
                weight: MatrixAt {
                    start: entry.start,
                    shape: [entry.shape[1], entry.shape[0]],
                },
                bias: start(l.bias?),
            })
        };
        let norm = |n: &NormSlots, bias: usize| NormAt {
            bias,
            gain: start(n.gain),
            shift: start(n.bias),
            epsilon: n.eps,
        };
        let layer = |l: &Layer| {
            let (attended, down) = (linear(&l.attended)?, linear(&l.down)?);
            Some(LayerAt {
                projections: [linear(&l.query)?, linear(&l.key)?, linear(&l.value)?],
                attended,
                attended_norm: norm(&l.attended_norm, attended.bias),
                up: linear(&l.up)?,
                down,
                down_norm: norm(&l.down_norm, down.bias),
            })
        };
        let fused = Fused {
            tables: Tables {
                words: start(self.words),
                positions: start(self.positions),
                types: self.types.map(start),
                width: self.config.hidden,
                first_position: self.config.first_position,
            },
            norm: norm(&self.norm, 0),
            layers: self.layers.iter().map(layer).collect::<Option<_>>()?,
            heads: self.config.heads,
            activation: self.config.activation,
            pooling,
            count: layout.count(),
        };
        fused.fits().then_some(fused)
    }

    /// Sizes and names.
    pub(super) fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Token vectors (B, L, H); those of padding mean nothing.
    pub(super) fn forward(
        &self,
        weights: &Weights,
        batch: &TokenBatch,
        noise: &mut Noise,
    ) -> Tensor<3> {
        let (b, l, h) = (batch.rows(), batch.length(), self.config.hidden);
        let padding = batch.padding_on(&weights.device());
        let mut x = self.embed(weights, batch, noise);
        for layer in &self.layers {
            let attended = self.attend(layer, weights, x.clone(), [b, l], padding.as_ref(), noise);
            x = layer.attended_norm.apply(weights, x + attended);
            let wide = activate(self.config.activation, layer.up.apply(weights, x.clone()));
            let narrow = noise.drop_hidden(layer.down.apply(weights, wide));
            x = layer.down_norm.apply(weights, x + narrow);
        }
        x.reshape([b, l, h])
    }

    /// Word, position and type vectors, summed and normalised, (B L, H).
    fn embed(&self, weights: &Weights, batch: &TokenBatch, noise: &mut Noise) -> Tensor<2> {
        let (b, l, h) = (batch.rows(), batch.length(), self.config.hidden);
        let device = weights.device();
        let words = module::embedding(weights.matrix(self.words), batch.ids_on(&device));
        let first = self.config.first_position;
        let mut places = weights.matrix(self.positions).slice(first..first + l);
        if let Some(types) = self.types {
            places = places + weights.matrix(types).slice(0..1);
        }
        let summed = words + places.unsqueeze::<3>();
        let normed = self.norm.apply(weights, summed.reshape([b * l, h]));
        noise.drop_hidden(normed)
    }

    /// Self-attention and its output layer, (B L, H).
    fn attend(
        &self,
        layer: &Layer,
        weights: &Weights,
        x: Tensor<2>,
        [b, l]: [usize; 2],
        padding: Option<&Tensor<4>>,
        noise: &mut Noise,
    ) -> Tensor<2> {
        let (h, a) = (self.config.hidden, self.config.heads);
        let d = h / a;
        let heads = |x: Tensor<2>| x.reshape([b, l, a, d]).swap_dims(1, 2);
        let query = layer.query.apply(weights, x.clone()) / (d as f64).sqrt();
        let key = layer.key.apply(weights, x.clone());
        let value = layer.value.apply(weights, x);
        let mut scores = heads(query).matmul(heads(key).swap_dims(2, 3));
        if let Some(padding) = padding {
            scores = scores + padding.clone();
        }
        let probabilities = noise.drop_attention(activation::softmax(scores, 3));
        let context = probabilities.matmul(heads(value));
        let context = context.swap_dims(1, 2).reshape([b * l, h]);
        noise.drop_hidden(layer.attended.apply(weights, context))
    }
}
