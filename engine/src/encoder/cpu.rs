//! How do any number of texts become vectors on the CPU in bounded memory?
//!
//! Texts go through in windows. Within a window they are tokenised, sorted by length, cut into batches of about
//! [`BATCH_TOKENS`] tokens, and the batches are shared out to the cores: each runs a whole forward pass on one
//! thread. Memory is that of one window's ids and one [`Scratch`] a thread, however many texts there are.

use std::borrow::Cow;
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::ThreadPool;
use rayon::prelude::*;
use storage::Task;

use super::bert::{Bert, Scratch};
use super::config::PoolingConfig;
use super::pooling::{Finish, pool};
use super::static_table::StaticTable;
use super::tokenizer::TextTokenizer;
use super::{Embeddings, EncodeError, Encoder, EncoderIdentity, Role};

/// Texts tokenised before they are sorted by length.
const WINDOW: usize = 4096;

/// Tokens of a batch: enough to keep the matrix products busy, few enough for the activations to stay in the cache.
const BATCH_TOKENS: usize = 1024;

/// What turns ids into vectors.
pub(crate) enum Body {
    /// A transformer and how its token vectors are pooled.
    Bert(Box<Bert>, PoolingConfig),
    /// Token vectors that do not depend on their neighbours.
    Static(StaticTable),
}

/// What is put before a text of one role.
#[derive(Default)]
pub(crate) struct Prompt {
    /// The text itself.
    pub(crate) text: String,
    /// Leading tokens that pooling leaves out.
    pub(crate) skipped: usize,
}

/// An encoder on the CPU.
pub(crate) struct CpuEncoder {
    pub(crate) identity: EncoderIdentity,
    pub(crate) tokenizer: TextTokenizer,
    pub(crate) body: Body,
    pub(crate) finish: Vec<Finish>,
    pub(crate) query: Prompt,
    pub(crate) passage: Prompt,
    /// Threads for batches.
    pub(crate) threads: usize,
    /// Started with the first batch; apart from rayon's global pool, so that encoding does not hold up a search.
    pub(crate) pool: OnceLock<ThreadPool>,
    /// Buffers not in use.
    pub(crate) scratch: Mutex<Vec<Scratch>>,
}

impl Encoder for CpuEncoder {
    fn identity(&self) -> &EncoderIdentity {
        &self.identity
    }

    fn encode(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
    ) -> Result<Embeddings, EncodeError> {
        let dimension = self.identity.dimension;
        let mut values = vec![0.0; texts.len() * dimension];
        let windows = texts.chunks(WINDOW);
        let mut done = 0;
        for (window, out) in windows.zip(values.chunks_mut(WINDOW * dimension)) {
            task.check()?;
            self.encode_window(window, role, task, out)?;
            done += window.len();
            task.report("encoding", done as u64, texts.len() as u64);
        }
        Ok(Embeddings { dimension, values })
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    fn precision(&self) -> Option<&'static str> {
        match &self.body {
            Body::Bert(bert, _) => Some(bert.precision().name()),
            Body::Static(_) => None,
        }
    }
}

impl CpuEncoder {
    /// One window on the threads of the pool; a single text stays on the calling thread, which costs no hand-over.
    fn encode_window(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        match &self.body {
            Body::Static(table) if texts.len() == 1 => self.mean(table, texts[0], role, out),
            Body::Static(table) => self.pool()?.install(|| {
                let rows = out.par_chunks_mut(self.identity.dimension);
                rows.zip(texts.par_iter())
                    .try_for_each(|(row, text)| self.mean(table, text, role, row))
            }),
            Body::Bert(bert, pooling) if texts.len() == 1 => {
                let ids = vec![self.ids(texts[0], role)?];
                let vectors = self.encode_batch(bert, pooling, &ids, &[0], role, task)?;
                out.copy_from_slice(&vectors);
                Ok(())
            }
            Body::Bert(bert, pooling) => self
                .pool()?
                .install(|| self.encode_sorted(bert, pooling, texts, role, task, out)),
        }
    }

