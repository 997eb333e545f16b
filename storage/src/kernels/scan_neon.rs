//! How are 4-bit codes scored with NEON?
//!
//! `tbl` with four registers looks up 16 nibbles in a 64-byte table; pairwise additions bring the
//! four bytes of a vector together. A table of 256 entries takes four `tbl`, each of which gives nought for the codes of the
//! other three quarters.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("neon", sums, above, above_wide);

/// The sums of one block.
///
/// # Safety
/// The CPU has NEON; `block` has `groups` groups, `tables` as many.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn block_sums(block: *const u8, tables: *const u8, groups: usize) -> [i32; BLOCK] {
    let mut out = [0; BLOCK];
    // SAFETY: the caller promises `groups` groups of codes and tables; `out` has 16 numbers.
    unsafe {
        let nibble = vdupq_n_u8(15);
        let position = vreinterpretq_u8_u32(vdupq_n_u32(0x3020_1000));
        let mut sums = [vdupq_n_u32(0); 4];
        for group in 0..groups {
            let table = tables.add(group * GROUP_TABLE_BYTES);
            let (low_table, high_table) = (vld1q_u8_x4(table), vld1q_u8_x4(table.add(64)));
            for (quarter, sum) in sums.iter_mut().enumerate() {
                let code = vld1q_u8(block.add(group * GROUP_CODE_BYTES + 16 * quarter));
                let low = vorrq_u8(vandq_u8(code, nibble), position);
                let high = vorrq_u8(vshrq_n_u8::<4>(code), position);
                let pairs = vpaddlq_u8(vqtbl4q_u8(low_table, low));
                let pairs = vpadalq_u8(pairs, vqtbl4q_u8(high_table, high));
                *sum = vpadalq_u16(*sum, pairs);
            }
        }
        for (quarter, sum) in sums.into_iter().enumerate() {
            vst1q_s32(
                out.as_mut_ptr().add(4 * quarter),
                vreinterpretq_s32_u32(sum),
            );
        }
    }
    out
}

/// # Safety
/// As the type of [`Scan`]'s sums.
#[target_feature(enable = "neon")]
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
#[target_feature(enable = "neon")]
unsafe fn above(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let groups = tables.len() / GROUP_TABLE_BYTES;
    let blocks = run.codes.chunks_exact(groups * GROUP_CODE_BYTES);
    for (at, block) in blocks.enumerate() {
        // SAFETY: the block has `groups` groups.
        let sums = unsafe { block_sums(block.as_ptr(), tables.as_ptr(), groups) };
        pass(run, &sums, at, base, bar, out);
    }
}

/// Keeps the vectors of block `at` that pass, given their sums.
fn pass(
    run: Run<'_>,
    sums: &[i32; BLOCK],
    at: usize,
    base: i32,
    bar: i32,
    out: &mut Vec<Candidate>,
) {
    let passes = sums
        .iter()
        .map(|sum| u32::from(sum.wrapping_add(base) > bar));
    let mask = passes
        .zip(0..)
        .fold(0, |mask, (pass, lane)| mask | pass << lane);
    let slot = run.first_slot + (at * BLOCK) as u32;
    keep(mask & lanes(run.vectors, at), sums, base, slot, out);
}

/// The sums of one block of 8-bit codes.
///
/// # Safety
/// The CPU has NEON; `block` has `subspaces` times 16 bytes, `tables` 256 bytes a subspace, of which there are at most 256.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn wide_sums(block: *const u8, tables: *const u8, subspaces: usize) -> [i32; BLOCK] {
    let mut out = [0; BLOCK];
    // SAFETY: the caller promises the subspaces' codes and entries; `out` has 16 numbers.
    unsafe {
        let (mut low, mut high) = (vdupq_n_u16(0), vdupq_n_u16(0));
        for subspace in 0..subspaces {
            let code = vld1q_u8(block.add(subspace * BLOCK));
            let mut entries = vdupq_n_u8(0);
            for quarter in 0..4u8 {
                let at = 256 * subspace + 64 * usize::from(quarter);
                let table = vld1q_u8_x4(tables.add(at));
                let index = vsubq_u8(code, vdupq_n_u8(64 * quarter));
                entries = vorrq_u8(entries, vqtbl4q_u8(table, index));
            }
            low = vaddw_u8(low, vget_low_u8(entries));
            high = vaddw_high_u8(high, entries);
        }
        let parts = [
            vmovl_u16(vget_low_u16(low)),
            vmovl_high_u16(low),
            vmovl_u16(vget_low_u16(high)),
            vmovl_high_u16(high),
        ];
        for (quarter, part) in parts.into_iter().enumerate() {
            vst1q_s32(
                out.as_mut_ptr().add(4 * quarter),
                vreinterpretq_s32_u32(part),
            );
        }
    }
    out
}

/// # Safety
/// As the type of [`Scan`]'s wide above.
#[target_feature(enable = "neon")]
unsafe fn above_wide(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>) {
    let subspaces = tables.len() / 256;
    let blocks = run.codes.chunks_exact(subspaces * BLOCK);
    for (at, block) in blocks.enumerate() {
        // SAFETY: the block has `subspaces` subspaces.
        let sums = unsafe { wide_sums(block.as_ptr(), tables.as_ptr(), subspaces) };
        pass(run, &sums, at, base, bar, out);
    }
}
