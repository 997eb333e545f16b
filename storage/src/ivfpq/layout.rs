//! Where in an index file does which section lie?
//!
//! Every offset follows from the counts in the header, so that a reader compares instead of trusting.

use std::path::Path;

use super::packing::block_bytes;
use crate::StorageError;
use crate::flat::Metric;
use crate::format::{Field, Header, aligned};
use crate::kernels::scan::{BLOCK, GROUP, Width};
use crate::matrix::MAX_DIMENSION;

pub(crate) const VERSION: u32 = 1;

const MAGIC: Field = Field::first("magic", 8);
const VERSION_FIELD: Field = MAGIC.then("version", 4);
const METRIC: Field = VERSION_FIELD.then("metric", 4);
const DIMENSION: Field = METRIC.then("dimension", 4);
const INNER: Field = DIMENSION.then("inner", 4);
const SUBSPACES: Field = INNER.then("subspaces", 4);
const LIST_SUBSPACES: Field = SUBSPACES.then("list_subspaces", 4);
const LISTS: Field = LIST_SUBSPACES.then("lists", 4);
const BLOCKS: Field = LISTS.then("blocks", 4);
const VECTORS: Field = BLOCKS.then("vectors", 4);
const COPIES: Field = VECTORS.then("copies", 4);
const COVERED: Field = COPIES.then("covered", 8);
const SEED: Field = COVERED.then("seed", 8);
const NORM_LOW: Field = SEED.then("norm_low", 4);
const NORM_STEP: Field = NORM_LOW.then("norm_step", 4);
const POINTS: Field = NORM_STEP.then("points", 4);
const SAMPLE: Field = POINTS.then("sample", 4);
const MODEL_CRC: Field = SAMPLE.then("model_crc", 4);
const LISTS_CRC: Field = MODEL_CRC.then("lists_crc", 4);
const RECALL_CRC: Field = LISTS_CRC.then("recall_crc", 4);
const FLAGS: Field = RECALL_CRC.then("flags", 4);
const FOLDED: Field = FLAGS.then("folded", 4);
const ANISOTROPY: Field = FOLDED.then("anisotropy", 4);
const CODE_BITS: Field = ANISOTROPY.then("code_bits", 4);
const RESERVED: Field = CODE_BITS.then("reserved", 16);
const HEADER_CRC: Field = RESERVED.then("header_crc", 4);

/// All header fields in order, for the test that compares them with FORMAT.md.
#[cfg(test)]
pub(crate) const FIELDS: [Field; 26] = [
    MAGIC,
    VERSION_FIELD,
    METRIC,
    DIMENSION,
    INNER,
    SUBSPACES,
    LIST_SUBSPACES,
    LISTS,
    BLOCKS,
    VECTORS,
    COPIES,
    COVERED,
    SEED,
    NORM_LOW,
    NORM_STEP,
    POINTS,
    SAMPLE,
    MODEL_CRC,
    LISTS_CRC,
    RECALL_CRC,
    FLAGS,
    FOLDED,
    ANISOTROPY,
    CODE_BITS,
    RESERVED,
    HEADER_CRC,
];

pub(super) const HEADER: Header = Header {
    magic: *b"ASKIVFPQ",
    version: VERSION,
    version_field: VERSION_FIELD,
    crc_field: HEADER_CRC,
};
pub(super) const HEADER_BYTES: usize = HEADER_CRC.end();
const _: () = assert!(HEADER_BYTES == 128);

