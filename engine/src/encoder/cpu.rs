//! How do any number of texts become vectors on the CPU in bounded memory?
//!
//! Texts go through in windows. Within a window they are tokenised, sorted by length, cut into batches of about
//! [`BATCH_TOKENS`] tokens, and the batches are shared out to the cores: each runs a whole forward pass on one
//! thread. Memory is that of one window's ids and one [`Workspace`] a thread, however many texts there are.
//!
//! A single text, a query as a rule, stays on the calling thread and in a workspace that lay ready: nothing is started, and
//! nothing allocated but the vector that is handed out. A batch that stands alone, the sentences of an excerpt for instance,
//! stays there too, so that it does not wait in line behind a corpus.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::ThreadPool;
use rayon::prelude::*;
use storage::Task;

use super::bert::{Bert, Scratch};
use super::config::PoolingConfig;
use super::gist;
use super::pooling::{Finish, pool};
use super::static_table::StaticTable;
use super::tokenizer::TextTokenizer;
use super::{Embeddings, EncodeError, Encoder, EncoderIdentity, Role};
use crate::threads::stand_back;

/// Texts tokenised before they are sorted by length.
const WINDOW: usize = 4096;

/// Tokens of a batch: enough that a layer's weights are read from far for many of them, few enough for the activations to
/// stay in the cache.
const BATCH_TOKENS: usize = 512;

/// Most texts that are looked at for being a single batch.
const FEW: usize = 64;

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
    /// Those not in use.
    pub(crate) workspaces: Mutex<Vec<Workspace>>,
}

/// What encoding one batch needs, kept between batches.
#[derive(Default)]
pub(crate) struct Workspace {
    /// Ids of the batch's texts, one after another.
    ids: Vec<u32>,
    /// Where each text's ids end.
    ends: Vec<usize>,
    /// One text's vector before its last step.
    vector: Vec<f32>,
    /// Rows and factors of one text's tokens (static only).
    terms: Vec<(u32, f32)>,
    scratch: Scratch,
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
        if let [text] = texts {
            task.check()?;
            self.encode_one(text, role, &mut values)?;
        } else if !texts.is_empty() {
            self.encode_many(texts, role, task, &mut values)?;
        }
        Ok(Embeddings { dimension, values })
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    fn skim(&self, query: &str, texts: &[&str]) -> Option<Vec<f32>> {
        let Body::Bert(bert, _) = &self.body else {
            return None;
        };
        let gist = |text| Some(bert.gist(&self.tokenizer.bare_ids(text).ok()?));
        let query = gist(query)?;
        texts
            .iter()
            .map(|text| Some(gist::likeness(&query, &gist(text)?)))
            .collect()
    }

    fn precision(&self) -> Option<&'static str> {
        match &self.body {
            Body::Bert(bert, _) => Some(bert.precision().name()),
            Body::Static(_) => None,
        }
    }
}

impl CpuEncoder {
    /// One text, on the calling thread.
    fn encode_one(&self, text: &str, role: Role, out: &mut [f32]) -> Result<(), EncodeError> {
        let mut work = self.take_workspace();
        let done = self.one(text, role, &mut work, out);
        self.give_back(work);
        done
    }

    fn one(
        &self,
        text: &str,
        role: Role,
        work: &mut Workspace,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        work.ids.clear();
        self.add_ids(text, role, &mut work.ids)?;
        self.encode_ids(role, work, out);
        Ok(())
    }

    /// Any number of texts, on the threads of the pool.
    fn encode_many(
        &self,
        texts: &[&str],
        role: Role,
        task: Task<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let progress = Progress {
            done: AtomicUsize::new(0),
            total: texts.len(),
            task,
        };
        if texts.len() <= FEW && self.encode_few(texts, role, out)? {
            return progress.add(texts.len());
        }
        let windows = texts.chunks(WINDOW);
        for (window, out) in windows.zip(out.chunks_mut(WINDOW * self.identity.dimension)) {
            task.check()?;
            self.pool()?.install(|| match &self.body {
                Body::Bert(..) => self.encode_sorted(window, role, &progress, out),
                Body::Static(_) => self.encode_in_order(window, role, &progress, out),
            })?;
        }
        Ok(())
    }

    /// The texts on the calling thread, if they are one batch at most.
    fn encode_few(&self, texts: &[&str], role: Role, out: &mut [f32]) -> Result<bool, EncodeError> {
        let mut work = self.take_workspace();
        work.ids.clear();
        work.ends.clear();
        let mut tokenised = Ok(());
        for text in texts {
            tokenised = tokenised.and_then(|()| self.add_ids(text, role, &mut work.ids));
            work.ends.push(work.ids.len());
        }
        let are_few = work.ids.len() <= BATCH_TOKENS;
        if tokenised.is_ok() && are_few {
            self.encode_texts(role, &mut work, out);
        }
        self.give_back(work);
        tokenised.map(|()| are_few)
    }

