//! Which kernels of our own run a transformer on a GPU?
//!
//! burn's plain operations launch a kernel each and read and write every activation each time. These do what lies
//! between two matrix products in one launch. Numbers are kept in F (f32 or f16), every sum is taken in f32. Matrices
//! lie row after row; offsets into the vector of all weights are in vectors of [`LANES`] numbers. A gradient that was
//! scaled up on its way is scaled down where it is added to the vector of all gradients.

// Each argument is a buffer, an offset or a constant of the kernel.
#![allow(clippy::too_many_arguments)]

mod attention;
mod common;
mod norm;
mod pointwise;

#[cfg(test)]
pub(crate) mod tests;

use burn::tensor::{DType, Device, Shape, Tensor};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, kernel};
use engine::encoder::config::Activation;

/// Numbers that a unit reads at once; every width is a multiple of it.
pub(super) const LANES: usize = 4;

/// Rows whose sums one cube takes; divides the rows of every batch.
pub(super) const CHUNK: usize = 32;

/// Most numbers of a row: its units share a cube, and 256 units are what every GPU has.
pub(super) const WIDEST: usize = 1024;

/// Most numbers of a head: they lie in registers.
pub(super) const DEEPEST: usize = 64;

/// Which numbers are dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    seed: u32,
    threshold: u32,
    keep: f32,
}

impl Chance {
    /// A share `rate` of the numbers, 0 to 1, exclusive.
    pub(super) fn new(rate: f64, seed: u64) -> Self {
        Self {
            seed: (seed ^ (seed >> 32)) as u32,
            threshold: (rate * f64::from(u32::MAX)) as u32,
            keep: (1.0 / (1.0 - rate)) as f32,
        }
    }

    fn drops(self) -> bool {
        self.threshold > 0
    }
}

/// Where a residual sum finds its bias and its LayerNorm among the weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct NormAt {
    pub(super) bias: usize,
    pub(super) gain: usize,
    pub(super) shift: usize,
    pub(super) epsilon: f64,
}

/// Rows after a LayerNorm, and what its way back needs.
pub(super) struct Normed {
    /// (T, H).
    pub(super) out: Tensor<2>,
    /// The rows before gain and shift, (T, H).
    normal: Tensor<2>,
    /// One over their deviation, (T).
    scale: Tensor<1>,
}

/// What comes back from a LayerNorm.
pub(super) struct NormGradient {
    /// Of the sum before the norm, (T, H).
    pub(super) sum: Tensor<2>,
    /// Of the product in that sum, (T, H); means nothing for the first LayerNorm.
    pub(super) product: Tensor<2>,
    /// Of gain, shift and bias by chunks of rows, (chunks, 3 H).
    pub(super) partial: Tensor<2>,
}

/// Where attention finds the biases of queries, keys and values, and its shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    pub(super) biases: [usize; 3],
    pub(super) count: usize,
    /// Numbers of a head.
    pub(super) size: usize,
}

impl Heads {
    fn scale(self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// Tokens of a cube. Two tiles of so many rows in f32 stay within 32 KiB of shared memory.
    pub(super) fn tile(size: usize) -> usize {
        if size <= 32 { 64 } else { 32 }
    }
}

/// Numbers that kernels read, on the device.
#[derive(Clone)]
pub(super) struct Words(CubeTensor);

impl Words {
    /// `words` on the device of `like`, at least one.
    pub(super) fn new(words: &[u32], like: &Tensor<1>) -> Self {
        let like = cube(like);
        let words = if words.is_empty() { &[0] } else { words };
        let handle = like.client.create_from_slice(u32::as_bytes(words));
        Self(CubeTensor::new_contiguous(
            like.client,
            like.device,
            Shape::new([words.len()]),
            handle,
            DType::U32,
        ))
    }

    fn arg(&self) -> BufferArg {
        self.0.clone().into_buffer_arg()
    }
}

/// Whether kernels of our own run on `device`.
pub(super) fn run_on(device: &Device) -> bool {
    Tensor::<1>::zeros([1], device)
        .try_into_primitive::<CubeBackend>()
        .is_ok()
}

fn cube<const D: usize>(tensor: &Tensor<D>) -> CubeTensor {
    let primitive = tensor.clone().try_into_primitive::<CubeBackend>();
    kernel::into_contiguous(primitive.expect("`run_on` was asked about the device first"))
}

fn tensor<const D: usize>(cube: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(cube)
}

/// A tensor of `shape` beside `like`, not filled.
fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D], dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(
        like.client.clone(),
        like.device.clone(),
        Shape::new(shape),
        dtype,
    )
}

