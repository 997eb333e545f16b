//! How are the kernels written so that one source is fast on every CPU?
//!
//! Plain loops over slices without branches, which the compiler turns into vector code for whatever instruction set
//! the caller is compiled for: `level` compiles each of them once per set. Sums run in [`LANES`] parallel lanes, so
//! that their order does not depend on the set.

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

/// e^x for x in -87 to 88, relative error below 3e-7 (Cephes' `expf`).
#[inline(always)]
fn exp<A: Arithmetic>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
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
    // Adding 1.5 · 2^23 leaves the nearest integer in the low bits of the sum.
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
    let largest = reduce(row, f32::NEG_INFINITY, larger, larger);
    for x in row.iter_mut() {
        *x = exp::<A>(scale * (*x - largest));
    }
    let factor = 1.0 / reduce(row, 0.0, |s, x| s + x, |a, b| a + b);
    row.iter_mut().for_each(|x| *x *= factor);
}

/// Writes `row` as bf16, rounded to nearest even; the numbers are finite.
#[inline(always)]
pub(crate) fn to_bf16<A: Arithmetic>(row: &[f32], out: &mut [u16]) {
    for (o, x) in out.iter_mut().zip(row) {
        let bits = x.to_bits();
        *o = ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
    }
}
