//! How is a query brought into the coordinates of the codes?
//!
//! A matrix of 8-bit numbers times a vector of 16-bit ones, in whole numbers: every level gives the same bits. The slow
//! equivalent is [`scalar`]. Rounding the matrix to 8 bits changes a product of unit vectors by about a two-thousandth, a
//! hundredth of what the codes themselves do; only candidates are found with it, rows are scored exactly.

#![allow(unsafe_code)]

use half::f16;

use super::Level;

/// Rows of a panel: they are summed side by side.
const PANEL: usize = 16;
/// Bytes of one step of a panel: two columns of its rows.
const STEP: usize = 2 * PANEL;
/// Largest number of the matrix.
const CELL: f32 = 127.0;
/// Shortest vector whose numbers are told apart.
const LEAST: f32 = 1e-30;

/// A matrix (e, d), rounded.
#[derive(Debug, Clone)]
pub struct Turning {
    d: usize,
    e: usize,
    /// What one unit of each row stands for, (e).
    units: Vec<f32>,
    /// Panels of [`PANEL`] rows, each its columns two by two: byte 2r + j of step s is row r, column 2s + j.
    cells: Vec<i8>,
    /// Largest number a vector is rounded to: with it no sum leaves i32.
    limit: f32,
}

impl Turning {
    /// Rounds the matrix `rows`, (e, d) row-major with d at least 1.
    pub fn new(rows: &[f16], d: usize) -> Self {
        let (e, steps) = (rows.len() / d, d.div_ceil(2));
        let mut cells = vec![0; e.div_ceil(PANEL) * steps * STEP];
        let mut units = Vec::with_capacity(e);
        for (at, row) in rows.chunks_exact(d).enumerate() {
            let row: Vec<f32> = row.iter().map(|x| x.to_f32()).collect();
            let unit = largest(&row).max(f32::MIN_POSITIVE) / CELL;
            units.push(unit);
            let panel = &mut cells[at / PANEL * steps * STEP..][..steps * STEP];
            for (column, x) in row.iter().enumerate() {
                panel[column / 2 * STEP + 2 * (at % PANEL) + column % 2] = (x / unit).round() as i8;
            }
        }
        let limit = (f64::from(i32::MAX) / (f64::from(CELL) * (2 * steps) as f64)).floor();
        Self {
            d,
            e,
            units,
            cells,
            limit: limit.min(f64::from(i16::MAX)) as f32,
        }
    }

    /// Writes the matrix times `vector` (d), times `scale`, to `out` (e).
    ///
    /// # Panics
    /// When the vector has another length.
    pub fn turn(&self, level: Level, vector: &[f32], scale: f32, out: &mut Vec<f32>) {
        assert_eq!(vector.len(), self.d, "a vector of the matrix's width");
        let steps = self.d.div_ceil(2);
        let most = largest(vector).max(LEAST);
        let factor = self.limit / most;
        let mut numbers = [0i16; MOST_ON_STACK];
        let mut many = Vec::new();
        let numbers = match 2 * steps {
            few if few <= MOST_ON_STACK => &mut numbers[..few],
            count => {
                many.resize(count, 0);
                many.as_mut_slice()
            }
        };
        for (number, x) in numbers.iter_mut().zip(vector) {
            // Added to 1.5 · 2^23, the low bits of the sum are the rounded number.
            *number = (x * factor + 12_582_912.0).to_bits() as i16;
        }
        out.clear();
        out.resize(self.e.next_multiple_of(PANEL), 0.0);
        let unit = scale / factor;
        let panels = self.cells.chunks(PANELS_AT_ONCE * steps * STEP);
        for (cells, out) in panels.zip(out.chunks_mut(PANELS_AT_ONCE * PANEL)) {
            let mut sums = [0; PANELS_AT_ONCE * PANEL];
            products(level, cells, numbers, &mut sums[..out.len()]);
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum as f32;
            }
        }
        out.truncate(self.e);
        for (out, of_row) in out.iter_mut().zip(&self.units) {
            *out *= of_row * unit;
        }
    }
}

/// Vectors of up to so many numbers need no memory of their own.
const MOST_ON_STACK: usize = 1024;
const PANELS_AT_ONCE: usize = 4;

/// The largest absolute value; whole numbers order like the floats whose bits they are.
fn largest(vector: &[f32]) -> f32 {
    let bits = vector.iter().map(|x| x.to_bits() & 0x7fff_ffff);
    f32::from_bits(bits.max().unwrap_or(0))
}

/// Adds, for each row of one to [`PANELS_AT_ONCE`] panels, its products with `numbers` to `sums`: 16 sums a panel.
fn products(level: Level, cells: &[i8], numbers: &[i16], sums: &mut [i32]) {
    let panels = sums.len() / PANEL;
    assert_eq!(cells.len(), panels * numbers.len() * PANEL, "whole panels");
    assert!(numbers.len().is_multiple_of(2), "columns come in pairs");
    #[cfg(target_arch = "x86_64")]
    {
        let steps = numbers.len() / 2;
        if level >= Level::Avx512 && Level::Avx512.is_available() {
            // SAFETY: the CPU has these instructions, the lengths were checked.
            return unsafe {
                match panels {
                    4 => avx512::<4>(cells, numbers, steps, sums),
                    3 => avx512::<3>(cells, numbers, steps, sums),
                    2 => avx512::<2>(cells, numbers, steps, sums),
                    _ => avx512::<1>(cells, numbers, steps, sums),
                }
            };
        }
        if level >= Level::Avx2 && Level::Avx2.is_available() {
            for (cells, sums) in cells.chunks(steps * STEP).zip(sums.chunks_mut(PANEL)) {
                // SAFETY: the CPU has these instructions, a panel has its cells and sums.
                unsafe { avx2(cells, numbers, steps, sums) };
            }
            return;
        }
    }
    let _ = level;
    scalar(cells, numbers, sums);
}

