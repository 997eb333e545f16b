//! Which token ids does a text have?
//!
//! The `tokenizers` crate does the work, so that ids equal Hugging Face's, but for plain words of BERT's tokenizer, which
//! `wordpiece` finds many times faster; a property test holds the two against each other. This module adds the cut to the
//! longest input and keeps padding out. Special tokens are put around the cut ids by hand: that is what the post-processors
//! of single texts do, and it is checked once when the file is opened.
//!
//! Reading tokenizer.json takes longer than everything else about opening a model. What was learnt of it can be kept
//! ([`TextTokenizer::notes`]); the file is then read once a text comes that is not plain words, if ever.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tokenizers::Tokenizer;

use super::EncodeError;
use super::error::{ModelError, read};
use super::kernels::lines::Slab;

mod memo;
mod vocabulary;
mod wordpiece;

use memo::Memo;
use wordpiece::{Rules, Run, WordPiece};

/// Text to ids.
pub(crate) struct TextTokenizer {
    path: PathBuf,
    /// The `tokenizers` crate's; empty until it is needed.
    inner: OnceLock<Tokenizer>,
    /// Where `inner` is BERT's.
    words: Option<WordPiece>,
    /// Runs that are not plain words.
    seen: Memo,
    /// Special tokens before and after the text.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    /// Longest output, special tokens included.
    max_tokens: usize,
    lower_case: bool,
    /// An id to leave out (the static family drops unknown words).
    dropped: Option<u32>,
    /// Largest id it may give.
    largest_id: u32,
    /// blake3 of the file.
    digest: blake3::Hash,
}

/// What need not be learnt again from the same tokenizer.json, opened with the same options; the vocabulary comes beside
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenizerNotes {
    rules: Rules,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    max_tokens: usize,
    lower_case: bool,
    dropped: Option<u32>,
    largest_id: u32,
    /// blake3 of the file, hex.
    digest: String,
}

/// How a text becomes ids, beyond what tokenizer.json says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenizerOptions {
    /// Put the special tokens around the text.
    pub(crate) specials: bool,
    /// Lower-case the text first.
    pub(crate) lower_case: bool,
    /// Leave unknown tokens out.
    pub(crate) drop_unknown: bool,
    /// Longest output, special tokens included; `None` takes the cut that tokenizer.json asks for, if any.
    pub(crate) max_tokens: Option<usize>,
}

/// Reads the file: the tokenizer, without cut and padding, and the cut it asks for. The library takes for granted that it is
/// JSON all through, and panics on what it does not expect.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Tokenizer, Option<usize>), ModelError> {
    let malformed = |reason: String| ModelError::malformed(path, reason);
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|e| malformed(e.to_string()))?;
    let parsed = std::panic::catch_unwind(|| Tokenizer::from_bytes(bytes));
    let parsed = parsed.map_err(|_| malformed("its parts contradict each other".to_owned()))?;
    let mut inner = parsed.map_err(|e| malformed(e.to_string()))?;
    let own_limit = inner.get_truncation().map(|t| t.max_length);
    inner
        .with_truncation(None)
        .map_err(|e| malformed(e.to_string()))?;
    inner.with_padding(None);
    Ok((inner, own_limit))
}

/// Longest input of models that have no limit.
const UNLIMITED: usize = 1 << 20;

impl TextTokenizer {
    /// Opens `dir/tokenizer.json` for a table of `rows` embeddings.
    ///
    /// # Errors
    /// Missing or broken file, ids without a row in the table, a tokenizer that fails on unknown characters.
    pub(crate) fn open(
        dir: &Path,
        rows: usize,
        options: TokenizerOptions,
    ) -> Result<Self, ModelError> {
        let path = dir.join("tokenizer.json");
        let bytes = read(&path, "the vocabulary and how text is cut into tokens")?;
        Self::of(&path, &bytes, rows, options)
    }

    /// As [`TextTokenizer::open`], of the content `bytes` of the file `path`.
    ///
    /// # Errors
    /// As [`TextTokenizer::open`].
    pub(crate) fn of(
        path: &Path,
        bytes: &[u8],
        rows: usize,
        options: TokenizerOptions,
    ) -> Result<Self, ModelError> {
        let digest = blake3::hash(bytes);
        let (inner, own_limit) = parse(path, bytes)?;
        let largest_id = inner.get_vocab(true).into_values().max();
        let largest_id = every_id_has_a_row(path, largest_id, rows)?;
        let (prefix, suffix) = if options.specials {
            surroundings(path, &inner)?
        } else {
            (Vec::new(), Vec::new())
        };
        let max_tokens = options.max_tokens.or(own_limit).unwrap_or(UNLIMITED);
        if max_tokens <= prefix.len() + suffix.len() {
            return Err(ModelError::malformed(
                path,
                format!("the longest input of {max_tokens} tokens leaves no room for text"),
            ));
        }
        let dropped = options.drop_unknown.then(|| unknown_id(&inner)).flatten();
        Ok(Self {
            words: WordPiece::of(&inner, options.lower_case),
            path: path.to_path_buf(),
            inner: inner.into(),
            seen: Memo::default(),
            largest_id,
            prefix,
            suffix,
            max_tokens,
            lower_case: options.lower_case,
            dropped,
            digest,
        })
    }

