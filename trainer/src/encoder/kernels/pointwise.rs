//! How do biases, activations and sums over rows run in one launch each?

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// ½ x (1 + erf(x / √2)), BERT's.
pub(super) const GELU: u32 = 0;
/// The approximation by tanh.
pub(super) const GELU_TANH: u32 = 1;
/// max(x, 0).
pub(super) const RELU: u32 = 2;

const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// 1 / √(2π).
const NORMAL: f32 = 0.398_942_3;
/// √(2/π).
const TANH_RATE: f32 = 0.797_884_6;
const TANH_CUBE: f32 = 0.044_715;

#[cube]
fn activated<N: Size>(x: Vector<f32, N>, #[comptime] kind: u32) -> Vector<f32, N> {
    let half = Vector::<f32, N>::new(0.5f32);
    let one = Vector::<f32, N>::new(1.0f32);
    if kind == GELU {
        half * x * (one + (x * Vector::new(ROOT_HALF)).erf())
    } else if kind == GELU_TANH {
        let inner = (x + x * x * x * Vector::new(TANH_CUBE)) * Vector::new(TANH_RATE);
        half * x * (one + inner.tanh())
    } else {
        x.max(Vector::new(0.0f32))
    }
}

#[cube]
fn slope<N: Size>(x: Vector<f32, N>, #[comptime] kind: u32) -> Vector<f32, N> {
    let half = Vector::<f32, N>::new(0.5f32);
    let one = Vector::<f32, N>::new(1.0f32);
    if kind == GELU {
        let below = half * (one + (x * Vector::new(ROOT_HALF)).erf());
        below + x * (-half * x * x).exp() * Vector::new(NORMAL)
    } else if kind == GELU_TANH {
        let inner = (x + x * x * x * Vector::new(TANH_CUBE)) * Vector::new(TANH_RATE);
        let t = inner.tanh();
        let rate = (one + x * x * Vector::new(3.0f32 * TANH_CUBE)) * Vector::new(TANH_RATE);
        half * (one + t) + half * x * (one - t * t) * rate
    } else {
        select_many(
            x.greater_than(&Vector::new(0.0f32)),
            one,
            Vector::new(0.0f32),
        )
    }
}

/// The activation of `product` + bias. `units` vectors a row.
#[cube(launch)]
pub(super) fn bias_activate<F: Float, N: Size>(
    product: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    bias_at: u32,
    count: u32,
    #[comptime] units: usize,
    #[comptime] kind: u32,
) {
    if ABSOLUTE_POS >= count as usize {
        terminate!();
    }
    let bias = weights[bias_at as usize + ABSOLUTE_POS % units];
    let x = Vector::<f32, N>::cast_from(product[ABSOLUTE_POS]) + bias;
    out[ABSOLUTE_POS] = Vector::cast_from(activated::<N>(x, kind));
}

/// Backward through [`bias_activate`]; also the activation once more, and the sums of the gradient over every `each`
/// rows, (chunks, width). A cube is `each` rows by its units.
#[cube(launch)]
pub(super) fn activate_backward<F: Float, N: Size>(
    d_out: &[Vector<F, N>],
    product: &[Vector<F, N>],
    weights: &[Vector<f32, N>],
    d_product: &mut [Vector<F, N>],
    out: &mut [Vector<F, N>],
    partial: &mut [Vector<f32, N>],
    bias_at: u32,
    #[comptime] units: usize,
    #[comptime] each: usize,
    #[comptime] kind: u32,
) {
    let unit = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    if unit < units {
        let chunk = CUBE_POS_Y as usize;
        let bias = weights[bias_at as usize + unit];
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for i in 0..each {
            let at = (chunk * each + i) * units + unit;
            let x = Vector::<f32, N>::cast_from(product[at]) + bias;
            let d = Vector::<f32, N>::cast_from(d_out[at]) * slope::<N>(x, kind);
            d_product[at] = Vector::cast_from(d);
            out[at] = Vector::cast_from(activated::<N>(x, kind));
            sum += d;
        }
        partial[chunk * units + unit] = sum;
    }
}

/// Sums over every `each` rows, (chunks, width).
#[cube(launch)]
pub(super) fn partial_sums<F: Float, N: Size>(
    x: &[Vector<F, N>],
    partial: &mut [Vector<f32, N>],
    #[comptime] units: usize,
    #[comptime] each: usize,
) {
    let unit = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    if unit < units {
        let chunk = CUBE_POS_Y as usize;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for i in 0..each {
            sum += Vector::<f32, N>::cast_from(x[(chunk * each + i) * units + unit]);
        }
        partial[chunk * units + unit] = sum;
    }
}