/// As many cubes as there are rows, whatever one axis of a launch can count.
fn cubes(rows: usize) -> CubeCount {
    const AXIS: usize = 32_768;
    match rows {
        0..=65_535 => CubeCount::Static(rows.max(1) as u32, 1, 1),
        _ => CubeCount::Static(AXIS as u32, rows.div_ceil(AXIS) as u32, 1),
    }
}

/// Units of a cube where each number is computed by itself.
const FLAT: usize = 256;

/// Launches a kernel for the type its numbers are kept in.
macro_rules! launch {
    ($kernel:path, $dtype:expr, $($argument:expr),* $(,)?) => {{
        use $kernel as kernel;
        match $dtype {
            DType::F16 => kernel::launch::<half::f16>($($argument),*),
            _ => kernel::launch::<f32>($($argument),*),
        }
    }};
}

/// [`norm::embed_norm`] of T tokens.
pub(super) fn embed(
    ids: &Words,
    positions: &Words,
    rows: usize,
    weights: &Tensor<1>,
    tables: [Option<usize>; 3],
    at: NormAt,
    width: usize,
    dtype: DType,
    chance: Chance,
) -> Normed {
    let weights = cube(weights);
    let units = width / LANES;
    let (out, normal) = (
        empty(&weights, [rows, width], dtype),
        empty(&weights, [rows, width], dtype),
    );
    let scale = empty(&weights, [rows], DType::F32);
    let client = weights.client.clone();
    let place = |i: usize| tables[i].unwrap_or(0) as u32;
    launch!(
        norm::embed_norm,
        dtype,
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        LANES,
        ids.arg(),
        positions.arg(),
        weights.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        normal.clone().into_buffer_arg(),
        scale.clone().into_buffer_arg(),
        place(0),
        place(1),
        place(2),
        at.gain as u32,
        at.shift as u32,
        rows as u32,
        at.epsilon as f32,
        chance.seed,
        chance.threshold,
        chance.keep,
        units,
        tables[2].is_some(),
    );
    Normed {
        out: tensor(out),
        normal: tensor(normal),
        scale: tensor(scale),
    }
}

/// [`norm::add_norm`].
pub(super) fn add_norm(
    product: &Tensor<2>,
    residual: &Tensor<2>,
    weights: &Tensor<1>,
    at: NormAt,
    chance: Chance,
) -> Normed {
    let [rows, width] = product.dims();
    let (product, residual, weights) = (cube(product), cube(residual), cube(weights));
    let (units, dtype) = (width / LANES, product.dtype);
    let (out, normal) = (
        empty(&product, [rows, width], dtype),
        empty(&product, [rows, width], dtype),
    );
    let scale = empty(&product, [rows], DType::F32);
    let client = product.client.clone();
    launch!(
        norm::add_norm,
        dtype,
        &client,
        cubes(rows),
        CubeDim::new_1d(units as u32),
        LANES,
        product.into_buffer_arg(),
        residual.into_buffer_arg(),
        weights.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        normal.clone().into_buffer_arg(),
        scale.clone().into_buffer_arg(),
        at.bias as u32,
        at.gain as u32,
        at.shift as u32,
        rows as u32,
        at.epsilon as f32,
        chance.seed,
        chance.threshold,
        chance.keep,
        units,
    );
    Normed {
        out: tensor(out),
        normal: tensor(normal),
        scale: tensor(scale),
    }
}

