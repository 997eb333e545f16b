//! How are 4-bit codes scored with AVX2?
//!
//! `vpshufb` looks up in 16-byte lanes, one subspace a lane. So the bytes of a group are first
//! brought together by subspace (two shuffles, two unpacks, two permutations for 64 bytes), looked
//! up, and added in u16 lanes: even and odd vectors apart, widened at the end.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("avx2", sums, above);

/// The sums of one block.
///
/// # Safety
/// The CPU has AVX2; `block` has `groups` groups, `tables` as many.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn block_sums(block: *const u8, tables: *const u8, groups: usize) -> [i32; BLOCK] {
    // Brings byte j of four vectors together in dword j, within each 16-byte lane.
    let by_byte = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
    ));
    let nibble = _mm256_set1_epi8(15);
    let low_byte = _mm256_set1_epi16(0xff);
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for group in 0..groups {
        // SAFETY: the caller promises `groups` groups of codes and tables.
        let (codes, tables) = unsafe {
            let at = block.add(group * GROUP_CODE_BYTES);
            let codes = [at, at.add(32)].map(|at| _mm256_loadu_si256(at.cast()));
            let table = tables.add(group * GROUP_TABLE_BYTES);
            let tables = [0, 32, 64, 96].map(|at| _mm256_loadu_si256(table.add(at).cast()));
            (codes, tables)
        };
        let [first, second] = codes.map(|code| _mm256_shuffle_epi8(code, by_byte));
        // Lanes of `front`: bytes 0 and 1 of vectors 0-3, 8-11, 4-7, 12-15; of `back`: bytes 2, 3.
        let front = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_unpacklo_epi32(first, second));
        let back = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_unpackhi_epi32(first, second));
        let indexes = [
            _mm256_and_si256(front, nibble),
            _mm256_and_si256(back, nibble),
            _mm256_and_si256(_mm256_srli_epi16::<4>(front), nibble),
            _mm256_and_si256(_mm256_srli_epi16::<4>(back), nibble),
        ];
        for (table, index) in tables.into_iter().zip(indexes) {
            let entries = _mm256_shuffle_epi8(table, index);
            even = _mm256_add_epi16(even, _mm256_and_si256(entries, low_byte));
            odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(entries));
        }
    }
    // Both lanes hold sums of the same vectors, over different subspaces.
    let [even, odd] = [even, odd].map(|sums| {
        _mm256_add_epi32(
            _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sums)),
            _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(sums)),
        )
    });
    let mut out = [0; BLOCK];
    // SAFETY: `out` has 16 numbers.
    unsafe {
        // Interleaving undoes the order of the lanes above: vectors 0-7, then 8-15.
        _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_unpacklo_epi32(even, odd));
        _mm256_storeu_si256(
            out.as_mut_ptr().add(8).cast(),
            _mm256_unpackhi_epi32(even, odd),
        );
    }
    out
}

/// # Safety
/// As the type of [`Scan`]'s sums.
#[target_feature(enable = "avx2")]
unsafe fn sums(codes: &[u8], tables: &[u8], out: &mut [i32]) {
    let groups = tables.len() / GROUP_TABLE_BYTES;
    let blocks = codes.chunks_exact(groups * GROUP_CODE_BYTES);
    for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK)) {
        // SAFETY: the block has `groups` groups.
        out.copy_from_slice(&unsafe { block_sums(block.as_ptr(), tables.as_ptr(), groups) });
    }
}

/// # Safety
/// As the type of [`Scan`]'s above.
#[target_feature(enable = "avx2")]
unsafe fn above(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let groups = tables.len() / GROUP_TABLE_BYTES;
    let (bars, bases) = (_mm256_set1_epi32(bar), _mm256_set1_epi32(base));
    let blocks = run.codes.chunks_exact(groups * GROUP_CODE_BYTES);
    for (at, block) in blocks.enumerate() {
        // SAFETY: the block has `groups` groups.
        let sums = unsafe { block_sums(block.as_ptr(), tables.as_ptr(), groups) };
        let passes = |from: usize| {
            // SAFETY: 8 of the 16 numbers of `sums`, `from` is 0 or 8.
            let sums = unsafe { _mm256_loadu_si256(sums.as_ptr().add(from).cast()) };
            let above = _mm256_cmpgt_epi32(_mm256_add_epi32(sums, bases), bars);
            _mm256_movemask_ps(_mm256_castsi256_ps(above)) as u32
        };
        let mask = (passes(0) | passes(8) << 8) & lanes(run.vectors, at);
        if mask != 0 {
            keep(mask, &sums, base, run.first_slot + (at * BLOCK) as u32, out);
        }
    }
}