/// Adds `factor` times the sum of the rows of `x`, `whole` vectors each, to `out` from `out_at` on. Of every `of` vectors
/// of a row, `count` from `first` on are taken, `units` in all. `lanes` units share the rows: a cube is (columns, lanes).
#[cube(launch)]
pub(super) fn add_row_sum<F: Float, N: Size>(
    x: &[Vector<F, N>],
    out: &mut [Vector<f32, N>],
    rows: u32,
    whole: u32,
    of: u32,
    first: u32,
    count: u32,
    units: u32,
    out_at: u32,
    factor: f32,
    #[comptime] columns: usize,
    #[comptime] lanes: usize,
) {
    let column = UNIT_POS_X as usize;
    let lane = UNIT_POS_Y as usize;
    let unit = CUBE_POS * columns + column;
    let mut shared = Shared::<[Vector<f32, N>]>::new_slice(columns * lanes);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    if unit < units as usize {
        let at = unit / count as usize * of as usize + first as usize + unit % count as usize;
        let mut row = lane;
        while row < rows as usize {
            sum += Vector::<f32, N>::cast_from(x[row * whole as usize + at]);
            row += lanes;
        }
    }
    shared[lane * columns + column] = sum;
    sync_cube();
    if lane == 0 && unit < units as usize {
        for other in 1..lanes {
            sum += shared[other * columns + column];
        }
        out[out_at as usize + unit] += sum * Vector::new(factor);
    }
}

/// The weighted sum of the token vectors of each text, (texts, H). Text t has the tokens `starts[t]..starts[t + 1]`.
#[cube(launch)]
pub(super) fn pool<F: Float, N: Size>(
    tokens: &[Vector<F, N>],
    shares: &[f32],
    starts: &[u32],
    out: &mut [Vector<f32, N>],
    #[comptime] units: usize,
) {
    let unit = UNIT_POS as usize;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for token in starts[CUBE_POS]..starts[CUBE_POS + 1] {
        let x = Vector::<f32, N>::cast_from(tokens[token as usize * units + unit]);
        sum += x * Vector::new(shares[token as usize]);
    }
    out[CUBE_POS * units + unit] = sum;
}

/// Backward through [`pool`], times `factor`. `texts[t]` is the text of token t.
#[cube(launch)]
pub(super) fn pool_backward<F: Float, N: Size>(
    d_out: &[Vector<f32, N>],
    shares: &[f32],
    texts: &[u32],
    d_tokens: &mut [Vector<F, N>],
    count: u32,
    factor: f32,
    #[comptime] units: usize,
) {
    if ABSOLUTE_POS >= count as usize {
        terminate!();
    }
    let token = ABSOLUTE_POS / units;
    let unit = ABSOLUTE_POS % units;
    let d = d_out[texts[token] as usize * units + unit] * Vector::new(shares[token] * factor);
    d_tokens[ABSOLUTE_POS] = Vector::cast_from(d);
}

/// For each list of rows of `x`, their sum, (lists, H): list l is `rows[bounds[l]..bounds[l + 1]]`.
#[cube(launch)]
pub(super) fn sum_lists<F: Float, N: Size>(
    x: &[Vector<F, N>],
    rows: &[u32],
    bounds: &[u32],
    out: &mut [Vector<f32, N>],
    count: u32,
    #[comptime] units: usize,
) {
    if CUBE_POS >= count as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for i in bounds[CUBE_POS]..bounds[CUBE_POS + 1] {
        sum += Vector::<f32, N>::cast_from(x[rows[i as usize] as usize * units + unit]);
    }
    out[CUBE_POS * units + unit] = sum;
}

/// Adds `factor` times the sum of the rows `bounds[l]..bounds[l + 1]` of `x` to `out` at `places[l]`, for each l.
#[cube(launch)]
pub(super) fn add_lists<N: Size>(
    x: &[Vector<f32, N>],
    bounds: &[u32],
    places: &[u32],
    out: &mut [Vector<f32, N>],
    count: u32,
    factor: f32,
    #[comptime] units: usize,
) {
    if CUBE_POS >= count as usize {
        terminate!();
    }
    let unit = UNIT_POS as usize;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for i in bounds[CUBE_POS]..bounds[CUBE_POS + 1] {
        sum += x[i as usize * units + unit];
    }
    out[places[CUBE_POS] as usize + unit] += sum * Vector::new(factor);
}
