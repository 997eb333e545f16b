//! Which queries, which answers and which passages are there to learn from?
//!
//! Plain data: everything is named by its place in a list, so that samplers, miners and losses need no strings.
//! Judgements of the `test` split are never read as examples; queries that stand in it are kept out of the rest.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use engine::dataset::{DatasetError, Qrels, Query, Record, beir};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

mod chunk;
mod dropped;
mod join;
#[cfg(test)]
mod tests;

pub use dropped::Dropped;
use join::{corpus, joined, query_ids, take_out};

/// Split that examples come from, the one that chooses between checkpoints, and the one that is left alone.
const TRAIN: &str = "train";
const DEV: &str = "dev";
const TEST: &str = "test";

/// Everything a run learns from and is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// Documents that have text.
    pub documents: Vec<Document>,
    /// Passages, those of one document side by side, in the order of `documents`.
    pub passages: Vec<Passage>,
    /// Queries to train on; each has a positive.
    pub queries: Vec<TrainQuery>,
    /// Queries that decide between checkpoints; none of them is trained on.
    pub dev: Vec<TrainQuery>,
    /// Where `dev` comes from.
    pub dev_source: DevSource,
    /// What was left out.
    pub dropped: Dropped,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name in the judgements.
    pub id: String,
    /// Its passages.
    pub passages: Range<u32>,
    /// Documents with the same number are parts of one whole, for example of one file: none is a negative for the others.
    pub group: u32,
}

/// One text that the encoder turns into one vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Place of its document.
    pub document: u32,
    /// What the encoder sees: title and body.
    pub text: String,
    /// Byte of `text` at which the body begins; 0 without a title.
    pub body_at: usize,
}

impl Passage {
    /// Title of the document; may be empty.
    pub fn title(&self) -> &str {
        self.text[..self.body_at].trim_end()
    }

    /// The passage without the title.
    pub fn body(&self) -> &str {
        &self.text[self.body_at..]
    }
}

/// A query and the documents that answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainQuery {
    /// Its name in the judgements.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// Places of the relevant documents, ascending, each once; never empty.
    pub positives: Vec<u32>,
    /// Their grades, 1 or more, in the same order.
    pub grades: Vec<u32>,
    /// Places of the documents judged not relevant, ascending.
    pub irrelevant: Vec<u32>,
}

impl TrainQuery {
    /// Whether `document` is labelled relevant.
    pub fn is_positive(&self, document: u32) -> bool {
        self.positives.binary_search(&document).is_ok()
    }

    /// Whether `document` was judged at all.
    pub fn is_judged(&self, document: u32) -> bool {
        self.is_positive(document) || self.irrelevant.binary_search(&document).is_ok()
    }
}

/// Where the dev queries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DevSource {
    /// The data set's own `dev` split.
    Split,
    /// Training queries that were taken out of training.
    HeldOut,
}

/// How a long document becomes vectors (Xiong et al. 2021, section 5).
#[derive(Clone, Copy, Default)]
pub enum Chunking<'a> {
    /// One vector, of the text as far as the encoder reads.
    #[default]
    FirstP,
    /// One vector for each of the first chunks; a document scores as its best chunk does. No chunk is empty.
    MaxP {
        /// Longest chunk in tokens, title included.
        max_tokens: usize,
        /// Most chunks a document; the paper has 4.
        chunks: usize,
        /// Tokens of a text.
        count: &'a (dyn Fn(&str) -> usize + Sync),
    },
}

/// How to read a data set.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Long documents.
    pub chunking: Chunking<'a>,
    /// Share of the training queries held out where there is no dev split, 0 to 1. Default .1.
    pub held_out: f64,
    /// Most dev queries; more are thinned out. Default 500.
    pub dev_at_most: usize,
    /// Decides which queries are held out or kept. Default 0.
    pub seed: u64,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            chunking: Chunking::FirstP,
            held_out: 0.1,
            dev_at_most: 500,
            seed: 0,
        }
    }
}

/// A data set gives nothing to learn from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamplesError {
    /// A file could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// No training query is usable.
    #[error("{} has no training query with a positive that the corpus holds{}; check qrels/train.tsv", path.display(), dropped.in_brackets())]
    NoQueries {
        /// The folder.
        path: PathBuf,
        /// Why.
        dropped: Box<Dropped>,
    },
    /// There is nothing to tell the positive from.
    #[error("{} holds {documents} documents with text; training needs at least 2, so that one can be the negative", path.display())]
    TooFewDocuments {
        /// The folder.
        path: PathBuf,
        /// Documents with text.
        documents: usize,
    },
    /// An option is out of range.
    #[error("{name} is {value}; it has to be {range}")]
    Option {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is possible.
        range: &'static str,
    },
}

