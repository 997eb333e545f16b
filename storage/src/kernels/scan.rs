//! What do codes say about the score of every vector of a list?
//!
//! The slow equivalent is [`Scan::SCALAR`]: look each number up in the table of its subspace and add.
//! All levels give the same integers, because table entries are bytes and sums fit their registers.
//!
//! Codes are of 4 or of 8 bits a subspace ([`Width`]). Those of 4 bits, which this paragraph is about, are what indexes have.
//! Codes come in *blocks* of [`BLOCK`] vectors. Subspaces come in *groups* of [`GROUP`]; a block is its groups one
//! after the other, 64 bytes each: byte 4v + j of group g holds, for vector v, the code of subspace
//! 8g + j in its low nibble and of subspace 8g + 4 + j in its high nibble. The tables of a group are
//! 128 bytes: entry 16j + c of the first half belongs to code c of subspace 8g + j, of the second
//! half to subspace 8g + 4 + j. So the four bytes of a vector index one 64-byte table with two bits
//! of position and four of code: one byte permutation (`vpermb`, `tbl`) looks up four subspaces of
//! 16 vectors, and adding four neighbouring bytes finishes the sum without crossing vectors.
//!
//! With 8 bits a group is of 4 subspaces: byte 16j + v of group g is, for vector v, the code of subspace 4g + j. Its tables
//! are 1,024 bytes: entry 256j + c belongs to code c of subspace 4g + j.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use super::Level;

/// Vectors in a block.
pub const BLOCK: usize = 16;
/// Subspaces in a group.
pub const GROUP: usize = 8;
/// Bytes of codes of one group of one block.
pub const GROUP_CODE_BYTES: usize = 64;
/// Bytes of tables of one group.
pub const GROUP_TABLE_BYTES: usize = 128;
/// Most subspaces a code of 4 bits may have: half their largest entries still add up within a u16 lane.
pub const MAX_SUBSPACES: usize = 512;

/// Bits of a code's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 16 codewords a subspace.
    Four,
    /// 256.
    Eight,
}

impl Width {
    /// Bits.
    pub const fn bits(self) -> usize {
        match self {
            Width::Four => 4,
            Width::Eight => 8,
        }
    }

    /// Codewords of a subspace.
    pub const fn entries(self) -> usize {
        1 << self.bits()
    }

    /// Subspaces in a group, the [`GROUP_CODE_BYTES`] that a block has of them.
    pub const fn group(self) -> usize {
        match self {
            Width::Four => GROUP,
            Width::Eight => 4,
        }
    }

    /// Bytes of tables of one group.
    pub const fn table_bytes(self) -> usize {
        self.group() * self.entries()
    }

    /// Most subspaces a code may have: the largest entries of all (of half, with 4 bits) add up within a u16 lane.
    pub const fn most(self) -> usize {
        match self {
            Width::Four => MAX_SUBSPACES,
            Width::Eight => 256,
        }
    }
}

/// One vector that passed the threshold: its score in units of the tables' step, and its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// Base plus the sum of its table entries.
    pub score: i32,
    /// Position of its code.
    pub slot: u32,
}

/// A run of codes to be scored: `codes` holds `vectors` codes in whole blocks, the first of which
/// has the slot `first_slot`.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Whole blocks, [`GROUP_CODE_BYTES`] a group.
    pub codes: &'a [u8],
    /// Number of blocks.
    pub blocks: usize,
    /// Vectors in them; the rest of the last block is padding.
    pub vectors: usize,
    /// Slot of the first vector.
    pub first_slot: u32,
}

