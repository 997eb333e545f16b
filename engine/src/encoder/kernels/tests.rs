//! Does each kernel compute what its definition says, at every level and odd lengths?

use super::level::{self, Level};
use super::scalar;

/// Around each lane width, and the widths of real models.
const LENGTHS: [usize; 18] = [
    1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 65, 127, 384, 1536,
];

/// Numbers between -`size` and `size` that look random and are the same each time.
pub(super) fn numbers(n: usize, size: f32, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next() * size).collect()
}

#[track_caller]
pub(super) fn near(found: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (f - w).abs() <= tolerance,
            "{what}, number {i}: {f}, expected {w}"
        );
    }
}

/// erf by its Taylor series in double precision, exact enough up to 3.
fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

#[test]
fn erf_is_exact_to_single_precision() {
    for i in -300..=300 {
        let x = i as f32 / 100.0;
        let difference = f64::from(scalar::erf(x)) - erf_series(f64::from(x));
        assert!(difference.abs() < 5e-7, "erf({x}) is off by {difference}");
    }
    for x in [4.0, 5.0, 100.0, f32::MAX] {
        assert!(
            (scalar::erf(x) - 1.0).abs() < 3e-7 && (scalar::erf(-x) + 1.0).abs() < 3e-7,
            "{x}"
        );
    }
}

/// A kernel that changes a row in place.
type RowKernel = fn(Level, &mut [f32]);

/// Every level against the scalar definition on every length and size of numbers.
#[track_caller]
fn check(kernel: RowKernel, scalar: impl Fn(&mut [f32]), relative: f32) {
    for level in Level::available() {
        for n in LENGTHS {
            for size in [1e-3, 1.0, 10.0, 100.0] {
                let mut found = numbers(n, size, n as u32);
                let mut wanted = found.clone();
                kernel(level, &mut found);
                scalar(&mut wanted);
                near(
                    &found,
                    &wanted,
                    relative * size.max(1e-2),
                    &format!("{level:?} n = {n} size = {size}"),
                );
            }
        }
    }
}

#[test]
fn gelu_is_the_same_at_every_level() {
    check(
        level::gelu,
        |row| row.iter_mut().for_each(|x| *x = scalar::gelu(*x)),
        1e-6,
    );
}

#[test]
fn gelu_tanh_is_the_same_at_every_level() {
    check(
        level::gelu_tanh,
        |row| row.iter_mut().for_each(|x| *x = scalar::gelu_tanh(*x)),
        1e-6,
    );
}

#[test]
fn softmax_is_the_same_at_every_level() {
    for scale in [0.2, 1.0] {
        let kernel: RowKernel = if scale == 1.0 {
            |level, row| level::softmax(level, row, 1.0)
        } else {
            |level, row| level::softmax(level, row, 0.2)
        };
        check(kernel, |row| scalar::softmax(row, scale), 1e-4);
    }
    for level in Level::available() {
        let mut row = numbers(37, 1e6, 1);
        level::softmax(level, &mut row, 1.0);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{level:?}");
    }
}

#[test]
fn layer_norm_is_the_same_at_every_level() {
    for level in Level::available() {
        for h in LENGTHS {
            let (hidden, update) = (numbers(3 * h, 2.0, 1), numbers(3 * h, 2.0, 2));
            let (gain, bias) = (numbers(h, 1.0, 3), numbers(h, 1.0, 4));
            let mut found = hidden.clone();
            level::add_norm(level, &mut found, &update, &gain, &bias, 1e-5);
            let mut wanted: Vec<f32> = hidden.iter().zip(&update).map(|(a, b)| a + b).collect();
            wanted
                .chunks_exact_mut(h)
                .for_each(|row| scalar::layer_norm(row, &gain, &bias, 1e-5));
            // Two numbers that nearly agree are far apart once divided by their deviation.
            near(
                &found,
                &wanted,
                if h < 4 { 1e-2 } else { 2e-5 },
                &format!("{level:?} h = {h}"),
            );
        }
    }
}

