//! Which tokens do the plain words of a text have, without the machinery that other texts need?
//!
//! Most text is runs of printable ASCII between spaces. For those, what BERT's normaliser, splitter and WordPiece do comes
//! down to: lower-case, cut at punctuation, take the longest known piece again and again. Everything else (other
//! characters, control characters, special tokens spelled out) is left to the `tokenizers` crate, a run at a time:
//! spaces end every context that it looks at, so the tokens of a text are those of its runs.

use serde::{Deserialize, Serialize};
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Model, Tokenizer};

use super::super::kernels::lines::Slab;
use super::vocabulary::{Kind, Vocabulary};

/// The vocabulary, by bytes.
pub(super) struct WordPiece {
    vocabulary: Vocabulary,
    rules: Rules,
    /// What each byte is: see [`SPACE`] and its neighbours.
    classes: [u8; 256],
}

/// What the tokenizer does besides looking pieces up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rules {
    unknown: u32,
    /// Longer words are unknown.
    longest_word: usize,
    lower_case: bool,
    /// Special tokens: they are found anywhere in a run.
    specials: Vec<String>,
}

/// Longest word that the buffer on the stack holds.
const MOST_BYTES: usize = 256;

/// Ends a run.
const SPACE: u8 = 1;
/// A word of its own.
const PUNCTUATION: u8 = 2;
/// A special token may begin here.
const SPECIAL: u8 = 4;
/// Not printable ASCII.
const OTHER: u8 = 8;

/// A stretch of text without white space.
pub(super) struct Run<'t> {
    pub(super) bytes: &'t [u8],
    /// Classes of all its bytes.
    classes: u8,
}

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
        if model.max_input_chars_per_word > MOST_BYTES {
            return None;
        }
        let vocabulary = model.get_vocab();
        let rules = Rules {
            unknown: *vocabulary.get(&model.unk_token)?,
            longest_word: model.max_input_chars_per_word,
            lower_case: lower_case || normalizer.lowercase,
            specials: specials(inner)?,
        };
        let prefix = model.continuing_subword_prefix.as_bytes();
        let mut pieces = Vec::with_capacity(2 * vocabulary.len());
        for (piece, id) in vocabulary {
            // A piece with the prefix both goes on with a word and, in a text that spells the prefix out, begins one.
            let rest = piece.as_bytes().strip_prefix(prefix);
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                pieces.push((Kind::Next, rest.into(), id));
            }
            if !piece.is_empty() {
                pieces.push((Kind::First, piece.into_bytes().into(), id));
            }
        }
        Some(Self::new(Vocabulary::new(&pieces), rules))
    }

    fn new(vocabulary: Vocabulary, rules: Rules) -> Self {
        let class = |byte: u8| match byte {
            b' ' | b'\t' | b'\n' | b'\r' => SPACE,
            0x21..=0x7e if byte.is_ascii_punctuation() => PUNCTUATION,
            0x21..=0x7e => 0,
            _ => OTHER,
        };
        let mut classes: [u8; 256] = std::array::from_fn(|byte| class(byte as u8));
        for special in &rules.specials {
            classes[usize::from(special.as_bytes()[0])] |= SPECIAL;
        }
        Self {
            vocabulary,
            rules,
            classes,
        }
    }

    /// As it was kept in a file: the words of its vocabulary and [`WordPiece::rules`]. `None` if they are none.
    pub(super) fn stored(vocabulary: Slab, rules: &Rules) -> Option<Self> {
        let fits = rules.longest_word <= MOST_BYTES && rules.specials.iter().all(|s| !s.is_empty());
        let vocabulary = Vocabulary::stored(vocabulary).filter(|_| fits)?;
        Some(Self::new(vocabulary, rules.clone()))
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Largest id it may give.
    pub(super) fn largest_id(&self) -> u32 {
        let largest = self.vocabulary.largest_id();
        largest.unwrap_or(0).max(self.rules.unknown)
    }

    /// The run that `text` begins with, up to the first white space.
    #[inline]
    pub(super) fn run<'t>(&self, text: &'t [u8]) -> Run<'t> {
        let (mut length, mut classes) = (0, 0);
        for byte in text {
            let class = self.classes[usize::from(*byte)];
            if class == SPACE {
                break;
            }
            (length, classes) = (length + 1, classes | class);
        }
        let bytes = &text[..length];
        Run { bytes, classes }
    }

    /// Appends the ids of `run` to `ids`; false, and nothing appended, if it is none of the plain ones.
    pub(super) fn append(&self, run: &Run<'_>, ids: &mut Vec<u32>) -> bool {
        if run.classes & OTHER != 0 || run.classes & SPECIAL != 0 && self.holds_special(run.bytes) {
            return false;
        }
        if run.classes & (PUNCTUATION | SPECIAL) == 0 {
            self.append_word(run.bytes, ids);
            return true;
        }
        let mut rest = run.bytes;
        let cuts = |byte: &u8| self.classes[usize::from(*byte)] & PUNCTUATION != 0;
        while !rest.is_empty() {
            let length = rest.iter().position(cuts).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(length.max(1));
            self.append_word(word, ids);
            rest = tail;
        }
        true
    }

    fn holds_special(&self, run: &[u8]) -> bool {
        let begins = |(at, byte): (usize, &u8)| {
            let special = |s: &String| run[at..].starts_with(s.as_bytes());
            self.classes[usize::from(*byte)] & SPECIAL != 0
                && self.rules.specials.iter().any(special)
        };
        run.iter().enumerate().any(begins)
    }

    /// Greedy, longest piece first; a word that does not come out even is unknown as a whole.
    fn append_word(&self, word: &[u8], ids: &mut Vec<u32>) {
        if word.len() > self.rules.longest_word {
            ids.push(self.rules.unknown);
            return;
        }
        let mut lowered = [0; MOST_BYTES];
        let word = if self.rules.lower_case && word.iter().any(u8::is_ascii_uppercase) {
            let place = &mut lowered[..word.len()];
            place.copy_from_slice(word);
            place.make_ascii_lowercase();
            &*place
        } else {
            word
        };
        let before = ids.len();
        let (mut at, mut kind) = (0, Kind::First);
        while at < word.len() {
            let longest = word.len().min(at + self.vocabulary.longest());
            let piece = |end: usize| Some((end, self.vocabulary.get(kind, &word[at..end])?));
            let Some((end, id)) = (at + 1..=longest).rev().find_map(piece) else {
                ids.truncate(before);
                ids.push(self.rules.unknown);
                return;
            };
            ids.push(id);
            (at, kind) = (end, Kind::Next);
        }
    }
}

/// The special tokens; none if any of them looks at what stands beside it, or holds white space.
fn specials(inner: &Tokenizer) -> Option<Vec<String>> {
    let is_plain = |content: &str| !content.is_empty() && !content.contains(char::is_whitespace);
    inner
        .get_added_tokens_decoder()
        .into_values()
        .map(|token| {
            let fits = !token.normalized && !token.single_word && is_plain(&token.content);
            fits.then_some(token.content)
        })
        .collect()
}
