//! Where is this text cut into passages?
//!
//! Structure comes first: a heading opens a section, and the blocks of a section are packed greedily up to the budget.
//! Only a block that is over the budget by itself is cut inside: at sentences, else lines, words, characters.
//! Everything is a pure function of the text, the budget and the counter.

use std::ops::Range;

use super::{BlockKind, Extracted, Passage};
use anchors::Anchors;
use pieces::Piece;
pub use sentences::sentences;

mod anchors;
mod pieces;
mod sentences;
#[cfg(test)]
mod tests;

/// No token of running text is longer than this on average, in bytes. A passage may be at most this many times
/// `max_tokens` bytes long: some tokenizers make one token of a word of a million letters.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// How long passages may be, in tokens of the counter handed to [`split`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitBudget {
    /// Most tokens of a passage, at least 1. What the encoder adds (special tokens) and the title and headings that
    /// [`super::context::encoder_text`] puts in front are not in it: hand in the encoder's limit less room for
    /// those. Default 224: 256 less 32 for the context.
    pub max_tokens: usize,
    /// Most tokens repeated from the end of the passage before, in whole sentences; 0 for none. More repeats cost
    /// space and time, fewer lose answers that lie across a cut. Default 32.
    pub overlap_tokens: usize,
    /// A section with fewer tokens is joined with the one after it, if that is no higher in the outline and both fit.
    /// Default 48.
    pub min_tokens: usize,
}

impl Default for SplitBudget {
    fn default() -> Self {
        Self {
            max_tokens: 224,
            overlap_tokens: 32,
            min_tokens: 48,
        }
    }
}

/// Cuts a document into passages.
///
/// Passages come in order, each an exact slice of `doc.text` that begins and ends with something visible, and together
/// they cover all of it but white space. `count` gives the tokens of a piece of text; it should not grow when pieces
/// are joined, and where it does, passages are cut again until they fit. A single character over the budget stays.
///
/// A passage's headings are those of its section, the section's own last; where small sections were joined, those
/// they share. The first passage of a section holds the heading itself too.
pub fn split(doc: &Extracted, budget: &SplitBudget, count: &dyn Fn(&str) -> usize) -> Vec<Passage> {
    let splitter = Splitter::new(doc, budget, count);
    let mut anchors = Anchors::new(doc);
    let mut passages = Vec::new();
    for section in splitter.sections() {
        for range in splitter.pack(section.blocks) {
            let (start, end) = anchors.of(&range);
            passages.push(Passage {
                range,
                headings: section.path.clone(),
                start,
                end,
            });
        }
    }
    passages
}

/// What `split` passes around. `max` is the budget's, at least 1.
struct Splitter<'a> {
    doc: &'a Extracted,
    max: usize,
    budget: &'a SplitBudget,
    count: &'a dyn Fn(&str) -> usize,
    /// Of each block, as [`Splitter::cost`] gives it.
    costs: Vec<usize>,
}

/// A run of blocks below one heading, or several small ones joined.
#[derive(Debug)]
struct Section {
    /// Indices of the document's blocks.
    blocks: Range<usize>,
    /// Headings above and of the section, outermost first.
    path: Vec<String>,
    /// Level of the own heading; 0 before the first one.
    level: u8,
    tokens: usize,
    /// Nothing but headings so far.
    bare: bool,
    /// Holds a record, which never joins its neighbours.
    records: bool,
}

impl<'a> Splitter<'a> {
    fn new(doc: &'a Extracted, budget: &'a SplitBudget, count: &'a dyn Fn(&str) -> usize) -> Self {
        let mut splitter = Self {
            doc,
            max: budget.max_tokens.max(1),
            budget,
            count,
            costs: Vec::new(),
        };
        splitter.costs = doc
            .blocks
            .iter()
            .map(|block| splitter.cost(&block.range))
            .collect();
        splitter
    }

    fn text(&self, range: &Range<usize>) -> &str {
        // Blocks and pieces lie on character boundaries (invariant of `Extracted`).
        self.doc.text.get(range.clone()).unwrap_or_default()
    }

    /// Tokens of a piece, or `usize::MAX` if it is too long in bytes to be looked at.
    fn cost(&self, range: &Range<usize>) -> usize {
        if range.len() > self.max.saturating_mul(MAX_BYTES_PER_TOKEN) {
            return usize::MAX;
        }
        (self.count)(self.text(range)).max(range.len() / MAX_BYTES_PER_TOKEN)
    }

