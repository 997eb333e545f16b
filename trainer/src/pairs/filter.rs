//! Is this text anything a person would ask or read?

use std::collections::HashSet;

use super::Form;

/// Words of a text: runs between white space.
pub(super) fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// A text without case, punctuation and extra space: equal for what a template repeats.
pub(super) fn plain(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Whether `text` is no running text: mostly digits and signs, words nobody writes, or the same words over and over.
pub(super) fn is_junk(text: &str, form: Form) -> bool {
    let (mut letters, mut visible) = (0usize, 0usize);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        visible += 1;
        letters += usize::from(c.is_alphabetic());
    }
    let needed = match form {
        Form::Text => 0.6,
        Form::Code => 0.4,
    };
    if visible == 0 || (letters as f64) < needed * visible as f64 {
        return true;
    }
    let all: Vec<&str> = text.split_whitespace().collect();
    let different: HashSet<&str> = all.iter().copied().collect();
    let repeats = all.len() >= 30 && different.len() * 6 < all.len();
    repeats || has_no_words(text, all.len())
}

/// Whether the "words" are far longer than words are; scripts without spaces have none by this measure.
fn has_no_words(text: &str, words: usize) -> bool {
    let ascii = text.bytes().filter(u8::is_ascii_alphabetic).count();
    ascii * 2 > text.len() && ascii > 30 * words.max(1)
}