#[test]
fn bf16_rounds_to_nearest_even() {
    let row = numbers(1000, 1e3, 5);
    let wanted: Vec<u16> = row
        .iter()
        .map(|x| half::bf16::from_f32(*x).to_bits())
        .collect();
    for level in Level::available() {
        for n in LENGTHS.into_iter().filter(|n| *n <= 1000) {
            let mut found = vec![0; n];
            level::to_bf16(level, &row[..n], &mut found);
            assert_eq!(found, wanted[..n], "{level:?}");
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod products {
    #![allow(unsafe_code)]

    use super::super::attention::{Buffers, attention};
    use super::super::packed::{Dot, Packed, Words};
    use super::super::quantize::{GROUP_INPUTS, quantize};
    use super::super::scalar::{self, Grid};
    use super::{LENGTHS, near, numbers};
    use crate::encoder::config::Activation;

    fn available() -> impl Iterator<Item = Dot> {
        [Dot::F32, Dot::Bf16, Dot::Int8]
            .into_iter()
            .filter(|d| d.is_available())
    }

    /// The number as the layer sees it, and how far rounding may take one product of numbers up to 1.
    fn rounding(dot: Dot) -> f32 {
        match dot {
            Dot::F32 => 1e-6,
            Dot::Bf16 => 1.0 / 128.0,
            Dot::Int8 => 1.5 / 127.0,
        }
    }

    #[test]
    fn a_layer_equals_the_plain_sum() {
        let shapes = [
            (1, 1, 1),
            (2, 5, 3),
            (13, 32, 32),
            (14, 31, 33),
            (15, 48, 65),
            (29, 384, 64),
            (3, 1536, 32),
        ];
        for dot in available() {
            for (tokens, inputs, outputs) in shapes {
                let x = numbers(tokens * inputs, 1.0, 1);
                let (w, b) = (numbers(outputs * inputs, 1.0, 2), numbers(outputs, 1.0, 3));
                let mut wanted = Vec::new();
                for token in x.chunks_exact(inputs) {
                    for (row, bias) in w.chunks_exact(inputs).zip(&b) {
                        wanted.push(bias + token.iter().zip(row).map(|(x, w)| x * w).sum::<f32>());
                    }
                }
                let mut found = vec![0.0; tokens * outputs];
                Packed::new(dot, &w, &b).apply(&x, inputs, &mut Words::default(), None, &mut found);
                // Rounding errors of `inputs` products add up like a random walk; 4 deviations.
                let tolerance = 4.0 * rounding(dot) * (inputs as f32).sqrt();
                near(
                    &found,
                    &wanted,
                    tolerance,
                    &format!("{dot:?} {tokens} x {inputs} x {outputs}"),
                );
            }
        }
    }

    #[test]
    fn quantising_equals_its_definition() {
        if !Dot::Int8.is_available() {
            return;
        }
        for n in LENGTHS {
            let (row, factors) = (numbers(n, 3.0, n as u32), numbers(n, 1.0, 7));
            let scaled: Vec<f32> = row.iter().zip(&factors).map(|(x, f)| x * f).collect();
            let (mut found, mut wanted) = (vec![0; n], vec![0; n]);
            let mut grids = vec![Grid::default(); n.div_ceil(GROUP_INPUTS)];
            // SAFETY: int8 is available, so AVX-512 is.
            unsafe { quantize(&row, &factors, &mut found, &mut grids) };
            let groups = scaled
                .chunks(GROUP_INPUTS)
                .zip(wanted.chunks_mut(GROUP_INPUTS));
            for ((group, wanted), grid) in groups.zip(&grids) {
                assert_eq!(*grid, scalar::quantize(group, wanted), "n = {n}");
            }
            for (f, w) in found.iter().zip(&wanted) {
                assert!(f.abs_diff(*w) <= 1, "n = {n}: {f}, expected {w}");
            }
            for (i, (byte, x)) in found.iter().zip(&scaled).enumerate() {
                let grid = grids[i / GROUP_INPUTS];
                let back = grid.low + grid.step * f32::from(*byte);
                let most = grid.step * 0.501 + 1e-6;
                assert!((back - x).abs() <= most, "n = {n}: {x} became {back}");
            }
        }
        let (mut same, mut grids) = ([9; 5], [Grid::default()]);
        // SAFETY: as above.
        unsafe { quantize(&[2.5; 5], &[2.0; 5], &mut same, &mut grids) };
        assert_eq!(same, [0; 5], "a constant row");
    }

    #[test]
    fn numbers_that_int8_can_hold_are_exact() {
        if !Dot::Int8.is_available() {
            return;
        }
        // Grids of step 1 in both groups, and the same weights for every input in another order, so that all factors are
        // one number: every product is an integer times it.
        let n = 192;
        let mut x: Vec<f32> = (0..3 * n).map(|i| ((i * 37) % 256) as f32).collect();
        for token in x.chunks_exact_mut(n) {
            (token[0], token[1], token[128], token[129]) = (0.0, 255.0, 0.0, 255.0);
        }
        // A period of 64 puts the largest weight into each group of each output.
        let weight = |at: usize| ((at * 53) % 255) as f32 - 127.0;
        let w: Vec<f32> = (0..n * n).map(|i| weight((i / n + i % n) % 64)).collect();
        let mut found = vec![0.0; 3 * n];
        Packed::new(Dot::Int8, &w, &vec![0.0; n]).apply(
            &x,
            n,
            &mut Words::default(),
            None,
            &mut found,
        );
        let product = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum();
        let wanted: Vec<f32> = x
            .chunks_exact(n)
            .flat_map(|x| {
                w.chunks_exact(n)
                    .map(|w| product(x, w))
                    .collect::<Vec<f32>>()
            })
            .collect();
        near(&found, &wanted, 2.0, "sums of about a million");
    }

    #[test]
    fn in_int8_a_large_input_costs_only_its_own_group_exactness() {
        if !Dot::Int8.is_available() {
            return;
        }
        let (n, outputs) = (256, 32);
        let w = numbers(n * outputs, 1.0, 1);
        let mut x = numbers(n, 1.0, 2);
        let error = |x: &[f32], group: std::ops::Range<usize>| {
            // Only the group's own weights, so that only its rounding shows.
            let w: Vec<f32> = (0..n * outputs)
                .map(|i| if group.contains(&(i % n)) { w[i] } else { 0.0 })
                .collect();
            let mut found = vec![0.0; outputs];
            Packed::new(Dot::Int8, &w, &vec![0.0; outputs]).apply(
                x,
                n,
                &mut Words::default(),
                None,
                &mut found,
            );
            let exact = w
                .chunks_exact(n)
                .map(|w| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>());
            exact
                .zip(found)
                .map(|(e, f)| (e - f).abs())
                .fold(0.0, f32::max)
        };
        let before = error(&x, 128..256);
        x[5] = 1000.0;
        assert_eq!(error(&x, 128..256), before);
        assert!(error(&x, 0..128) > 10.0 * before);
    }

    #[test]
    fn activations_follow_the_sum() {
        let (x, w, b) = (
            numbers(5 * 16, 1.0, 1),
            numbers(40 * 16, 1.0, 2),
            numbers(40, 1.0, 3),
        );
        let layer = Packed::new(Dot::F32, &w, &b);
        let run = |activation| {
            let mut y = vec![0.0; 5 * 40];
            layer.apply(&x, 16, &mut Words::default(), activation, &mut y);
            y
        };
        let plain = run(None);
        let each = |f: fn(f32) -> f32| plain.iter().map(|x| f(*x)).collect::<Vec<f32>>();
        near(
            &run(Some(Activation::Gelu)),
            &each(scalar::gelu),
            1e-6,
            "gelu",
        );
        near(
            &run(Some(Activation::GeluTanh)),
            &each(scalar::gelu_tanh),
            2e-6,
            "gelu_tanh",
        );
        near(
            &run(Some(Activation::Relu)),
            &each(|x| x.max(0.0)),
            0.0,
            "relu",
        );
    }

    /// softmax(Q Kᵀ / √D) V by its definition.
    fn plain_attention(qkv: &[f32], heads: usize, hidden: usize) -> Vec<f32> {
        let (t, d) = (qkv.len() / (3 * hidden), hidden / heads);
        let part = |which: usize, token: usize, head: usize| {
            let at = token * 3 * hidden + which * hidden + head * d;
            &qkv[at..at + d]
        };
        let mut context = vec![0.0; t * hidden];
        for head in 0..heads {
            for i in 0..t {
                let dot = |j| {
                    part(0, i, head)
                        .iter()
                        .zip(part(1, j, head))
                        .map(|(q, k)| q * k)
                        .sum()
                };
                let mut weights: Vec<f32> = (0..t).map(dot).collect();
                scalar::softmax(&mut weights, 1.0 / (d as f32).sqrt());
                let out = &mut context[i * hidden + head * d..][..d];
                for (j, w) in weights.iter().enumerate() {
                    out.iter_mut()
                        .zip(part(2, j, head))
                        .for_each(|(o, v)| *o += w * v);
                }
            }
        }
        context
    }

    #[test]
    fn attention_equals_its_definition() {
        let mut buffers = Buffers::default();
        for dot in available().filter(|d| *d != Dot::Int8) {
            // Large, then small, so that what an earlier text left in the buffers would show.
            for (t, heads, d) in [
                (70, 2, 64),
                (33, 3, 32),
                (32, 2, 32),
                (15, 2, 40),
                (14, 4, 8),
                (3, 1, 2),
                (1, 2, 4),
            ] {
                let hidden = heads * d;
                let qkv = numbers(t * 3 * hidden, 1.0, t as u32);
                let mut found = vec![0.0; t * hidden];
                attention(dot, &qkv, heads, hidden, &mut buffers, &mut found);
                let wanted = plain_attention(&qkv, heads, hidden);
                near(
                    &found,
                    &wanted,
                    4.0 * rounding(dot),
                    &format!("{dot:?} t = {t} heads = {heads} D = {d}"),
                );
            }
        }
    }
}