/// What the header says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Geometry {
    pub(super) metric: Metric,
    /// Numbers of a vector, d.
    pub(super) dimension: usize,
    /// Coordinates after turning, e; at most d.
    pub(super) inner: usize,
    /// Subspaces of a vector's code, m, without the length's.
    pub(super) subspaces: usize,
    /// Subspaces of a centroid's code.
    pub(super) list_subspaces: usize,
    pub(super) lists: usize,
    /// Blocks of codes in all lists.
    pub(super) blocks: usize,
    /// Distinct vectors.
    pub(super) vectors: usize,
    /// Lists a vector stands in: 1 or 2.
    pub(super) copies: usize,
    /// Ids below this are in the index or dead.
    pub(super) covered: u64,
    pub(super) seed: u64,
    /// L2: half the squared length of the shortest vector, and one unit of its code.
    pub(super) norm: (f32, f32),
    /// Settings measured, and queries they were measured with.
    pub(super) points: usize,
    pub(super) sample: usize,
    pub(super) model_crc: u32,
    pub(super) lists_crc: u32,
    pub(super) recall_crc: u32,
    /// Vectors taken in since the training.
    pub(super) folded: usize,
    /// Weight of an error along a vector when its code is chosen; 1 for none.
    pub(super) anisotropy: f32,
    /// Bits of a number of a vector's code; centroids have four.
    pub(super) width: Width,
}

/// Start of each section, and the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sections {
    pub(super) model: u64,
    pub(super) lists: u64,
    pub(super) recall: u64,
    pub(super) ids: u64,
    pub(super) codes: u64,
    pub(super) end: u64,
}

impl Geometry {
    /// Numbers of a vector's code with those of its length, a group that the L2 metric adds.
    pub(super) fn code_length(&self) -> usize {
        let length = usize::from(self.metric == Metric::L2);
        self.subspaces + length * self.width.group()
    }

    /// Bytes of a block of vectors' codes.
    pub(super) fn block_bytes(&self) -> usize {
        block_bytes(self.width, self.code_length())
    }

    /// Bytes of a block of centroids' codes.
    pub(super) fn list_block_bytes(&self) -> usize {
        block_bytes(Width::Four, self.list_subspaces)
    }

    /// Lists rounded up to whole blocks.
    pub(super) fn padded_lists(&self) -> usize {
        self.lists.next_multiple_of(BLOCK)
    }

    /// Bytes of the section "model".
    pub(super) fn model_bytes(&self) -> u64 {
        let (d, e) = (self.dimension as u64, self.inner as u64);
        let ends = (self.subspaces + self.list_subspaces) as u64;
        let words = 16 + self.width.entries() as u64;
        4 * (ends + words * e) + 2 * d * e
    }

    /// Bytes of the section "lists".
    pub(super) fn list_bytes(&self) -> u64 {
        let padded = self.padded_lists() as u64;
        padded / BLOCK as u64 * self.list_block_bytes() as u64 + padded * 4 * 4
    }

    /// `None` past the end of u64.
    pub(super) fn sections(&self) -> Option<Sections> {
        let model = HEADER_BYTES as u64;
        let lists = aligned(model.checked_add(self.model_bytes())?)?;
        let recall = aligned(lists.checked_add(self.list_bytes())?)?;
        let ids = aligned(recall.checked_add(16 * self.points as u64)?)?;
        let slots = (self.blocks as u64).checked_mul(BLOCK as u64)?;
        let codes = aligned(ids.checked_add(4 * slots)?)?;
        let bytes = (self.blocks as u64).checked_mul(self.block_bytes() as u64)?;
        let end = codes.checked_add(bytes)?;
        Some(Sections {
            model,
            lists,
            recall,
            ids,
            codes,
            end,
        })
    }