/// [`norm::norm_backward`]; `first` for the LayerNorm of [`embed`].
pub(super) fn norm_backward(
    arriving: [Option<&Tensor<2>>; 2],
    normed: &Normed,
    weights: &Tensor<1>,
    at: NormAt,
    chance: Chance,
    first: bool,
) -> NormGradient {
    let [rows, width] = normed.normal.dims();
    let units = width / LANES;
    let (normal, scale, weights) = (cube(&normed.normal), cube(&normed.scale), cube(weights));
    let dtype = normal.dtype;
    let d_out = arriving[0].map_or_else(|| normal.clone(), cube);
    let d_more = arriving[1].map_or_else(|| d_out.clone(), cube);
    let sum = empty(&normal, [rows, width], dtype);
    let product = if first {
        sum.clone()
    } else {
        empty(&normal, [rows, width], dtype)
    };
    let chunks = rows / CHUNK;
    let partial = empty(&normal, [chunks, 3 * width], DType::F32);
    let client = normal.client.clone();
    launch!(
        norm::norm_backward,
        dtype,
        &client,
        cubes(chunks),
        CubeDim::new_1d(units as u32),
        LANES,
        d_out.into_buffer_arg(),
        d_more.into_buffer_arg(),
        normal.into_buffer_arg(),
        scale.into_buffer_arg(),
        weights.into_buffer_arg(),
        sum.clone().into_buffer_arg(),
        product.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        at.gain as u32,
        chance.seed,
        chance.threshold,
        chance.keep,
        units,
        CHUNK,
        arriving[1].is_some(),
        first,
    );
    NormGradient {
        sum: tensor(sum),
        product: tensor(product),
        partial: tensor(partial),
    }
}

fn kind(activation: Activation) -> u32 {
    match activation {
        Activation::Gelu => pointwise::GELU,
        Activation::GeluTanh => pointwise::GELU_TANH,
        Activation::Relu => pointwise::RELU,
    }
}

/// [`pointwise::bias_activate`].
pub(super) fn bias_activate(
    product: &Tensor<2>,
    weights: &Tensor<1>,
    bias: usize,
    activation: Activation,
) -> Tensor<2> {
    let [rows, width] = product.dims();
    let (product, weights) = (cube(product), cube(weights));
    let (dtype, units) = (product.dtype, width / LANES);
    let out = empty(&product, [rows, width], dtype);
    let client = product.client.clone();
    launch!(
        pointwise::bias_activate,
        dtype,
        &client,
        cubes((rows * units).div_ceil(FLAT)),
        CubeDim::new_1d(FLAT as u32),
        LANES,
        product.into_buffer_arg(),
        weights.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        bias as u32,
        (rows * units) as u32,
        units,
        kind(activation),
    );
    tensor(out)
}

/// [`pointwise::activate_backward`]: the gradient of the product, the activation, the bias's gradient by chunks.
pub(super) fn activate_backward(
    d_out: &Tensor<2>,
    product: &Tensor<2>,
    weights: &Tensor<1>,
    bias: usize,
    activation: Activation,
) -> [Tensor<2>; 3] {
    let [rows, width] = product.dims();
    let (d_out, product, weights) = (cube(d_out), cube(product), cube(weights));
    let (dtype, units) = (product.dtype, width / LANES);
    let d_product = empty(&product, [rows, width], dtype);
    let out = empty(&product, [rows, width], dtype);
    let partial = empty(&product, [rows / CHUNK, width], DType::F32);
    let client = product.client.clone();
    launch!(
        pointwise::activate_backward,
        dtype,
        &client,
        by_columns(units, rows / CHUNK),
        CubeDim::new_1d(COLUMNS as u32),
        LANES,
        d_out.into_buffer_arg(),
        product.into_buffer_arg(),
        weights.into_buffer_arg(),
        d_product.clone().into_buffer_arg(),
        out.clone().into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        bias as u32,
        units,
        CHUNK,
        kind(activation),
    );
    [tensor(d_product), tensor(out), tensor(partial)]
}

/// Columns of a cube that walks down the rows.
const COLUMNS: usize = 64;

fn by_columns(units: usize, chunks: usize) -> CubeCount {
    CubeCount::Static(units.div_ceil(COLUMNS) as u32, chunks as u32, 1)
}

/// [`pointwise::partial_sums`].
pub(super) fn partial_sums(x: &Tensor<2>) -> Tensor<2> {
    let [rows, width] = x.dims();
    let x = cube(x);
    let units = width / LANES;
    let partial = empty(&x, [rows / CHUNK, width], DType::F32);
    let client = x.client.clone();
    launch!(
        pointwise::partial_sums,
        x.dtype,
        &client,
        by_columns(units, rows / CHUNK),
        CubeDim::new_1d(COLUMNS as u32),
        LANES,
        x.into_buffer_arg(),
        partial.clone().into_buffer_arg(),
        units,
        CHUNK,
    );
    tensor(partial)
}

/// A part of the columns of a matrix of many rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// Columns of the matrix.
    pub(super) of: usize,
    /// The first one taken.
    pub(super) from: usize,
    /// How many are taken.
    pub(super) count: usize,
}

