//! How does a transformer go forward and back on a GPU in few launches?
//!
//! The same numbers as `transformer`, written out by hand: matrix products are burn's, everything between two of them
//! is one kernel of ours, texts are packed without padding, and the way back needs no graph. Activations are kept in
//! f32 or f16; weights, their gradients and all sums are f32 (Micikevicius et al. 2018: gradients are scaled up so that
//! f16 can hold them, and down again where they are added up).

use burn::tensor::{DType, Tensor};
use engine::encoder::config::{Activation, Pooling};
use serde::{Deserialize, Serialize};

use super::Tokens;
use super::kernels::{
    self, Chance, Columns, DEEPEST, Heads, LANES, Lists, NormAt, NormGradient, Normed, WIDEST,
};
use super::ops::mix;
use super::packed::{Packed, Tables};

/// A linear layer: its weight (in, out) and where its bias lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinearAt {
    pub(super) weight: MatrixAt,
    pub(super) bias: usize,
}

/// A matrix among the weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixAt {
    pub(super) start: usize,
    pub(super) shape: [usize; 2],
}

/// Places of one layer's weights.
#[derive(Debug, Clone)]
pub(super) struct LayerAt {
    /// Queries, keys and values.
    pub(super) projections: [LinearAt; 3],
    pub(super) attended: LinearAt,
    pub(super) attended_norm: NormAt,
    pub(super) up: LinearAt,
    pub(super) down: LinearAt,
    pub(super) down_norm: NormAt,
}

/// What activations are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; half the memory, and the matrix units of a GPU.
    F16,
}

impl Precision {
    /// What computing with it is called in front of people.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32 kernels",
            Self::F16 => "f16 kernels",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// A transformer whose weights are places in one vector.
#[derive(Debug, Clone)]
pub struct Fused {
    pub(super) tables: Tables,
    pub(super) norm: NormAt,
    pub(super) layers: Vec<LayerAt>,
    pub(super) heads: usize,
    pub(super) activation: Activation,
    pub(super) pooling: Pooling,
    /// Numbers in the vector of all weights.
    pub(super) count: usize,
}

/// Shares of activations and probabilities that are dropped, and the seed of the choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drops {
    pub(crate) hidden: f64,
    pub(crate) attention: f64,
    pub(crate) seed: u64,
}

impl Drops {
    pub(crate) const NONE: Self = Self {
        hidden: 0.0,
        attention: 0.0,
        seed: 0,
    };

    fn chance(self, rate: f64, place: usize) -> Chance {
        Chance::new(rate, mix(self.seed ^ mix(place as u64)))
    }
}

/// What the way back needs of a forward pass.
pub(crate) struct Tape {
    batch: Packed,
    drops: Drops,
    embedded: Normed,
    layers: Vec<LayerTape>,
}

struct LayerTape {
    qkv: Tensor<2>,
    context: Tensor<2>,
    log_sum: Tensor<2>,
    attended: Normed,
    up: Tensor<2>,
    down: Normed,
}

/// The gradient of all weights under way.
struct Gradient {
    sum: Tensor<1>,
    /// What undoes the scale of the gradients.
    factor: f32,
}

/// The weights of a pass, and their copy in the type of the activations.
struct Stored<'a> {
    all: &'a Tensor<1>,
    kept: Tensor<1>,
}

impl Stored<'_> {
    fn matrix(&self, at: MatrixAt) -> Tensor<2> {
        let count = at.shape[0] * at.shape[1];
        self.kept
            .clone()
            .slice(at.start..at.start + count)
            .reshape(at.shape)
    }

    /// Queries', keys' and values' matrices side by side, (H, 3 H).
    fn projections(&self, layer: &LayerAt) -> Tensor<2> {
        Tensor::cat(layer.projections.map(|p| self.matrix(p.weight)).to_vec(), 1)
    }
}

impl Fused {
    /// Whether kernels of ours can run this shape.
    pub(super) fn fits(&self) -> bool {
        let width = self.tables.width;
        let inner = self.layers.iter().map(|l| l.up.weight.shape[1]);
        let head = width / self.heads.max(1);
        width <= WIDEST
            && head <= DEEPEST
            && head * self.heads == width
            && inner
                .chain([width, head])
                .all(|size| size.is_multiple_of(LANES))
            && self.places().all(|place| place.is_multiple_of(LANES))
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let linear = |l: &LinearAt| [l.weight.start, l.bias];
        let norm = |n: &NormAt| [n.bias, n.gain, n.shift];
        let layers = self.layers.iter().flat_map(move |l| {
            let linears = l.projections.iter().chain([&l.attended, &l.up, &l.down]);
            let norms = [&l.attended_norm, &l.down_norm];
            linears
                .flat_map(linear)
                .chain(norms.into_iter().flat_map(norm))
                .collect::<Vec<_>>()
        });
        let tables = [self.tables.words, self.tables.positions];
        layers
            .chain(tables)
            .chain(self.tables.types)
            .chain([self.norm.gain, self.norm.shift])
    }

