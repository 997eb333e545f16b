//! Which words of a text are what the query asked for?

use std::collections::HashMap;
use std::ops::Range;

use super::Bm25Error;
use super::analysis::{Analyzed, analyze};
use super::language::Language;
use super::query::{Occur, ParsedQuery, SearchField};
use super::reader::Bm25Index;
use super::resolve::{Alternative, Group};
use super::score::idf;

/// What a query's words look like in running text: stems in every language, fuzzy expansions, phrases.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    words: HashMap<String, Mark>,
    phrases: Vec<(Vec<(u32, String)>, Mark)>,
}

/// Which part of the query a term stands for, and how much it says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    group: usize,
    weight: f32,
}

/// A place in a text that matches.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Match {
    /// Bytes of the text.
    pub range: Range<usize>,
    /// Part of the query: the same word in another form has the same number.
    pub group: usize,
    /// How much it says: its inverse document frequency, less for fuzzy matches.
    pub weight: f32,
}

impl Bm25Index {
    /// What to highlight for `query` in the text of passages.
    ///
    /// # Errors
    /// Damaged files.
    pub fn matcher(&self, query: &ParsedQuery) -> Result<Matcher, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let mut matcher = Matcher::default();
        let groups = self.resolve(query).map_err(&failed)?;
        for (number, group) in groups.iter().enumerate() {
            if group.occur != Occur::MustNot {
                let frequency = self.term_frequency(&single_terms(group)).map_err(&failed)?;
                matcher.add(number, group, idf(frequency, self.documents));
            }
        }
        Ok(matcher)
    }
}

fn single_terms(group: &Group) -> Vec<String> {
    let exact = |alternative: &&Alternative| {
        alternative.field == SearchField::Body && alternative.weight >= 1.0
    };
    let alternatives = group.alternatives.iter().filter(exact);
    alternatives
        .filter_map(|alternative| match alternative.terms.as_slice() {
            [(_, term)] => Some(term.clone()),
            _ => None,
        })
        .collect()
}

impl Matcher {
    fn add(&mut self, number: usize, group: &Group, idf: f32) {
        let in_body = |alternative: &&Alternative| alternative.field == SearchField::Body;
        for alternative in group.alternatives.iter().filter(in_body) {
            let mark = Mark {
                group: number,
                weight: idf * alternative.weight,
            };
            match alternative.terms.as_slice() {
                [(_, term)] => {
                    self.words.entry(term.clone()).or_insert(mark);
                }
                terms => self.phrases.push((terms.to_vec(), mark)),
            }
        }
    }

    /// All places of `text` that match, by start. They may overlap.
    pub(crate) fn matches(&self, text: &str, language: Language) -> Vec<Match> {
        let tokens = analyze(language, text);
        let mut matches = Vec::new();
        for token in &tokens {
            if let Some(mark) = self.words.get(&token.term) {
                matches.push(mark.at(token.range.clone()));
            }
        }
        for (terms, mark) in &self.phrases {
            let ends = phrase_ranges(&tokens, terms);
            matches.extend(ends.into_iter().map(|range| mark.at(range)));
        }
        matches.sort_by_key(|found| (found.range.start, found.range.end));
        matches
    }
}

impl Mark {
    fn at(self, range: Range<usize>) -> Match {
        Match {
            range,
            group: self.group,
            weight: self.weight,
        }
    }
}

/// Places where `terms` stand at their offsets, from the first one's start to the last one's end.
fn phrase_ranges(tokens: &[Analyzed], terms: &[(u32, String)]) -> Vec<Range<usize>> {
    let Some(((first_offset, first), rest)) = terms.split_first() else {
        return Vec::new();
    };
    let mut ranges = Vec::new();
    for (at, start) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.term == *first)
    {
        let mut range = start.range.clone();
        let complete = rest.iter().all(|(offset, term)| {
            let position = start.position + (offset - first_offset) as usize;
            // Tokens are in order of position; a whole word and its first part share one.
            let mut there = tokens[at..]
                .iter()
                .skip_while(|token| token.position < position);
            let found = there.find(|token| token.position != position || token.term == *term);
            match found.filter(|token| token.position == position) {
                Some(token) => {
                    range.end = range.end.max(token.range.end);
                    true
                }
                None => false,
            }
        });
        if complete {
            ranges.push(range);
        }
    }
    ranges
}
