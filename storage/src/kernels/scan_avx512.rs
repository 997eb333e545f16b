//! How are 4-bit codes scored with AVX-512 VBMI and VNNI?
//!
//! `vpermb` looks up 64 nibbles at once, `vpdpbusd` with ones adds the four of each vector. Two
//! blocks go together, so that a table is loaded once for 32 vectors.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("avx512vbmi", sums, above);

/// The sums of `N` neighbouring blocks.
///
/// # Safety
/// The CPU has AVX-512 F, VBMI and VNNI; `codes` has `N` blocks of `groups` groups, `tables` as many.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn block_sums<const N: usize>(
    codes: *const u8,
    tables: *const u8,
    groups: usize,
) -> [__m512i; N] {
    let nibble = _mm512_set1_epi8(15);
    let position = _mm512_set1_epi32(0x3020_1000);
    let ones = _mm512_set1_epi8(1);
    let mut low_sums = [_mm512_setzero_si512(); N];
    let mut high_sums = [_mm512_setzero_si512(); N];
    for group in 0..groups {
        // SAFETY: the caller promises `groups` tables and N blocks of `groups` groups.
        unsafe {
            let table = tables.add(group * GROUP_TABLE_BYTES);
            let low_table = _mm512_loadu_si512(table.cast());
            let high_table = _mm512_loadu_si512(table.add(64).cast());
            for (block, (low_sum, high_sum)) in low_sums.iter_mut().zip(&mut high_sums).enumerate()
            {
                let at = (block * groups + group) * GROUP_CODE_BYTES;
                let code = _mm512_loadu_si512(codes.add(at).cast());
                // 0xEA: (code & nibble) | position.
                let low = _mm512_ternarylogic_epi32::<0xEA>(code, nibble, position);
                let shifted = _mm512_srli_epi32::<4>(code);
                let high = _mm512_ternarylogic_epi32::<0xEA>(shifted, nibble, position);
                let low = _mm512_permutexvar_epi8(low, low_table);
                let high = _mm512_permutexvar_epi8(high, high_table);
                *low_sum = _mm512_dpbusd_epi32(*low_sum, low, ones);
                *high_sum = _mm512_dpbusd_epi32(*high_sum, high, ones);
            }
        }
    }
    std::array::from_fn(|block| _mm512_add_epi32(low_sums[block], high_sums[block]))
}

/// # Safety
/// As the type of [`Scan`]'s sums.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn sums(codes: &[u8], tables: &[u8], out: &mut [i32]) {
    let groups = tables.len() / GROUP_TABLE_BYTES;
    let block_bytes = groups * GROUP_CODE_BYTES;
    let blocks = codes.len() / block_bytes;
    let (codes, tables, out) = (codes.as_ptr(), tables.as_ptr(), out.as_mut_ptr());
    // SAFETY: block numbers stay below `blocks`, and `out` has BLOCK numbers for each.
    unsafe {
        let mut block = 0;
        while block + 2 <= blocks {
            let [a, b] = block_sums::<2>(codes.add(block * block_bytes), tables, groups);
            _mm512_storeu_si512(out.add(block * BLOCK).cast(), a);
            _mm512_storeu_si512(out.add((block + 1) * BLOCK).cast(), b);
            block += 2;
        }
        if block < blocks {
            let [a] = block_sums::<1>(codes.add(block * block_bytes), tables, groups);
            _mm512_storeu_si512(out.add(block * BLOCK).cast(), a);
        }
    }
}

/// # Safety
/// As the type of [`Scan`]'s above.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn above(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let groups = tables.len() / GROUP_TABLE_BYTES;
    let block_bytes = groups * GROUP_CODE_BYTES;
    let blocks = run.codes.len() / block_bytes;
    let (codes, tables) = (run.codes.as_ptr(), tables.as_ptr());
    let (bar, bases) = (_mm512_set1_epi32(bar), _mm512_set1_epi32(base));
    let mut pass = |sums: __m512i, block: usize| {
        let mask = u32::from(_mm512_cmpgt_epi32_mask(_mm512_add_epi32(sums, bases), bar));
        let mask = mask & lanes(run.vectors, block);
        if mask != 0 {
            let mut stored = [0; BLOCK];
            // SAFETY: `stored` has 16 numbers.
            unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), sums) };
            keep(
                mask,
                &stored,
                base,
                run.first_slot + (block * BLOCK) as u32,
                out,
            );
        }
    };
    let mut block = 0;
    // SAFETY: block numbers stay below `blocks`.
    unsafe {
        while block + 2 <= blocks {
            let [a, b] = block_sums::<2>(codes.add(block * block_bytes), tables, groups);
            pass(a, block);
            pass(b, block + 1);
            block += 2;
        }
        if block < blocks {
            let [a] = block_sums::<1>(codes.add(block * block_bytes), tables, groups);
            pass(a, block);
        }
    }
}