/// The specification; a compiler for ARM makes NEON of it.
fn scalar(cells: &[i8], numbers: &[i16], sums: &mut [i32]) {
    let panels = cells.chunks(numbers.len() * PANEL);
    for (cells, sums) in panels.zip(sums.as_chunks_mut::<PANEL>().0) {
        let steps = cells.as_chunks::<STEP>().0.iter();
        for (cells, pair) in steps.zip(numbers.as_chunks::<2>().0) {
            for (sum, cell) in sums.iter_mut().zip(cells.as_chunks::<2>().0) {
                *sum += i32::from(pair[0]) * i32::from(cell[0]);
                *sum += i32::from(pair[1]) * i32::from(cell[1]);
            }
        }
    }
}

/// # Safety
/// The CPU has AVX-512 F, BW and VL; `cells` has `N` panels of `steps` steps, `numbers` two numbers a step, `sums` 16 a panel.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn avx512<const N: usize>(cells: &[i8], numbers: &[i16], steps: usize, sums: &mut [i32]) {
    use std::arch::x86_64::*;
    let mut totals = [_mm512_setzero_si512(); N];
    for step in 0..steps {
        // SAFETY: the caller promises two numbers a step, and a step of STEP bytes in each panel.
        unsafe {
            let pair = numbers.as_ptr().add(2 * step).cast::<i32>();
            let pair = _mm512_set1_epi32(pair.read_unaligned());
            for (panel, total) in totals.iter_mut().enumerate() {
                let cells = cells.as_ptr().add((panel * steps + step) * STEP);
                let cells = _mm512_cvtepi8_epi16(_mm256_loadu_si256(cells.cast()));
                *total = _mm512_add_epi32(*total, _mm512_madd_epi16(cells, pair));
            }
        }
    }
    for (panel, total) in totals.into_iter().enumerate() {
        // SAFETY: 16 sums a panel.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().add(panel * PANEL).cast(), total) };
    }
}

/// # Safety
/// The CPU has AVX2; `cells` has `steps` steps, `numbers` two numbers a step, `sums` 16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2(cells: &[i8], numbers: &[i16], steps: usize, sums: &mut [i32]) {
    use std::arch::x86_64::*;
    let mut totals = [_mm256_setzero_si256(); 2];
    for step in 0..steps {
        // SAFETY: the caller promises two numbers and STEP bytes a step.
        unsafe {
            let pair = numbers.as_ptr().add(2 * step).cast::<i32>();
            let pair = _mm256_set1_epi32(pair.read_unaligned());
            for (half, total) in totals.iter_mut().enumerate() {
                let cells = cells.as_ptr().add(step * STEP + half * PANEL);
                let cells = _mm256_cvtepi8_epi16(_mm_loadu_si128(cells.cast()));
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(cells, pair));
            }
        }
    }
    for (half, total) in totals.into_iter().enumerate() {
        // SAFETY: 16 sums, 8 in each half.
        unsafe { _mm256_storeu_si256(sums.as_mut_ptr().add(8 * half).cast(), total) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::available_levels;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_level_turns_alike_and_nearly_as_floats_do(
            e in 1usize..150,
            d in 1usize..40,
            seed in 0u32..1000,
            scale in 0.1f32..3.0,
            size in prop::sample::select(vec![0.0f32, 1e-3, 1.0, 1e20]),
        ) {
            let wave = |i: usize| ((i as u32 * 7919 + seed) as f32 * 0.37).sin();
            let rows: Vec<f16> = (0..e * d).map(|i| f16::from_f32(wave(i))).collect();
            let vector: Vec<f32> = (0..d).map(|i| size * wave(i + 13)).collect();
            let turning = Turning::new(&rows, d);
            let at = |level| {
                let mut out = vec![7.0; 3];
                turning.turn(level, &vector, scale, &mut out);
                out
            };
            let expected = at(Level::Scalar);
            prop_assert_eq!(expected.len(), e);
            for (row, &found) in rows.chunks_exact(d).zip(&expected) {
                let exact: f32 = row.iter().zip(&vector).map(|(a, b)| a.to_f32() * b).sum();
                // Half a unit of the matrix in each product, and half a unit of the vector.
                let bound = size * scale * d as f32 * (0.5 / CELL + 0.6 / turning.limit + 1e-5);
                prop_assert!((found - scale * exact).abs() <= bound, "{} {}", found, scale * exact);
            }
            for level in available_levels() {
                prop_assert_eq!(at(level), expected.clone());
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        for d in [3, 1024, 65_536] {
            let turning = Turning::new(&vec![f16::from_f32(-2.0); d], d);
            for level in available_levels() {
                let mut out = Vec::new();
                turning.turn(level, &vec![3.0; d], 1.0, &mut out);
                let exact = -6.0 * d as f32;
                assert!(
                    (out[0] / exact - 1.0).abs() < 0.01,
                    "{d} {} {exact}",
                    out[0]
                );
            }
        }
    }
}
