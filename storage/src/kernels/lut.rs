//! How is a query turned into the tables that codes are looked up in, and how are lists chosen?
//!
//! Plain loops over 16 lanes, written once and compiled for each level: no reordering, no fused
//! multiply-add, so that every level gives the same bits. Each function says what it computes; the
//! scalar build is the specification.

#![allow(unsafe_code)]

use super::Level;

/// Entries of one subspace.
pub const ENTRIES: usize = 16;

/// Defines a public function whose body is compiled for every x86 level, and picks one at run time.
macro_rules! per_level {
    ($(#[$doc:meta])* $name:ident / $body:ident ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)?) => {
        $(#[$doc])*
        pub fn $name(level: Level, $($arg: $type),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                unsafe fn avx512($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                unsafe fn avx2($($arg: $type),*) $(-> $out)? {
                    $body($($arg),*)
                }
                if level >= Level::Avx512 && Level::Avx512.is_available() && is_x86_feature_detected!("avx512dq") {
                    // SAFETY: the CPU has these instructions.
                    return unsafe { avx512($($arg),*) };
                }
                if level >= Level::Avx2 && Level::Avx2.is_available() {
                    // SAFETY: the CPU has these instructions.
                    return unsafe { avx2($($arg),*) };
                }
            }
            let _ = level;
            $body($($arg),*)
        }
    };
}

/// Adds qᵢ · codebook\[i\]\[c\] over the coordinates i of a subspace, for its 16 codes c. `codebook` is
/// (query.len(), 16) row-major.
#[inline(always)]
fn products_body(query: &[f32], codebook: &[f32], out: &mut [f32; ENTRIES]) {
    let mut sums = [0.0f32; ENTRIES];
    for (&q, row) in query.iter().zip(codebook.chunks_exact(ENTRIES)) {
        for (sum, &c) in sums.iter_mut().zip(row) {
            *sum += q * c;
        }
    }
    *out = sums;
}

per_level! {
    /// Squared distances of `vector` to the 16 codewords of a subspace; `codebook` is
    /// (vector.len(), 16) row-major.
    distances / distances_body(vector: &[f32], codebook: &[f32], out: &mut [f32; ENTRIES])
}

#[inline(always)]
fn distances_body(vector: &[f32], codebook: &[f32], out: &mut [f32; ENTRIES]) {
    let mut sums = [0.0f32; ENTRIES];
    for (&x, row) in vector.iter().zip(codebook.chunks_exact(ENTRIES)) {
        for (sum, &c) in sums.iter_mut().zip(row) {
            *sum += (x - c) * (x - c);
        }
    }
    *out = sums;
}

per_level! {
    /// The tables of all subspaces as f32: entry c of subspace s, at `out[16 s + c]`, is the
    /// inner product of the query's coordinates there and codeword c. `ends[s]` is the
    /// end of the coordinates of subspace s; `codebooks` is (dimension, 16) row-major.
    tables / tables_body(query: &[f32], ends: &[u32], codebooks: &[f32], out: &mut [f32])
}

#[inline(always)]
fn tables_body(query: &[f32], ends: &[u32], codebooks: &[f32], out: &mut [f32]) {
    let mut start = 0;
    for (&end, out) in ends.iter().zip(out.as_chunks_mut::<ENTRIES>().0) {
        let end = end as usize;
        products_body(
            &query[start..end],
            &codebooks[start * ENTRIES..end * ENTRIES],
            out,
        );
        start = end;
    }
}

per_level! {
    /// Rounds tables to bytes: entry = round((table - its least entry) / step), step being the widest
    /// table's range over 254.9. Returns (sum of the least entries, step); the score of a code is then
    /// sum + step · (sum of its bytes), within step / 2 a subspace. Leaves `tables` less their least entries.
    to_bytes / to_bytes_body(tables: &mut [f32], out: &mut [u8]) -> (f32, f32)
}

#[inline(always)]
fn to_bytes_body(tables: &mut [f32], out: &mut [u8]) -> (f32, f32) {
    let (mut least_sum, mut widest) = (0.0f32, 0.0f32);
    for table in tables.as_chunks_mut::<ENTRIES>().0 {
        let (least, most) = extremes(table);
        least_sum += least;
        widest = widest.max(most - least);
        table.iter_mut().for_each(|entry| *entry -= least);
    }
    // Above 2^-100, so that its inverse is finite; 254.9 keeps the widest entry at or below 255.
    let step = (widest / 254.9).max(f32::MIN_POSITIVE * 67_108_864.0);
    let scale = 1.0 / step;
    for (entry, out) in tables.iter().zip(out) {
        // Added to 2^23, the low bits of the sum are the rounded number.
        *out = (entry * scale + 8_388_608.0).to_bits() as u8;
    }
    (least_sum, step)
}

#[inline(always)]
fn extremes(table: &[f32; ENTRIES]) -> (f32, f32) {
    let (mut low, mut high) = (*table, *table);
    let mut width = ENTRIES / 2;
    while width > 0 {
        for lane in 0..width {
            low[lane] = low[lane].min(low[lane + width]);
            high[lane] = high[lane].max(high[lane + width]);
        }
        width /= 2;
    }
    (low[0], high[0])
}

per_level! {
    /// out\[l\] = (offset + step · sums\[l\]) · gain\[l\] + weight · bias\[l\]: the routing score of list l.
    routes / routes_body(sums: &[i32], lists: Lists<'_>, map: Affine, weight: f32, out: &mut [f32])
}

/// What routing knows about each list beside its code.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    /// Factor of the centroid's score.
    pub gains: &'a [f32],
    /// Addend, times a weight that depends on the query.
    pub biases: &'a [f32],
}

/// The score behind an integer sum: offset + step · sum.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affine {
    /// Score of the sum 0.
    pub offset: f32,
    /// Score of one unit.
    pub step: f32,
}

impl Affine {
    /// The score of `sum`.
    pub fn score(self, sum: i32) -> f32 {
        self.offset + self.step * sum as f32
    }
}

#[inline(always)]
fn routes_body(sums: &[i32], lists: Lists<'_>, map: Affine, weight: f32, out: &mut [f32]) {
    let rows = sums.iter().zip(lists.gains).zip(lists.biases).zip(out);
    for (((&sum, &gain), &bias), out) in rows {
        *out = (map.offset + map.step * sum as f32) * gain + weight * bias;
    }
}

per_level! {
    /// How many scores are at least `bar`?
    count_from / count_from_body(scores: &[f32], bar: f32) -> usize
}

#[inline(always)]
fn count_from_body(scores: &[f32], bar: f32) -> usize {
    let mut count = 0u32;
    for &score in scores {
        count += u32::from(score >= bar);
    }
    count as usize
}

per_level! {
    /// Lowest and highest score; (∞, -∞) for none.
    range / range_body(scores: &[f32]) -> (f32, f32)
}

#[inline(always)]
fn range_body(scores: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([f32::INFINITY; ENTRIES], [f32::NEG_INFINITY; ENTRIES]);
    let (rows, rest) = scores.as_chunks::<ENTRIES>();
    for row in rows {
        for ((low, high), &score) in low.iter_mut().zip(&mut high).zip(row) {
            *low = low.min(score);
            *high = high.max(score);
        }
    }
    let low = low
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::INFINITY, f32::min);
    let high = high
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    (low, high)
}

/// Asks the CPU to fetch the cache lines of `bytes` for a read that comes soon.
#[inline(always)]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.iter().step_by(64) {
        // SAFETY: a hint about an address inside a slice; it reads nothing.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
