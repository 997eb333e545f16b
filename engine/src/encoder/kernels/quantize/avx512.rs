//! How does AVX-512 round a group of inputs to 8 bits?
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::scalar::Grid;
use super::GROUP_INPUTS;

/// Registers of a group.
const REGISTERS: usize = GROUP_INPUTS / 16;

/// See [`super::super::lanes::places`].
#[target_feature(enable = "avx512f")]
pub(super) fn places(row: &[f32], factors: &[f32], out: &mut [u8]) -> Grid {
    if row.len() == GROUP_INPUTS {
        group(row, factors, out)
    } else {
        part_of_group(row, factors, out)
    }
}

/// A group at the end of a row whose length is no multiple of the group's.
#[target_feature(enable = "avx512f")]
fn part_of_group(row: &[f32], factors: &[f32], out: &mut [u8]) -> Grid {
    let n = row.len();
    let (mut numbers, mut ones) = ([row[0] * factors[0]; GROUP_INPUTS], [1.0; GROUP_INPUTS]);
    // Repeats of the first number change neither end of the grid.
    numbers[..n].copy_from_slice(row);
    ones[..n].copy_from_slice(factors);
    let mut bytes = [0; GROUP_INPUTS];
    let grid = group(&numbers, &ones, &mut bytes);
    out[..n].copy_from_slice(&bytes[..n]);
    grid
}

/// One whole group.
#[inline]
#[target_feature(enable = "avx512f")]
fn group(row: &[f32], factors: &[f32], out: &mut [u8]) -> Grid {
    let n = GROUP_INPUTS;
    assert!(row.len() == n && factors.len() == n && out.len() >= n);
    let mut numbers = [_mm512_setzero_ps(); REGISTERS];
    for (i, number) in numbers.iter_mut().enumerate() {
        // SAFETY: each register lies inside both, by the assertion above.
        let (x, f) = unsafe {
            (
                _mm512_loadu_ps(row.as_ptr().add(16 * i)),
                _mm512_loadu_ps(factors.as_ptr().add(16 * i)),
            )
        };
        *number = _mm512_mul_ps(x, f);
    }
    let (mut low, mut high) = (numbers[0], numbers[0]);
    for number in &numbers[1..] {
        low = _mm512_min_ps(low, *number);
        high = _mm512_max_ps(high, *number);
    }
    let (low, high) = (_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
    let step = (high - low) / 255.0;
    let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
    let (from, by) = (_mm512_set1_ps(low), _mm512_set1_ps(inverse));
    for (i, number) in numbers.iter().enumerate() {
        let place = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(*number, from), by));
        // SAFETY: sixteen bytes of register i lie inside `out`, by the assertion above.
        unsafe {
            let to = out.as_mut_ptr().add(16 * i);
            _mm_storeu_si128(to.cast(), _mm512_cvtusepi32_epi8(place));
        }
    }
    Grid { low, step }
}
