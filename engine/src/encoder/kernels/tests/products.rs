//! Products, at every level that has a tile.

use super::super::attention::{Buffers, attention};
use super::super::dot::Dot;
use super::super::level::Level;
use super::super::packed::{Packed, Words};
use super::super::quantize::{GROUP_INPUTS, per_word, quantize};
use super::super::scalar::{self, Grid};
use super::{LENGTHS, near, numbers};
use crate::encoder::config::Activation;

/// Every tile of this CPU.
fn tiles() -> impl Iterator<Item = (Dot, Level)> {
    [Dot::F32, Dot::Bf16, Dot::Int8]
        .into_iter()
        .flat_map(|dot| dot.levels().map(move |level| (dot, level)))
}

fn int8_levels() -> impl Iterator<Item = Level> {
    Dot::Int8.levels()
}

fn apply(dot: Dot, level: Level, w: &[f32], b: &[f32], x: &[f32]) -> Vec<f32> {
    let inputs = w.len() / b.len();
    let mut y = vec![0.0; x.len() / inputs * b.len()];
    Packed::new(dot, level, w, b).apply(x, &mut Words::default(), None, &mut y);
    y
}

/// How far rounding may take one product of numbers up to 1.
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
        (6, 7, 31),
        (7, 130, 16),
        (13, 32, 32),
        (14, 31, 33),
        (15, 48, 65),
        (29, 384, 64),
        (3, 1536, 32),
    ];
    for (dot, level) in tiles() {
        for (tokens, inputs, outputs) in shapes {
            let x = numbers(tokens * inputs, 1.0, 1);
            let (w, b) = (numbers(outputs * inputs, 1.0, 2), numbers(outputs, 1.0, 3));
            let mut wanted = Vec::new();
            for token in x.chunks_exact(inputs) {
                for (row, bias) in w.chunks_exact(inputs).zip(&b) {
                    wanted.push(bias + token.iter().zip(row).map(|(x, w)| x * w).sum::<f32>());
                }
            }
            // Rounding errors of `inputs` products add up like a random walk; 4 deviations.
            let tolerance = 4.0 * rounding(dot) * (inputs as f32).sqrt();
            near(
                &apply(dot, level, &w, &b, &x),
                &wanted,
                tolerance,
                &format!("{dot:?} {level:?} {tokens} x {inputs} x {outputs}"),
            );
        }
    }
}

/// The places in `words`, whatever form the level gives them.
fn places(level: Level, words: &[u32], grids: &mut [Grid]) -> Vec<u8> {
    if per_word(level) == 2 {
        let pairs: &[u16] = bytemuck::cast_slice(words);
        let byte = |pair: &u16| u8::try_from(*pair).expect("a place of 0 to 255");
        return pairs.iter().map(byte).collect();
    }
    let bytes: &[u8] = bytemuck::cast_slice(words);
    if level != Level::Base {
        return bytes.to_vec();
    }
    for grid in grids {
        grid.low -= 128.0 * grid.step;
    }
    bytes.iter().map(|byte| byte ^ 128).collect()
}

/// Also where no tile multiplies them.
#[test]
fn quantising_equals_its_definition_at_every_level() {
    for level in Level::available() {
        for n in LENGTHS {
            let (row, factors) = (numbers(n, 3.0, n as u32), numbers(n, 1.0, 7));
            let scaled: Vec<f32> = row.iter().zip(&factors).map(|(x, f)| x * f).collect();
            let mut words = vec![0; n.div_ceil(per_word(level))];
            let mut grids = vec![Grid::default(); n.div_ceil(GROUP_INPUTS)];
            quantize(level, &row, &factors, &mut words, &mut grids);
            let found = places(level, &words, &mut grids);
            let mut wanted = vec![0; n];
            let groups = scaled
                .chunks(GROUP_INPUTS)
                .zip(wanted.chunks_mut(GROUP_INPUTS));
            for ((group, wanted), grid) in groups.zip(&grids) {
                let exact = scalar::quantize(group, wanted);
                near(
                    &[grid.low, grid.step],
                    &[exact.low, exact.step],
                    1e-6,
                    &format!("{level:?} n = {n}"),
                );
            }
            for (f, w) in found.iter().zip(&wanted) {
                assert!(f.abs_diff(*w) <= 1, "{level:?} n = {n}: {f}, expected {w}");
            }
            for (i, (byte, x)) in found.iter().zip(&scaled).enumerate() {
                let grid = grids[i / GROUP_INPUTS];
                let back = grid.low + grid.step * f32::from(*byte);
                let most = grid.step * 0.501 + 1e-5;
                assert!(
                    (back - x).abs() <= most,
                    "{level:?} n = {n}: {x} became {back}"
                );
            }
        }
        let (mut words, mut grids) = (vec![0; 5], [Grid::default()]);
        quantize(level, &[2.5; 5], &[2.0; 5], &mut words, &mut grids);
        assert_eq!(grids[0].step, 0.0, "a constant row");
        assert_eq!(grids[0].low, 5.0, "a constant row");
    }
}

