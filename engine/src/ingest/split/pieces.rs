//! What is the smallest number of pieces, at natural cuts, that each fit the budget?

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::super::BlockKind;
use super::Splitter;
use super::sentences::sentences;

/// Words are packed in runs of this many bytes before they are looked at one by one.
const RUN_BYTES: usize = 64;

/// A piece of a block that is not cut further. Begins and ends with something visible.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub range: Range<usize>,
    pub tokens: usize,
    /// A heading, or a part of one.
    pub heading: bool,
    /// Running text that ends where a sentence does, so that sentences of it may be repeated.
    pub sentences: bool,
}

impl Piece {
    fn new(range: Range<usize>, tokens: usize, sentences: bool) -> Self {
        Self {
            range,
            tokens,
            heading: false,
            sentences,
        }
    }
}

/// The kinds of cut, coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Paragraphs,
    Sentences,
    Lines,
    Runs,
    Words,
}

const PROSE: [Cut; 4] = [Cut::Sentences, Cut::Lines, Cut::Runs, Cut::Words];
const RECORD: [Cut; 5] = [
    Cut::Paragraphs,
    Cut::Sentences,
    Cut::Lines,
    Cut::Runs,
    Cut::Words,
];
const CODE: [Cut; 3] = [Cut::Lines, Cut::Runs, Cut::Words];

impl Splitter<'_> {
    /// The pieces of the block at `at`, each of at most `limit` tokens (1 or more): one if it fits.
    pub(super) fn pieces(&self, at: usize, limit: usize) -> Vec<Piece> {
        let block = &self.doc.blocks[at];
        let cuts: &[Cut] = match block.kind {
            BlockKind::Code => &CODE,
            BlockKind::Record => &RECORD,
            BlockKind::Heading(_) | BlockKind::Paragraph => &PROSE,
        };
        let mut pieces = Vec::new();
        match trim(&self.doc.text, block.range.clone()) {
            Some(range) if self.costs[at] <= limit => {
                pieces.push(Piece::new(range, self.costs[at], true));
            }
            _ => self.break_down(block.range.clone(), limit, cuts, &mut pieces),
        }
        let prose = matches!(block.kind, BlockKind::Paragraph | BlockKind::Record);
        for piece in &mut pieces {
            piece.heading = matches!(block.kind, BlockKind::Heading(_));
            piece.sentences &= prose;
        }
        pieces
    }

    /// Appends pieces of `range`, cutting with the first of `cuts` and the parts that are still too long with the rest,
    /// at last in halves. Recursion is as deep as `cuts` is long.
    fn break_down(&self, range: Range<usize>, limit: usize, cuts: &[Cut], pieces: &mut Vec<Piece>) {
        let Some(range) = trim(&self.doc.text, range) else {
            return;
        };
        let tokens = self.cost(&range);
        if tokens <= limit {
            // No finer cut than at sentences was made on the way here.
            let sentences = cuts.len() + 1 >= PROSE.len();
            pieces.push(Piece::new(range, tokens, sentences));
            return;
        }
        let Some((cut, finer)) = cuts.split_first() else {
            return self.halve(range, limit, pieces);
        };
        for part in parts(self.text(&range), *cut) {
            self.break_down(
                range.start + part.start..range.start + part.end,
                limit,
                finer,
                pieces,
            );
        }
    }

    /// Cuts a word in halves until each fits or is a single character.
    fn halve(&self, range: Range<usize>, limit: usize, pieces: &mut Vec<Piece>) {
        let mut open = vec![range];
        while let Some(range) = open.pop() {
            let Some(range) = trim(&self.doc.text, range) else {
                continue;
            };
            let tokens = self.cost(&range);
            let middle = (tokens > limit)
                .then(|| middle(self.text(&range)))
                .flatten();
            if let Some(middle) = middle {
                open.push(range.start + middle..range.end);
                open.push(range.start..range.start + middle);
            } else {
                pieces.push(Piece::new(range, tokens.min(limit), false));
            }
        }
    }

    /// The last whole sentences of a passage, at most `room` tokens together, as pieces.
    pub(super) fn tail(&self, passage: &[Piece], mut room: usize) -> Vec<Piece> {
        let mut tail = Vec::new();
        for piece in passage.iter().rev() {
            if room == 0 || !piece.sentences {
                break;
            }
            let sentences = parts(self.text(&piece.range), Cut::Sentences);
            for part in sentences.into_iter().rev() {
                let Some(range) = trim(
                    &self.doc.text,
                    piece.range.start + part.start..piece.range.start + part.end,
                ) else {
                    continue;
                };
                let tokens = self.cost(&range);
                // The first piece of the passage never comes back whole: that would make no headway.
                let whole_passage = passage
                    .first()
                    .is_some_and(|first| first.range.start == range.start);
                if tokens > room || whole_passage {
                    tail.reverse();
                    return tail;
                }
                room -= tokens;
                tail.push(Piece::new(range, tokens, true));
            }
        }
        tail.reverse();
        tail
    }
}

/// The parts of `text` between cuts; together they are all of it.
fn parts(text: &str, cut: Cut) -> Vec<Range<usize>> {
    match cut {
        Cut::Paragraphs => ranges(text.split_inclusive("\n\n")),
        Cut::Sentences => sentences(text),
        Cut::Lines => ranges(text.split_inclusive('\n')),
        Cut::Runs => runs(ranges(text.split_word_bounds())),
        Cut::Words => ranges(text.split_word_bounds()),
    }
}

/// Offsets of slices that follow one another without gaps.
pub(super) fn ranges<'a>(slices: impl Iterator<Item = &'a str>) -> Vec<Range<usize>> {
    let mut at = 0;
    slices
        .map(|slice| {
            let start = at;
            at += slice.len();
            start..at
        })
        .collect()
}

/// Joins neighbours up to [`RUN_BYTES`] each.
fn runs(words: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for word in words {
        match runs.last_mut() {
            Some(run) if word.end - run.start <= RUN_BYTES => run.end = word.end,
            _ => runs.push(word),
        }
    }
    runs
}

/// The character boundary nearest the middle that leaves something on both sides.
fn middle(text: &str) -> Option<usize> {
    let half = text.floor_char_boundary(text.len() / 2);
    let cut = if half == 0 {
        text.ceil_char_boundary(1)
    } else {
        half
    };
    (cut < text.len()).then_some(cut)
}

/// The range without white space at its ends; nothing if only that is left.
fn trim(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let slice = text.get(range.clone())?;
    let start = range.start + (slice.len() - slice.trim_start().len());
    let end = range.start + slice.trim_end().len();
    (start < end).then_some(start..end)
}