    fn heads_of(&self, layer: &LayerAt) -> Heads {
        Heads {
            biases: layer.projections.map(|p| p.bias / LANES),
            count: self.heads,
            size: self.tables.width / self.heads,
        }
    }

    /// Text vectors before what follows pooling, (texts, H), f32; with `taped`, what [`Fused::backward`] needs.
    pub(crate) fn forward(
        &self,
        weights: &Tensor<1>,
        texts: &[&Tokens],
        precision: Precision,
        drops: Drops,
        taped: bool,
    ) -> (Tensor<2>, Option<Tape>) {
        let dtype = precision.dtype();
        let tile = Heads::tile(self.tables.width / self.heads);
        let batch = Packed::new(texts, self.pooling, self.tables, tile, weights);
        let stored = Stored {
            all: weights,
            kept: weights.clone().cast(dtype),
        };
        let t = self.tables;
        let embedded = kernels::embed(
            &batch.ids,
            &batch.positions,
            batch.rows,
            weights,
            [Some(t.words), Some(t.positions), t.types].map(|p| p.map(|p| p / LANES)),
            self.norm.by_vectors(),
            t.width,
            dtype,
            drops.chance(drops.hidden, 0),
        );
        let mut x = embedded.out.clone();
        let mut layers = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            let tape = self.layer(layer, i, &stored, x, &batch, drops);
            x = tape.down.out.clone();
            if taped {
                layers.push(tape);
            }
        }
        let pooled = kernels::pool(&x, &batch.shares, &batch.starts);
        let tape = taped.then_some(Tape {
            batch,
            drops,
            embedded,
            layers,
        });
        (pooled, tape)
    }

    fn layer(
        &self,
        layer: &LayerAt,
        number: usize,
        stored: &Stored<'_>,
        x: Tensor<2>,
        batch: &Packed,
        drops: Drops,
    ) -> LayerTape {
        let [attention, first, second] = chances(drops, number);
        let qkv = x.clone().matmul(stored.projections(layer));
        let heads = self.heads_of(layer);
        let (context, log_sum) = kernels::attend(&qkv, stored.all, &batch.tiles, heads, attention);
        let product = context.clone().matmul(stored.matrix(layer.attended.weight));
        let at = layer.attended_norm.by_vectors();
        let attended = kernels::add_norm(&product, &x, stored.all, at, first);
        let up = attended.out.clone().matmul(stored.matrix(layer.up.weight));
        let wide = kernels::bias_activate(&up, stored.all, layer.up.bias / LANES, self.activation);
        let narrow = wide.matmul(stored.matrix(layer.down.weight));
        let at = layer.down_norm.by_vectors();
        let down = kernels::add_norm(&narrow, &attended.out, stored.all, at, second);
        LayerTape {
            qkv,
            context,
            log_sum,
            attended,
            up,
            down,
        }
    }

    /// The gradient of all weights for `d_pooled` (texts, H), f32. It travels `scale` times as large.
    pub(crate) fn backward(
        &self,
        weights: &Tensor<1>,
        tape: &Tape,
        d_pooled: &Tensor<2>,
        scale: f32,
    ) -> Tensor<1> {
        let dtype = tape.embedded.out.dtype();
        let stored = Stored {
            all: weights,
            kept: weights.clone().cast(dtype),
        };
        let gradient = Gradient {
            sum: Tensor::zeros([self.count], &weights.device()),
            factor: 1.0 / scale,
        };
        let batch = &tape.batch;
        let mut d_out = kernels::pool_backward(d_pooled, &batch.shares, &batch.texts, dtype, scale);
        let mut d_more = None;
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let input = match i {
                0 => &tape.embedded.out,
                _ => &tape.layers[i - 1].down.out,
            };
            let arriving = [Some(&d_out), d_more.as_ref()];
            let (sum, more) =
                self.layer_backward(i, layer, &stored, tape, input, arriving, &gradient);
            (d_out, d_more) = (sum, Some(more));
        }
        let chance = tape.drops.chance(tape.drops.hidden, 0);
        let at = self.norm.by_vectors();
        let arriving = [Some(&d_out), d_more.as_ref()];
        let back = kernels::norm_backward(arriving, &tape.embedded, weights, at, chance, true);
        gradient.add_norm(&back, at, self.tables.width, true);
        gradient.add_rows(&back.sum, &batch.tables);
        gradient.sum
    }

    /// Gradients of a layer's input, in two parts that belong together.
    #[allow(clippy::too_many_arguments)]
    fn layer_backward(
        &self,
        number: usize,
        layer: &LayerAt,
        stored: &Stored<'_>,
        tape: &Tape,
        input: &Tensor<2>,
        arriving: [Option<&Tensor<2>>; 2],
        gradient: &Gradient,
    ) -> (Tensor<2>, Tensor<2>) {
        let (kept, width) = (&tape.layers[number], self.tables.width);
        let [attention, first, second] = chances(tape.drops, number);
        let at = layer.down_norm.by_vectors();
        let second = kernels::norm_backward(arriving, &kept.down, stored.all, at, second, false);
        gradient.add_norm(&second, at, width, false);
        let d_wide = back(&second.product, stored.matrix(layer.down.weight));
        let bias = layer.up.bias / LANES;
        let [d_up, wide, partial] =
            kernels::activate_backward(&d_wide, &kept.up, stored.all, bias, self.activation);
        gradient.add_bias(&partial, bias);
        gradient.add_matrix(&wide, &second.product, layer.down.weight);
        gradient.add_matrix(&kept.attended.out, &d_up, layer.up.weight);
        let d_attended = back(&d_up, stored.matrix(layer.up.weight));
        let at = layer.attended_norm.by_vectors();
        let arriving = [Some(&second.sum), Some(&d_attended)];
        let first = kernels::norm_backward(arriving, &kept.attended, stored.all, at, first, false);
        gradient.add_norm(&first, at, width, false);
        gradient.add_matrix(&kept.context, &first.product, layer.attended.weight);
        let d_context = back(&first.product, stored.matrix(layer.attended.weight));
        let d_qkv = kernels::attend_backward(
            &d_context,
            &kept.qkv,
            (&kept.context, &kept.log_sum),
            stored.all,
            &tape.batch.tiles,
            self.heads_of(layer),
            attention,
        );
        gradient.add_projections(input, &d_qkv, layer);
        (first.sum, back(&d_qkv, stored.projections(layer)))
    }
}

