//! How are buffers kept so that no register load straddles two cache lines?

use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use storage::Mapped;

/// One cache line, one register.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// Bytes of a cache line.
pub(crate) const LINE_BYTES: usize = size_of::<Line>();

/// A growing buffer of 32-bit words that begins at a cache line. Grows only; keeps its allocation.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
}

impl Lines {
    /// The first `words` words, whatever they hold; zeros where they were never written.
    pub(crate) fn words(&mut self, words: usize) -> &mut [u32] {
        let lines = words.div_ceil(16);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::zeroed());
        }
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..words]
    }

    /// As [`Lines::words`], seen as numbers.
    pub(crate) fn numbers(&mut self, numbers: usize) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.words(numbers))
    }
}

/// Words that stay as they are, beginning at a cache line: a layer's own, or part of a mapped file.
pub(crate) enum Slab {
    /// `.1` of them.
    Own(Lines, usize),
    /// These bytes; both ends are multiples of a word, the first of a line.
    Mapped(Arc<Mapped>, Range<usize>),
}

impl Slab {
    /// `words` zeros.
    pub(crate) fn zeroed(words: usize) -> Self {
        let mut lines = Lines::default();
        lines.words(words);
        Self::Own(lines, words)
    }

    /// A copy of `numbers` with zeros behind it up to `words` words.
    pub(crate) fn of_numbers(numbers: &[f32], words: usize) -> Self {
        let mut slab = Self::zeroed(words);
        slab.words_mut()[..numbers.len()].copy_from_slice(bytemuck::cast_slice(numbers));
        slab
    }

    pub(crate) fn words(&self) -> &[u32] {
        match self {
            Self::Own(lines, words) => &bytemuck::cast_slice(&lines.lines)[..*words],
            Self::Mapped(file, range) => bytemuck::cast_slice(&file.bytes()[range.clone()]),
        }
    }

    /// The words seen as numbers.
    pub(crate) fn numbers(&self) -> &[f32] {
        bytemuck::cast_slice(self.words())
    }

    /// For filling a slab of one's own.
    pub(crate) fn words_mut(&mut self) -> &mut [u32] {
        match self {
            Self::Own(lines, words) => lines.words(*words),
            Self::Mapped(..) => unreachable!("what is mapped was filled when it was written"),
        }
    }

    /// [`Slab::words_mut`] seen as numbers.
    pub(crate) fn numbers_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.words_mut())
    }
}
