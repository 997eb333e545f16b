use super::*;
use proptest::prelude::*;

/// Lengths around every register width and unrolled step, and those encoders use.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=70).chain([127, 128, 129, 255, 256, 257, 384, 768, 1023])
}

/// A fixed pseudo-random number in -1..1 (a linear congruential generator's upper bits).
fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn halves(numbers: &[f32]) -> Vec<f16> {
    numbers.iter().map(|&x| f16::from_f32(x)).collect()
}

fn widened(halves: &[f16]) -> Vec<f32> {
    halves.iter().map(|x| x.to_f32()).collect()
}

/// The sum in f64 with the sum of the terms' sizes. An f32 sum of n terms in any order lies within
/// (n + 1) · ε · Σ|term| of it, products rounded or not (Higham, "Accuracy and Stability of Numerical
/// Algorithms", 2002, section 3.1).
fn assert_sums(found: f32, terms: impl Iterator<Item = f64>, what: &str) {
    let (mut sum, mut size, mut count) = (0.0, 0.0, 0.0);
    for term in terms {
        sum += term;
        size += term.abs();
        count += 1.0;
    }
    // Two more roundings: of the difference, and of its square.
    let tolerance = (count + 3.0) * f64::from(f32::EPSILON) * size;
    assert!(
        (f64::from(found) - sum).abs() <= tolerance,
        "{what}: {found}, {sum} expected"
    );
}

#[test]
fn every_level_sums_within_the_rounding_of_its_terms() {
    for level in available_levels() {
        let kernels = Kernels::at(level).unwrap();
        assert_eq!(kernels.level(), level);
        for n in lengths() {
            let (a, b) = (numbers(n as u64, n), numbers(n as u64 + 7, n));
            let pairs = || {
                a.iter()
                    .zip(&b)
                    .map(|(&a, &b)| (f64::from(a), f64::from(b)))
            };
            let what = format!("{level:?}, {n} numbers");
            assert_sums(kernels.dot(&a, &b), pairs().map(|(a, b)| a * b), &what);
            assert_sums(
                kernels.squared_l2(&a, &b),
                pairs().map(|(a, b)| (a - b) * (a - b)),
                &what,
            );
        }
    }
}

#[test]
fn every_level_is_exact_on_small_whole_numbers() {
    for level in available_levels() {
        let kernels = Kernels::at(level).unwrap();
        for n in lengths() {
            let a: Vec<f32> = (0..n).map(|i| (i % 9) as f32 - 4.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 3.0).collect();
            let scalar = Kernels::at(Level::Scalar).unwrap();
            assert_eq!(kernels.dot(&a, &b), scalar.dot(&a, &b), "{level:?}, {n}");
            assert_eq!(
                kernels.squared_l2(&a, &b),
                scalar.squared_l2(&a, &b),
                "{level:?}, {n}"
            );
        }
    }
}

#[test]
fn half_rows_score_bit_for_bit_like_widened_rows() {
    for level in available_levels() {
        let kernels = Kernels::at(level).unwrap();
        for n in lengths() {
            let a = numbers(3, n);
            // Numbers down to f16's subnormals.
            let scaled: Vec<f32> = numbers(5, n)
                .iter()
                .zip(0..)
                .map(|(x, i)| x * 0.5f32.powi(i % 24))
                .collect();
            let b = halves(&scaled);
            let wide = widened(&b);
            assert_eq!(
                kernels.dot_half(&a, &b).to_bits(),
                kernels.dot(&a, &wide).to_bits()
            );
            let (half, full) = (
                kernels.squared_l2_half(&a, &b),
                kernels.squared_l2(&a, &wide),
            );
            assert_eq!(half.to_bits(), full.to_bits(), "{level:?}, {n}");
        }
    }
}

proptest! {
    #[test]
    fn the_best_level_agrees_with_the_scalar_one_anywhere_in_memory(
        pairs in prop::collection::vec((-100.0f32..100.0, -100.0f32..100.0), 1..200),
        skip in 0usize..8,
    ) {
        // Skipping numbers moves the slices off any alignment.
        let skip = skip.min(pairs.len());
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let (a, b) = (&a[skip..], &b[skip..]);
        let terms = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        assert_sums(Kernels::best().dot(a, b), terms, "best level");
    }
}

#[test]
#[should_panic(expected = "one length")]
fn vectors_of_different_lengths_are_refused() {
    Kernels::best().dot(&[1.0, 2.0], &[1.0]);
}