/// Of attention's probabilities, and of the outputs of attention and of the feed-forward block.
fn chances(drops: Drops, layer: usize) -> [Chance; 3] {
    let place = 1 + 3 * layer;
    [
        drops.chance(drops.attention, place),
        drops.chance(drops.hidden, place + 1),
        drops.chance(drops.hidden, place + 2),
    ]
}

/// d Wᵀ.
fn back(d: &Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    d.clone().matmul(weight.transpose())
}

/// Tokens whose products with their gradients are summed before the sum is f32.
const SHARE: usize = 2048;

/// xᵀ d for each share of the rows, (shares, in, out). A matrix of few rows and columns and a sum over very many keeps
/// only a corner of a GPU busy, so the sum is cut.
fn products(x: &Tensor<2>, d: &Tensor<2>) -> Tensor<3> {
    let rows = x.dims()[0];
    let shares = if rows.is_multiple_of(SHARE) {
        rows / SHARE
    } else {
        1
    };
    let cut = |x: &Tensor<2>| {
        let width = x.dims()[1];
        x.clone().reshape([shares, rows / shares, width])
    };
    cut(x).swap_dims(1, 2).matmul(cut(d))
}

impl Gradient {
    fn add_matrix(&self, x: &Tensor<2>, d: &Tensor<2>, at: MatrixAt) {
        let width = at.shape[1];
        let all = Columns {
            of: width,
            from: 0,
            count: width,
        };
        kernels::add_sum(
            &products(x, d),
            all,
            &self.sum,
            at.start / LANES,
            self.factor,
        );
    }

    fn add_projections(&self, x: &Tensor<2>, d_qkv: &Tensor<2>, layer: &LayerAt) {
        let (products, partial) = (products(x, d_qkv), kernels::partial_sums(d_qkv));
        let width = d_qkv.dims()[1] / 3;
        for (i, projection) in layer.projections.iter().enumerate() {
            let part = Columns {
                of: 3 * width,
                from: i * width,
                count: width,
            };
            let weight = projection.weight.start / LANES;
            kernels::add_sum(&products, part, &self.sum, weight, self.factor);
            let bias = projection.bias / LANES;
            kernels::add_sum(&partial, part, &self.sum, bias, self.factor);
        }
    }

    fn add_bias(&self, partial: &Tensor<2>, place: usize) {
        let width = partial.dims()[1];
        let all = Columns {
            of: width,
            from: 0,
            count: width,
        };
        kernels::add_sum(partial, all, &self.sum, place, self.factor);
    }

    fn add_norm(&self, back: &NormGradient, at: NormAt, width: usize, first: bool) {
        let places = [Some(at.gain), Some(at.shift), (!first).then_some(at.bias)];
        for (i, place) in places.into_iter().enumerate() {
            let part = Columns {
                of: 3 * width,
                from: i * width,
                count: width,
            };
            if let Some(place) = place {
                kernels::add_sum(&back.partial, part, &self.sum, place, self.factor);
            }
        }
    }

    fn add_rows(&self, d: &Tensor<2>, lists: &Lists) {
        kernels::add_lists(d, lists, &self.sum, self.factor);
    }
}

impl NormAt {
    fn by_vectors(self) -> Self {
        Self {
            bias: self.bias / LANES,
            gain: self.gain / LANES,
            shift: self.shift / LANES,
            epsilon: self.epsilon,
        }
    }
}
