//! Which terms and phrases of this index does a query stand for?
//!
//! A word becomes one [`Group`]: its stems in every language of the collection, in every field. What is written
//! together (`parse_http`, `covid-19`, `parseHttp`, a run of Chinese) gives its words and, as one more group, the
//! phrase they make.

use std::collections::HashSet;
use std::io;

use super::analysis::{Analyzed, TokenKind, analyze};
use super::normalize::plain;
use super::query::{Clause, Occur, ParsedQuery, SearchField};
use super::reader::Bm25Index;

mod expand;

#[cfg(test)]
pub(super) use expand::edit_distance;

/// Share of the passages a function word of a rarer language has to be in before it is left out.
const FREQUENT_SHARE: f64 = 0.1;

/// Terms and phrases that are one thing to the scoring formula: their frequencies add up.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) occur: Occur,
    pub(super) boost: f32,
    pub(super) alternatives: Vec<Alternative>,
    /// A function word, left out if the query has other words.
    function_word: bool,
}

/// One term, or several at fixed offsets, in one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alternative {
    pub(super) field: SearchField,
    pub(super) weight: f32,
    pub(super) terms: Vec<(u32, String)>,
}

/// One token under each language of the collection.
struct Variants {
    kind: TokenKind,
    position: usize,
    range: std::ops::Range<usize>,
    /// One term for each language, in the order of [`Bm25Index::languages`].
    by_language: Vec<String>,
    /// The different ones among them.
    terms: Vec<String>,
}

impl Bm25Index {
    /// The groups of `query`, the forbidden ones included.
    pub(super) fn resolve(&self, query: &ParsedQuery) -> io::Result<Vec<Group>> {
        let with_words = query.positive().any(|clause| !clause.phrase);
        let mut groups = Vec::new();
        for clause in &query.clauses {
            self.resolve_clause(clause, query.fuzzy, with_words, &mut groups)?;
        }
        let meaningful = |group: &Group| group.occur != Occur::MustNot && !group.function_word;
        if groups.iter().any(meaningful) {
            groups.retain(|group| !group.function_word);
        }
        Ok(merge_repeated(groups))
    }

    fn resolve_clause(
        &self,
        clause: &Clause,
        fuzzy: bool,
        with_words: bool,
        out: &mut Vec<Group>,
    ) -> io::Result<()> {
        let tokens = self.variants(&clause.text);
        let whole = |token: &&Variants| token.kind == TokenKind::Whole;
        let (wholes, parts): (Vec<&Variants>, Vec<&Variants>) = tokens.iter().partition(whole);
        let fuzzy = fuzzy && !clause.phrase;
        if let ([], [word]) = (wholes.as_slice(), parts.as_slice()) {
            out.push(self.word_group(clause, word, fuzzy)?);
            return Ok(());
        }
        let one_word =
            matches!(wholes.as_slice(), [whole] if parts.iter().all(|part| whole.covers(part)));
        let mut exact = phrase_group(clause, &parts);
        if one_word {
            exact.alternatives.extend(
                wholes
                    .iter()
                    .flat_map(|whole| word_alternatives(clause, &whole.terms)),
            );
        }
        // Demanded, forbidden or quoted by itself, the expression is meant as it stands; otherwise its words count, and
        // the expression a little more.
        if clause.occur != Occur::Should || (clause.phrase && !with_words) {
            out.push(exact);
            return Ok(());
        }
        if !one_word && !clause.phrase {
            exact.boost = self.scoring.compound;
        }
        out.push(exact);
        if !one_word {
            out.extend(
                wholes
                    .iter()
                    .map(|whole| whole_group(clause, whole, &parts)),
            );
        }
        for part in parts {
            let mut group = self.word_group(clause, part, fuzzy)?;
            group.function_word = group.function_word
                || (wholes.is_empty() && self.is_function_word(clause, part)?);
            if wholes.iter().any(|whole| whole.covers(part)) {
                group.boost = self.scoring.compound;
            }
            out.push(group);
        }
        Ok(())
    }

    /// The tokens of `text`, each with its terms in all languages. The last character of a run stands for itself only
    /// where it is the whole run.
    fn variants(&self, text: &str) -> Vec<Variants> {
        let mut tokens: Vec<Variants> = Vec::new();
        for (i, &(language, _)) in self.languages.iter().enumerate() {
            for (at, token) in analyze(language, text).into_iter().enumerate() {
                if i == 0 {
                    tokens.push(Variants::new(token));
                } else if let Some(variants) = tokens.get_mut(at) {
                    variants.push(token.term);
                }
            }
        }
        let pairs: HashSet<usize> = tokens
            .iter()
            .filter(|token| token.kind == TokenKind::Pair)
            .map(|token| token.range.end)
            .collect();
        tokens.retain(|token| token.kind != TokenKind::Last || !pairs.contains(&token.range.end));
        tokens
    }

