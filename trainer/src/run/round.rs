//! What happens with the vectors of a snapshot: index, mine, measure?

use std::sync::Arc;
use std::time::Instant;

use storage::flat::Metric;
use storage::ivfpq::{BuildParams, Index, build};
use storage::{Task, disk};

use super::keep::BEST;
use super::{Run, Standing};
use crate::diagnostics::{Diagnostics, Inputs};
use crate::error::TrainError;
use crate::gate;
use crate::log::{self, Event};
use crate::mined::Provenance;
use crate::negatives::bm25::Searcher;
use crate::negatives::dense::{self, Mining, Vectors};
use crate::negatives::{Negatives, Source};
use crate::refresh::Encoded;

/// Documents a ranking of the dev queries goes down to.
const DEV_DEPTH: usize = 100;
/// Training queries that the figures are measured on.
const FIGURE_QUERIES: usize = 200;
/// Training queries that an index measures its recall with.
const MEASURED: usize = 256;

impl Run<'_> {
    /// Whether the encoder as it is now has to be handed over: at the start, after each round and at the end.
    pub(crate) fn refresh_is_due(&self) -> bool {
        let step = self.step();
        let boundary = step.is_multiple_of(self.config.refresh_every) || step == self.steps();
        boundary && self.refreshed != Some(step)
    }

    /// Hands the encoder as it is now over to be encoded with. Its vectors are taken up at once where training waits for
    /// them anyway, and at the start and the end of a run.
    ///
    /// # Errors
    /// As [`Run::take_up`].
    pub(crate) fn refresh(&mut self, task: Task<'_>) -> Result<(), TrainError> {
        let step = self.step();
        let wait = step == 0 || step == self.steps();
        if wait {
            self.take_up_finished(true, task)?;
        }
        let snapshot = self.snapshot()?;
        if let Some(encoded) = self.inferencer.start(snapshot, task)? {
            self.take_up(encoded, task)?;
        }
        if wait {
            self.take_up_finished(true, task)?;
        }
        self.refreshed = Some(step);
        Ok(())
    }

    /// Takes up what was encoded beside training, and waits for it where the negatives in use are too old.
    ///
    /// # Errors
    /// As [`Run::take_up`].
    pub(crate) fn collect(&mut self, task: Task<'_>) -> Result<(), TrainError> {
        let stale = self.step() - self.mined_at >= self.config.staleness();
        self.take_up_finished(stale, task)
    }

    fn take_up_finished(&mut self, wait: bool, task: Task<'_>) -> Result<(), TrainError> {
        match self.inferencer.finished(wait)? {
            Some(encoded) => self.take_up(encoded, task),
            None => Ok(()),
        }
    }

    /// Mines by words, once a run, if the method ever asks for it.
    ///
    /// # Errors
    /// The full-text index, or the caller's cancel flag.
    pub(crate) fn mine_by_words(&mut self, task: Task<'_>) -> Result<(), TrainError> {
        let folder = self.out.join(super::WORK).join("words");
        disk::remove_tree(&folder)?;
        disk::create_private_dir(&folder)?;
        let searcher = Searcher::build(&folder, &self.examples, task)?;
        if self.mixture.uses(Source::Bm25) && self.pools.bm25.is_none() {
            let begun = Instant::now();
            let depth = self.config.depth;
            let (pool, guards) = searcher.mine(&self.examples, &self.guards, depth, task)?;
            let mining = Mining {
                index: "bm25".into(),
                recall: 1.0,
                recall_queries: 0,
                depth,
                seconds: begun.elapsed().as_secs_f64(),
                guards,
            };
            let provenance = self.provenance(Source::Bm25, String::new(), self.step(), mining);
            self.keep_pool(pool, &provenance)?;
            self.tell_refresh(&provenance, [0.0, 0.0])?;
        }
        self.words = Some(searcher);
        Ok(())
    }

    /// Measures a snapshot on the dev queries, keeps it if it is the best so far, and mines with its vectors unless the
    /// run is over.
    ///
    /// # Errors
    /// The index, the file system, or the caller's cancel flag.
    fn take_up(&mut self, encoded: Encoded, task: Task<'_>) -> Result<(), TrainError> {
        let (index, index_seconds) = self.index(&encoded, task)?;
        let vectors = Vectors {
            matrix: &encoded.passages,
            metric: self.metric(),
            index: index.as_ref(),
            target_recall: self.config.target_recall,
        };
        self.evaluate(&encoded, &vectors, task)?;
        if self.step() < self.steps() && self.mines_from(self.step()) {
            self.mine(&encoded, &vectors, index_seconds, task)?;
        }
        self.figures(&encoded, &vectors, task)?;
        drop(index);
        let folder = encoded.folder.clone();
        drop(encoded);
        Ok(disk::remove_tree(&folder)?)
    }

    fn mines_from(&self, step: u64) -> bool {
        self.mixture.uses_from(Source::Ance, step) || self.mixture.uses_from(Source::Bm25, step)
    }

    fn metric(&self) -> Metric {
        if self.encoder.normalizes() {
            Metric::Cosine
        } else {
            Metric::InnerProduct
        }
    }

    /// An IVF-PQ index where the corpus is large enough and its answers are asked for, and the seconds it took.
    fn index(&self, encoded: &Encoded, task: Task<'_>) -> Result<(Option<Index>, f64), TrainError> {
        let passages = self.examples.passages.len();
        let wanted = self.config.index.builds_index(passages)
            && self.mixture.uses_from(Source::Ance, self.step());
        if !wanted {
            return Ok((None, 0.0));
        }
        let begun = Instant::now();
        let path = encoded.folder.join("passages.ivfpq");
        let params = BuildParams {
            metric: self.metric(),
            queries: some_rows(&encoded.queries, encoded.passages.dimension()),
            ..BuildParams::default()
        };
        build(&path, &encoded.passages, None, &params, task)?;
        let index = Index::open(&path, encoded.passages.clone())?;
        Ok((Some(index), begun.elapsed().as_secs_f64()))
    }

    /// Dev scores by exact search; the best encoder so far is written to `best/`.
    fn evaluate(
        &mut self,
        encoded: &Encoded,
        vectors: &Vectors<'_>,
        task: Task<'_>,
    ) -> Result<(), TrainError> {
        let begun = Instant::now();
        let exact = Vectors {
            index: None,
            ..*vectors
        };
        let depth = DEV_DEPTH * self.config.chunks;
        let rankings = exact.search(&encoded.dev, depth, task.quiet())?;
        let (ndcg, mrr) = gate::score(&self.examples, &self.examples.dev, &rankings);
        let step = encoded.snapshot.step;
        let standing = Standing::new(step, &ndcg);
        self.tell(Event::Eval(log::Eval {
            step,
            ndcg: ndcg.mean(),
            mrr: mrr.mean(),
            queries: ndcg.per_query.len(),
            took: encoded.seconds + begun.elapsed().as_secs_f64(),
        }))?;
        if self.start.is_none() {
            self.start = Some(standing.clone());
        }
        let best = self.best.as_ref().map(|b| b.scores().mean());
        // Without dev queries nothing tells two encoders apart; the later one has learnt more.
        let better = best.is_none_or(|best| ndcg.mean() > best || ndcg.per_query.is_empty());
        if better {
            self.encoder
                .save(&encoded.snapshot.values, &self.out.join(BEST))?;
            self.best = Some(standing);
        }
        Ok(())
    }

    fn mine(
        &mut self,
        encoded: &Encoded,
        vectors: &Vectors<'_>,
        index_seconds: f64,
        task: Task<'_>,
    ) -> Result<(), TrainError> {
        let wanted = self.config.negatives;
        if let Some(pool) = &mut self.pools.bm25 {
            // The margin goes by the encoder in force.
            dense::measure(pool, vectors, &self.guards, &encoded.queries, wanted);
        }
        let step = encoded.snapshot.step;
        if self.mixture.uses_from(Source::Ance, self.step()) {
            let asked = (self.config.depth, wanted, self.config.seed);
            let queries = &encoded.queries;
            let (pool, mining) =
                vectors.mine(&self.examples, &self.guards, queries, asked, task)?;
            let provenance = self.provenance(Source::Ance, encoded.encoder.clone(), step, mining);
            self.keep_pool(pool, &provenance)?;
            self.tell_refresh(&provenance, [encoded.seconds, index_seconds])?;
        }
        if let (Some(pool), true) = (
            self.pools.bm25.clone(),
            self.files.contains_key(&Source::Bm25),
        ) {
            let mining = Mining {
                index: "bm25".into(),
                recall: 1.0,
                recall_queries: 0,
                depth: self.config.depth,
                seconds: 0.0,
                guards: Default::default(),
            };
            let provenance = self.provenance(Source::Bm25, encoded.encoder.clone(), step, mining);
            self.keep_pool(pool, &provenance)?;
        }
        self.mined_at = step;
        Ok(())
    }

    fn provenance(&self, source: Source, encoder: String, step: u64, mining: Mining) -> Provenance {
        Provenance {
            source,
            encoder,
            step,
            seed: self.config.seed,
            corpus: self.corpus.clone(),
            guards: self.config.guards,
            mining,
        }
    }

    fn tell_refresh(
        &mut self,
        provenance: &Provenance,
        [encode_seconds, index_seconds]: [f64; 2],
    ) -> Result<(), TrainError> {
        let mining = &provenance.mining;
        let measured = (mining.recall_queries > 0).then_some(mining.recall);
        let step = self.step();
        self.tell(Event::Refresh(log::Refresh {
            step,
            encoder_step: provenance.step,
            source: provenance.source,
            index: mining.index.clone(),
            encode_seconds,
            index_seconds,
            mine_seconds: mining.seconds,
            miner_recall: measured,
            guards: mining.guards,
        }))
    }

    /// The paper's figures for the encoder, where training queries have vectors.
    fn figures(
        &mut self,
        encoded: &Encoded,
        vectors: &Vectors<'_>,
        task: Task<'_>,
    ) -> Result<(), TrainError> {
        if encoded.queries.is_empty() {
            return Ok(());
        }
        let count = self.examples.queries.len();
        let train: Vec<u32> = (0..count.min(FIGURE_QUERIES))
            .map(|i| (i * count / count.min(FIGURE_QUERIES)) as u32)
            .collect();
        let d = vectors.matrix.dimension();
        let rows = train
            .iter()
            .flat_map(|q| &encoded.queries[*q as usize * d..(*q as usize + 1) * d]);
        let train_vectors: Vec<f32> = rows.copied().collect();
        let examples = Arc::clone(&self.examples);
        let figures = Diagnostics::measure(
            &Inputs {
                step: encoded.snapshot.step,
                vectors: *vectors,
                scale: self.config.scale(self.encoder.normalizes()) as f32,
                negatives: Negatives {
                    examples: &examples,
                    guards: &self.guards,
                    mixture: &self.mixture,
                    pools: &self.pools,
                    count: self.config.negatives,
                },
                train: &train,
                train_vectors: &train_vectors,
                dev_vectors: &encoded.dev,
                bm25: self.words.as_ref(),
                seed: self.config.seed,
            },
            task.quiet(),
        )?;
        self.tell(Event::Diagnostics(figures))
    }
}

/// Up to [`MEASURED`] of the rows (n, d), evenly spread; `None` without rows.
fn some_rows(rows: &[f32], d: usize) -> Option<Vec<f32>> {
    let step = (rows.len() / d).div_ceil(MEASURED).max(1);
    let some: Vec<f32> = rows
        .chunks_exact(d)
        .step_by(step)
        .flatten()
        .copied()
        .collect();
    (!some.is_empty()).then_some(some)
}