    fn sections(&self) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        for section in self.outline() {
            match sections.last_mut() {
                Some(last) if self.joins(last, &section) => last.join(section),
                _ => sections.push(section),
            }
        }
        sections
    }

    /// One section a heading, with its path.
    fn outline(&self) -> Vec<Section> {
        let mut open: Vec<(u8, String)> = Vec::new();
        let mut sections: Vec<Section> = Vec::new();
        for (at, block) in self.doc.blocks.iter().enumerate() {
            if let BlockKind::Heading(level) = block.kind {
                open.retain(|&(other, _)| other < level);
                open.push((level, one_line(self.text(&block.range))));
                sections.push(Section::new(
                    at,
                    level,
                    open.iter().map(|(_, text)| text.clone()).collect(),
                ));
            } else if sections.is_empty() {
                sections.push(Section::new(at, 0, Vec::new()));
            }
            // A section was pushed above if there was none.
            if let Some(section) = sections.last_mut() {
                section.blocks.end = at + 1;
                section.bare &= matches!(block.kind, BlockKind::Heading(_));
                section.records |= block.kind == BlockKind::Record;
                section.tokens = section.tokens.saturating_add(self.costs[at]);
            }
        }
        sections
    }

    fn joins(&self, last: &Section, next: &Section) -> bool {
        if next.level < last.level || last.records || (next.records && !last.bare) {
            return false;
        }
        last.bare || (last.tokens < self.budget.min_tokens && self.fits_beside(last, next))
    }

    /// Whether the whole of `next` goes into one passage with `last`, which is small.
    fn fits_beside(&self, last: &Section, next: &Section) -> bool {
        let mut total = last.tokens;
        self.costs[next.blocks.clone()].iter().all(|&cost| {
            total = total.saturating_add(cost);
            total <= self.max
        })
    }

    /// The passages of one section, as ranges of the text.
    fn pack(&self, blocks: Range<usize>) -> Vec<Range<usize>> {
        let mut packer = Packer {
            splitter: self,
            passages: Vec::new(),
            current: Vec::new(),
            tokens: 0,
        };
        let mut only_headings = true;
        for at in blocks {
            let kind = self.doc.blocks[at].kind;
            let record = kind == BlockKind::Record;
            if record && !only_headings {
                packer.flush();
            }
            packer.add_block(at);
            only_headings &= matches!(kind, BlockKind::Heading(_));
            if record {
                packer.flush();
                only_headings = true;
            }
        }
        packer.flush();
        packer.passages
    }
}

impl Section {
    fn new(first: usize, level: u8, path: Vec<String>) -> Self {
        Self {
            blocks: first..first,
            path,
            level,
            tokens: 0,
            bare: true,
            records: false,
        }
    }

    fn join(&mut self, next: Section) {
        if self.bare && next.path.starts_with(&self.path) {
            self.path = next.path;
            self.level = next.level;
        } else {
            let shared = self
                .path
                .iter()
                .zip(&next.path)
                .take_while(|(a, b)| a == b)
                .count();
            self.path.truncate(shared);
        }
        self.blocks.end = next.blocks.end;
        self.tokens = self.tokens.saturating_add(next.tokens);
        self.bare &= next.bare;
        self.records |= next.records;
    }
}

/// Fills passages one after the other.
struct Packer<'a> {
    splitter: &'a Splitter<'a>,
    passages: Vec<Range<usize>>,
    current: Vec<Piece>,
    /// Sum over `current`.
    tokens: usize,
}

impl Packer<'_> {
    fn add_block(&mut self, at: usize) {
        let max = self.splitter.max;
        let mut pieces = self.splitter.pieces(at, max);
        let whole = pieces
            .iter()
            .fold(0usize, |sum, piece| sum.saturating_add(piece.tokens));
        if self.tokens.saturating_add(whole) > max {
            if !self.current.iter().all(|piece| piece.heading) {
                // A block that fits a passage of its own is not torn apart to fill up the one before.
                if whole <= max {
                    self.turn(whole);
                }
            } else if max - self.tokens.min(max) > max / 4 {
                // A heading does not stand alone: what follows is cut so that some of it finds room beside it.
                pieces = self.splitter.pieces(at, max - self.tokens);
            }
        }
        for piece in pieces {
            if self.tokens.saturating_add(piece.tokens) > max && !self.current.is_empty() {
                self.turn(piece.tokens);
            }
            self.tokens += piece.tokens;
            self.current.push(piece);
        }
    }

    /// Ends the passage and begins the next with the last sentences of it that leave room for `coming` tokens.
    fn turn(&mut self, coming: usize) {
        let room = self
            .splitter
            .budget
            .overlap_tokens
            .min(self.splitter.max.saturating_sub(coming));
        let overlap = self.splitter.tail(&self.current, room);
        self.flush();
        self.tokens = overlap.iter().map(|piece| piece.tokens).sum();
        self.current = overlap;
    }

    fn flush(&mut self) {
        let pieces = std::mem::take(&mut self.current);
        self.tokens = 0;
        self.emit(&pieces);
    }

    /// Writes the pieces as one passage, or as more where the counter finds the whole longer than its parts.
    fn emit(&mut self, pieces: &[Piece]) {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return;
        };
        let range = first.range.start..last.range.end;
        if pieces.len() > 1 && (self.splitter.count)(self.splitter.text(&range)) > self.splitter.max
        {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            self.emit(left);
            self.emit(right);
        } else {
            self.passages.push(range);
        }
    }
}

/// A heading as it stands in a path: white space collapsed.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