#[test]
fn numbers_that_int8_can_hold_are_exact() {
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
    let product = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum();
    let wanted: Vec<f32> = x
        .chunks_exact(n)
        .flat_map(|x| {
            w.chunks_exact(n)
                .map(|w| product(x, w))
                .collect::<Vec<f32>>()
        })
        .collect();
    for level in int8_levels() {
        let found = apply(Dot::Int8, level, &w, &vec![0.0; n], &x);
        near(
            &found,
            &wanted,
            2.0,
            &format!("{level:?}, sums of about a million"),
        );
    }
}

/// The largest places and weights at once: 255 · 127 in every product, both signs.
#[test]
fn the_largest_products_do_not_overflow() {
    let (inputs, outputs) = (1536, 32);
    let x: Vec<f32> = (0..inputs)
        .map(|i| if i % GROUP_INPUTS == 0 { 0.0 } else { 255.0 })
        .collect();
    for sign in [1.0, -1.0] {
        let w = vec![sign; inputs * outputs];
        let exact = sign * x.iter().sum::<f32>();
        for level in int8_levels() {
            let found = apply(Dot::Int8, level, &w, &vec![0.0; outputs], &x);
            near(
                &found,
                &vec![exact; outputs],
                exact.abs() * 1e-5,
                &format!("{level:?}"),
            );
        }
    }
}

#[test]
fn in_int8_a_large_input_costs_only_its_own_group_exactness() {
    let (n, outputs) = (256, 32);
    let w = numbers(n * outputs, 1.0, 1);
    for level in int8_levels() {
        let mut x = numbers(n, 1.0, 2);
        let error = |x: &[f32], group: std::ops::Range<usize>| {
            // Only the group's own weights, so that only its rounding shows.
            let w: Vec<f32> = (0..n * outputs)
                .map(|i| if group.contains(&(i % n)) { w[i] } else { 0.0 })
                .collect();
            let found = apply(Dot::Int8, level, &w, &vec![0.0; outputs], x);
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
        assert_eq!(error(&x, 128..256), before, "{level:?}");
        assert!(error(&x, 0..128) > 10.0 * before, "{level:?}");
    }
}

#[test]
fn activations_follow_the_sum() {
    let (x, w, b) = (
        numbers(5 * 16, 1.0, 1),
        numbers(40 * 16, 1.0, 2),
        numbers(40, 1.0, 3),
    );
    for level in Dot::F32.levels() {
        let layer = Packed::new(Dot::F32, level, &w, &b);
        let run = |activation| {
            let mut y = vec![0.0; 5 * 40];
            layer.apply(&x, &mut Words::default(), activation, &mut y);
            y
        };
        let plain = run(None);
        let each = |f: fn(f32) -> f32| plain.iter().map(|x| f(*x)).collect::<Vec<f32>>();
        let check = |activation, f: fn(f32) -> f32, tolerance| {
            let found = run(Some(activation));
            near(
                &found,
                &each(f),
                tolerance,
                &format!("{level:?} {activation:?}"),
            );
        };
        check(Activation::Gelu, scalar::gelu, 1e-6);
        check(Activation::GeluTanh, scalar::gelu_tanh, 2e-6);
        check(Activation::Relu, |x| x.max(0.0), 0.0);
    }
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
    for (dot, level) in tiles().filter(|(dot, _)| *dot != Dot::Int8) {
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
            attention(dot, level, &qkv, heads, hidden, &mut buffers, &mut found);
            let wanted = plain_attention(&qkv, heads, hidden);
            near(
                &found,
                &wanted,
                4.0 * rounding(dot),
                &format!("{dot:?} {level:?} t = {t} heads = {heads} D = {d}"),
            );
        }
    }
}