/// Adds `factor` times the sum of `x` over its first axis to `gradient`, from its vector `place` on. What is summed,
/// rows of `columns.of` numbers one after the other, is taken in part.
pub(super) fn add_sum<const D: usize>(
    x: &Tensor<D>,
    columns: Columns,
    gradient: &Tensor<1>,
    place: usize,
    factor: f32,
) {
    let rows = x.dims()[0];
    let (x, gradient) = (cube(x), cube(gradient));
    let whole = x.meta.num_elements() / rows / LANES;
    let units = whole / (columns.of / LANES) * (columns.count / LANES);
    // Few sums of many rows share the rows out, many sums of few rows do not need to.
    let lanes = if rows >= 64 { 32 } else { 1 };
    let width = FLAT / lanes;
    let client = x.client.clone();
    launch!(
        pointwise::add_row_sum,
        x.dtype,
        &client,
        cubes(units.div_ceil(width)),
        CubeDim::new_2d(width as u32, lanes as u32),
        LANES,
        x.into_buffer_arg(),
        gradient.into_buffer_arg(),
        rows as u32,
        whole as u32,
        (columns.of / LANES) as u32,
        (columns.from / LANES) as u32,
        (columns.count / LANES) as u32,
        units as u32,
        place as u32,
        factor,
        width,
        lanes,
    );
}

/// [`attention::attend`]: the context (T, H), and what the way back needs (T, heads).
pub(super) fn attend(
    qkv: &Tensor<2>,
    weights: &Tensor<1>,
    tiles: &Words,
    heads: Heads,
    chance: Chance,
) -> (Tensor<2>, Tensor<2>) {
    let rows = qkv.dims()[0];
    let (qkv, weights) = (cube(qkv), cube(weights));
    let dtype = qkv.dtype;
    let context = empty(&qkv, [rows, heads.count * heads.size], dtype);
    let log_sum = empty(&qkv, [rows, heads.count], DType::F32);
    let client = qkv.client.clone();
    let [query, key, value] = heads.biases.map(|b| b as u32);
    let tile = Heads::tile(heads.size);
    launch!(
        attention::attend,
        dtype,
        &client,
        by_heads(tiles, heads),
        CubeDim::new_1d(tile as u32),
        LANES,
        qkv.into_buffer_arg(),
        weights.into_buffer_arg(),
        tiles.arg(),
        context.clone().into_buffer_arg(),
        log_sum.clone().into_buffer_arg(),
        query,
        key,
        value,
        heads.scale(),
        chance.seed,
        chance.threshold,
        chance.keep,
        heads.count,
        heads.size / LANES,
        tile,
        chance.drops(),
    );
    (tensor(context), tensor(log_sum))
}

fn by_heads(tiles: &Words, heads: Heads) -> CubeCount {
    CubeCount::Static(
        (tiles.0.meta.num_elements() / 4) as u32,
        heads.count as u32,
        1,
    )
}

/// Backward through [`attend`]: the gradient of `qkv`.
pub(super) fn attend_backward(
    d_context: &Tensor<2>,
    qkv: &Tensor<2>,
    (context, log_sum): (&Tensor<2>, &Tensor<2>),
    weights: &Tensor<1>,
    tiles: &Words,
    heads: Heads,
    chance: Chance,
) -> Tensor<2> {
    let [rows, width] = qkv.dims();
    let (d_context, qkv, context) = (cube(d_context), cube(qkv), cube(context));
    let (log_sum, weights) = (cube(log_sum), cube(weights));
    let dtype = qkv.dtype;
    let d_qkv = empty(&qkv, [rows, width], dtype);
    let inner = empty(&qkv, [rows, heads.count], DType::F32);
    let client = qkv.client.clone();
    let [query, key, value] = heads.biases.map(|b| b as u32);
    let (depth, tile) = (heads.size / LANES, Heads::tile(heads.size));
    launch!(
        attention::attend_backward_queries,
        dtype,
        &client,
        by_heads(tiles, heads),
        CubeDim::new_1d(tile as u32),
        LANES,
        qkv.clone().into_buffer_arg(),
        weights.clone().into_buffer_arg(),
        tiles.arg(),
        context.into_buffer_arg(),
        d_context.clone().into_buffer_arg(),
        log_sum.clone().into_buffer_arg(),
        d_qkv.clone().into_buffer_arg(),
        inner.clone().into_buffer_arg(),
        query,
        key,
        value,
        heads.scale(),
        chance.seed,
        chance.threshold,
        chance.keep,
        heads.count,
        depth,
        tile,
        chance.drops(),
    );
    launch!(
        attention::attend_backward_keys,
        dtype,
        &client,
        by_heads(tiles, heads),
        CubeDim::new_1d(tile as u32),
        LANES,
        qkv.into_buffer_arg(),
        weights.into_buffer_arg(),
        tiles.arg(),
        d_context.into_buffer_arg(),
        log_sum.into_buffer_arg(),
        inner.into_buffer_arg(),
        d_qkv.clone().into_buffer_arg(),
        query,
        key,
        value,
        heads.scale(),
        chance.seed,
        chance.threshold,
        chance.keep,
        heads.count,
        depth,
        tile,
        chance.drops(),
    );
    tensor(d_qkv)
}

