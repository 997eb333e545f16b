//! How are 4-bit codes scored with AVX-512 VBMI and VNNI?
//!
//! `vpermb` looks up 64 nibbles at once, `vpdpbusd` with ones adds the four of each vector. Two
//! blocks go together, so that a table is loaded once for 32 vectors.
//!
//! A table of 256 entries takes two `vpermi2b`, one for each half, and four blocks go together, 64 codes of one subspace.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("avx512vbmi", sums, above, above_wide);

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
    let blocks = run.blocks;
    let (codes, tables) = (run.codes.as_ptr(), tables.as_ptr());
    let mut pass = |sums: __m512i, block: usize| {
        // SAFETY: the CPU has these instructions.
        unsafe { pass(run, sums, block, base, bar, out) }
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

/// Keeps the vectors of `block` that pass, given their sums.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn pass(
    run: Run<'_>,
    sums: __m512i,
    block: usize,
    base: i32,
    bar: i32,
    out: &mut Vec<Candidate>,
) {
    let scores = _mm512_add_epi32(sums, _mm512_set1_epi32(base));
    let mask = u32::from(_mm512_cmpgt_epi32_mask(scores, _mm512_set1_epi32(bar)));
    let mask = mask & lanes(run.vectors, block);
    if mask != 0 {
        let mut stored = [0; BLOCK];
        // SAFETY: `stored` has 16 numbers.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), sums) };
        let slot = run.first_slot + (block * BLOCK) as u32;
        keep(mask, &stored, base, slot, out);
    }
}

/// The sums of `N` neighbouring blocks of 8-bit codes, one to four.
///
/// # Safety
/// The CPU has AVX-512 F, BW, VL and VBMI; `codes` has `N` blocks of `subspaces` times 16 bytes, `tables` 256 bytes a subspace, of
/// which there are at most 256.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn wide_sums<const N: usize>(
    codes: *const u8,
    tables: *const u8,
    subspaces: usize,
) -> [__m512i; N] {
    let low_byte = _mm512_set1_epi16(0xff);
    let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for subspace in 0..subspaces {
        // SAFETY: the caller promises the subspace's 256 entries, and its 16 codes in each of N blocks.
        unsafe {
            let table = [0, 64, 128, 192]
                .map(|at| _mm512_loadu_si512(tables.add(256 * subspace + at).cast()));
            let part = |block: usize| match block < N {
                true => _mm_loadu_si128(codes.add((block * subspaces + subspace) * BLOCK).cast()),
                false => _mm_setzero_si128(),
            };
            let code = _mm512_castsi128_si512(part(0));
            let code = _mm512_inserti32x4::<1>(code, part(1));
            let code = _mm512_inserti32x4::<2>(code, part(2));
            let code = _mm512_inserti32x4::<3>(code, part(3));
            let low = _mm512_permutex2var_epi8(table[0], code, table[1]);
            let high = _mm512_permutex2var_epi8(table[2], code, table[3]);
            let entries = _mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high);
            even = _mm512_add_epi16(even, _mm512_and_si512(entries, low_byte));
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16::<8>(entries));
        }
    }
    // Each 128-bit lane holds a block; interleaving gives its vectors 0-7, then 8-15.
    let mut halves = [[0u16; 2 * BLOCK]; 2];
    // SAFETY: 32 numbers each.
    unsafe {
        _mm512_storeu_si512(
            halves[0].as_mut_ptr().cast(),
            _mm512_unpacklo_epi16(even, odd),
        );
        _mm512_storeu_si512(
            halves[1].as_mut_ptr().cast(),
            _mm512_unpackhi_epi16(even, odd),
        );
    }
    std::array::from_fn(|block| {
        // SAFETY: 8 numbers from 8 · block on, block being below 4.
        let [low, high] = [0, 1].map(|half: usize| unsafe {
            _mm_loadu_si128(halves[half].as_ptr().add(8 * block).cast())
        });
        _mm512_cvtepu16_epi32(_mm256_set_m128i(high, low))
    })
}

/// # Safety
/// As the type of [`Scan`]'s wide above.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vnni")]
unsafe fn above_wide(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let subspaces = tables.len() / 256;
    let mut block = 0;
    while block < run.blocks {
        // SAFETY: block numbers stay below the run's blocks.
        unsafe {
            let codes = run.codes.as_ptr().add(block * subspaces * BLOCK);
            let tables = tables.as_ptr();
            let mut many = |sums: &[__m512i]| {
                for (sums, block) in sums.iter().zip(block..) {
                    pass(run, *sums, block, base, bar, out);
                }
            };
            match run.blocks - block {
                1 => many(&wide_sums::<1>(codes, tables, subspaces)),
                2 => many(&wide_sums::<2>(codes, tables, subspaces)),
                3 => many(&wide_sums::<3>(codes, tables, subspaces)),
                _ => many(&wide_sums::<4>(codes, tables, subspaces)),
            }
        }
        block += 4;
    }
}