    /// As [`TextTokenizer::open`] would open `dir`, from what was kept of it; `None` if that does not fit together.
    pub(crate) fn stored(
        dir: &Path,
        rows: usize,
        notes: TokenizerNotes,
        vocabulary: Slab,
    ) -> Option<Self> {
        let words = WordPiece::stored(vocabulary, &notes.rules)?;
        let path = dir.join("tokenizer.json");
        let around = notes.prefix.iter().chain(&notes.suffix).copied().max();
        let largest = words.largest_id().max(around.unwrap_or(0));
        every_id_has_a_row(&path, Some(largest.max(notes.largest_id)), rows).ok()?;
        Some(Self {
            path,
            inner: OnceLock::new(),
            words: Some(words),
            seen: Memo::default(),
            prefix: notes.prefix,
            suffix: notes.suffix,
            max_tokens: notes.max_tokens,
            lower_case: notes.lower_case,
            dropped: notes.dropped,
            largest_id: notes.largest_id,
            digest: blake3::Hash::from_hex(notes.digest).ok()?,
        })
    }

    /// What [`TextTokenizer::stored`] needs, and the words of the vocabulary; `None` for tokenizers other than BERT's.
    pub(crate) fn notes(&self) -> Option<(TokenizerNotes, &[u32])> {
        let words = self.words.as_ref()?;
        let notes = TokenizerNotes {
            rules: words.rules().clone(),
            prefix: self.prefix.clone(),
            suffix: self.suffix.clone(),
            max_tokens: self.max_tokens,
            lower_case: self.lower_case,
            dropped: self.dropped,
            largest_id: self.largest_id,
            digest: self.digest.to_hex().to_string(),
        };
        Some((notes, words.vocabulary().words()))
    }

    /// The `tokenizers` crate's, read now if it was not needed before.
    fn inner(&self) -> Result<&Tokenizer, EncodeError> {
        if let Some(inner) = self.inner.get() {
            return Ok(inner);
        }
        let failed = |e: &dyn std::fmt::Display| EncodeError::Tokenizer(e.to_string());
        let bytes = read(&self.path, "how text is cut into tokens").map_err(|e| failed(&e))?;
        if blake3::hash(&bytes) != self.digest {
            let changed = format!(
                "{} changed while the model was open; open it again",
                self.path.display()
            );
            return Err(EncodeError::Tokenizer(changed));
        }
        let (inner, _) = parse(&self.path, &bytes).map_err(|e| failed(&e))?;
        Ok(self.inner.get_or_init(|| inner))
    }

    /// Every token and its id, of a tokenizer whose file was read; none of one that was kept and did not need it yet.
    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = (String, u32)> {
        let inner = self.inner.get();
        inner.into_iter().flat_map(|inner| inner.get_vocab(true))
    }

    /// Whether `token` is one of those that mark something and say nothing; as [`TextTokenizer::vocabulary`].
    pub(crate) fn is_special(&self, token: &str) -> bool {
        let marks = |inner: &Tokenizer| {
            let specials = inner.get_added_tokens_decoder();
            specials
                .values()
                .any(|added| added.special && added.content == token)
        };
        self.inner.get().is_some_and(marks)
    }

    /// blake3 of tokenizer.json.
    pub(crate) fn digest(&self) -> blake3::Hash {
        self.digest
    }

    /// Whether the text is lower-cased before the tokenizer sees it.
    pub(crate) fn lower_cases(&self) -> bool {
        self.lower_case
    }

    /// Longest output, special tokens included.
    pub(crate) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Appends the ids of `text` to `ids`, special tokens around them, cut to the longest input.
    ///
    /// # Errors
    /// The tokenizer cannot handle the text; [`TextTokenizer::open`] makes that all but impossible.
    pub(crate) fn ids(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        self.ids_within(text, self.max_tokens, ids)
    }

    /// As [`TextTokenizer::ids`], cut to `longest` tokens if that is shorter.
    ///
    /// # Errors
    /// As [`TextTokenizer::ids`].
    pub(crate) fn ids_within(
        &self,
        text: &str,
        longest: usize,
        ids: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        let longest = longest.min(self.max_tokens);
        let room = longest.saturating_sub(self.prefix.len() + self.suffix.len());
        ids.extend_from_slice(&self.prefix);
        let begin = ids.len();
        self.append(text, room, ids)?;
        ids.truncate(begin + room);
        ids.extend_from_slice(&self.suffix);
        Ok(())
    }

    /// The ids of `text` without special tokens, as many as the longest input has.
    ///
    /// # Errors
    /// As [`TextTokenizer::ids`].
    pub(crate) fn bare_ids(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let mut ids = Vec::new();
        self.append(text, self.max_tokens, &mut ids)?;
        ids.truncate(self.max_tokens);
        Ok(ids)
    }