/// [`pointwise::pool`]: one vector a text, (texts, H), in f32.
pub(super) fn pool(tokens: &Tensor<2>, shares: &Tensor<1>, starts: &Words) -> Tensor<2> {
    let width = tokens.dims()[1];
    let texts = starts.0.meta.num_elements() - 1;
    let (tokens, shares) = (cube(tokens), cube(shares));
    let out = empty(&tokens, [texts, width], DType::F32);
    let client = tokens.client.clone();
    launch!(
        pointwise::pool,
        tokens.dtype,
        &client,
        cubes(texts),
        CubeDim::new_1d((width / LANES) as u32),
        LANES,
        tokens.into_buffer_arg(),
        shares.into_buffer_arg(),
        starts.arg(),
        out.clone().into_buffer_arg(),
        width / LANES,
    );
    tensor(out)
}

/// Backward through [`pool`] to T tokens, times `factor`.
pub(super) fn pool_backward(
    d_out: &Tensor<2>,
    shares: &Tensor<1>,
    texts: &Words,
    dtype: DType,
    factor: f32,
) -> Tensor<2> {
    let width = d_out.dims()[1];
    let rows = shares.dims()[0];
    let (d_out, shares) = (cube(d_out), cube(shares));
    let d_tokens = empty(&d_out, [rows, width], dtype);
    let (client, units) = (d_out.client.clone(), width / LANES);
    launch!(
        pointwise::pool_backward,
        dtype,
        &client,
        cubes((rows * units).div_ceil(FLAT)),
        CubeDim::new_1d(FLAT as u32),
        LANES,
        d_out.into_buffer_arg(),
        shares.into_buffer_arg(),
        texts.arg(),
        d_tokens.clone().into_buffer_arg(),
        (rows * units) as u32,
        factor,
        units,
    );
    tensor(d_tokens)
}

/// Which rows of a gradient belong to which row of a table.
pub(super) struct Lists {
    /// Rows, list after list; long lists are cut in pieces.
    pub(super) rows: Words,
    /// Where each piece begins, and the end.
    pub(super) pieces: Words,
    /// Where the pieces of each list begin, and the end.
    pub(super) lists: Words,
    /// Where each list's sum belongs.
    pub(super) places: Words,
    pub(super) counts: [usize; 2],
}

/// Adds `factor` times the sum of each list's rows of `x` to `gradient`.
pub(super) fn add_lists(x: &Tensor<2>, lists: &Lists, gradient: &Tensor<1>, factor: f32) {
    let width = x.dims()[1];
    let (x, gradient) = (cube(x), cube(gradient));
    let [pieces, count] = lists.counts;
    let sums = empty(&x, [pieces, width], DType::F32);
    let (client, units) = (x.client.clone(), width / LANES);
    launch!(
        pointwise::sum_lists,
        x.dtype,
        &client,
        cubes(pieces),
        CubeDim::new_1d(units as u32),
        LANES,
        x.into_buffer_arg(),
        lists.rows.arg(),
        lists.pieces.arg(),
        sums.clone().into_buffer_arg(),
        pieces as u32,
        units,
    );
    pointwise::add_lists::launch(
        &client,
        cubes(count),
        CubeDim::new_1d(units as u32),
        LANES,
        sums.into_buffer_arg(),
        lists.lists.arg(),
        lists.places.arg(),
        gradient.into_buffer_arg(),
        count as u32,
        factor,
        units,
    );
}