    /// Tokenises, sorts by length, runs the batches and puts the vectors back in the order of `texts`.
    fn encode_sorted(
        &self,
        bert: &Bert,
        pooling: &PoolingConfig,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let ids: Vec<Vec<u32>> = texts
            .par_iter()
            .map(|text| self.ids(text, role))
            .collect::<Result<_, _>>()?;
        let batches = batches(&ids);
        let vectors: Vec<Vec<f32>> = batches
            .par_iter()
            .with_max_len(1)
            .map(|batch| self.encode_batch(bert, pooling, &ids, batch, role, task))
            .collect::<Result<_, _>>()?;
        let d = self.identity.dimension;
        for (batch, vectors) in batches.iter().zip(&vectors) {
            for (at, vector) in batch.iter().zip(vectors.chunks_exact(d)) {
                out[at * d..(at + 1) * d].copy_from_slice(vector);
            }
        }
        Ok(())
    }

    /// The vectors of the texts `batch` of `ids`, one after another.
    fn encode_batch(
        &self,
        bert: &Bert,
        pooling: &PoolingConfig,
        ids: &[Vec<u32>],
        batch: &[usize],
        role: Role,
        task: Task<'_>,
    ) -> Result<Vec<f32>, EncodeError> {
        task.check()?;
        let packed: Vec<u32> = batch.iter().flat_map(|i| &ids[*i]).copied().collect();
        let ends: Vec<usize> = batch
            .iter()
            .scan(0, |end, i| {
                *end += ids[*i].len();
                Some(*end)
            })
            .collect();
        let mut scratch = self.take_scratch();
        let tokens = bert.forward(&packed, &ends, &mut scratch);
        let vectors = self.pool_texts(tokens, &ends, bert.hidden(), pooling, role);
        self.give_back(scratch);
        Ok(vectors)
    }

    /// Pools each text of (T, H) `tokens` and runs what follows pooling.
    fn pool_texts(
        &self,
        tokens: &[f32],
        ends: &[usize],
        hidden: usize,
        pooling: &PoolingConfig,
        role: Role,
    ) -> Vec<f32> {
        let skipped = self.prompt(role).skipped;
        let mut vectors = Vec::with_capacity(ends.len() * self.identity.dimension);
        let mut start = 0;
        for &end in ends {
            let mut vector = vec![0.0; pooling.modes.len() * hidden];
            let rows = &tokens[start * hidden..end * hidden];
            pool(rows, hidden, skipped, &pooling.modes, &mut vector);
            self.finish.iter().for_each(|step| step.apply(&mut vector));
            vectors.extend(vector);
            start = end;
        }
        vectors
    }

    fn mean(
        &self,
        table: &StaticTable,
        text: &str,
        role: Role,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let mut vector = vec![0.0; table.dimension()];
        table.mean(&self.ids(text, role)?, &mut vector);
        self.finish.iter().for_each(|step| step.apply(&mut vector));
        out.copy_from_slice(&vector);
        Ok(())
    }

    fn ids(&self, text: &str, role: Role) -> Result<Vec<u32>, EncodeError> {
        let prompt = &self.prompt(role).text;
        let text = if prompt.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(format!("{prompt}{text}"))
        };
        let mut ids = Vec::new();
        self.tokenizer.ids(&text, &mut ids)?;
        Ok(ids)
    }

    fn prompt(&self, role: Role) -> &Prompt {
        match role {
            Role::Query => &self.query,
            Role::Passage => &self.passage,
        }
    }

    fn pool(&self) -> Result<&ThreadPool, EncodeError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|i| format!("encoder-{i}"))
            .build()
            .map_err(|e| EncodeError::Device {
                name: self.identity.name.clone(),
                detail: e.to_string(),
            })?;
        Ok(self.pool.get_or_init(|| pool))
    }

    fn take_scratch(&self) -> Scratch {
        let mut free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    fn give_back(&self, scratch: Scratch) {
        let mut free = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(scratch);
    }
}

/// Texts sorted by length, longest first, in groups of about [`BATCH_TOKENS`] tokens. Longest first, so that the
/// last batches, when a core may stand idle, are the cheapest.
fn batches(ids: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(ids[*i].len()));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = usize::MAX;
    for i in order {
        let length = ids[i].len();
        match batches.last_mut() {
            Some(batch) if tokens + length <= BATCH_TOKENS => {
                batch.push(i);
                tokens += length;
            }
            _ => {
                batches.push(vec![i]);
                tokens = length;
            }
        }
    }
    batches
}
