//! How are the kernels written so that one source is fast on every CPU?
//!
//! Plain loops over slices without branches, which the compiler turns into vector code for whatever instruction set
//! the caller is compiled for: `level` compiles each of them once per set. Sums run in [`LANES`] parallel lanes, so
//! that their order does not depend on the set.

use super::scalar::Grid;

/// Parallel sums: the widest register in f32.
const LANES: usize = 16;

/// How a · b + c is computed: in one step where the CPU can, else in two (never by a library call).
pub(crate) trait Arithmetic {
    /// a · b + c.
    fn fma(a: f32, b: f32, c: f32) -> f32;
}

/// Two steps, two roundings.
pub(crate) struct Separate;

/// One step, one rounding.
pub(crate) struct Fused;

impl Arithmetic for Separate {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

impl Arithmetic for Fused {
    #[inline(always)]
    fn fma(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// The polynomial with `coefficients`, highest power first, at `x`.
#[inline(always)]
fn polynomial<A: Arithmetic>(x: f32, coefficients: &[f32]) -> f32 {
    coefficients.iter().fold(0.0, |sum, c| A::fma(sum, x, *c))
}

/// Smaller and larger as single instructions; NaN passes through `a`'s place unchanged or not, nothing here asks.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// See [`super::scalar::gelu`].
#[inline(always)]
pub(crate) fn gelu<A: Arithmetic>(row: &mut [f32]) {
    for x in row {
        let z = smaller(larger(*x * std::f32::consts::FRAC_1_SQRT_2, -4.0), 4.0);
        let t = z * z;
        let p = polynomial::<A>(t, &super::scalar::ERF_P);
        let q = polynomial::<A>(t, &super::scalar::ERF_Q);
        let half = 0.5 * *x;
        *x = A::fma(half, z * p / q, half);
    }
}

/// Added to a number below 2^22, leaves the nearest integer in the low bits of the sum: 1.5 · 2^23.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// e^x for x in -87 to 88, relative error below 3e-7 (Cephes' `expf`).
#[inline(always)]
fn exp<A: Arithmetic>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const P: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let x = larger(x, -87.0);
    let shifted = A::fma(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = A::fma(n, -LN2_LOW, A::fma(n, -LN2_HIGH, x));
    let tail = A::fma(polynomial::<A>(r, &P), r * r, r) + 1.0;
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    tail * f32::from_bits(exponent)
}

/// The tanh approximation of GELU: x · σ(2 √(2/π) (x + 0.044715 x³)).
#[inline(always)]
pub(crate) fn gelu_tanh<A: Arithmetic>(row: &mut [f32]) {
    const TWO_SQRT_2_OVER_PI: f32 = 1.595_769;
    for x in row {
        let cube = *x * *x * *x;
        let inner = TWO_SQRT_2_OVER_PI * A::fma(0.044_715, cube, *x);
        *x /= 1.0 + exp::<A>(smaller(-inner, 87.0));
    }
}

/// `update` over 16 lanes and the rest, then over the lanes.
#[inline(always)]
fn reduce(
    row: &[f32],
    start: f32,
    update: impl Fn(f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = update(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = update(*lane, *x);
    }
    lanes.into_iter().reduce(join).unwrap_or(start)
}

/// Each row of (T, H) `hidden` ← LayerNorm(row + the row of `update`); see [`super::scalar::layer_norm`].
#[inline(always)]
pub(crate) fn add_norm<A: Arithmetic>(
    hidden: &mut [f32],
    update: &[f32],
    gain: &[f32],
    bias: &[f32],
    eps: f32,
) {
    let h = gain.len();
    for (row, add) in hidden.chunks_exact_mut(h).zip(update.chunks_exact(h)) {
        row.iter_mut().zip(add).for_each(|(x, u)| *x += u);
        let n = h as f32;
        let mean = reduce(row, 0.0, |s, x| s + x, |a, b| a + b) / n;
        let squares = |s, x| A::fma(x - mean, x - mean, s);
        let variance = reduce(row, 0.0, squares, |a, b| a + b) / n;
        let scale = 1.0 / (variance + eps).sqrt();
        for ((x, g), b) in row.iter_mut().zip(gain).zip(bias) {
            *x = A::fma((*x - mean) * scale, *g, *b);
        }
    }
}

/// See [`super::scalar::softmax`]; `scale` is positive.
#[inline(always)]
pub(crate) fn softmax<A: Arithmetic>(row: &mut [f32], scale: f32) {
    let factor = 1.0 / weigh::<A>(row, row.len(), scale);
    row.iter_mut().for_each(|x| *x *= factor);
}

/// Writes `row` times `factors` as u8 on the grid from the smallest to the largest product; see
/// [`super::scalar::quantize`]. `row` is not empty.
#[inline(always)]
pub(crate) fn places<A: Arithmetic>(row: &[f32], factors: &[f32], out: &mut [u8]) -> Grid {
    let (mut lows, mut highs) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    for (row, factors) in row.chunks(LANES).zip(factors.chunks(LANES)) {
        let products = row.iter().zip(factors).map(|(x, f)| x * f);
        for ((low, high), x) in lows.iter_mut().zip(&mut highs).zip(products) {
            (*low, *high) = (smaller(*low, x), larger(*high, x));
        }
    }
    let low = lows.into_iter().fold(f32::INFINITY, smaller);
    let high = highs.into_iter().fold(f32::NEG_INFINITY, larger);
    let step = (high - low) / 255.0;
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    for ((o, x), f) in out.iter_mut().zip(row).zip(factors) {
        // Leaves the nearest integer in the low byte.
        *o = ((x * f - low) * inverse + ROUND).to_bits() as u8;
    }
    Grid { low, step }
}

/// `row` ← e^(`scale` · (x - largest)) for its first `count` numbers, zeros behind them; returns their sum. `scale` is
/// positive.
#[inline(always)]
pub(crate) fn weigh<A: Arithmetic>(row: &mut [f32], count: usize, scale: f32) -> f32 {
    let (inside, past) = row.split_at_mut(count);
    past.fill(0.0);
    let largest = reduce(inside, f32::NEG_INFINITY, larger, larger);
    for x in inside.iter_mut() {
        *x = exp::<A>(scale * (*x - largest));
    }
    reduce(inside, 0.0, |s, x| s + x, |a, b| a + b)
}

/// Columns that are summed in registers.
const COLUMNS: usize = 8 * LANES;

/// `out` += Σ factor · row of `table`, whose rows are as long as `out`; `number` makes an f32 of what the table holds.
#[inline(always)]
fn add_rows<A: Arithmetic, T: Copy>(
    table: &[T],
    terms: &[(u32, f32)],
    out: &mut [f32],
    number: impl Fn(T) -> f32,
) {
    let width = out.len();
    let (parts, rest) = out.as_chunks_mut::<COLUMNS>();
    let in_registers = parts.len() * COLUMNS;
    for (part, first) in parts.iter_mut().zip((0..).step_by(COLUMNS)) {
        let mut sums = *part;
        for (row, factor) in terms {
            let at = *row as usize * width + first;
            let row = &table[at..at + COLUMNS];
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum = A::fma(*factor, number(*x), *sum);
            }
        }
        *part = sums;
    }
    if rest.is_empty() {
        return;
    }
    for (row, factor) in terms {
        let at = *row as usize * width;
        let row = &table[at + in_registers..at + width];
        for (o, x) in rest.iter_mut().zip(row) {
            *o = A::fma(*factor, number(*x), *o);
        }
    }
}

/// `out` += Σ factor · row.
#[inline(always)]
pub(crate) fn add_rows_f32<A: Arithmetic>(table: &[f32], terms: &[(u32, f32)], out: &mut [f32]) {
    add_rows::<A, f32>(table, terms, out, |x| x);
}

/// As [`add_rows_f32`], of the bits of finite f16: exponent and mantissa in the places of f32's, then 2^112 for the other
/// bias, which sets numbers below the normal ones right too.
#[inline(always)]
pub(crate) fn add_rows_f16<A: Arithmetic>(table: &[u16], terms: &[(u32, f32)], out: &mut [f32]) {
    let bias = f32::from_bits((127 + 112) << 23);
    add_rows::<A, u16>(table, terms, out, |half| {
        let (sign, rest) = (
            u32::from(half & 0x8000) << 16,
            u32::from(half & 0x7fff) << 13,
        );
        f32::from_bits((f32::from_bits(rest) * bias).to_bits() | sign)
    });
}

/// As [`add_rows_f32`], of the bits of bf16.
#[inline(always)]
pub(crate) fn add_rows_bf16<A: Arithmetic>(table: &[u16], terms: &[(u32, f32)], out: &mut [f32]) {
    add_rows::<A, u16>(table, terms, out, |half| {
        f32::from_bits(u32::from(half) << 16)
    });
}

/// As [`add_rows_f32`], of whole numbers.
#[inline(always)]
pub(crate) fn add_rows_i8<A: Arithmetic>(table: &[i8], terms: &[(u32, f32)], out: &mut [f32]) {
    add_rows::<A, i8>(table, terms, out, f32::from);
}

/// Divides `row` by its Euclidean length, or by `least` if that is larger.
#[inline(always)]
pub(crate) fn normalize<A: Arithmetic>(row: &mut [f32], least: f32) {
    let squares = reduce(row, 0.0, |s, x| A::fma(x, x, s), |a, b| a + b);
    let length = larger(squares.sqrt(), least);
    row.iter_mut().for_each(|x| *x /= length);
}

/// Writes `row` as bf16, rounded to nearest even; the numbers are finite.
#[inline(always)]
pub(crate) fn to_bf16<A: Arithmetic>(row: &[f32], out: &mut [u16]) {
    for (o, x) in out.iter_mut().zip(row) {
        let bits = x.to_bits();
        *o = ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    }
}
