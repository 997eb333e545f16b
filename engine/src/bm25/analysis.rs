//! Which terms does a text consist of?
//!
//! Words are runs of letters and digits, lower case, stemmed in the document's language, accents folded last (so that
//! stemmers see what they were made for). `parseHttpRequest` gives the whole word and its parts, `parse_http_request`
//! its parts at successive positions. Scripts without spaces give overlapping pairs of characters, and the last
//! character of a run on its own: every character begins a term, so that a single one is found by prefix.

use std::collections::VecDeque;
use std::ops::Range;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use unicode_normalization::char::is_combining_mark;

use super::language::Language;
use super::normalize::Normalizer;

/// Longer words are left out: keys, hashes and encoded data would swell the dictionary and nobody types them.
pub(crate) const MAX_WORD_BYTES: usize = 64;

/// Start of the mark that says which language a field value is in: [`MARK`], then `b'a'` + language.
const MARK: u8 = 0x02;

/// `text` with its language in front, as field values are given to the index.
pub(super) fn marked(language: Language, text: &str) -> String {
    let mut value = String::with_capacity(text.len() + 2);
    value.push(MARK as char);
    value.push((b'a' + language as u8) as char);
    value.push_str(text);
    value
}

/// Takes a value of [`marked`] apart.
pub(super) fn unmarked(value: &str) -> (Language, &str) {
    match value.as_bytes() {
        [MARK, code, ..] if code.is_ascii() => (
            Language::from_index(u64::from(code.wrapping_sub(b'a'))),
            &value[2..],
        ),
        _ => (Language::Unknown, value),
    }
}

/// What a token is to its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A word, or a part of a camelCase word.
    Word,
    /// A camelCase word as a whole; its parts follow, the first at the same position.
    Whole,
    /// Two characters of a script without spaces.
    Pair,
    /// The last character of such a run.
    Last,
}

/// One token of a text under one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analyzed {
    /// The term as it stands in the index.
    pub term: String,
    /// Bytes of the text.
    pub range: Range<usize>,
    pub position: usize,
    pub kind: TokenKind,
}

/// All tokens of `text`.
pub(crate) fn analyze(language: Language, text: &str) -> Vec<Analyzed> {
    let mut words = Words::new(text);
    let mut analyzer = Normalizer::new(language);
    let mut tokens = Vec::new();
    while let Some(piece) = words.next_piece() {
        let mut term = String::new();
        analyzer.term(&text[piece.range.clone()], piece.kind, &mut term);
        tokens.push(Analyzed {
            term,
            range: piece.range,
            position: piece.position,
            kind: piece.kind,
        });
    }
    tokens
}

/// A stretch of text that becomes a term.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    range: Range<usize>,
    position: usize,
    kind: TokenKind,
}

/// Cuts a text into pieces.
struct Words<'a> {
    text: &'a str,
    at: usize,
    position: usize,
    ready: VecDeque<Piece>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            position: 0,
            ready: VecDeque::new(),
        }
    }

    fn next_piece(&mut self) -> Option<Piece> {
        if self.ready.is_empty()
            && let Some(range) = self.small_word()
        {
            self.at = range.end;
            self.position += 1;
            return Some(Piece {
                range,
                position: self.position - 1,
                kind: TokenKind::Word,
            });
        }
        self.cut_piece()
    }

    /// The next piece of any text.
    fn cut_piece(&mut self) -> Option<Piece> {
        while self.ready.is_empty() {
            let (range, class) = self.next_run()?;
            match class {
                Class::Unspaced => self.push_pairs(range),
                _ => self.push_word(range),
            }
        }
        self.ready.pop_front()
    }

    /// The next word where it is two or more ASCII letters or digits, none but the first of them a capital: most of
    /// most texts, and nothing in it to be cut.
    fn small_word(&self) -> Option<Range<usize>> {
        let bytes = &self.text.as_bytes()[self.at..];
        let separators = |byte: &&u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
        let before = bytes.iter().take_while(separators).count();
        let (first, rest) = bytes[before..].split_first()?;
        let small = |byte: &&u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let more = rest.iter().take_while(small).count();
        let ends = rest.get(more).is_none_or(|next| separators(&next));
        let start = self.at + before;
        let fits = first.is_ascii_alphanumeric() && (1..MAX_WORD_BYTES).contains(&more);
        (fits && ends).then_some(start..start + 1 + more)
    }

    /// The next run of characters of one class that holds terms.
    fn next_run(&mut self) -> Option<(Range<usize>, Class)> {
        let bytes = self.text.as_bytes();
        let mut start = self.at;
        while start < bytes.len() {
            let (class, width) = class_at(self.text, start);
            if matches!(class, Class::Word | Class::Unspaced) {
                let end = self.run_end(start + width, class);
                self.at = end;
                return Some((start..end, class));
            }
            start += width;
        }
        self.at = start;
        None
    }

    fn run_end(&self, mut end: usize, class: Class) -> usize {
        while end < self.text.len() {
            let (next, width) = class_at(self.text, end);
            if next != class && next != Class::Mark {
                break;
            }
            end += width;
        }
        end
    }

    fn push_pairs(&mut self, run: Range<usize>) {
        let text = &self.text[run.clone()];
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| run.start + at).collect();
        for (i, &from) in starts.iter().enumerate() {
            let (to, kind) = match starts.get(i + 1) {
                Some(_) => (
                    starts.get(i + 2).copied().unwrap_or(run.end),
                    TokenKind::Pair,
                ),
                None => (run.end, TokenKind::Last),
            };
            self.push(from..to, kind, 1);
        }
    }

    fn push_word(&mut self, word: Range<usize>) {
        let text = &self.text[word.clone()];
        if self.is_possessive(&word) || text.len() > MAX_WORD_BYTES {
            return;
        }
        let parts = camel_parts(text);
        if parts.len() < 2 {
            self.push(word, TokenKind::Word, 1);
            return;
        }
        self.push(word.clone(), TokenKind::Whole, 0);
        for part in parts {
            let range = word.start + part.start..word.start + part.end;
            // A single letter says nothing by itself; its place is kept for phrases.
            if range.len() == 1 {
                self.position += 1;
            } else {
                self.push(range, TokenKind::Word, 1);
            }
        }
    }

    /// Whether `word` is the s of a possessive: `Alzheimer's`.
    fn is_possessive(&self, word: &Range<usize>) -> bool {
        let before = &self.text[..word.start];
        matches!(&self.text[word.clone()], "s" | "S")
            && (before.ends_with('\'') || before.ends_with('\u{2019}'))
            && before
                .trim_end_matches(['\'', '\u{2019}'])
                .ends_with(char::is_alphanumeric)
    }

    fn push(&mut self, range: Range<usize>, kind: TokenKind, advance: usize) {
        self.ready.push_back(Piece {
            range,
            position: self.position,
            kind,
        });
        self.position += advance;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Separator,
    Word,
    /// Combining mark: belongs to whatever it follows.
    Mark,
    /// A script written without spaces.
    Unspaced,
}

