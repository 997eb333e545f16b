//! Which wrong passages look right by their words?

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::bm25::{Bm25Error, Bm25Index, Bm25Writer, Language, ParsedQuery, PassageDocument};
use engine::ingest::Source as Place;
use rayon::prelude::*;
use storage::{Cancelled, DocumentId, PassageId, Task};

use super::{Candidate, Found, Pool, dense};
use crate::examples::{Examples, Passage};
use crate::guards::{GuardCounts, Guards};

/// Memory that indexing takes, beside the texts.
const MEMORY: usize = 64 << 20;

/// BM25 over the passages of the examples, by the engine's own index.
pub struct Searcher {
    index: Bm25Index,
}

/// BM25 mining failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Bm25MineError {
    /// The index.
    #[error(transparent)]
    Index(#[from] Bm25Error),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Searcher {
    /// Indexes all passages in the folder `dir`, which should be empty.
    ///
    /// # Errors
    /// The file system, or the caller's cancel flag.
    pub fn build(dir: &Path, examples: &Examples, task: Task<'_>) -> Result<Self, Bm25MineError> {
        let mut writer = Bm25Writer::open(dir, MEMORY, rayon::current_num_threads())?;
        let total = examples.passages.len() as u64;
        for (passage, id) in examples.passages.iter().zip(0..) {
            task.check()?;
            writer.add(&document(passage, id))?;
            task.report("indexing words", u64::from(id) + 1, total);
        }
        writer.commit("passages")?;
        Ok(Self {
            index: Bm25Index::open(dir)?,
        })
    }

    /// The best `k` passages for `query` with their scores, best first, ties by ascending place.
    ///
    /// # Errors
    /// Damaged files.
    pub fn top(&self, query: &str, k: usize) -> Result<Vec<(u32, f32)>, Bm25Error> {
        let words = ParsedQuery::words(query, false);
        let hits = self.index.search(&words, None, k)?.hits;
        Ok(hits.into_iter().map(|(id, score)| (id.0, score)).collect())
    }

    /// Candidates for every training query: the best `depth` passages that the guards let through. Cosines stay unmeasured
    /// until [`dense::measure`].
    ///
    /// # Errors
    /// Damaged files, or the caller's cancel flag.
    pub fn mine(
        &self,
        examples: &Examples,
        guards: &Guards,
        depth: usize,
        task: Task<'_>,
    ) -> Result<(Pool, GuardCounts), Bm25MineError> {
        let (done, total) = (AtomicU64::new(0), examples.queries.len() as u64);
        let mined = (0..examples.queries.len() as u32)
            .into_par_iter()
            .map(|query| {
                task.check()?;
                let found = self.mine_one(examples, guards, query, depth)?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                task.report("mining by words", done, total);
                Ok(found)
            })
            .collect::<Result<Vec<_>, Bm25MineError>>()?;
        Ok(dense::joined(mined))
    }

    fn mine_one(
        &self,
        examples: &Examples,
        guards: &Guards,
        query: u32,
        depth: usize,
    ) -> Result<(Found, GuardCounts), Bm25Error> {
        let asked = &examples.queries[query as usize];
        let words = ParsedQuery::words(&asked.text, false);
        let scores = self.index.evaluate(&words)?;
        let hits = scores.hits(None, depth).hits.into_iter();
        let best = |document: &u32| {
            let passages = examples.documents[*document as usize].passages.clone();
            let ids: Vec<PassageId> = passages.map(PassageId).collect();
            let scored = ids.iter().zip(scores.scores(&ids));
            let best = scored.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(a.0)));
            best.map(|(id, score)| unmeasured(id.0, score))
        };
        let positives = asked.positives.iter().filter_map(best).collect();
        let hits = hits.map(|(id, score)| unmeasured(id.0, score));
        let (candidates, counts) = dense::sift(examples, guards, query, hits);
        Ok((
            Found {
                positives,
                candidates,
            },
            counts,
        ))
    }
}

fn unmeasured(passage: u32, score: f32) -> Candidate {
    Candidate {
        passage,
        score,
        cosine: f32::NAN,
    }
}

fn document(passage: &Passage, id: u32) -> PassageDocument<'_> {
    PassageDocument {
        id: PassageId(id),
        document: DocumentId(passage.document.into()),
        path: "",
        title: passage.title(),
        heading: "",
        text: passage.body(),
        start: Place::default(),
        end: Place::default(),
        modified: 0,
        language: Language::detect(passage.body()),
        record: None,
    }
}
