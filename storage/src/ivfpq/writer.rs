//! How do lists become a file?

use std::io::Write;
use std::path::Path;

use super::layout::Geometry;
use super::model::Model;
use super::packing::{block_bytes, put_code};
use super::recall::Point;
use crate::kernels::scan::{BLOCK, Width};
use crate::{StorageError, disk};

/// Everything a file holds but the vectors' codes, ids and measurements.
pub(super) struct Lists {
    /// Codes of the centroids in blocks, padded to whole blocks.
    pub(super) codes: Vec<u8>,
    /// Vectors in each list.
    pub(super) counts: Vec<u32>,
    /// Factor and addend of each list's routing score.
    pub(super) gains: Vec<f32>,
    pub(super) biases: Vec<f32>,
}

/// Codes and ids in the order of the lists, each list padded to whole blocks.
pub(super) struct Slots {
    width: Width,
    block_bytes: usize,
    /// First block of each list, and the number of blocks at the end.
    starts: Vec<u32>,
    counts: Vec<u32>,
    filled: Vec<u32>,
    ids: Vec<u32>,
    codes: Vec<u8>,
}

/// First block of each list, and the number of blocks at the end; `None` past 2^32.
pub(super) fn starts(counts: &[u32]) -> Option<Vec<u32>> {
    let mut starts = vec![0u32];
    for &count in counts {
        let last = starts.last().copied().unwrap_or(0);
        starts.push(last.checked_add(count.div_ceil(BLOCK as u32))?);
    }
    Some(starts)
}

impl Slots {
    /// Room for `counts` vectors a list, with codes of `code_length` numbers.
    pub(super) fn new(
        counts: &[u32],
        width: Width,
        code_length: usize,
    ) -> Result<Self, StorageError> {
        let block_bytes = block_bytes(width, code_length);
        let starts = starts(counts).filter(|starts| starts[counts.len()] < 1 << 28);
        let starts = starts.ok_or_else(|| {
            StorageError::Invalid("an index holds at most four thousand million codes".into())
        })?;
        let blocks = starts[counts.len()] as usize;
        Ok(Self {
            width,
            block_bytes,
            starts,
            counts: counts.to_vec(),
            filled: vec![0; counts.len()],
            ids: vec![u32::MAX; blocks * BLOCK],
            codes: vec![0; blocks * block_bytes],
        })
    }

    /// Appends a vector to `list`, which has room left; `code` is one number a byte.
    pub(super) fn push(&mut self, list: u32, id: u32, code: &[u8]) {
        let list = list as usize;
        let at = self.filled[list] as usize;
        debug_assert!(at < self.counts[list] as usize);
        let start = self.starts[list] as usize;
        self.ids[start * BLOCK + at] = id;
        let end = self.starts[list + 1] as usize;
        put_code(
            self.width,
            &mut self.codes[start * self.block_bytes..end * self.block_bytes],
            at,
            code,
        );
        self.filled[list] += 1;
    }

    pub(super) fn blocks(&self) -> usize {
        self.ids.len() / BLOCK
    }

    /// Checksum of each list: its ids, then its codes.
    fn checksums(&self) -> Vec<u32> {
        let ranges = self
            .starts
            .windows(2)
            .map(|w| (w[0] as usize, w[1] as usize));
        let sums = ranges.map(|(start, end)| {
            list_crc(
                &self.ids[start * BLOCK..end * BLOCK],
                &self.codes[start * self.block_bytes..end * self.block_bytes],
            )
        });
        sums.collect()
    }
}

/// Checksum of one list.
pub(super) fn list_crc(ids: &[u32], codes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytemuck::cast_slice(ids));
    crc.update(codes);
    crc.finalize()
}

/// Writes the new file `path` and waits until it is on the disk. Fills in the checksums of `geometry`.
pub(super) fn write(
    path: &Path,
    geometry: &mut Geometry,
    model: &Model,
    lists: &Lists,
    slots: &Slots,
    points: &[Point],
) -> Result<(), StorageError> {
    let model = model.bytes();
    let lists = list_section(geometry, lists, &slots.checksums());
    let points = super::recall::bytes(points);
    geometry.points = points.len() / 16;
    geometry.model_crc = crc32fast::hash(&model);
    geometry.lists_crc = crc32fast::hash(&lists);
    geometry.recall_crc = crc32fast::hash(&points);
    let sections = geometry
        .sections()
        .ok_or_else(|| StorageError::Invalid("the index would pass 2^64 bytes".into()))?;
    let mut file = std::io::BufWriter::with_capacity(1 << 20, disk::create(path)?);
    let header = geometry.header();
    let parts: [(u64, &[u8]); 6] = [
        (0, &header),
        (sections.model, &model),
        (sections.lists, &lists),
        (sections.recall, &points),
        (sections.ids, bytemuck::cast_slice(&slots.ids)),
        (sections.codes, &slots.codes),
    ];
    let mut at = 0u64;
    for (start, bytes) in parts {
        // Gaps between sections are shorter than the alignment.
        let gap = [0u8; 64];
        file.write_all(&gap[..(start - at) as usize])
            .and_then(|()| file.write_all(bytes))
            .map_err(StorageError::io("write", path))?;
        at = start + bytes.len() as u64;
    }
    let file = file
        .into_inner()
        .map_err(|e| e.into_error())
        .map_err(StorageError::io("write", path))?;
    disk::sync(&file, path)
}

/// The section "lists": centroid codes, then counts, checksums, gains and biases, each padded with
/// zeros to whole blocks of lists.
fn list_section(geometry: &Geometry, lists: &Lists, checksums: &[u32]) -> Vec<u8> {
    let padded = geometry.padded_lists();
    let mut bytes = lists.codes.clone();
    let mut append = |column: &[u8]| {
        bytes.extend_from_slice(column);
        bytes.resize(bytes.len() + padded * 4 - column.len(), 0);
    };
    append(bytemuck::cast_slice(&lists.counts));
    append(bytemuck::cast_slice(checksums));
    append(bytemuck::cast_slice(&lists.gains));
    append(bytemuck::cast_slice(&lists.biases));
    bytes
}
