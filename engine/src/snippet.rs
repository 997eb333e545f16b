//! Which few words of this passage show why it was found?
//!
//! The text is brought to one line first (white space collapsed, control characters and terminal escapes gone), then
//! searched for what matches; everything after works on that line alone.

use std::collections::HashSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::bm25::{Language, Match as Found, Matcher};
use crate::report::Snippet;

mod clean;
#[cfg(test)]
mod tests;

pub use clean::one_line;

/// What the same word once more adds, as a share of its first appearance.
const REPEATED: f32 = 0.1;
/// Sentences shorter than this many bytes are joined with the next one: "Yes." has no meaning of its own.
const MIN_SENTENCE: usize = 40;

const ELLIPSIS: &str = "…";

/// An excerpt of at most `budget` characters (and an ellipsis at each cut end) around what matched: the stretch with the
/// most telling different matches, cut between words, at the start of a sentence where that is near. Without any
/// match, the beginning.
pub fn snippet(text: &str, language: Language, matcher: &Matcher, budget: usize) -> Snippet {
    let line = one_line(text);
    let matches = matcher.matches(&line, language);
    let start = best_start(&line, &matches, budget).unwrap_or(0);
    let start = lead_in(&line, start, &matches, budget);
    cut(&line, start..window_end(&line, start, budget), &matches)
}

/// A passage whose best sentence somebody else knows how to choose. Short sentences go with the next ones.
pub struct Sentences {
    line: String,
    windows: Vec<Range<usize>>,
}

impl Sentences {
    /// The sentences of `text`.
    pub fn of(text: &str) -> Self {
        let line = one_line(text);
        let windows = sentence_windows(&line);
        Self { line, windows }
    }

    /// What there is to choose from for an excerpt of `budget` characters: all sentences in order, or none where the
    /// choice makes no difference, since the passage fits as a whole or is one sentence.
    pub fn choices(&self, budget: usize) -> Vec<&str> {
        let is_cut = self.line.chars().nth(budget).is_some();
        let windows = match is_cut && self.windows.len() > 1 {
            true => &self.windows[..],
            false => &[],
        };
        windows
            .iter()
            .map(|range| &self.line[range.clone()])
            .collect()
    }

    /// At most `budget` characters from the start of sentence `best` on, with what `matcher` knows highlighted.
    pub fn excerpt(
        &self,
        best: usize,
        language: Language,
        matcher: &Matcher,
        budget: usize,
    ) -> Snippet {
        let line = &self.line;
        let start = self.windows.get(best).map_or(0, |range| range.start);
        let matches = matcher.matches(line, language);
        cut(line, start..window_end(line, start, budget), &matches)
    }
}

fn sentence_windows(line: &str) -> Vec<Range<usize>> {
    let mut windows: Vec<Range<usize>> = Vec::new();
    for (start, sentence) in line.split_sentence_bound_indices() {
        let end = start + sentence.len();
        match windows.last_mut() {
            Some(last) if last.len() < MIN_SENTENCE => last.end = end,
            _ => windows.push(start..end),
        }
    }
    windows
}

/// Start of the match from which `budget` characters hold the most; the first of equals.
fn best_start(line: &str, matches: &[Found], budget: usize) -> Option<usize> {
    let mut best: Option<(f32, usize)> = None;
    for (i, first) in matches.iter().enumerate() {
        let end = byte_after(line, first.range.start, budget);
        let inside = matches[i..]
            .iter()
            .take_while(|found| found.range.start < end);
        let mut seen = HashSet::new();
        let worth: f32 = inside
            .filter(|found| found.range.end <= end)
            .map(|found| {
                found.weight
                    * if seen.insert(found.group) {
                        1.0
                    } else {
                        REPEATED
                    }
            })
            .sum();
        if best.is_none_or(|(most, _)| worth > most * 1.001) {
            best = Some((worth, first.range.start));
        }
    }
    best.map(|(_, start)| start)
}

/// Moves the start of a window back: to the start of its sentence if the matches in the window still fit, otherwise
/// by a few words.
fn lead_in(line: &str, start: usize, matches: &[Found], budget: usize) -> usize {
    let end = byte_after(line, start, budget);
    let last = matches
        .iter()
        .filter(|found| found.range.start >= start && found.range.end <= end);
    let needed_end = last.map(|found| found.range.end).max().unwrap_or(start);
    let needed = line[start..needed_end].chars().count();
    let spare = budget.saturating_sub(needed);
    let sentence = line[..start]
        .split_sentence_bound_indices()
        .last()
        .map_or(0, |(at, part)| {
            if part.ends_with(['.', '!', '?', '。']) {
                start
            } else {
                at
            }
        });
    if line[sentence..start].chars().count() <= spare {
        return sentence;
    }
    let earliest = byte_before(line, start, spare / 2);
    word_start(line, earliest, start)
}

/// Where a window of `budget` characters from `start` ends, between words if it can.
fn window_end(line: &str, start: usize, budget: usize) -> usize {
    let end = byte_after(line, start, budget);
    if end == line.len() {
        return end;
    }
    let bounds = line[start..]
        .split_word_bound_indices()
        .map(|(at, _)| start + at);
    let last = bounds.take_while(|&at| at <= end).last().unwrap_or(start);
    if last > start { last } else { end }
}

/// The first start of a word in `from..=to`.
fn word_start(line: &str, from: usize, to: usize) -> usize {
    if from == 0 {
        return 0;
    }
    let starts = line[from..to]
        .match_indices(' ')
        .map(|(at, _)| from + at + 1);
    starts.chain([to]).find(|&at| at >= from).unwrap_or(to)
}

/// Byte offset `count` characters after `from`, or the end.
fn byte_after(line: &str, from: usize, count: usize) -> usize {
    line[from..]
        .char_indices()
        .nth(count)
        .map_or(line.len(), |(at, _)| from + at)
}

/// Byte offset `count` characters before `from`, or the beginning.
fn byte_before(line: &str, from: usize, count: usize) -> usize {
    match count.checked_sub(1) {
        None => from,
        Some(nth) => line[..from]
            .char_indices()
            .rev()
            .nth(nth)
            .map_or(0, |(at, _)| at),
    }
}

/// The excerpt itself, with the matches inside it as disjoint ranges.
fn cut(line: &str, window: Range<usize>, matches: &[Found]) -> Snippet {
    let inside = &line[window.clone()];
    let skipped = inside.len() - inside.trim_start().len();
    let window = window.start + skipped..window.start + inside.trim_end().len().max(skipped);
    let mut text = String::new();
    if window.start > 0 {
        text.push_str(ELLIPSIS);
    }
    let shift = text.len();
    text.push_str(&line[window.clone()]);
    if window.end < line.trim_end().len() {
        text.push_str(ELLIPSIS);
    }
    let inside = matches
        .iter()
        .filter(|found| found.range.start >= window.start && found.range.end <= window.end);
    let highlights = disjoint(inside.map(|found| {
        found.range.start - window.start + shift..found.range.end - window.start + shift
    }));
    Snippet { text, highlights }
}

/// Byte ranges of `text` that match: ascending, not overlapping, on character boundaries.
pub fn highlights(text: &str, language: Language, matcher: &Matcher) -> Vec<Range<usize>> {
    let matches = matcher.matches(text, language);
    disjoint(matches.into_iter().map(|found| found.range))
}

/// Ranges in order of their starts, those that overlap joined.
fn disjoint(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
