//! What should each kernel compute? The slow, obvious version of all of them.

/// The error function, absolute error below 5e-7: a rational approximation on -4 to 4, where erf is within 2e-8 of
/// ±1 at the ends (coefficients as in Eigen's `generic_fast_erf`).
pub(crate) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let t = x * x;
    let p = ERF_P.iter().fold(0.0, |acc, c| acc * t + c);
    let q = ERF_Q.iter().fold(0.0, |acc, c| acc * t + c);
    x * p / q
}

/// Numerator of [`erf`], highest power of x² first.
pub(crate) const ERF_P: [f32; 7] = [
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_4e-5,
    -7.349_906e-4,
    -2.954_598e-3,
    -1.609_603_3e-2,
];

/// Denominator of [`erf`], highest power of x² first.
pub(crate) const ERF_Q: [f32; 5] = [
    -1.456_607_2e-5,
    -2.133_740_6e-4,
    -1.682_827e-3,
    -7.373_329e-3,
    -1.426_473_9e-2,
];

/// x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// The tanh approximation of GELU, from the same paper.
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh())
}

/// `row` ← (`row` − mean) / sqrt(variance + ε) · `gain` + `bias` (Ba et al. 2016).
pub(crate) fn layer_norm(row: &mut [f32], gain: &[f32], bias: &[f32], eps: f32) {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
    let scale = 1.0 / (variance + eps).sqrt();
    for ((x, g), b) in row.iter_mut().zip(gain).zip(bias) {
        *x = (*x - mean) * scale * g + b;
    }
}

/// `row` ← softmax(`scale` · `row`).
pub(crate) fn softmax(row: &mut [f32], scale: f32) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for x in row.iter_mut() {
        *x = (scale * (*x - largest)).exp();
        total += *x;
    }
    row.iter_mut().for_each(|x| *x /= total);
}

/// How a row of u8 stands for numbers: number = `low` + `step` · u8.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Grid {
    /// The smallest number of the row.
    pub(crate) low: f32,
    /// Distance of neighbouring values.
    pub(crate) step: f32,
}

/// Writes `row` as u8 on the grid from its smallest to its largest number, rounded to the nearest.
pub(crate) fn quantize(row: &[f32], out: &mut [u8]) -> Grid {
    let low = row.iter().copied().fold(f32::INFINITY, f32::min);
    let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let step = (high - low) / 255.0;
    for (o, x) in out.iter_mut().zip(row) {
        *o = if step > 0.0 {
            ((x - low) / step).round() as u8
        } else {
            0
        };
    }
    Grid { low, step }
}