/// # Safety
/// The CPU has the level; `codes` is whole blocks of as many groups as `tables`; `out` has 16
/// numbers a block.
type Sums = unsafe fn(codes: &[u8], tables: &[u8], out: &mut [i32]);
/// # Safety
/// As [`Sums`]; the run's vectors lie within its blocks.
type Above = unsafe fn(run: Run<'_>, tables: &[u8], base: i32, bar: i32, out: &mut Vec<Candidate>);

/// The scan kernels of one level.
#[derive(Debug, Clone, Copy)]
pub struct Scan {
    name: &'static str,
    sums: Sums,
    above: Above,
    above_wide: Above,
}

impl Scan {
    /// The specification.
    pub const SCALAR: Scan = Scan {
        name: "scalar",
        sums: scalar::sums,
        above: scalar::above,
        above_wide: scalar::above_wide,
    };

    /// The fastest kernels of this CPU.
    pub fn best() -> Scan {
        static BEST: OnceLock<Scan> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::SCALAR))
    }

    /// Every set of kernels this CPU can run, slowest first. Tests run each.
    pub fn available() -> Vec<Scan> {
        #[allow(unused_mut)]
        let mut all = vec![Self::SCALAR];
        #[cfg(target_arch = "aarch64")]
        if Level::Neon.is_available() {
            all.push(super::scan_neon::SCAN);
        }
        #[cfg(target_arch = "x86_64")]
        if Level::Avx2.is_available() {
            all.push(super::scan_avx2::SCAN);
        }
        #[cfg(target_arch = "x86_64")]
        if Level::Avx512.is_available()
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vnni")
        {
            all.push(super::scan_avx512::SCAN);
        }
        all
    }

    pub(super) const fn new(
        name: &'static str,
        sums: Sums,
        above: Above,
        above_wide: Above,
    ) -> Self {
        Self {
            name,
            sums,
            above,
            above_wide,
        }
    }

    /// What these kernels are written for.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Writes the sum of table entries of every vector of `codes` to `out`.
    ///
    /// # Panics
    /// When the lengths do not fit: `tables` whole groups, `codes` whole blocks of them, `out` 16
    /// numbers a block.
    #[inline]
    pub fn sums(&self, codes: &[u8], tables: &[u8], out: &mut [i32]) {
        let blocks = blocks(codes, tables);
        assert_eq!(out.len(), blocks * BLOCK, "one sum a vector");
        // SAFETY: `self` exists only for a level this CPU has; the lengths were checked.
        unsafe { (self.sums)(codes, tables, out) }
    }

    /// Appends every vector of `run`, of codes of `width`, whose sum plus `base` is above `bar`, slots ascending.
    ///
    /// # Panics
    /// When the lengths do not fit, as for [`Scan::sums`], or the run has more vectors than codes.
    #[inline]
    pub fn above(
        &self,
        width: Width,
        run: Run<'_>,
        tables: &[u8],
        base: i32,
        bar: i32,
        out: &mut Vec<Candidate>,
    ) {
        let groups = groups(width, tables);
        assert_eq!(
            run.codes.len(),
            run.blocks * groups * GROUP_CODE_BYTES,
            "whole blocks"
        );
        assert!(
            run.vectors <= run.blocks * BLOCK,
            "vectors within the blocks"
        );
        let above = match width {
            Width::Four => self.above,
            Width::Eight => self.above_wide,
        };
        // SAFETY: `self` exists only for a level this CPU has; the lengths were checked.
        unsafe { above(run, tables, base, bar, out) }
    }
}

/// Number of groups that `tables` are for, once their length makes sense.
#[inline]
fn groups(width: Width, tables: &[u8]) -> usize {
    let groups = tables.len() / width.table_bytes();
    assert!(
        groups > 0
            && groups * width.group() <= width.most()
            && tables.len().is_multiple_of(width.table_bytes()),
        "tables of whole groups, of one to as many as there may be"
    );
    groups
}

/// Number of blocks in `codes`, once its length and that of `tables` make sense.
#[inline]
fn blocks(codes: &[u8], tables: &[u8]) -> usize {
    let block_bytes = groups(Width::Four, tables) * GROUP_CODE_BYTES;
    assert!(codes.len().is_multiple_of(block_bytes), "whole blocks");
    codes.len() / block_bytes
}