    fn word_group(&self, clause: &Clause, token: &Variants, fuzzy: bool) -> io::Result<Group> {
        let typed = plain(&clause.text[token.range.clone()]);
        let mut alternatives = word_alternatives(clause, &token.terms);
        if token.kind == TokenKind::Last {
            alternatives.extend(self.expand_prefix(clause, &typed)?);
        } else if fuzzy && token.kind == TokenKind::Word {
            alternatives.extend(self.expand_fuzzy(clause, &typed, &token.terms)?);
        }
        let optional = clause.occur == Occur::Should && clause.field.is_none() && !clause.phrase;
        Ok(Group {
            occur: clause.occur,
            boost: 1.0,
            alternatives,
            function_word: optional && self.is_function_word(clause, token)?,
        })
    }

    /// A word that says nothing in this collection: on the list of the language most of it is in, or on another
    /// present language's list and frequent.
    fn is_function_word(&self, clause: &Clause, token: &Variants) -> io::Result<bool> {
        let typed = plain(&clause.text[token.range.clone()]);
        for &(language, passages) in &self.languages {
            if language.is_stop_word(&typed)
                && (passages * 2 >= self.documents
                    || self.term_frequency(&token.terms)? as f64
                        >= FREQUENT_SHARE * self.documents as f64)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Passages whose body holds the most frequent of `terms`.
    pub(super) fn term_frequency(&self, terms: &[String]) -> io::Result<u64> {
        let mut most = 0;
        for term in terms {
            let mut frequency = 0;
            for segment in &self.segments {
                let info = segment.field(SearchField::Body).term_info(term)?;
                frequency += info.map_or(0, |info| u64::from(info.doc_freq));
            }
            most = most.max(frequency);
        }
        Ok(most)
    }
}

impl Variants {
    fn new(token: Analyzed) -> Self {
        Self {
            kind: token.kind,
            position: token.position,
            range: token.range,
            by_language: vec![token.term.clone()],
            terms: vec![token.term],
        }
    }

    fn push(&mut self, term: String) {
        if !self.terms.contains(&term) {
            self.terms.push(term.clone());
        }
        self.by_language.push(term);
    }

    fn covers(&self, part: &Self) -> bool {
        self.range.start <= part.range.start && part.range.end <= self.range.end
    }
}

/// A camelCase word: as a whole, or its parts side by side.
fn whole_group(clause: &Clause, whole: &Variants, parts: &[&Variants]) -> Group {
    let own: Vec<&Variants> = parts
        .iter()
        .copied()
        .filter(|part| whole.covers(part))
        .collect();
    let mut group = phrase_group(clause, &own);
    group
        .alternatives
        .extend(word_alternatives(clause, &whole.terms));
    group
}

/// The words side by side, all in one language; no alternative at all for fewer than two.
fn phrase_group(clause: &Clause, parts: &[&Variants]) -> Group {
    let first = parts.first().map_or(0, |part| part.position);
    let languages = parts
        .first()
        .filter(|_| parts.len() > 1)
        .map_or(0, |part| part.by_language.len());
    let mut phrases: Vec<Vec<(u32, String)>> = Vec::new();
    for language in 0..languages {
        let term = |part: &&Variants| {
            let term = part.by_language.get(language).cloned().unwrap_or_default();
            ((part.position - first) as u32, term)
        };
        let phrase = parts.iter().map(term).collect();
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    let in_fields = |terms: Vec<(u32, String)>| {
        phrase_fields(clause).iter().map(move |&field| Alternative {
            field,
            weight: 1.0,
            terms: terms.clone(),
        })
    };
    Group {
        occur: clause.occur,
        boost: 1.0,
        alternatives: phrases.into_iter().flat_map(in_fields).collect(),
        function_word: false,
    }
}

fn word_fields(clause: &Clause) -> &'static [SearchField] {
    match clause.field {
        None => &SearchField::ALL,
        Some(SearchField::Body) => &[SearchField::Body],
        Some(SearchField::Title) => &[SearchField::Title],
        Some(SearchField::Heading) => &[SearchField::Heading],
        Some(SearchField::Name) => &[SearchField::Name],
        Some(SearchField::Path) => &[SearchField::Path, SearchField::Name],
    }
}

/// Without a field, phrases are looked for where positions are kept.
fn phrase_fields(clause: &Clause) -> &'static [SearchField] {
    match clause.field {
        None => &[SearchField::Body, SearchField::Title, SearchField::Heading],
        Some(_) => word_fields(clause),
    }
}

fn word_alternatives(clause: &Clause, terms: &[String]) -> Vec<Alternative> {
    let fields = word_fields(clause);
    terms
        .iter()
        .flat_map(|term| {
            fields.iter().map(move |&field| Alternative {
                field,
                weight: 1.0,
                terms: vec![(0, term.clone())],
            })
        })
        .collect()
}

/// A word typed twice counts twice and is looked up once.
fn merge_repeated(groups: Vec<Group>) -> Vec<Group> {
    let mut merged: Vec<Group> = Vec::with_capacity(groups.len());
    for group in groups {
        let same = |other: &&mut Group| {
            other.occur == group.occur && other.alternatives == group.alternatives
        };
        match merged.iter_mut().find(same) {
            Some(other) => other.boost += group.boost,
            None => merged.push(group),
        }
    }
    merged
}
