//! What of a document is shown beside a hit?

use std::collections::BTreeSet;
use std::ops::Range;

use engine::reading::{gap, overlap};
use engine::report::{DocumentText, Snippet};

use crate::output::text::{Run, wrap};

/// Columns of a tab.
const TAB: &str = "    ";

/// A part of a document, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The passage it was made for.
    pub passage: u32,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    indent: usize,
    text: Snippet,
    /// Whether it is part of the hit, not of what stands around it.
    is_hit: bool,
}

/// A row as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Text and whether it matched.
    pub runs: Vec<Run>,
    /// Whether it is part of the hit.
    pub is_hit: bool,
}

impl Preview {
    /// The part around `passage`, with the words of `words` marked.
    pub fn new(passage: u32, part: &DocumentText, words: &BTreeSet<String>) -> Self {
        let mut lines = Vec::new();
        for (at, shown) in part.passages.iter().enumerate() {
            let before = at
                .checked_sub(1)
                .and_then(|before| part.passages.get(before));
            let repeated = before.map_or(0, |before| overlap(before, shown));
            if before.is_some_and(|before| repeated == 0 && gap(before, shown) == "\n\n") {
                lines.push(Line::new("", words, false));
            }
            let text = shown.text.get(repeated..).unwrap_or_default();
            let is_hit = shown.passage == passage;
            lines.extend(text.lines().map(|line| Line::new(line, words, is_hit)));
        }
        Self { passage, lines }
    }

    /// Nothing, for a passage that is not there any more.
    pub fn gone(passage: u32) -> Self {
        let lines = Vec::new();
        Self { passage, lines }
    }

    /// Rows of at most `width` columns, and which of them the hit starts at.
    pub fn rows(&self, width: usize) -> (Vec<Row>, usize) {
        let mut rows = Vec::new();
        let mut start = None;
        for line in &self.lines {
            if line.is_hit && start.is_none() {
                start = Some(rows.len());
            }
            line.rows(width, &mut rows);
        }
        (rows, start.unwrap_or(0))
    }
}

impl Line {
    fn new(line: &str, words: &BTreeSet<String>, is_hit: bool) -> Self {
        let line = line.replace('\t', TAB);
        let text = line.trim_start_matches(' ');
        Self {
            indent: line.len() - text.len(),
            text: Snippet {
                text: text.to_owned(),
                highlights: marked(text, words),
            },
            is_hit,
        }
    }

    fn rows(&self, width: usize, rows: &mut Vec<Row>) {
        let indent = self.indent.min(width / 2);
        let wrapped = wrap(&self.text, width.saturating_sub(indent).max(1));
        if wrapped.is_empty() {
            rows.push(Row {
                runs: Vec::new(),
                is_hit: self.is_hit,
            });
        }
        for mut runs in wrapped {
            runs.insert(0, (" ".repeat(indent), false));
            rows.push(Row {
                runs,
                is_hit: self.is_hit,
            });
        }
    }
}

/// The words that a snippet marks, in lower case.
pub fn words(snippet: &Snippet) -> BTreeSet<String> {
    let marked = snippet
        .highlights
        .iter()
        .filter_map(|range| snippet.text.get(range.clone()));
    marked
        .flat_map(|text| {
            pieces(text)
                .map(|range| text[range].to_lowercase())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Byte ranges of the words of `text` that are among `words`.
fn marked(text: &str, words: &BTreeSet<String>) -> Vec<Range<usize>> {
    pieces(text)
        .filter(|range| words.contains(&text[range.clone()].to_lowercase()))
        .collect()
}

/// Byte ranges of letters and digits that stand together.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let start = loop {
            let (at, c) = rest.next()?;
            if c.is_alphanumeric() {
                break at;
            }
        };
        while rest.next_if(|(_, c)| c.is_alphanumeric()).is_some() {}
        let end = rest.peek().map_or(text.len(), |(at, _)| *at);
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::report::PassageText;

    fn preview(texts: &[&str], hit: u32) -> Preview {
        let passage = |(i, text): (usize, &&str)| PassageText {
            passage: i as u32,
            text: (*text).to_owned(),
            line: 10 * i as u32 + 1,
            end_line: 10 * i as u32 + 9,
            ..PassageText::default()
        };
        let part = DocumentText {
            passages: texts.iter().enumerate().map(passage).collect(),
            ..DocumentText::default()
        };
        Preview::new(hit, &part, &["heron".to_owned()].into())
    }

    fn texts(rows: &[Row]) -> Vec<String> {
        rows.iter()
            .map(|row| row.runs.iter().map(|(text, _)| text.as_str()).collect())
            .collect()
    }

    #[test]
    fn the_hit_is_told_from_what_stands_around_it() {
        let (rows, start) = preview(&["before", "a Heron\nstands", "after"], 1).rows(40);
        assert_eq!(
            texts(&rows),
            ["before", "", "a Heron", "stands", "", "after"]
        );
        assert_eq!(start, 2);
        assert!(rows[2].is_hit && rows[3].is_hit && !rows[5].is_hit);
        assert!(
            rows[2].runs.contains(&("Heron".to_owned(), true)),
            "{:?}",
            rows[2]
        );
    }

    #[test]
    fn code_keeps_its_indent_and_long_lines_are_wrapped() {
        let (rows, _) = preview(&["fn a() {\n\tone two three four\n}"], 0).rows(14);
        assert_eq!(
            texts(&rows),
            ["fn a() {", "    one two", "    three four", "}"]
        );
    }

    #[test]
    fn terminal_codes_are_spelled_out() {
        let (rows, _) = preview(&["red \u{1b}[31m text\u{9b}2J"], 0).rows(80);
        assert_eq!(texts(&rows), ["red \\e[31m text\\u{9b}2J"]);
    }

    #[test]
    fn only_whole_words_are_marked() {
        let words = ["desk".to_owned()].into();
        assert_eq!(marked("Desk, desks; (desk)", &words), [0..4, 14..18]);
        let snippet = Snippet {
            text: "a Standing-desk".into(),
            highlights: std::iter::once(2..15).collect(),
        };
        let found: Vec<_> = super::words(&snippet).into_iter().collect();
        assert_eq!(found, ["desk", "standing"]);
    }
}