/// Class and length in bytes of the character at `at`, which is a character boundary below the length.
fn class_at(text: &str, at: usize) -> (Class, usize) {
    let byte = text.as_bytes()[at];
    if byte.is_ascii() {
        let class = if byte.is_ascii_alphanumeric() {
            Class::Word
        } else {
            Class::Separator
        };
        return (class, 1);
    }
    let c = text[at..].chars().next().unwrap_or('\u{fffd}');
    let class = match c {
        '\u{0e00}'..='\u{0eff}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9f}'
        | '\u{20000}'..='\u{3ffff}'
            if c.is_alphanumeric() || is_combining_mark(c) =>
        {
            Class::Unspaced
        }
        c if c.is_alphanumeric() => Class::Word,
        c if is_combining_mark(c) => Class::Mark,
        _ => Class::Separator,
    };
    (class, c.len_utf8())
}

/// Parts of a word at changes from small to capital letters, and before the last capital of a row that two small
/// letters follow: `HTTPServer` is two words, `PDFs` is one. Only ASCII letters are looked at.
fn camel_parts(word: &str) -> Vec<Range<usize>> {
    let bytes = word.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    for i in 1..bytes.len() {
        let small_before = bytes[i - 1].is_ascii_lowercase() || bytes[i - 1].is_ascii_digit();
        let row_ends = bytes[i - 1].is_ascii_uppercase()
            && bytes.len() > i + 2
            && bytes[i + 1].is_ascii_lowercase()
            && bytes[i + 2].is_ascii_lowercase();
        if bytes[i].is_ascii_uppercase()
            && (small_before && bytes[start..i].iter().any(u8::is_ascii_lowercase) || row_ends)
        {
            parts.push(start..i);
            start = i;
        }
    }
    if !parts.is_empty() {
        parts.push(start..bytes.len());
    }
    parts
}

/// The tokenizer the index calls: field values come [`marked`] with their language.
#[derive(Clone, Default)]
pub(super) struct MarkedTokenizer {
    normalizer: Normalizer,
    token: Token,
}

/// Tokens of one field value.
pub(super) struct MarkedStream<'a> {
    words: Words<'a>,
    normalizer: &'a mut Normalizer,
    token: &'a mut Token,
}

impl Tokenizer for MarkedTokenizer {
    type TokenStream<'a> = MarkedStream<'a>;

    fn token_stream<'a>(&'a mut self, value: &'a str) -> MarkedStream<'a> {
        let (language, text) = unmarked(value);
        self.token.reset();
        self.normalizer.set_language(language);
        self.normalizer.keep_terms();
        MarkedStream {
            words: Words::new(text),
            normalizer: &mut self.normalizer,
            token: &mut self.token,
        }
    }
}

impl TokenStream for MarkedStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(piece) = self.words.next_piece() else {
            return false;
        };
        let word = &self.words.text[piece.range.clone()];
        self.normalizer.term(word, piece.kind, &mut self.token.text);
        self.token.offset_from = piece.range.start;
        self.token.offset_to = piece.range.end;
        self.token.position = piece.position;
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn small_words_are_pieces_like_any_other(
            text in proptest::string::string_regex("([a-cXYs0_ .'é\u{301}京]|word |HTTPServer|s ){0,40}").expect("a pattern"),
        ) {
            let (mut fast, mut slow) = (Words::new(&text), Words::new(&text));
            loop {
                let piece = slow.cut_piece();
                prop_assert_eq!(fast.next_piece(), piece.clone());
                if piece.is_none() {
                    break;
                }
            }
        }
    }
}
