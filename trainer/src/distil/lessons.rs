//! Which texts are there to learn from, and which queries ask for which passages?

use std::path::{Path, PathBuf};

use engine::encoder::blueprint::StaticTokens;
use rayon::prelude::*;
use storage::Task;

use super::table::{Bags, Table};
use super::{DistilConfig, DistilError, mine, ndcg};
use crate::examples::{Examples, ExamplesError, Options};
use crate::pairs::{self, PairOptions, PairsError};

/// Most dev queries of a set: enough to compare epochs by.
const DEV: usize = 300;
/// Longest query, in tokens.
const QUERY_TOKENS: usize = 64;

/// Everything that is learned from.
pub(super) struct Lessons {
    pub(super) sets: Vec<Set>,
    /// What the teacher reads: set after set, its training queries, then the beginnings of its passages.
    pub(super) texts: Vec<String>,
    /// The same as ids.
    pub(super) bags: Bags,
}

/// Queries and passages that were made for each other.
pub(super) struct Set {
    pub(super) name: String,
    pub(super) examples: Examples,
    pub(super) queries: Bags,
    pub(super) passages: Bags,
    dev: Bags,
    /// Whether people made its queries, and not the texts' own structure.
    pub(super) is_judged: bool,
}

impl Lessons {
    /// Reads the data sets `dirs`. A set without training queries gives its texts alone.
    pub(super) fn read(
        dirs: &[PathBuf],
        tokens: &StaticTokens,
        config: &DistilConfig,
        task: Task<'_>,
    ) -> Result<Self, DistilError> {
        let mut lessons = Self {
            sets: Vec::new(),
            texts: Vec::new(),
            bags: Bags::default(),
        };
        for (done, dir) in dirs.iter().enumerate() {
            task.check()?;
            task.report("reading data sets", done as u64, dirs.len() as u64);
            let name = dir.file_name().unwrap_or_default().to_string_lossy();
            match labelled(dir, config)? {
                Some(examples) => {
                    let set = Set::new(&name, true, examples, tokens, config)?;
                    lessons.teach(set, tokens, config)?;
                }
                None => {
                    let pieces = pairs::collection::read_beir(dir)?;
                    let texts = pieces
                        .iter()
                        .map(|piece| format!("{} {}", piece.title, piece.text));
                    let texts: Vec<String> = texts.collect();
                    let texts: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
                    lessons.add(some(&texts, config), tokens, config)?;
                }
            }
            if config.structure {
                lessons.ask(dir, &name, tokens, config)?;
            }
        }
        match lessons.texts.is_empty() {
            true => Err(DistilError::NoSets),
            false => Ok(lessons),
        }
    }

    /// Adds `set` and its texts for the teacher.
    fn teach(
        &mut self,
        set: Set,
        tokens: &StaticTokens,
        config: &DistilConfig,
    ) -> Result<(), DistilError> {
        let queries = set.examples.queries.iter().map(|query| query.text.as_str());
        let passages = set
            .examples
            .passages
            .iter()
            .map(|passage| passage.text.as_str());
        self.add(queries.chain(passages), tokens, config)?;
        self.sets.push(set);
        Ok(())
    }

