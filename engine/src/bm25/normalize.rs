//! What term is a word reduced to?
//!
//! Lower case and compatibility form, the stem in the document's language, accents folded last, so that stemmers see
//! what they were made for.

use frostem::Stemmer;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use super::analysis::TokenKind;
use super::language::Language;

/// Lower case and compatibility form, neither stemmed nor folded.
pub(crate) fn plain(word: &str) -> String {
    let mut out = String::new();
    lower(word, &mut out);
    out
}

/// Turns words into terms of one language.
#[derive(Clone, Default)]
pub(super) struct Normalizer {
    language: Language,
    stemmer: Option<Stemmer>,
    lowered: String,
    /// Words met before, by hash; empty if none are to be kept.
    known: Vec<Pair>,
}

/// Two words of one hash, the one met last in front; a cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Pair([Known; 2]);

/// A lower-case word and its term. Texts repeat their words, and stemming costs more than all else done to them.
/// Small, and few of them: a term is looked up for every word of the corpus, so all of them should stay in the L2 cache.
#[derive(Clone, Copy, Default)]
struct Known {
    language: Language,
    word_bytes: u8,
    term_bytes: u8,
    word: [u8; KNOWN_BYTES],
    term: [u8; KNOWN_BYTES],
}

/// Longer words and terms are not kept.
const KNOWN_BYTES: usize = 14;

/// Entries of [`Normalizer::known`] while indexing, 512 KiB a thread.
const KNOWN_PAIRS: usize = 1 << 13;

impl Normalizer {
    pub fn new(language: Language) -> Self {
        Self {
            language,
            stemmer: language.stemmer(),
            ..Self::default()
        }
    }

    pub fn set_language(&mut self, language: Language) {
        if language != self.language {
            self.language = language;
            self.stemmer = language.stemmer();
        }
    }

    /// Keeps the terms of words from here on.
    pub fn keep_terms(&mut self) {
        self.known.resize_with(KNOWN_PAIRS, Pair::default);
    }

    /// Writes the term of `word` into `term`.
    pub fn term(&mut self, word: &str, kind: TokenKind, term: &mut String) {
        term.clear();
        let mut lowered = std::mem::take(&mut self.lowered);
        lowered.clear();
        // Most words are lower case as they stand.
        let word = if word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
        {
            word
        } else {
            lower(word, &mut lowered);
            &lowered
        };
        let stemmed = matches!(kind, TokenKind::Word | TokenKind::Whole);
        match self.stemmer.filter(|_| stemmed) {
            None => fold(word, term),
            Some(stemmer) if self.known.is_empty() => fold(&stemmer.stem(word), term),
            Some(stemmer) => self.known_term(stemmer, word, term),
        }
        self.lowered = lowered;
    }

    fn known_term(&mut self, stemmer: Stemmer, word: &str, term: &mut String) {
        let Pair(pair) = &mut self.known[hash(word.as_bytes()) % KNOWN_PAIRS];
        if !pair[0].holds(self.language, word) {
            pair.swap(0, 1);
        }
        if pair[0].holds(self.language, word) {
            // Only whole terms are kept.
            term.push_str(std::str::from_utf8(pair[0].term()).unwrap_or(""));
            return;
        }
        fold(&stemmer.stem(word), term);
        pair[0].keep(self.language, word.as_bytes(), term.as_bytes());
    }
}

impl Known {
    fn holds(&self, language: Language, word: &str) -> bool {
        self.language == language && &self.word[..usize::from(self.word_bytes)] == word.as_bytes()
    }

    fn term(&self) -> &[u8] {
        &self.term[..usize::from(self.term_bytes)]
    }

    fn keep(&mut self, language: Language, word: &[u8], term: &[u8]) {
        if word.len().max(term.len()) > KNOWN_BYTES {
            return;
        }
        self.language = language;
        self.word_bytes = word.len() as u8;
        self.term_bytes = term.len() as u8;
        self.word[..word.len()].copy_from_slice(word);
        self.term[..term.len()].copy_from_slice(term);
    }
}

/// Multiplies the bytes into one another eight at a time, as FNV does one by one.
fn hash(word: &[u8]) -> usize {
    let step = |hash: u64, next: u64| {
        (hash ^ next)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    };
    let (eights, rest) = word.as_chunks::<8>();
    let hash = eights.iter().fold(word.len() as u64, |hash, eight| {
        step(hash, u64::from_le_bytes(*eight))
    });
    let last = rest
        .iter()
        .fold(0, |last, &byte| last << 8 | u64::from(byte));
    step(hash, last) as usize
}

fn lower(word: &str, out: &mut String) {
    if word.is_ascii() {
        out.push_str(word);
        out.make_ascii_lowercase();
    } else {
        out.extend(word.nfkc().flat_map(char::to_lowercase));
    }
}

/// Latin letters without their accents; other scripts stay as they are.
fn fold(word: &str, out: &mut String) {
    if word.is_ascii() {
        out.push_str(word);
        return;
    }
    for c in word.chars() {
        match c {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' | 'ð' => out.push('d'),
            'þ' => out.push_str("th"),
            'ı' => out.push('i'),
            '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => decompose_canonical(c, |part| {
                if !is_combining_mark(part) {
                    out.push(part);
                }
            }),
            '\u{300}'..='\u{36f}' => {}
            c => out.push(c),
        }
    }
}
