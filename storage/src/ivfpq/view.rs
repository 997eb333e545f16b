//! What does an index file hold, and is it what was written?
//!
//! Opening reads the header, the model and the table of lists, and compares their checksums. The codes
//! and ids of a list are compared with theirs when the list is first read, so that opening
//! takes milliseconds whatever the size, and still no damaged byte ever reaches an answer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{Geometry, Sections};
use super::model::Model;
use super::recall::Point;
use super::writer::{list_crc, starts};
use crate::StorageError;
use crate::format::{check_crc, view};
use crate::kernels::scan::BLOCK;
use crate::mapped::Mapped;

/// An index file, mapped. Invariant: sections lie inside the map.
#[derive(Debug)]
pub(super) struct View {
    file: Mapped,
    pub(super) geometry: Geometry,
    sections: Sections,
    pub(super) model: Model,
    pub(super) points: Vec<Point>,
    /// First block of each list, and the number of blocks at the end.
    starts: Vec<u32>,
    /// Bit l: list l was compared with its checksum.
    checked: Vec<AtomicU64>,
}

/// One list, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    /// Whole blocks.
    pub(super) codes: &'a [u8],
    pub(super) blocks: usize,
    /// Vectors in them.
    pub(super) vectors: usize,
    /// Slot of the first; slots index [`View::ids`].
    pub(super) first_slot: u32,
}

impl View {
    pub(super) fn open(path: &Path) -> Result<Self, StorageError> {
        let file = Mapped::open(path)?;
        let (geometry, sections) = Geometry::read(path, file.bytes())?;
        let bytes = |section, start: u64, length: u64| {
            view::<u8>(path, section, file.bytes(), start, length)
        };
        let model = bytes("model", sections.model, geometry.model_bytes())?;
        check_crc(path, "model", model, geometry.model_crc)?;
        let model = Model::read(&geometry, model).ok_or_else(|| {
            StorageError::corrupt(path, "model", "subspaces do not cover the coordinates")
        })?;
        let lists = bytes("lists", sections.lists, geometry.list_bytes())?;
        check_crc(path, "lists", lists, geometry.lists_crc)?;
        let points = bytes("recall", sections.recall, 16 * geometry.points as u64)?;
        check_crc(path, "recall", points, geometry.recall_crc)?;
        let points = super::recall::read(points);
        let mut view = Self {
            file,
            geometry,
            sections,
            model,
            points,
            starts: Vec::new(),
            checked: Vec::new(),
        };
        view.starts = view.check_lists(path)?;
        view.checked = (0..view.geometry.lists.div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Ok(view)
    }

    fn check_lists(&self, path: &Path) -> Result<Vec<u32>, StorageError> {
        let (lists, counts) = (self.geometry.lists, self.counts());
        let vectors: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        let wanted = self.geometry.vectors as u64 * self.geometry.copies as u64;
        let finite = self
            .gains()
            .iter()
            .chain(self.biases())
            .all(|x| x.is_finite());
        starts(counts)
            .filter(|starts| {
                starts[lists] as usize == self.geometry.blocks && vectors == wanted && finite
            })
            .ok_or_else(|| {
                StorageError::corrupt(path, "lists", "they do not add up to the header's counts")
            })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Size of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.sections.end
    }

    /// Codes of the centroids, padded to whole blocks.
    pub(super) fn list_codes(&self) -> &[u8] {
        let length = self.geometry.padded_lists() / BLOCK * self.geometry.list_block_bytes();
        &self.file.bytes()[self.sections.lists as usize..][..length]
    }

    pub(super) fn counts(&self) -> &[u32] {
        &bytemuck::cast_slice(self.column(0))[..self.geometry.lists]
    }

    fn checksums(&self) -> &[u32] {
        &bytemuck::cast_slice(self.column(1))[..self.geometry.lists]
    }

    /// Padded with zeros to whole blocks.
    pub(super) fn gains(&self) -> &[f32] {
        bytemuck::cast_slice(self.column(2))
    }

    /// Padded with zeros to whole blocks.
    pub(super) fn biases(&self) -> &[f32] {
        bytemuck::cast_slice(self.column(3))
    }

    /// Column `at` of the table of lists. The map starts on a page, the section on a cache line, and
    /// the centroids' codes take whole cache lines, so that columns are aligned for four bytes.
    fn column(&self, at: usize) -> &[u8] {
        let length = 4 * self.geometry.padded_lists();
        let start = self.sections.lists as usize + self.list_codes().len() + at * length;
        &self.file.bytes()[start..start + length]
    }

    /// The id behind each slot.
    pub(super) fn ids(&self) -> &[u32] {
        let start = self.sections.ids as usize;
        bytemuck::cast_slice(&self.file.bytes()[start..start + 4 * BLOCK * self.geometry.blocks])
    }

    /// All codes; only those of lists that were checked may be used.
    pub(super) fn codes(&self) -> &[u8] {
        &self.file.bytes()[self.sections.codes as usize..]
    }

    /// The first bytes of `list`, for prefetching.
    #[inline]
    pub(super) fn peek(&self, list: u32) -> &[u8] {
        let size = self.geometry.block_bytes();
        let start = self.sections.codes as usize + self.starts[list as usize] as usize * size;
        let end = self.sections.codes as usize + self.starts[list as usize + 1] as usize * size;
        &self.file.bytes()[start..end.min(start + 4096)]
    }

    /// List `list`, which must be below the number of lists; its bytes are checked the first time.
    #[inline]
    pub(super) fn list(&self, list: u32) -> Result<List<'_>, StorageError> {
        let at = list as usize;
        let (start, end) = (self.starts[at] as usize, self.starts[at + 1] as usize);
        let size = self.geometry.block_bytes();
        let from = self.sections.codes as usize;
        let codes = &self.file.bytes()[from + start * size..from + end * size];
        if self.checked[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 0 {
            self.check_list(at, &self.ids()[start * BLOCK..end * BLOCK], codes)?;
        }
        Ok(List {
            codes,
            blocks: end - start,
            vectors: self.counts()[at] as usize,
            first_slot: (start * BLOCK) as u32,
        })
    }

    #[cold]
    fn check_list(&self, at: usize, ids: &[u32], codes: &[u8]) -> Result<(), StorageError> {
        let (expected, found) = (self.checksums()[at], list_crc(ids, codes));
        if expected != found {
            let detail = format!("list {at}: checksum {expected:08x} expected, {found:08x} found");
            return Err(StorageError::corrupt(self.path(), "codes", detail));
        }
        self.checked[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
        Ok(())
    }
}
