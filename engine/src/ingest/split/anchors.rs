//! Where in the file does a range of the extracted text start and end?

use std::ops::Range;

use super::super::{Extracted, Source, Tracking};

/// Finds places in the file. Ranges come in rising order (but for overlaps), so that a document is counted through
/// only once or twice.
pub(super) struct Anchors<'a> {
    doc: &'a Extracted,
    places: LineCounter,
    block_starts: LineCounter,
}

/// An offset of the text and the number of `\n` before it.
#[derive(Default)]
struct LineCounter {
    offset: usize,
    lines: usize,
}

impl<'a> Anchors<'a> {
    pub fn new(doc: &'a Extracted) -> Self {
        Self {
            doc,
            places: LineCounter::default(),
            block_starts: LineCounter::default(),
        }
    }

    /// Start and end of a range that is not empty.
    pub fn of(&mut self, range: &Range<usize>) -> (Source, Source) {
        let start = self.place(range.start, range.start);
        let end = self.place(range.end.saturating_sub(1), range.end);
        (start, end)
    }

    /// The place of `offset` in the file, as far as the block that holds byte `inside` knows it.
    fn place(&mut self, inside: usize, offset: usize) -> Source {
        let after = self
            .doc
            .blocks
            .partition_point(|block| block.range.end <= inside);
        let Some(block) = self.doc.blocks.get(after) else {
            return Source::default();
        };
        let mut place = block.source;
        let into = offset.saturating_sub(block.range.start);
        if into > 0 {
            place.byte = place
                .byte
                .filter(|_| block.tracking == Tracking::Bytes)
                .map(|byte| byte + into as u64);
            if place.line > 0 && block.tracking >= Tracking::Lines {
                let text = self.doc.text.as_bytes();
                let lines = self.places.lines(text, offset)
                    - self.block_starts.lines(text, block.range.start);
                place.line = place
                    .line
                    .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            }
        }
        place
    }
}

impl LineCounter {
    /// Number of `\n` before `offset`, counted on from the last place asked for.
    fn lines(&mut self, text: &[u8], offset: usize) -> usize {
        let breaks = |range: Range<usize>| {
            text.get(range)
                .unwrap_or_default()
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
        };
        if offset >= self.offset {
            self.lines += breaks(self.offset..offset);
        } else {
            self.lines -= breaks(offset..self.offset);
        }
        self.offset = offset;
        self.lines
    }
}
