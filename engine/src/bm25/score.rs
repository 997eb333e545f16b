//! How well does each passage answer, and what is the spread of all answers?
//!
//! score(d) = Σ over groups of boost · idf · (k1 + 1) · tf / (k1 + tf), where tf sums, over the group's terms and
//! fields, weight · occurrences / (1 - b + b · length / average length), and
//! idf = ln(1 + (N - n + ½) / (n + ½)) with n the passages the group occurs in. For one field of weight 1 this is BM25
//! as tantivy and Lucene have it. Lengths are tantivy's one-byte codes.

use std::io;

use roaring::RoaringBitmap;
use storage::PassageId;
use tantivy::postings::TermInfo;

use super::Bm25Error;
use super::postings::{DELETED, Segment};
use super::query::{Occur, ParsedQuery};
use super::reader::Bm25Index;
use super::resolve::{Alternative, Group};

mod best;

use best::{Best, Bits};

/// Constants of the ranking formula, by default as chosen on the training queries of nine collections. Arrays follow
/// [`super::SearchField::ALL`]: body, title, heading, name, path.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoring {
    /// Saturation of repeated words.
    pub k1: f32,
    /// How much a field's length counts, 0 to 1. Name and path have no lengths: 0.
    pub b: [f32; 5],
    /// What an occurrence in a field counts for; 0 leaves the field out.
    pub weight: [f32; 5],
    /// Weight of the phrase made by words written together, beside the words themselves.
    pub compound: f32,
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            k1: 0.9,
            b: [0.6, 0.75, 0.75, 0.0, 0.0],
            weight: [1.0, 2.0, 1.0, 0.5, 0.2],
            compound: 0.25,
        }
    }
}

/// What the BM25 leg of a search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LegHits {
    /// Best first, ties by ascending id; as many as there are up to the depth asked for.
    pub hits: Vec<(PassageId, f32)>,
    /// Mean score over all eligible passages, those that do not match counting 0.
    pub mean: f32,
    /// Standard deviation over the same.
    pub deviation: f32,
    /// Eligible passages that match.
    pub matched: u64,
}

/// Scores of all passages for one query.
pub struct Evaluation<'i> {
    index: &'i Bm25Index,
    /// For each segment the score of each document; 0 does not match. Deleted documents may have one.
    totals: Vec<Vec<f32>>,
}

impl Bm25Index {
    /// Scores every passage for `query`.
    ///
    /// # Errors
    /// Damaged files.
    pub fn evaluate(&self, query: &ParsedQuery) -> Result<Evaluation<'_>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let groups = self.resolve(query).map_err(&failed)?;
        let mut scorer = Scorer::new(self, &groups);
        for group in &groups {
            scorer.add(group).map_err(&failed)?;
        }
        Ok(scorer.finish())
    }

    /// The best `depth` of the `eligible` passages (`None`: all) for `query`, and the spread of all their scores.
    ///
    /// # Errors
    /// Damaged files.
    pub fn search(
        &self,
        query: &ParsedQuery,
        eligible: Option<&RoaringBitmap>,
        depth: usize,
    ) -> Result<LegHits, Bm25Error> {
        Ok(self.evaluate(query)?.hits(eligible, depth))
    }

    /// Scores of the given passages in order, 0 for those that do not match. Costs a search; after one, ask its
    /// [`Evaluation`] instead.
    ///
    /// # Errors
    /// Damaged files.
    pub fn scores_for(
        &self,
        query: &ParsedQuery,
        passages: &[PassageId],
    ) -> Result<Vec<f32>, Bm25Error> {
        Ok(self.evaluate(query)?.scores(passages))
    }

    /// Scores every passage for one group of a query alone, whatever the others demand or forbid.
    pub(super) fn evaluate_group(&self, group: &Group) -> io::Result<Evaluation<'_>> {
        let mut scorer = Scorer::new(self, std::slice::from_ref(group));
        scorer.add(group)?;
        Ok(scorer.finish())
    }

    /// Passages that have all that `query` demands and nothing that it forbids; `None` if it does neither. Other legs of a
    /// search have to keep to it too.
    ///
    /// # Errors
    /// Damaged files.
    pub fn constraint(&self, query: &ParsedQuery) -> Result<Option<RoaringBitmap>, Bm25Error> {
        if !query.has_constraints() {
            return Ok(None);
        }
        let failed = Bm25Error::index("read", &self.dir);
        let mut groups = self.resolve(query).map_err(&failed)?;
        groups.retain(|group| group.occur != Occur::Should);
        let mut scorer = Scorer::new(self, &groups);
        for group in &groups {
            scorer.add(group).map_err(&failed)?;
        }
        Ok(Some(scorer.allowed()))
    }
}

