//! How are 4-bit codes scored with AVX2?
//!
//! `vpshufb` looks up in 16-byte lanes, one subspace a lane. So the bytes of a group are first
//! brought together by subspace (two shuffles, two unpacks, two permutations for 64 bytes), looked
//! up, and added in u16 lanes: even and odd vectors apart, widened at the end.
//!
//! A table of 256 entries is 16 rows of 16: each row answers for the codes that begin with its number and gives nought for the
//! others.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("avx2", sums, above, above_wide);

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
    let blocks = run.codes.chunks_exact(groups * GROUP_CODE_BYTES);
    for (at, block) in blocks.enumerate() {
        // SAFETY: the block has `groups` groups, the CPU these instructions.
        unsafe {
            let sums = block_sums(block.as_ptr(), tables.as_ptr(), groups);
            pass(run, &sums, at, base, bar, out);
        }
    }
}

/// Keeps the vectors of block `at` that pass, given their sums.
///
/// # Safety
/// The CPU has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pass(
    run: Run<'_>,
    sums: &[i32; BLOCK],
    at: usize,
    base: i32,
    bar: i32,
    out: &mut Vec<Candidate>,
) {
    let (bars, bases) = (_mm256_set1_epi32(bar), _mm256_set1_epi32(base));
    let passes = |from: usize| {
        // SAFETY: 8 of the 16 numbers of `sums`, `from` is 0 or 8.
        let sums = unsafe { _mm256_loadu_si256(sums.as_ptr().add(from).cast()) };
        let above = _mm256_cmpgt_epi32(_mm256_add_epi32(sums, bases), bars);
        _mm256_movemask_ps(_mm256_castsi256_ps(above)) as u32
    };
    let mask = (passes(0) | passes(8) << 8) & lanes(run.vectors, at);
    if mask != 0 {
        keep(mask, sums, base, run.first_slot + (at * BLOCK) as u32, out);
    }
}

/// The sums of two blocks of 8-bit codes, `second` bytes apart.
///
/// # Safety
/// The CPU has AVX2; `codes` has `subspaces` times 16 bytes for both blocks, `tables` 256 bytes a subspace, of which there are at
/// most 256.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn wide_sums(
    codes: *const u8,
    second: usize,
    tables: *const u8,
    subspaces: usize,
) -> [[i32; BLOCK]; 2] {
    let low_byte = _mm256_set1_epi16(0xff);
    let others = _mm256_set1_epi8(0x70);
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for subspace in 0..subspaces {
        let mut entries = _mm256_setzero_si256();
        // SAFETY: the caller promises the subspace's 256 entries, and its 16 codes in both blocks.
        unsafe {
            let code = codes.add(subspace * BLOCK);
            let code = _mm256_loadu2_m128i(code.add(second).cast(), code.cast());
            for row in 0..16 {
                let table = _mm_loadu_si128(tables.add(256 * subspace + 16 * row).cast());
                // Below 16 where the code begins with `row`; adding 0x70 leaves the top bit clear for those alone, and a byte
                // with the top bit looks up nought.
                let index = _mm256_xor_si256(code, _mm256_set1_epi8((row << 4) as i8));
                let index = _mm256_adds_epu8(index, others);
                let found = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), index);
                entries = _mm256_or_si256(entries, found);
            }
        }
        even = _mm256_add_epi16(even, _mm256_and_si256(entries, low_byte));
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16::<8>(entries));
    }
    let (low, high) = (
        _mm256_unpacklo_epi16(even, odd),
        _mm256_unpackhi_epi16(even, odd),
    );
    let parts = [
        [_mm256_castsi256_si128(low), _mm256_castsi256_si128(high)],
        [
            _mm256_extracti128_si256::<1>(low),
            _mm256_extracti128_si256::<1>(high),
        ],
    ];
    parts.map(|parts| {
        let mut out = [0; BLOCK];
        for (part, out) in parts.into_iter().zip(out.as_chunks_mut::<8>().0) {
            // SAFETY: 8 numbers.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_cvtepu16_epi32(part)) };
        }
        out
    })
}

/// # Safety
/// As the type of [`Scan`]'s wide above.
#[target_feature(enable = "avx2")]
unsafe fn above_wide(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let subspaces = tables.len() / 256;
    let block_bytes = subspaces * BLOCK;
    for block in (0..run.blocks).step_by(2) {
        let codes = &run.codes[block * block_bytes..];
        // The last block may be alone; it is then looked up twice.
        let second = if codes.len() > block_bytes {
            block_bytes
        } else {
            0
        };
        // SAFETY: both blocks are there, the CPU has these instructions.
        unsafe {
            let sums = wide_sums(codes.as_ptr(), second, tables.as_ptr(), subspaces);
            let count = run.blocks - block;
            for (sums, block) in sums.iter().take(count).zip(block..) {
                pass(run, sums, block, base, bar, out);
            }
        }
    }
}
