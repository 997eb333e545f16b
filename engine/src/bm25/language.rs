//! Which language is this text in, and how are its words reduced to stems?

use std::sync::LazyLock;

use frostem::{Algorithm, Stemmer};
use tantivy::tokenizer::{Language as List, RawTokenizer, StopWordFilter, TextAnalyzer};

/// Language of a document as far as stemming goes; part of the index format (the discriminant is stored).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Language {
    /// Not known, or a language without a stemmer: words are kept as they are.
    #[default]
    Unknown = 0,
    /// Arabic.
    Arabic = 1,
    /// Danish.
    Danish = 2,
    /// Dutch.
    Dutch = 3,
    /// English.
    English = 4,
    /// Finnish.
    Finnish = 5,
    /// French.
    French = 6,
    /// German.
    German = 7,
    /// Greek.
    Greek = 8,
    /// Hungarian.
    Hungarian = 9,
    /// Italian.
    Italian = 10,
    /// Norwegian.
    Norwegian = 11,
    /// Portuguese.
    Portuguese = 12,
    /// Romanian.
    Romanian = 13,
    /// Russian.
    Russian = 14,
    /// Spanish.
    Spanish = 15,
    /// Swedish.
    Swedish = 16,
    /// Tamil.
    Tamil = 17,
    /// Turkish.
    Turkish = 18,
}

/// Language, ISO 639-3 code, stemmer, stop word list, in the order of the discriminants.
type Row = (Language, &'static str, Option<Algorithm>, Option<List>);
const TABLE: [Row; Language::COUNT] = {
    use Language as L;
    [
        (L::Unknown, "und", None, None),
        (L::Arabic, "ara", Some(Algorithm::Arabic), None),
        (
            L::Danish,
            "dan",
            Some(Algorithm::Danish),
            Some(List::Danish),
        ),
        (L::Dutch, "nld", Some(Algorithm::Dutch), Some(List::Dutch)),
        (
            L::English,
            "eng",
            Some(Algorithm::English),
            Some(List::English),
        ),
        (
            L::Finnish,
            "fin",
            Some(Algorithm::Finnish),
            Some(List::Finnish),
        ),
        (
            L::French,
            "fra",
            Some(Algorithm::French),
            Some(List::French),
        ),
        (
            L::German,
            "deu",
            Some(Algorithm::German),
            Some(List::German),
        ),
        (L::Greek, "ell", Some(Algorithm::Greek), None),
        (
            L::Hungarian,
            "hun",
            Some(Algorithm::Hungarian),
            Some(List::Hungarian),
        ),
        (
            L::Italian,
            "ita",
            Some(Algorithm::Italian),
            Some(List::Italian),
        ),
        (
            L::Norwegian,
            "nob",
            Some(Algorithm::Norwegian),
            Some(List::Norwegian),
        ),
        (
            L::Portuguese,
            "por",
            Some(Algorithm::Portuguese),
            Some(List::Portuguese),
        ),
        (L::Romanian, "ron", Some(Algorithm::Romanian), None),
        (
            L::Russian,
            "rus",
            Some(Algorithm::Russian),
            Some(List::Russian),
        ),
        (
            L::Spanish,
            "spa",
            Some(Algorithm::Spanish),
            Some(List::Spanish),
        ),
        (
            L::Swedish,
            "swe",
            Some(Algorithm::Swedish),
            Some(List::Swedish),
        ),
        (L::Tamil, "tam", Some(Algorithm::Tamil), None),
        (L::Turkish, "tur", Some(Algorithm::Turkish), None),
    ]
};

static STOP_WORDS: LazyLock<[Option<StopWordFilter>; Language::COUNT]> =
    LazyLock::new(|| TABLE.map(|row| row.3.and_then(StopWordFilter::new)));

/// Bytes of a text that are looked at to tell its language.
const DETECTION_BYTES: usize = 1 << 10;

impl Language {
    /// Number of languages, `Unknown` included.
    pub const COUNT: usize = 19;

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// ISO 639-3 code; "und" for `Unknown`.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// The language of an ISO 639-3 code; `Unknown` for one without a stemmer.
    pub fn from_code(code: &str) -> Self {
        TABLE
            .iter()
            .find(|row| row.1 == code)
            .map_or(Self::Unknown, |row| row.0)
    }

    /// The language of a discriminant as stored in the index.
    pub(crate) fn from_index(index: u64) -> Self {
        TABLE.get(index as usize).map_or(Self::Unknown, |row| row.0)
    }

    /// Looks at the first KiB of `text`. Where they do not tell, mostly ASCII text counts as English (short notes,
    /// code, logs: English stems do no harm there), other text as `Unknown`.
    pub fn detect(text: &str) -> Self {
        let head = &text[..text.floor_char_boundary(DETECTION_BYTES)];
        if is_plainly_english(head) {
            return Self::English;
        }
        match whatlang::detect(head) {
            Some(info) if info.is_reliable() => Self::from_code(info.lang().code()),
            _ if head.bytes().filter(u8::is_ascii).count() * 20 >= head.len() * 19 => Self::English,
            _ => Self::Unknown,
        }
    }

    pub(super) fn stemmer(self) -> Option<Stemmer> {
        self.row().2.map(Stemmer::new)
    }

    /// Whether `word`, lower case and not stemmed, is a function word of this language.
    pub(super) fn is_stop_word(self, word: &str) -> bool {
        if self == Self::English && ENGLISH_FUNCTION_WORDS.contains(&word) {
            return true;
        }
        let Some(filter) = &STOP_WORDS[self as usize] else {
            return false;
        };
        let mut analyzer = TextAnalyzer::builder(RawTokenizer::default())
            .filter(filter.clone())
            .build();
        !analyzer.token_stream(word).advance()
    }
}

/// Whether a twelfth of the words are ones that no other language has: an eighth is usual in English. Telling by
/// trigrams costs as much as everything else that is done to a text of a few KiB.
fn is_plainly_english(text: &str) -> bool {
    const MARKERS: [&str; 10] = [
        "the", "and", "that", "with", "from", "this", "which", "are", "you", "have",
    ];
    let (mut words, mut markers) = (0, 0);
    for word in text.split(|c: char| !c.is_alphabetic()) {
        words += usize::from(!word.is_empty());
        let known = (3..=5).contains(&word.len());
        markers += usize::from(known && MARKERS.iter().any(|m| m.eq_ignore_ascii_case(word)));
    }
    words >= 16 && markers * 12 >= words
}

/// What tantivy's English list (Lucene's 33 words) leaves out and questions are full of.
const ENGLISH_FUNCTION_WORDS: &[&str] = &[
    "about", "am", "any", "been", "being", "can", "could", "did", "do", "does", "doing", "from",
    "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "its",
    "may", "me", "might", "must", "my", "our", "ours", "shall", "she", "should", "so", "some",
    "than", "them", "those", "us", "we", "were", "what", "when", "where", "which", "while", "who",
    "whom", "whose", "why", "would", "you", "your", "yours",
];
