//! Which questions do unlabelled documents answer?
//!
//! Those that their own structure asks: a title asks for its text, a heading for its section, a question for what follows, a
//! comment for its code, a sentence for the paragraph it was taken from. Each is a query, and the passage it was taken out
//! of its positive. So that nothing can be learned from the query standing in the passage word for word, passages are kept
//! as they read without it. Copies, templates and junk ask nothing, and whole documents are held out for judging.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::examples::{DevSource, Document, Dropped, Examples, Passage, TrainQuery};
use crate::guards::Duplicates;

pub mod collection;
mod filter;
mod propose;
#[cfg(test)]
mod tests;
mod view;

use propose::Proposal;
use view::{View, skipped};

/// Share of common shingles that makes two passages copies of each other.
const COPY: f32 = 0.8;
/// Words that have to be left of a passage.
const LEFT: usize = 8;
/// Fewest queries that can be learned from, held-out ones included.
const FEWEST: usize = 32;

/// With fewer files, passages are held out instead.
const FEW_FILES: usize = 10;

/// What a passage is part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Running text.
    #[default]
    Text,
    /// Source code: lines, not sentences.
    Code,
}

/// One passage of an unlabelled collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its name, unique.
    pub id: String,
    /// Pieces of one file have one number and stand side by side, in order.
    pub group: u32,
    /// What it is part of.
    pub form: Form,
    /// Title of the file; may be empty.
    pub title: String,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// The passage.
    pub text: String,
}

/// What asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The title (of mail: the subject) asks for the beginning of the text.
    Title,
    /// A heading asks for its section.
    Heading,
    /// A question asks for what follows it.
    Question,
    /// The first sentence asks for what comes after the first passage.
    Lead,
    /// A comment asks for its code.
    Comment,
    /// A few words in a row, some left out, ask for their passage (Izacard et al. 2022).
    Span,
    /// A sentence asks for the passage it was taken from (inverse cloze; Lee et al. 2019).
    Cloze,
}

impl Kind {
    /// As it stands in query ids and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Heading => "heading",
            Self::Question => "question",
            Self::Lead => "lead",
            Self::Comment => "comment",
            Self::Span => "span",
            Self::Cloze => "cloze",
        }
    }

    /// Whether it comes from the document's structure, or could be made from any text.
    fn is_structural(self) -> bool {
        !matches!(self, Self::Span | Self::Cloze)
    }
}

/// How to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairOptions {
    /// Kinds to use. Default: all.
    pub kinds: Vec<Kind>,
    /// Most queries a passage answers. Default 2.
    pub per_passage: usize,
    /// How often a query's words stay in its passage, 0 to 1, so that matching words keeps its worth. Default .1.
    pub keep: f64,
    /// Share of the files held out for judging, 0 to 1. Default .1.
    pub held_out: f64,
    /// Most held-out queries. Default 300.
    pub dev_at_most: usize,
    /// Same seed and passages, same queries.
    pub seed: u64,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            kinds: vec![
                Kind::Title,
                Kind::Heading,
                Kind::Question,
                Kind::Lead,
                Kind::Comment,
                Kind::Span,
                Kind::Cloze,
            ],
            per_passage: 2,
            keep: 0.1,
            held_out: 0.1,
            dev_at_most: 300,
            seed: 0,
        }
    }
}

/// What was made of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairReport {
    /// Passages there are.
    pub passages: usize,
    /// Files they are of.
    pub files: usize,
    /// Passages that are no running text: they ask and answer nothing.
    pub junk: usize,
    /// Passages that say what an earlier one says.
    pub copies: usize,
    /// Queries dropped because several files ask them: boilerplate.
    pub templated: usize,
    /// Queries by what asks, held-out ones included.
    pub queries: BTreeMap<Kind, usize>,
}

impl PairReport {
    /// All queries.
    pub fn total(&self) -> usize {
        self.queries.values().sum()
    }
}