    /// Adds the beginnings of `texts` for the teacher.
    fn add<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a str>,
        tokens: &StaticTokens,
        config: &DistilConfig,
    ) -> Result<(), DistilError> {
        let texts: Vec<String> = texts
            .map(|text| beginning(text, config.passage_letters).replace('\n', " "))
            .collect();
        for ids in ids(
            texts.iter().map(String::as_str),
            tokens,
            config.passage_tokens,
        )? {
            self.bags.push(&ids);
        }
        self.texts.extend(texts);
        Ok(())
    }

    /// Adds what the texts of `dir` ask by themselves; texts without structure ask nothing.
    fn ask(
        &mut self,
        dir: &Path,
        name: &str,
        tokens: &StaticTokens,
        config: &DistilConfig,
    ) -> Result<(), DistilError> {
        let options = PairOptions {
            held_out: 0.0,
            seed: config.seed,
            ..PairOptions::default()
        };
        let pieces = pairs::collection::read_beir(dir)?;
        match pairs::examples(dir.to_path_buf(), &pieces, &options) {
            Ok((examples, _)) => {
                let name = format!("{name}, asked");
                let set = Set::new(&name, false, examples, tokens, config)?;
                self.sets.push(set);
                Ok(())
            }
            Err(PairsError::TooFew { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Pairs of query and positive.
    pub(super) fn pairs(&self) -> usize {
        self.sets.iter().map(|set| set.pairs().len()).sum()
    }

    /// The share of each of `count` tokens among those of the texts; one that never occurs is counted twice, so that it is
    /// rare and no more.
    pub(super) fn frequencies(&self, count: usize) -> Vec<f64> {
        let mut counts = vec![2u64; count];
        for id in self.bags.ids() {
            counts[*id as usize] += 1;
        }
        let total = counts.iter().sum::<u64>() as f64;
        counts.into_iter().map(|n| n as f64 / total).collect()
    }

    /// nDCG@10 of `table` on the dev queries of each set that has them.
    pub(super) fn score(
        &self,
        table: &Table,
        task: Task<'_>,
    ) -> Result<Vec<(String, f64)>, DistilError> {
        let mut scores = Vec::new();
        for set in self
            .sets
            .iter()
            .filter(|set| set.is_judged && set.dev.len() > 0)
        {
            task.check()?;
            let (queries, passages) = (table.encode(&set.dev), table.encode(&set.passages));
            let rankings = mine::nearest(&queries, &passages, table.width(), 10);
            scores.push((set.name.clone(), ndcg(&set.examples, &rankings)));
        }
        Ok(scores)
    }
}

impl Set {
    fn new(
        name: &str,
        is_judged: bool,
        examples: Examples,
        tokens: &StaticTokens,
        config: &DistilConfig,
    ) -> Result<Self, DistilError> {
        let bags = |texts: Vec<&str>, longest| -> Result<Bags, DistilError> {
            let mut bags = Bags::default();
            for ids in ids(texts.into_iter(), tokens, longest)? {
                bags.push(&ids);
            }
            Ok(bags)
        };
        let queries = examples.queries.iter().map(|query| query.text.as_str());
        let dev = examples.dev.iter().map(|query| query.text.as_str());
        let passages = examples
            .passages
            .iter()
            .map(|passage| passage.text.as_str());
        Ok(Self {
            name: name.to_owned(),
            queries: bags(queries.collect(), QUERY_TOKENS)?,
            dev: bags(dev.collect(), QUERY_TOKENS)?,
            passages: bags(passages.collect(), config.passage_tokens)?,
            is_judged,
            examples,
        })
    }

    /// Places of queries and the passages that answer them.
    pub(super) fn pairs(&self) -> Vec<(u32, u32)> {
        let queries = (0..).zip(&self.examples.queries);
        queries
            .flat_map(|(at, query)| {
                let first = |document: &u32| self.examples.first_passage(*document);
                query.positives.iter().map(move |d| (at, first(d)))
            })
            .collect()
    }

    /// Whether `passage` answers `query`.
    pub(super) fn answers(&self, query: u32, passage: u32) -> bool {
        let document = self.examples.document_of(passage);
        self.examples.queries[query as usize].is_positive(document)
    }
}

/// The judged examples of `dir`; `None` where it has no training queries.
fn labelled(dir: &Path, config: &DistilConfig) -> Result<Option<Examples>, DistilError> {
    let options = Options {
        dev_at_most: DEV,
        seed: config.seed,
        ..Options::default()
    };
    if dir.is_dir() && !dir.join("qrels/train.tsv").exists() {
        return Ok(None);
    }
    match Examples::from_beir(dir, &options) {
        Ok(examples) => Ok(Some(examples)),
        Err(ExamplesError::NoQueries { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn ids<'a>(
    texts: impl Iterator<Item = &'a str>,
    tokens: &StaticTokens,
    longest: usize,
) -> Result<Vec<Vec<u32>>, DistilError> {
    let texts: Vec<&str> = texts.collect();
    let ids = texts.par_iter().map(|text| tokens.ids(text, longest));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Some of `texts`, evenly spaced.
fn some<'a>(texts: &[&'a str], config: &DistilConfig) -> impl Iterator<Item = &'a str> {
    let step = texts.len().div_ceil(config.passages_at_most).max(1);
    let some: Vec<&str> = texts.iter().step_by(step).copied().collect();
    some.into_iter()
}

/// The first `letters` of `text`, cut where a word ends if one does.
pub(super) fn beginning(text: &str, letters: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(letters) else {
        return text;
    };
    let cut = &text[..end];
    cut.rfind(' ').map_or(cut, |space| &cut[..space])
}
