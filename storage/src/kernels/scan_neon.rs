//! How are 4-bit codes scored with NEON?
//!
//! `tbl` with four registers looks up 16 nibbles in a 64-byte table; pairwise additions bring the
//! four bytes of a vector together.

#![allow(unsafe_code)]

use std::arch::aarch64::*;

use super::scan::{BLOCK, Candidate, GROUP_CODE_BYTES, GROUP_TABLE_BYTES, Run, Scan, keep, lanes};

pub(super) const SCAN: Scan = Scan::new("neon", sums, above);

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
        let passes = sums
            .iter()
            .map(|sum| u32::from(sum.wrapping_add(base) > bar));
        let mask = passes
            .zip(0..)
            .fold(0, |mask, (pass, lane)| mask | pass << lane);
        keep(
            mask & lanes(run.vectors, at),
            &sums,
            base,
            run.first_slot + (at * BLOCK) as u32,
            out,
        );
    }
}
