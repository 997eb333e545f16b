//! How fast could this CPU multiply, if nothing had to be fetched? For the roofline in benches/RESULTS.md.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::hint::black_box;
use std::time::Instant;

use super::dot::Dot;
use super::level::Level;

/// Sums that do not wait for each other: more than the latency of any of the instructions.
const SUMS: usize = 24;

/// Multiplications and additions a second that one thread gets out of registers alone, best of a few short runs.
/// `None` where the CPU lacks the instructions, or has them only at another level than AVX-512.
pub(crate) fn peak(dot: Dot) -> Option<f64> {
    const ROUNDS: u64 = 1_000_000;
    (dot.widest() == Some(Level::Avx512)).then(|| {
        let run = || {
            let start = Instant::now();
            // SAFETY: the CPU has the instructions.
            match dot {
                Dot::F32 => unsafe { f32(ROUNDS) },
                // SAFETY: as above.
                Dot::Bf16 => unsafe { bf16(ROUNDS) },
                // SAFETY: as above.
                Dot::Int8 => unsafe { int8(ROUNDS) },
            }
            start.elapsed().as_secs_f64()
        };
        let best = (0..20).map(|_| run()).fold(f64::INFINITY, f64::min);
        (ROUNDS * SUMS as u64 * 32 * dot.per_word(Level::Avx512) as u64) as f64 / best
    })
}

#[target_feature(enable = "avx512f")]
fn f32(rounds: u64) {
    let one = black_box(_mm512_set1_ps(0.5));
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(one, *sum, one);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16(rounds: u64) {
    let words = black_box(_mm512_set1_epi32(0x3f00_3f00));
    // SAFETY: both types are 512 bits of plain numbers.
    let words = unsafe { std::mem::transmute::<__m512i, __m512bh>(words) };
    let mut sums = [_mm512_setzero_ps(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, words, words);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn int8(rounds: u64) {
    let words = black_box(_mm512_set1_epi32(0x0101_0101));
    let mut sums = [_mm512_setzero_si512(); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, words, words);
        }
    }
    black_box(sums);
}