/// Appends the vectors of one block that pass; `sums` are the block's.
#[inline(always)]
pub(super) fn keep(mask: u32, sums: &[i32; BLOCK], base: i32, slot: u32, out: &mut Vec<Candidate>) {
    let mut left = mask;
    while left != 0 {
        let lane = left.trailing_zeros();
        // The sum of a nibble's entries is at most 512 · 255 and bases are far from the ends of i32.
        let score = sums[lane as usize].wrapping_add(base);
        out.push(Candidate {
            score,
            slot: slot + lane,
        });
        left &= left - 1;
    }
}

/// The lanes of the block at `block` that hold one of `vectors` vectors.
#[inline(always)]
pub(super) fn lanes(vectors: usize, block: usize) -> u32 {
    let left = vectors.saturating_sub(block * BLOCK).min(BLOCK);
    (1u32 << left) - 1
}

mod scalar {
    use super::*;

    fn block_sums(block: &[u8], tables: &[u8]) -> [i32; BLOCK] {
        let mut sums = [0; BLOCK];
        let groups = block
            .chunks_exact(GROUP_CODE_BYTES)
            .zip(tables.chunks_exact(GROUP_TABLE_BYTES));
        for (codes, tables) in groups {
            for (at, &code) in codes.iter().enumerate() {
                let (vector, j) = (at / 4, at % 4);
                let low = tables[16 * j + usize::from(code & 15)];
                let high = tables[64 + 16 * j + usize::from(code >> 4)];
                sums[vector] += i32::from(low) + i32::from(high);
            }
        }
        sums
    }

    fn block_bytes(tables: &[u8]) -> usize {
        tables.len() / GROUP_TABLE_BYTES * GROUP_CODE_BYTES
    }

    pub(super) fn sums(codes: &[u8], tables: &[u8], out: &mut [i32]) {
        let blocks = codes.chunks_exact(block_bytes(tables));
        for (block, out) in blocks.zip(out.chunks_exact_mut(BLOCK)) {
            out.copy_from_slice(&block_sums(block, tables));
        }
    }

    pub(super) fn above(
        run: Run<'_>,
        tables: &[u8],
        base: i32,
        bar: i32,
        out: &mut Vec<Candidate>,
    ) {
        let blocks = run.codes.chunks_exact(block_bytes(tables));
        pass(
            run,
            blocks.map(|block| block_sums(block, tables)),
            base,
            bar,
            out,
        );
    }

    fn wide_block_sums(block: &[u8], tables: &[u8]) -> [i32; BLOCK] {
        let mut sums = [0; BLOCK];
        let subspaces = block
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(tables.as_chunks::<256>().0);
        for (codes, table) in subspaces {
            for (sum, &code) in sums.iter_mut().zip(codes) {
                *sum += i32::from(table[usize::from(code)]);
            }
        }
        sums
    }

    pub(super) fn above_wide(
        run: Run<'_>,
        tables: &[u8],
        base: i32,
        bar: i32,
        out: &mut Vec<Candidate>,
    ) {
        let block_bytes = tables.len() / Width::Eight.table_bytes() * GROUP_CODE_BYTES;
        let blocks = run.codes.chunks_exact(block_bytes);
        pass(
            run,
            blocks.map(|block| wide_block_sums(block, tables)),
            base,
            bar,
            out,
        );
    }

    /// Keeps what is above the bar of the `sums` of each block.
    fn pass(
        run: Run<'_>,
        sums: impl Iterator<Item = [i32; BLOCK]>,
        base: i32,
        bar: i32,
        out: &mut Vec<Candidate>,
    ) {
        for (at, sums) in sums.enumerate() {
            let passes = (0..BLOCK).filter(|&lane| sums[lane].wrapping_add(base) > bar);
            let mask = passes.fold(0, |mask, lane| mask | 1 << lane);
            let slot = run.first_slot + (at * BLOCK) as u32;
            keep(mask & lanes(run.vectors, at), &sums, base, slot, out);
        }
    }
}