impl Examples {
    /// Reads the folder `path` in BEIR layout: corpus, training queries, and dev queries of the `dev` split or else held
    /// out of `train`.
    ///
    /// # Errors
    /// A file that cannot be read, no `train` split, no usable training query, fewer than two documents with text.
    pub fn from_beir(path: &Path, options: &Options<'_>) -> Result<Self, ExamplesError> {
        let folder = beir::Folder::open(path)?;
        let train = folder.qrels(TRAIN)?;
        let splits = folder.splits()?;
        let optional = |split: &str| {
            let exists = splits.iter().any(|name| name == split);
            exists.then(|| folder.qrels(split)).transpose()
        };
        let raw = Raw {
            name: path.to_path_buf(),
            records: folder.corpus()?.collect::<Result<_, _>>()?,
            queries: folder.queries()?,
            train,
            dev: optional(DEV)?.filter(|qrels| !qrels.is_empty()),
            reserved: query_ids(&optional(TEST)?.unwrap_or_default()),
        };
        Self::assemble(raw, options)
    }

    /// Joins texts and judgements.
    ///
    /// # Errors
    /// As [`Examples::from_beir`], files apart.
    pub fn assemble(raw: Raw, options: &Options<'_>) -> Result<Self, ExamplesError> {
        options.check()?;
        let mut dropped = Dropped::default();
        let (documents, passages) = corpus(&raw.records, options.chunking, &mut dropped);
        if documents.len() < 2 {
            return Err(ExamplesError::TooFewDocuments {
                path: raw.name,
                documents: documents.len(),
            });
        }
        let places: HashMap<&str, u32> = documents
            .iter()
            .zip(0..)
            .map(|(document, at)| (document.id.as_str(), at))
            .collect();
        let texts: HashMap<&str, &str> = raw
            .queries
            .iter()
            .map(|query| (query.id.as_str(), query.text.as_str()))
            .collect();
        let mut join = |qrels: &Qrels| joined(qrels, &texts, &places, &mut dropped);
        let (mut queries, dev) = (join(&raw.train), raw.dev.as_ref().map(&mut join));
        let other: HashSet<String> = raw
            .dev
            .iter()
            .flat_map(query_ids)
            .chain(raw.reserved.iter().cloned())
            .collect();
        let before = queries.len();
        queries.retain(|query| !other.contains(&query.id));
        dropped.in_other_splits = before - queries.len();
        let dev_source = if dev.is_some() {
            DevSource::Split
        } else {
            DevSource::HeldOut
        };
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let dev = match dev {
            Some(mut dev) => {
                dev.retain(|query| !raw.reserved.contains(&query.id));
                take_out(&mut dev, options.dev_at_most, &mut rng)
            }
            None => {
                let share = (queries.len() as f64 * options.held_out).ceil() as usize;
                let most = share
                    .min(options.dev_at_most)
                    .min(queries.len().saturating_sub(1));
                take_out(&mut queries, most, &mut rng)
            }
        };
        if queries.is_empty() {
            return Err(ExamplesError::NoQueries {
                path: raw.name,
                dropped: Box::new(dropped),
            });
        }
        Ok(Self {
            documents,
            passages,
            queries,
            dev,
            dev_source,
            dropped,
        })
    }

    /// What the encoder sees of each passage, in order.
    pub fn texts(&self) -> Vec<&str> {
        self.passages
            .iter()
            .map(|passage| passage.text.as_str())
            .collect()
    }

    /// First passage of `document`: its only one with FirstP.
    pub fn first_passage(&self, document: u32) -> u32 {
        self.documents[document as usize].passages.start
    }

    /// The document that `passage` is part of.
    pub fn document_of(&self, passage: u32) -> u32 {
        self.passages[passage as usize].document
    }

    /// The judgements behind `queries` (training or dev ones), for [`engine::eval::Evaluation`].
    pub fn qrels(&self, queries: &[TrainQuery]) -> Qrels {
        let graded = queries.iter().flat_map(|query| {
            let pairs = query.positives.iter().zip(&query.grades);
            pairs.map(|(document, grade)| {
                let grade = i32::try_from(*grade).unwrap_or(i32::MAX);
                (
                    query.id.clone(),
                    self.documents[*document as usize].id.clone(),
                    grade,
                )
            })
        });
        graded.collect()
    }
}

impl Options<'_> {
    fn check(&self) -> Result<(), ExamplesError> {
        let refuse = |name, value: String, range| Err(ExamplesError::Option { name, value, range });
        if !(0.0..1.0).contains(&self.held_out) {
            return refuse(
                "the held-out share",
                self.held_out.to_string(),
                "from 0 to below 1",
            );
        }
        match self.chunking {
            Chunking::MaxP { max_tokens, .. } if max_tokens < 8 => refuse(
                "the longest chunk",
                max_tokens.to_string(),
                "8 tokens or more",
            ),
            Chunking::MaxP { chunks: 0, .. } => {
                refuse("the number of chunks", "0".to_owned(), "1 or more")
            }
            _ => Ok(()),
        }
    }
}

/// Texts and judgements that are not joined yet.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// Where it comes from, for messages.
    pub name: PathBuf,
    /// Documents.
    pub records: Vec<Record>,
    /// Queries of all splits.
    pub queries: Vec<Query>,
    /// Judgements to train on.
    pub train: Qrels,
    /// Judgements that decide between checkpoints; `None` holds some of the training queries out.
    pub dev: Option<Qrels>,
    /// Ids of queries that must stand in neither.
    pub reserved: HashSet<String>,
}
