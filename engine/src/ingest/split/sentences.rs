//! Where do the sentences of a text end?
//!
//! By Unicode's rules (UAX #29, section 5), line ends taken for spaces: lines wrapped by hand do not end a sentence.
//! ASCII text, nearly all of most corpora, has its own reader of the same rules; the crate is its specification.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// The sentences of `text`, white space behind included; together they are all of it.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    if text.is_ascii() && !text.contains('\r') {
        return ascii_sentences(text.as_bytes());
    }
    // A line end is as long in bytes as a space.
    super::pieces::ranges(text.replace('\n', " ").split_sentence_bounds())
}

fn ascii_sentences(text: &[u8]) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(mark) = text[at..].iter().position(is_mark) {
        let mark = at + mark;
        at = skip(text, skip(text, mark + 1, is_close), is_space);
        if at < text.len() && ends_sentence(text, mark, at) {
            sentences.push(start..at);
            start = at;
        }
    }
    if start < text.len() {
        sentences.push(start..text.len());
    }
    sentences
}

/// Whether the mark at `mark`, followed by closing characters and spaces up to `next`, ends a sentence (SB6 to SB11).
fn ends_sentence(text: &[u8], mark: usize, next: usize) -> bool {
    let follower = text[next];
    let full_stop = text[mark] == b'.';
    let joined = next == mark + 1;
    let in_number = full_stop && joined && follower.is_ascii_digit();
    let in_acronym = full_stop
        && joined
        && follower.is_ascii_uppercase()
        && mark > 0
        && text[mark - 1].is_ascii_alphabetic();
    let goes_on = full_stop
        && text[next..]
            .iter()
            .find(|byte| byte.is_ascii_alphabetic() || is_mark(byte))
            .is_some_and(u8::is_ascii_lowercase);
    !(in_number || in_acronym || goes_on || is_mark(&follower) || continues(follower))
}

fn skip(text: &[u8], from: usize, of: fn(&u8) -> bool) -> usize {
    from + text[from..].iter().take_while(|byte| of(byte)).count()
}

fn is_mark(byte: &u8) -> bool {
    matches!(byte, b'.' | b'!' | b'?')
}

fn is_close(byte: &u8) -> bool {
    matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'')
}

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0B | 0x0C)
}

/// What a sentence may go on with behind its mark (SContinue).
fn continues(byte: u8) -> bool {
    matches!(byte, b',' | b'-' | b':' | b';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ascii_sentences_are_those_of_unicode(
            text in proptest::string::string_regex("([a-cXY0 .!?,:;()\\[\\]{}\"'\n\t\x0B\x0C<*-]|[ -~]|word|\\. ){0,60}").expect("a pattern"),
        ) {
            let spaced = text.replace('\n', " ");
            prop_assert_eq!(
                ascii_sentences(text.as_bytes()),
                super::super::pieces::ranges(spaced.split_sentence_bounds())
            );
        }
    }
}