/// A collection gives nothing to learn from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// There are too few queries.
    #[error(
        "{} gives {} queries to learn from, and at least {} are needed: of its {} passages {} are no running text and {} \
         are copies of others; add more files to it", path.display(), report.total(), FEWEST, report.passages, report.junk, report.copies
    )]
    TooFew {
        /// Where the passages come from.
        path: PathBuf,
        /// What was found.
        report: Box<PairReport>,
    },
    /// The collection cannot be read.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// The texts cannot be read.
    #[error(transparent)]
    Bm25(#[from] engine::bm25::Bm25Error),
    /// A data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] engine::dataset::DatasetError),
    /// There is no collection.
    #[error("{} holds nothing yet; fill it with `askance index PATH`", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Makes examples of the passages `pieces`, which come from `path`.
///
/// # Errors
/// Too few queries.
pub fn examples(
    path: PathBuf,
    pieces: &[Piece],
    options: &PairOptions,
) -> Result<(Examples, PairReport), PairsError> {
    let mut report = PairReport {
        passages: pieces.len(),
        files: pieces
            .iter()
            .map(|piece| piece.group)
            .collect::<HashSet<_>>()
            .len(),
        ..PairReport::default()
    };
    let speaks = speaking(pieces, &mut report);
    let mut proposals = propose::all(pieces, &speaks, options);
    drop_templates(&mut proposals, pieces, &mut report);
    let mut corpus = Corpus::default();
    for (at, piece) in pieces.iter().enumerate() {
        let own = proposals.remove(&(at as u32)).unwrap_or_default();
        corpus.add(piece, own, options, &mut report);
    }
    if report.total() < FEWEST {
        return Err(PairsError::TooFew {
            path,
            report: Box::new(report),
        });
    }
    Ok((corpus.split(report.files, options), report))
}

/// Which pieces may ask and answer: running text that no earlier piece has.
fn speaking(pieces: &[Piece], report: &mut PairReport) -> Vec<bool> {
    let duplicates = Duplicates::new(pieces.iter().map(|piece| piece.text.as_str()), COPY);
    let firsts = duplicates.firsts(|at| pieces[at as usize].text.as_str());
    let mut speaks = Vec::with_capacity(pieces.len());
    for (at, (piece, first)) in pieces.iter().zip(firsts).enumerate() {
        let junk = filter::is_junk(&piece.text, piece.form);
        let copy = !junk && first as usize != at;
        report.junk += usize::from(junk);
        report.copies += usize::from(copy);
        speaks.push(!junk && !copy);
    }
    speaks
}

/// Drops queries that more than one file asks, or one file of several passages.
fn drop_templates(
    proposals: &mut HashMap<u32, Vec<Proposal>>,
    pieces: &[Piece],
    report: &mut PairReport,
) {
    let mut askers: HashMap<String, HashSet<u32>> = HashMap::new();
    for (at, proposal) in proposals
        .iter()
        .flat_map(|(at, own)| own.iter().map(move |p| (at, p)))
    {
        askers
            .entry(filter::plain(&proposal.query))
            .or_default()
            .insert(*at);
    }
    let group = |at: &u32| pieces[*at as usize].group;
    let unique = |proposal: &Proposal| {
        let who = &askers[&filter::plain(&proposal.query)];
        let files: HashSet<u32> = who.iter().map(group).collect();
        files.len() == 1 && who.len() <= 2
    };
    for own in proposals.values_mut() {
        let before = own.len();
        own.retain(unique);
        report.templated += before - own.len();
    }
}

/// Examples being put together.
#[derive(Default)]
struct Corpus {
    documents: Vec<Document>,
    passages: Vec<Passage>,
    queries: Vec<TrainQuery>,
}

impl Corpus {
    /// Adds `piece` as it reads without the queries that are chosen among `proposals`.
    fn add(
        &mut self,
        piece: &Piece,
        mut proposals: Vec<Proposal>,
        options: &PairOptions,
        report: &mut PairReport,
    ) {
        let at = self.documents.len() as u32;
        let mut rng = rng(options.seed, u64::from(at));
        proposals.shuffle(&mut rng);
        // Structure first: it is rarer and closer to what people ask.
        proposals.sort_by_key(|proposal| !proposal.kind.is_structural());
        let mut view = View::of(piece);
        let mut chosen = 0;
        for proposal in proposals {
            let stays = rng.random::<f64>() < options.keep;
            let Some(without) = view
                .without(&proposal, stays)
                .filter(|_| chosen < options.per_passage)
            else {
                continue;
            };
            view = without;
            chosen += 1;
            *report.queries.entry(proposal.kind).or_default() += 1;
            self.queries.push(TrainQuery {
                id: format!("{}-{at}-{chosen}", proposal.kind.name()),
                text: proposal.query,
                positives: vec![at],
                grades: vec![1],
                irrelevant: Vec::new(),
            });
        }
        self.documents.push(Document {
            id: piece.id.clone(),
            passages: at..at + 1,
            group: piece.group,
        });
        self.passages.push(view.passage(at));
    }

    /// Holds whole files out, or passages where there are few files.
    fn split(self, files: usize, options: &PairOptions) -> Examples {
        let mut rng = rng(options.seed, u64::MAX);
        let unit = |query: &TrainQuery| match query.positives[0] {
            passage if files < FEW_FILES => passage,
            passage => self.documents[passage as usize].group,
        };
        let asking: BTreeSet<u32> = self.queries.iter().map(unit).collect();
        let mut units: Vec<u32> = asking.into_iter().collect();
        units.shuffle(&mut rng);
        let count = (units.len() as f64 * options.held_out).ceil() as usize;
        units.truncate(count.min(units.len().saturating_sub(1)));
        let held_out: HashSet<u32> = units.into_iter().collect();
        let (mut dev, queries): (Vec<_>, Vec<_>) = self
            .queries
            .iter()
            .cloned()
            .partition(|query| held_out.contains(&unit(query)));
        dev.shuffle(&mut rng);
        dev.truncate(options.dev_at_most);
        dev.sort_by(|a, b| a.id.cmp(&b.id));
        Examples {
            documents: self.documents,
            passages: self.passages,
            queries,
            dev,
            dev_source: DevSource::HeldOut,
            dropped: Dropped::default(),
        }
    }
}

fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