impl Evaluation<'_> {
    /// The best `depth` of the `eligible` passages (`None`: all), and the spread of all their scores.
    pub fn hits(&self, eligible: Option<&RoaringBitmap>, depth: usize) -> LegHits {
        let live = self.index.live();
        let population = eligible.map_or(live.len(), |set| set.intersection_len(live));
        let eligible = eligible.map(Bits::new);
        let mut best = Best::new(depth);
        let (mut matched, mut sum, mut squares) = (0u64, 0f64, 0f64);
        for (segment, totals) in self.index.segments.iter().zip(&self.totals) {
            for (&score, &passage) in totals.iter().zip(&segment.passages) {
                if score <= 0.0
                    || passage == DELETED
                    || eligible.as_ref().is_some_and(|set| !set.has(passage))
                {
                    continue;
                }
                matched += 1;
                sum += f64::from(score);
                squares += f64::from(score) * f64::from(score);
                best.offer(passage, score);
            }
        }
        let count = population.max(1) as f64;
        let mean = sum / count;
        LegHits {
            hits: best.into_hits(),
            mean: mean as f32,
            deviation: (squares / count - mean * mean).max(0.0).sqrt() as f32,
            matched,
        }
    }

    /// Passages that match, those deleted since the last merge of segments included, as in the statistics.
    pub(super) fn matched(&self) -> u64 {
        let matching = |totals: &Vec<f32>| totals.iter().filter(|score| **score > 0.0).count();
        self.totals.iter().map(matching).sum::<usize>() as u64
    }

    /// Scores of the given passages in order, 0 for those that do not match.
    pub fn scores(&self, passages: &[PassageId]) -> Vec<f32> {
        let score = |&id| {
            let (segment, doc) = self.index.place(id)?;
            self.totals.get(segment)?.get(doc).copied()
        };
        passages.iter().map(|id| score(id).unwrap_or(0.0)).collect()
    }
}

/// Adds up groups, document by document.
struct Scorer<'i> {
    index: &'i Bm25Index,
    totals: Vec<Vec<f32>>,
    /// Demanded groups each document has so far, [`FORBIDDEN`] once it has a forbidden one. Empty without constraints.
    gates: Vec<Vec<u32>>,
    demanded: u32,
    scratch: Scratch,
}

const FORBIDDEN: u32 = u32::MAX;

impl<'i> Scorer<'i> {
    fn new(index: &'i Bm25Index, groups: &[Group]) -> Self {
        let constrained = groups.iter().any(|group| group.occur != Occur::Should);
        let sizes = || index.segments.iter().map(|segment| segment.passages.len());
        Self {
            index,
            totals: sizes().map(|size| vec![0.0; size]).collect(),
            gates: sizes()
                .filter(|_| constrained)
                .map(|size| vec![0; size])
                .collect(),
            demanded: 0,
            scratch: Scratch::new(sizes().max().unwrap_or(0)),
        }
    }

    fn add(&mut self, group: &Group) -> io::Result<()> {
        let mut matches = Vec::with_capacity(self.index.segments.len());
        for segment in &self.index.segments {
            matches.push(self.scratch.frequencies(self.index, segment, group)?);
        }
        match group.occur {
            Occur::MustNot => self.gate(&matches, |_| FORBIDDEN),
            Occur::Must => {
                self.demanded += 1;
                self.gate(&matches, |count| {
                    if count == FORBIDDEN {
                        FORBIDDEN
                    } else {
                        count + 1
                    }
                });
                self.sum(group, &matches);
            }
            Occur::Should => self.sum(group, &matches),
        }
        Ok(())
    }

    fn gate(&mut self, matches: &[Vec<(u32, f32)>], next: impl Fn(u32) -> u32) {
        for (gate, docs) in self.gates.iter_mut().zip(matches) {
            for &(doc, _) in docs {
                let count = &mut gate[doc as usize];
                *count = next(*count);
            }
        }
    }

