//! Which tokens do the plain words of a text have, without the machinery that other texts need?
//!
//! Most text is runs of printable ASCII between spaces. For those, what BERT's normaliser, splitter and WordPiece do comes
//! down to: lower-case, cut at punctuation, take the longest known piece again and again. Everything else (other
//! characters, control characters, special tokens spelled out) is left to the `tokenizers` crate, a run at a time:
//! spaces end every context that it looks at, so the tokens of a text are those of its runs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Model, Tokenizer};

type Pieces = HashMap<Box<[u8]>, u32, BuildHasherDefault<Folding>>;

/// The vocabulary, by bytes.
pub(super) struct WordPiece {
    /// Pieces that begin a word.
    first: Pieces,
    /// Pieces that go on with one, without their prefix.
    next: Pieces,
    unknown: u32,
    /// Longest piece in bytes.
    longest_piece: usize,
    /// Longer words are unknown.
    longest_word: usize,
    lower_case: bool,
    /// Special tokens: they are found anywhere in a run.
    specials: Vec<Box<[u8]>>,
    /// Bytes that a special token begins with.
    begins_special: [bool; 256],
}

/// Longest word that the buffer on the stack holds.
const MOST_BYTES: usize = 256;

impl WordPiece {
    /// The vocabulary of `inner`, if that is a BERT tokenizer all through. `lower_case` says that text is lower-cased
    /// before it comes here.
    pub(super) fn of(inner: &Tokenizer, lower_case: bool) -> Option<Self> {
        let NormalizerWrapper::BertNormalizer(normalizer) = inner.get_normalizer()? else {
            return None;
        };
        let PreTokenizerWrapper::BertPreTokenizer(_) = inner.get_pre_tokenizer()? else {
            return None;
        };
        let ModelWrapper::WordPiece(model) = inner.get_model() else {
            return None;
        };
        let vocabulary = model.get_vocab();
        let mut words = Self {
            first: Pieces::default(),
            next: Pieces::default(),
            unknown: *vocabulary.get(&model.unk_token)?,
            longest_piece: 0,
            longest_word: model.max_input_chars_per_word.min(MOST_BYTES),
            lower_case: lower_case || normalizer.lowercase,
            specials: specials(inner)?,
            begins_special: [false; 256],
        };
        if model.max_input_chars_per_word > MOST_BYTES {
            return None;
        }
        for special in &words.specials {
            words.begins_special[usize::from(special[0])] = true;
        }
        for (piece, id) in vocabulary {
            words.add(piece.as_bytes(), &model.continuing_subword_prefix, id);
        }
        Some(words)
    }

    /// A piece with the prefix both goes on with a word and, in a text that spells the prefix out, begins one.
    fn add(&mut self, piece: &[u8], prefix: &str, id: u32) {
        self.longest_piece = self.longest_piece.max(piece.len());
        if let Some(rest) = piece.strip_prefix(prefix.as_bytes()) {
            self.next.insert(rest.into(), id);
        }
        self.first.insert(piece.into(), id);
    }

    /// Appends the ids of `run`, which holds no white space, to `ids`; false, and nothing appended, if it is none of the
    /// plain ones.
    pub(super) fn append(&self, run: &[u8], ids: &mut Vec<u32>) -> bool {
        let is_plain = |byte: &u8| (0x21..=0x7e).contains(byte);
        if !run.iter().all(is_plain) || self.holds_special(run) {
            return false;
        }
        let mut rest = run;
        while let Some(byte) = rest.first() {
            let length = if byte.is_ascii_punctuation() {
                1
            } else {
                let end = rest.iter().position(u8::is_ascii_punctuation);
                end.unwrap_or(rest.len())
            };
            let (word, tail) = rest.split_at(length);
            self.append_word(word, ids);
            rest = tail;
        }
        true
    }

    fn holds_special(&self, run: &[u8]) -> bool {
        let begins = |(at, byte): (usize, &u8)| {
            self.begins_special[usize::from(*byte)]
                && self.specials.iter().any(|s| run[at..].starts_with(s))
        };
        run.iter().enumerate().any(begins)
    }

    /// Greedy, longest piece first; a word that does not come out even is unknown as a whole.
    fn append_word(&self, word: &[u8], ids: &mut Vec<u32>) {
        if word.len() > self.longest_word {
            ids.push(self.unknown);
            return;
        }
        let mut lowered = [0; MOST_BYTES];
        let word = if self.lower_case {
            let place = &mut lowered[..word.len()];
            place.copy_from_slice(word);
            place.make_ascii_lowercase();
            &*place
        } else {
            word
        };
        let before = ids.len();
        let mut at = 0;
        while at < word.len() {
            let pieces = if at == 0 { &self.first } else { &self.next };
            let longest = word.len().min(at + self.longest_piece);
            let found = (at + 1..=longest)
                .rev()
                .find_map(|end| pieces.get(&word[at..end]).map(|id| (end, *id)));
            let Some((end, id)) = found else {
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            at = end;
        }
    }
}

/// The special tokens; none if any of them looks at what stands beside it, or holds white space.
fn specials(inner: &Tokenizer) -> Option<Vec<Box<[u8]>>> {
    let is_plain = |content: &str| !content.is_empty() && !content.contains(char::is_whitespace);
    inner
        .get_added_tokens_decoder()
        .into_values()
        .map(|token| {
            let fits = !token.normalized && !token.single_word && is_plain(&token.content);
            fits.then(|| token.content.into_bytes().into())
        })
        .collect()
}

/// A multiplying hash of short byte strings: they come from a fixed vocabulary, so nobody can choose them to collide.
#[derive(Default)]
struct Folding(u64);

impl Folding {
    fn fold(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Folding {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.fold(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.fold(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, length: usize) {
        self.fold(length as u64);
    }

    /// The table takes its buckets from the low bits and its tags from the high ones.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
