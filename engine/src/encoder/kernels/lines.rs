//! How are buffers kept so that no register load straddles two cache lines?

use bytemuck::{Pod, Zeroable};

/// One cache line, one register.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// A growing buffer of 32-bit words that begins at a cache line. Grows only; keeps its allocation.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
}

impl Lines {
    /// `words` zeros.
    pub(crate) fn zeroed(words: usize) -> Self {
        Self {
            lines: vec![Line::zeroed(); words.div_ceil(16)],
        }
    }

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

    /// All words, up to the end of the last line.
    pub(crate) fn all(&self) -> &[u32] {
        bytemuck::cast_slice(&self.lines)
    }
}
