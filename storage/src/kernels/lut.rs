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

/// Adds qᵢ · codebook\[i\]\[c\] over the coordinates i of a subspace, for 16 of its codes c. `codebook` begins with the first of
/// them and has `entries` codewords a coordinate.
#[inline(always)]
fn products_body(query: &[f32], codebook: &[f32], entries: usize) -> [f32; ENTRIES] {
    let mut sums = [0.0f32; ENTRIES];
    for (at, &q) in query.iter().enumerate() {
        for (sum, &c) in sums.iter_mut().zip(sixteen(codebook, at * entries)) {
            *sum += q * c;
        }
    }
    sums
}

/// The 16 numbers from `at` on, which are there.
#[inline(always)]
fn sixteen(numbers: &[f32], at: usize) -> &[f32; ENTRIES] {
    const NONE: [f32; ENTRIES] = [0.0; ENTRIES];
    let found = numbers.get(at..).and_then(|rest| rest.first_chunk());
    debug_assert!(found.is_some());
    found.unwrap_or(&NONE)
}

per_level! {
    /// Squared distances of `vector` to the codewords of a subspace, `out.len()` of them, a multiple of 16; `codebook` is
    /// (vector.len(), out.len()) row-major.
    distances / distances_body(vector: &[f32], codebook: &[f32], out: &mut [f32])
}

#[inline(always)]
fn distances_body(vector: &[f32], codebook: &[f32], out: &mut [f32]) {
    let entries = out.len();
    for (part, out) in out.as_chunks_mut::<ENTRIES>().0.iter_mut().enumerate() {
        let mut sums = [0.0f32; ENTRIES];
        for (at, &x) in vector.iter().enumerate() {
            for (sum, &c) in sums
                .iter_mut()
                .zip(sixteen(codebook, at * entries + part * ENTRIES))
            {
                *sum += (x - c) * (x - c);
            }
        }
        *out = sums;
    }
}

/// The codewords of all subspaces.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// End of the coordinates of each subspace.
    pub ends: &'a [u32],
    /// (dimension, entries) row-major.
    pub words: &'a [f32],
    /// Codewords of a subspace, a multiple of 16.
    pub entries: usize,
}

per_level! {
    /// The tables of all subspaces as f32: entry c of subspace s, at `out[entries · s + c]`, is the inner product of the
    /// query's coordinates there and codeword c.
    tables / tables_body(query: &[f32], words: Words<'_>, out: &mut [f32])
}

#[inline(always)]
fn tables_body(query: &[f32], words: Words<'_>, out: &mut [f32]) {
    let entries = words.entries;
    let mut start = 0;
    for (&end, out) in words.ends.iter().zip(out.chunks_exact_mut(entries)) {
        let end = end as usize;
        let own = &words.words[start * entries..end * entries];
        for (part, out) in out.as_chunks_mut::<ENTRIES>().0.iter_mut().enumerate() {
            let from = (part * ENTRIES).min(own.len());
            *out = products_body(&query[start..end], &own[from..], entries);
        }
        start = end;
    }
}

per_level! {
    /// How far from nought the entries of each subspace's table may lie: `out[s]` = Σ |qᵢ| reachᵢ over its coordinates, `reach`
    /// being the largest absolute number of a coordinate's codewords. Returns the largest.
    bounds / bounds_body(query: &[f32], ends: &[u32], reach: &[f32], out: &mut [f32]) -> f32
}

#[inline(always)]
fn bounds_body(query: &[f32], ends: &[u32], reach: &[f32], out: &mut [f32]) -> f32 {
    let (mut start, mut most) = (0, 0.0f32);
    for (&end, out) in ends.iter().zip(out) {
        let end = end as usize;
        let mut sum = 0.0f32;
        for (q, reach) in query[start..end].iter().zip(&reach[start..end]) {
            sum += q.abs() * reach;
        }
        most = if sum > most { sum } else { most };
        *out = sum;
        start = end;
    }
    most
}

per_level! {
    /// The tables of all subspaces as bytes: entry = round((inner product + bound of its subspace) · scale). With `bounds` as
    /// [`bounds`] makes them and `scale` at most 254.9 over twice the largest, every entry fits; the score of a
    /// code is the sum of its bytes over `scale`, less the bounds, within half a unit a subspace.
    bytes / bytes_body(query: &[f32], words: Words<'_>, bounds: &[f32], scale: f32, out: &mut [u8])
}

#[inline(always)]
fn bytes_body(query: &[f32], words: Words<'_>, bounds: &[f32], scale: f32, out: &mut [u8]) {
    let Words {
        ends,
        words,
        entries,
    } = words;
    let mut start = 0;
    let tables = out.chunks_exact_mut(entries);
    for ((&end, &bound), out) in ends.iter().zip(bounds).zip(tables) {
        let end = end as usize;
        let own = &words[start * entries..end * entries];
        for (part, out) in out.as_chunks_mut::<ENTRIES>().0.iter_mut().enumerate() {
            let from = (part * ENTRIES).min(own.len());
            let sums = products_body(&query[start..end], &own[from..], entries);
            for (sum, out) in sums.iter().zip(out) {
                // Added to 2^23, the low bits of the sum are the rounded number.
                *out = ((sum + bound) * scale + 8_388_608.0).to_bits() as u8;
            }
        }
        start = end;
    }
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
    /// Appends the numbers of the scores that are at least `bar`, ascending.
    numbers_from / numbers_from_body(scores: &[f32], bar: f32, out: &mut Vec<u32>)
}

#[inline(always)]
fn numbers_from_body(scores: &[f32], bar: f32, out: &mut Vec<u32>) {
    let (rows, rest) = scores.as_chunks::<ENTRIES>();
    let mut first = 0;
    for row in rows {
        push_numbers(mask_from(row, bar), first, out);
        first += ENTRIES as u32;
    }
    push_numbers(mask_from(rest, bar), first, out);
}

/// Appends `first` plus the number of each bit of `mask`.
#[inline(always)]
fn push_numbers(mask: u32, first: u32, out: &mut Vec<u32>) {
    let mut left = mask;
    while left != 0 {
        out.push(first + left.trailing_zeros());
        left &= left - 1;
    }
}

/// Bit i: the score i of at most 16 is at least `bar`.
#[inline(always)]
fn mask_from(row: &[f32], bar: f32) -> u32 {
    let mut mask = 0;
    for (lane, &score) in row.iter().enumerate() {
        mask |= u32::from(score >= bar) << lane;
    }
    mask
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
