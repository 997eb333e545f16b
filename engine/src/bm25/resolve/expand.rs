//! Which terms of the dictionaries are meant by a word with mistakes, or by a single character?

use std::collections::HashMap;
use std::io;

use tantivy::postings::TermInfo;
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::Term;
use tantivy::termdict::TermDictionary;

use super::{Alternative, word_alternatives, word_fields};
use crate::bm25::postings::Segment;
use crate::bm25::query::Clause;
use crate::bm25::reader::Bm25Index;

/// Terms a fuzzy word or a single character expands to at most; the nearest and most frequent ones.
const MAX_EXPANSIONS: usize = 64;
/// Weight of a fuzzy match for each letter changed.
const FUZZY_WEIGHT: f32 = 0.5;

impl Bm25Index {
    pub(super) fn expand_fuzzy(
        &self,
        clause: &Clause,
        typed: &str,
        terms: &[String],
    ) -> io::Result<Vec<Alternative>> {
        let distance = match typed.chars().count() {
            0..=3 => return Ok(Vec::new()),
            4..=7 => 1,
            _ => 2,
        };
        let mut found = HashMap::new();
        for term in terms {
            let query = FuzzyTermQuery::new(
                Term::from_field_text(self.fields.body, term),
                distance,
                true,
            );
            let automaton = query.automaton().map_err(io::Error::other)?;
            for dictionary in self.dictionaries(clause) {
                let mut stream = dictionary.search(&automaton).into_stream()?;
                while stream.advance() {
                    count_term(&mut found, stream.key(), stream.value());
                }
            }
        }
        let mut ranked: Vec<(usize, std::cmp::Reverse<u64>, String)> = found
            .into_iter()
            .filter(|(found, _)| !terms.contains(found))
            .map(|(found, frequency)| {
                let steps = terms
                    .iter()
                    .map(|term| edit_distance(term, &found))
                    .min()
                    .unwrap_or(0);
                (steps.max(1), std::cmp::Reverse(frequency), found)
            })
            .collect();
        ranked.sort();
        ranked.truncate(MAX_EXPANSIONS);
        let expand = |(steps, _, term): (usize, _, String)| {
            let weight = FUZZY_WEIGHT.powi(i32::try_from(steps).unwrap_or(i32::MAX));
            word_alternatives(clause, &[term])
                .into_iter()
                .map(move |alternative| Alternative {
                    weight,
                    ..alternative
                })
        };
        Ok(ranked.into_iter().flat_map(expand).collect())
    }

    /// Terms that begin with a single character of a script without spaces.
    pub(super) fn expand_prefix(
        &self,
        clause: &Clause,
        typed: &str,
    ) -> io::Result<Vec<Alternative>> {
        let mut found = HashMap::new();
        let end = format!("{typed}{}", char::MAX);
        for dictionary in self.dictionaries(clause) {
            let mut stream = dictionary.range().gt(typed).le(&end).into_stream()?;
            while stream.advance() {
                count_term(&mut found, stream.key(), stream.value());
            }
        }
        let mut ranked: Vec<(std::cmp::Reverse<u64>, String)> = found
            .into_iter()
            .map(|(term, count)| (std::cmp::Reverse(count), term))
            .collect();
        ranked.sort();
        ranked.truncate(MAX_EXPANSIONS);
        Ok(ranked
            .into_iter()
            .flat_map(|(_, term)| word_alternatives(clause, &[term]))
            .collect())
    }

    /// The dictionaries of all fields `clause` looks in.
    fn dictionaries(&self, clause: &Clause) -> impl Iterator<Item = &TermDictionary> {
        let fields = word_fields(clause);
        let of_segment = move |segment| {
            fields
                .iter()
                .map(move |&field| Segment::field(segment, field).inverted.terms())
        };
        self.segments.iter().flat_map(of_segment)
    }
}

fn count_term(found: &mut HashMap<String, u64>, term: &[u8], info: &TermInfo) {
    let term = String::from_utf8_lossy(term).into_owned();
    *found.entry(term).or_default() += u64::from(info.doc_freq);
}

/// Letters to insert, delete, change or swap to make `a` into `b` (optimal string alignment).
pub(in crate::bm25) fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut costs: Vec<usize> = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = i * width + j;
            if i == 0 || j == 0 {
                costs[at] = i + j;
                continue;
            }
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut cost = (costs[at - width] + 1)
                .min(costs[at - 1] + 1)
                .min(costs[at - width - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(costs[at - 2 * width - 2] + 1);
            }
            costs[at] = cost;
        }
    }
    costs.last().copied().unwrap_or(0)
}