    fn sum(&mut self, group: &Group, matches: &[Vec<(u32, f32)>]) {
        let found: usize = matches.iter().map(Vec::len).sum();
        let k1 = self.index.scoring.k1;
        let weight = group.boost * (k1 + 1.0) * idf(found as u64, self.index.documents);
        for (totals, docs) in self.totals.iter_mut().zip(matches) {
            for &(doc, frequency) in docs {
                totals[doc as usize] += weight * frequency / (k1 + frequency);
            }
        }
    }

    fn finish(mut self) -> Evaluation<'i> {
        for (totals, gate) in self.totals.iter_mut().zip(&self.gates) {
            for (total, &count) in totals.iter_mut().zip(gate) {
                if count != self.demanded {
                    *total = 0.0;
                }
            }
        }
        Evaluation {
            index: self.index,
            totals: self.totals,
        }
    }

    fn allowed(&self) -> RoaringBitmap {
        let mut allowed: Vec<u32> = Vec::new();
        for (gate, segment) in self.gates.iter().zip(&self.index.segments) {
            let passing = gate.iter().zip(&segment.passages);
            let passing = passing.filter(|(count, id)| **count == self.demanded && **id != DELETED);
            allowed.extend(passing.map(|(_, &passage)| passage));
        }
        allowed.sort_unstable();
        allowed.into_iter().collect()
    }
}

/// ln(1 + (N - n + ½) / (n + ½)).
pub(super) fn idf(found: u64, documents: u64) -> f32 {
    let found = found.min(documents);
    (1.0 + ((documents - found) as f32 + 0.5) / (found as f32 + 0.5)).ln()
}

/// Adds up the frequencies of a group in one segment.
struct Scratch {
    /// Zero between groups.
    frequencies: Vec<f32>,
    touched: Vec<u32>,
}

impl Scratch {
    fn new(documents: usize) -> Self {
        Self {
            frequencies: vec![0.0; documents],
            touched: Vec::new(),
        }
    }

    /// Documents of `segment` the group occurs in, each once and in no order, with their weighted frequency.
    fn frequencies(
        &mut self,
        index: &Bm25Index,
        segment: &Segment,
        group: &Group,
    ) -> io::Result<Vec<(u32, f32)>> {
        let mut present = Vec::new();
        let weighs =
            |alternative: &&Alternative| index.scoring.weight[alternative.field as usize] > 0.0;
        for alternative in group.alternatives.iter().filter(weighs) {
            if let Some(infos) = present_terms(segment, alternative)? {
                present.push((alternative, infos));
            }
        }
        if let [(alternative, infos)] = present.as_slice() {
            let mut found = Vec::new();
            visit(index, segment, alternative, infos, |doc, frequency| {
                found.push((doc, frequency))
            })?;
            return Ok(found);
        }
        for (alternative, infos) in &present {
            visit(index, segment, alternative, infos, |doc, frequency| {
                let sum = &mut self.frequencies[doc as usize];
                if *sum == 0.0 {
                    self.touched.push(doc);
                }
                *sum += frequency;
            })?;
        }
        let take = |doc: u32| (doc, std::mem::take(&mut self.frequencies[doc as usize]));
        Ok(self.touched.drain(..).map(take).collect())
    }
}

/// The dictionary entries of all terms of `alternative`, or `None` if the segment lacks one.
fn present_terms(
    segment: &Segment,
    alternative: &Alternative,
) -> io::Result<Option<Vec<(u32, TermInfo)>>> {
    let field = segment.field(alternative.field);
    let mut infos = Vec::with_capacity(alternative.terms.len());
    for (offset, term) in &alternative.terms {
        match field.term_info(term)? {
            Some(info) => infos.push((*offset, info)),
            None => return Ok(None),
        }
    }
    Ok(Some(infos))
}

fn visit(
    index: &Bm25Index,
    segment: &Segment,
    alternative: &Alternative,
    infos: &[(u32, TermInfo)],
    mut visit: impl FnMut(u32, f32),
) -> io::Result<()> {
    let field = segment.field(alternative.field);
    let factors = &index.factors[alternative.field as usize];
    let weight = alternative.weight;
    match infos {
        [(_, info)] => field.visit_term(info, factors, |doc, frequency| {
            visit(doc, weight * frequency)
        }),
        infos => field.visit_phrase(infos, factors, |doc, frequency| {
            visit(doc, weight * frequency)
        }),
    }
}
