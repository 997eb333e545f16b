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
fn sums_of_rows_are_the_same_at_every_level() {
    let terms: Vec<(u32, f32)> = (0..9).map(|i| (i * 7 % 5, 1.0 - i as f32 / 4.0)).collect();
    for width in LENGTHS {
        let table = numbers(5 * width, 2.0, width as u32);
        let f16: Vec<half::f16> = table.iter().map(|x| half::f16::from_f32(*x)).collect();
        let bf16: Vec<half::bf16> = table.iter().map(|x| half::bf16::from_f32(*x)).collect();
        let sums = |number: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let column = |c| {
                let term = |(row, factor): &(u32, f32)| factor * number(*row as usize * width + c);
                1.0 + terms.iter().map(term).sum::<f32>()
            };
            (0..width).map(column).collect()
        };
        for level in Level::available() {
            let check = |add: &dyn Fn(&mut [f32]), number: &dyn Fn(usize) -> f32| {
                let mut found = vec![1.0; width];
                add(&mut found);
                near(&found, &sums(number), 1e-5, &format!("{level:?} {width}"));
            };
            check(
                &|out| level::add_rows_f32(level, &table, &terms, out),
                &|i| table[i],
            );
            let bits = bytemuck::cast_slice(&f16);
            let number = |i: usize| f16[i].to_f32();
            check(
                &|out| level::add_rows_f16(level, bits, &terms, out),
                &number,
            );
            let bits = bytemuck::cast_slice(&bf16);
            let number = |i: usize| bf16[i].to_f32();
            check(
                &|out| level::add_rows_bf16(level, bits, &terms, out),
                &number,
            );
        }
    }
}

#[test]
fn every_finite_f16_is_itself() {
    let finite: Vec<half::f16> = (0..=u16::MAX)
        .map(half::f16::from_bits)
        .filter(|h| h.is_finite())
        .collect();
    let mut found = vec![0.0; finite.len()];
    for level in Level::available() {
        found.fill(0.0);
        level::add_rows_f16(
            level,
            bytemuck::cast_slice(&finite),
            &[(0, 1.0)],
            &mut found,
        );
        for (f, h) in found.iter().zip(&finite) {
            assert_eq!(*f, h.to_f32(), "{level:?}");
        }
    }
}

#[test]
fn lengths_are_the_same_at_every_level() {
    for level in Level::available() {
        for n in LENGTHS {
            let row = numbers(n, 3.0, n as u32);
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            let wanted: Vec<f32> = row.iter().map(|x| x / length).collect();
            let mut found = row.clone();
            level::normalize(level, &mut found, 1e-12);
            near(&found, &wanted, 1e-6, &format!("{level:?} n = {n}"));
        }
        let mut zeros = [0.0; 5];
        level::normalize(level, &mut zeros, 1e-12);
        assert_eq!(zeros, [0.0; 5]);
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

mod products;