    /// For bodies that take every text by itself.
    fn encode_in_order(
        &self,
        texts: &[&str],
        role: Role,
        progress: &Progress<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let rows = out.par_chunks_mut(self.identity.dimension * AT_ONCE);
        rows.zip(texts.par_chunks(AT_ONCE))
            .try_for_each(|(rows, texts)| {
                let mut work = self.take_workspace();
                let mut each = rows.chunks_exact_mut(self.identity.dimension).zip(texts);
                let done = each.try_for_each(|(row, text)| self.one(text, role, &mut work, row));
                self.give_back(work);
                done?;
                progress.add(texts.len())
            })
    }

    /// Tokenises, sorts by length, runs the batches and puts the vectors back in the order of `texts`.
    fn encode_sorted(
        &self,
        texts: &[&str],
        role: Role,
        progress: &Progress<'_>,
        out: &mut [f32],
    ) -> Result<(), EncodeError> {
        let ids: Vec<Vec<u32>> = texts
            .par_iter()
            .map(|text| {
                let mut ids = Vec::new();
                self.add_ids(text, role, &mut ids).map(|()| ids)
            })
            .collect::<Result<_, _>>()?;
        let batches = batches(&ids);
        let vectors: Vec<Vec<f32>> = batches
            .par_iter()
            .with_max_len(1)
            .map(|batch| {
                let vectors = self.encode_batch(&ids, batch, role);
                progress.add(batch.len()).map(|()| vectors)
            })
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
    fn encode_batch(&self, ids: &[Vec<u32>], batch: &[usize], role: Role) -> Vec<f32> {
        let mut work = self.take_workspace();
        work.ids.clear();
        work.ends.clear();
        for i in batch {
            work.ids.extend_from_slice(&ids[*i]);
            work.ends.push(work.ids.len());
        }
        let mut vectors = vec![0.0; batch.len() * self.identity.dimension];
        self.encode_texts(role, &mut work, &mut vectors);
        self.give_back(work);
        vectors
    }

    /// The vector of the one text whose ids are in `work`.
    fn encode_ids(&self, role: Role, work: &mut Workspace, out: &mut [f32]) {
        work.ends.clear();
        work.ends.push(work.ids.len());
        self.encode_texts(role, work, out);
    }

    /// The vectors of the texts in `work`, one after another into `out`.
    fn encode_texts(&self, role: Role, work: &mut Workspace, out: &mut [f32]) {
        let Workspace {
            ids,
            ends,
            vector,
            terms,
            scratch,
        } = work;
        let rows = out.chunks_exact_mut(self.identity.dimension);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let texts = starts.zip(ends.iter().copied()).map(|(from, to)| from..to);
        match &self.body {
            Body::Bert(bert, pooling) => {
                let (skipped, h) = (self.prompt(role).skipped, bert.hidden());
                let tokens = bert.forward(ids, ends, scratch);
                for (text, row) in texts.zip(rows) {
                    vector.clear();
                    vector.resize(pooling.modes.len() * h, 0.0);
                    let tokens = &tokens[text.start * h..text.end * h];
                    pool(tokens, h, skipped, &pooling.modes, vector);
                    self.finish(vector, row);
                }
            }
            Body::Static(table) => {
                for (text, row) in texts.zip(rows) {
                    vector.resize(table.dimension(), 0.0);
                    table.mean(&ids[text], terms, vector);
                    self.finish(vector, row);
                }
            }
        }
    }

    /// Runs what follows pooling and writes the result to `row`.
    fn finish(&self, vector: &mut Vec<f32>, row: &mut [f32]) {
        self.finish.iter().for_each(|step| step.apply(vector));
        row.copy_from_slice(vector);
    }

    /// Appends the ids of `text` to `ids`.
    fn add_ids(&self, text: &str, role: Role, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let prompt = &self.prompt(role).text;
        let text = if prompt.is_empty() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(format!("{prompt}{text}"))
        };
        self.tokenizer.ids(&text, ids)
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
            .start_handler(|_| stand_back())
            .build()
            .map_err(|e| EncodeError::Device {
                name: self.identity.name.clone(),
                detail: e.to_string(),
            })?;
        Ok(self.pool.get_or_init(|| pool))
    }

    fn take_workspace(&self) -> Workspace {
        let mut free = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    fn give_back(&self, work: Workspace) {
        let mut free = self
            .workspaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.push(work);
    }
}

/// Texts that one piece of work takes where each is encoded by itself.
const AT_ONCE: usize = 64;

/// How many texts are done, counted by all threads.
struct Progress<'a> {
    done: AtomicUsize,
    total: usize,
    task: Task<'a>,
}

impl Progress<'_> {
    /// Counts and reports `texts`; fails once the caller asked to stop.
    fn add(&self, texts: usize) -> Result<(), EncodeError> {
        self.task.check()?;
        let done = self.done.fetch_add(texts, Ordering::Relaxed) + texts;
        self.task.report("encoding", done as u64, self.total as u64);
        Ok(())
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