    /// The sealed header.
    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let metric = match self.metric {
            Metric::InnerProduct => 0,
            Metric::Cosine => 1,
            Metric::L2 => 2,
        };
        let numbers = [
            (METRIC, metric),
            (DIMENSION, self.dimension as u64),
            (INNER, self.inner as u64),
            (SUBSPACES, self.subspaces as u64),
            (LIST_SUBSPACES, self.list_subspaces as u64),
            (LISTS, self.lists as u64),
            (BLOCKS, self.blocks as u64),
            (VECTORS, self.vectors as u64),
            (COPIES, self.copies as u64),
            (COVERED, self.covered),
            (SEED, self.seed),
            (NORM_LOW, self.norm.0.to_bits().into()),
            (NORM_STEP, self.norm.1.to_bits().into()),
            (POINTS, self.points as u64),
            (SAMPLE, self.sample as u64),
            (MODEL_CRC, self.model_crc.into()),
            (LISTS_CRC, self.lists_crc.into()),
            (RECALL_CRC, self.recall_crc.into()),
            (FOLDED, self.folded as u64),
            (ANISOTROPY, self.anisotropy.to_bits().into()),
            (CODE_BITS, self.width.bits() as u64),
        ];
        for (field, value) in numbers {
            field.put(&mut header, value);
        }
        HEADER.seal(&mut header);
        header
    }

    /// Reads and checks the header of `file`, including that the file ends where it should.
    pub(super) fn read(path: &Path, file: &[u8]) -> Result<(Self, Sections), StorageError> {
        let header = HEADER.check(path, file)?;
        let bad = |detail: String| StorageError::corrupt(path, "header", detail);
        let metric = match METRIC.get_u32(header) {
            0 => Metric::InnerProduct,
            1 => Metric::Cosine,
            2 => Metric::L2,
            other => return Err(bad(format!("metric {other} where 0, 1 or 2 is expected"))),
        };
        let width = match CODE_BITS.get_u32(header) {
            // Files from before the field have a zero there.
            0 | 4 => Width::Four,
            8 => Width::Eight,
            other => return Err(bad(format!("code_bits {other} where 4 or 8 is expected"))),
        };
        let number = |field: Field| field.get_u32(header) as usize;
        let geometry = Self {
            metric,
            dimension: number(DIMENSION),
            inner: number(INNER),
            subspaces: number(SUBSPACES),
            list_subspaces: number(LIST_SUBSPACES),
            lists: number(LISTS),
            blocks: number(BLOCKS),
            vectors: number(VECTORS),
            copies: number(COPIES),
            covered: COVERED.get(header),
            seed: SEED.get(header),
            norm: (
                f32::from_bits(NORM_LOW.get_u32(header)),
                f32::from_bits(NORM_STEP.get_u32(header)),
            ),
            points: number(POINTS),
            sample: number(SAMPLE),
            model_crc: MODEL_CRC.get_u32(header),
            lists_crc: LISTS_CRC.get_u32(header),
            recall_crc: RECALL_CRC.get_u32(header),
            folded: number(FOLDED),
            // Files from before the field have a zero there.
            anisotropy: f32::from_bits(ANISOTROPY.get_u32(header)).max(1.0),
            width,
        };
        geometry.check().map_err(bad)?;
        let sections = geometry
            .sections()
            .ok_or_else(|| bad("sections past 2^64 bytes".into()))?;
        if sections.end == file.len() as u64 {
            return Ok((geometry, sections));
        }
        Err(bad(format!(
            "{} bytes expected, the file has {}",
            sections.end,
            file.len()
        )))
    }

    /// Are the numbers ones a writer would write?
    fn check(&self) -> Result<(), String> {
        let codes =
            |m: usize, width: Width| m > 0 && m.is_multiple_of(GROUP) && m <= width.most() - GROUP;
        let tests = [
            ((1..=MAX_DIMENSION).contains(&self.dimension), "dimension"),
            ((1..=self.dimension).contains(&self.inner), "inner"),
            (codes(self.subspaces, self.width), "subspaces"),
            (codes(self.list_subspaces, Width::Four), "list_subspaces"),
            ((1..=1 << 24).contains(&self.lists), "lists"),
            (self.blocks <= 1 << 28, "blocks"),
            ((1..=2).contains(&self.copies), "copies"),
            (self.copies <= self.lists, "copies"),
            (self.vectors * self.copies <= self.blocks * BLOCK, "vectors"),
            (self.covered <= 1 << 32, "covered"),
            ((1.0..=100.0).contains(&self.anisotropy), "anisotropy"),
            (self.norm.0.is_finite() && self.norm.1.is_finite(), "norm"),
        ];
        match tests.iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, field)) => Err(format!("{field} is out of range")),
        }
    }
}