    /// Appends ids without special tokens, at least `room` of them where the text has as many.
    fn append(&self, text: &str, room: usize, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let Some(words) = &self.words else {
            let encoding = self.encode(text)?;
            ids.extend(encoding.get_ids().iter().filter(|id| self.keeps(**id)));
            return Ok(());
        };
        let begin = ids.len();
        let mut rest = text;
        while !rest.is_empty() && ids.len() - begin < room {
            let run = words.run(rest.as_bytes());
            let before = ids.len();
            if !run.bytes.is_empty() {
                self.append_run(words, &run, &rest[..run.bytes.len()], ids)?;
                self.drop_unknown(before, ids);
            }
            // White space is one byte.
            rest = rest.get(run.bytes.len() + 1..).unwrap_or_default();
        }
        Ok(())
    }

    /// Appends the ids of `run`, whose text is `text`.
    fn append_run(
        &self,
        words: &WordPiece,
        run: &Run<'_>,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), EncodeError> {
        if words.append(run, ids) {
            return Ok(());
        }
        self.seen.append(run.bytes, ids, |ids| {
            ids.extend_from_slice(self.encode(text)?.get_ids());
            Ok(())
        })
    }

    /// Takes the id to leave out from `ids` after the first `begin`.
    fn drop_unknown(&self, begin: usize, ids: &mut Vec<u32>) {
        if self.dropped.is_none() {
            return;
        }
        let mut kept = begin;
        for at in begin..ids.len() {
            if self.keeps(ids[at]) {
                ids[kept] = ids[at];
                kept += 1;
            }
        }
        ids.truncate(kept);
    }

    fn keeps(&self, id: u32) -> bool {
        Some(id) != self.dropped
    }

    /// Tokens of `text` without special tokens and without the cut.
    pub(crate) fn count(&self, text: &str) -> usize {
        let Some(words) = &self.words else {
            return self.encode(text).map_or(0, |e| e.len());
        };
        let (mut ids, mut count, mut rest) = (Vec::new(), 0, text);
        while !rest.is_empty() {
            let run = words.run(rest.as_bytes());
            ids.clear();
            if !run.bytes.is_empty() {
                let found = self.append_run(words, &run, &rest[..run.bytes.len()], &mut ids);
                count += found.map_or(0, |()| ids.len());
            }
            rest = rest.get(run.bytes.len() + 1..).unwrap_or_default();
        }
        count
    }

    /// Tokens before the text when it starts with `prompt`: what pooling leaves out if prompts are excluded.
    pub(crate) fn prompt_tokens(&self, prompt: &str) -> usize {
        if prompt.is_empty() {
            0
        } else {
            self.prefix.len() + self.count(prompt)
        }
    }

    fn encode(&self, text: &str) -> Result<tokenizers::Encoding, EncodeError> {
        let text = if self.lower_case {
            Cow::Owned(text.to_lowercase())
        } else {
            Cow::Borrowed(text)
        };
        self.inner()?
            .encode_fast(text, false)
            .map_err(|e| EncodeError::Tokenizer(e.to_string()))
    }
}

/// Ids above the embedding table would read past it. Returns the largest.
fn every_id_has_a_row(path: &Path, largest: Option<u32>, rows: usize) -> Result<u32, ModelError> {
    match largest {
        None => Err(ModelError::malformed(path, "the vocabulary is empty")),
        Some(id) if id as usize >= rows => Err(ModelError::malformed(
            path,
            format!("token id {id} has no row in the embedding table of {rows} rows"),
        )),
        Some(id) => Ok(id),
    }
}

/// The special tokens the post-processor puts before and after a text.
fn surroundings(path: &Path, inner: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), ModelError> {
    let ids = |specials| {
        inner
            .encode_fast("a \u{10fffd}", specials)
            .map(|e| e.get_ids().to_vec())
            .map_err(|e| ModelError::malformed(path, format!("unknown characters fail: {e}")))
    };
    let (bare, full) = (ids(false)?, ids(true)?);
    let at = full
        .windows(bare.len().max(1))
        .position(|w| w == bare.as_slice());
    match at {
        Some(at) => Ok((full[..at].to_vec(), full[at + bare.len()..].to_vec())),
        None => Err(ModelError::unsupported(
            path,
            "a post-processor that changes the tokens of the text",
            "templates that put special tokens around it are",
        )),
    }
}

/// The id of unknown tokens, by the names vocabularies give it.
fn unknown_id(inner: &Tokenizer) -> Option<u32> {
    use tokenizers::models::ModelWrapper as Model;
    let named = match inner.get_model() {
        Model::WordPiece(m) => Some(m.unk_token.clone()),
        Model::WordLevel(m) => Some(m.unk_token.clone()),
        Model::BPE(m) => m.unk_token.clone(),
        Model::Unigram(_) => Some("<unk>".to_owned()),
    };
    named.and_then(|token| inner.token_to_id(&token))
}

#[cfg(test)]
mod tests;
