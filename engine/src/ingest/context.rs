//! What does the encoder see of a passage?

use std::fmt::Write as _;

#[cfg(test)]
mod tests;

/// The text that is encoded for a passage: the title, the headings above it, a line each, then its own text.
///
/// Nothing is said twice: a heading equal to the title or to the one before it is left out, and so is what `body`
/// itself begins with (the first passage of a section starts with its heading).
///
/// ```
/// # use engine::ingest::context::encoder_text;
/// let headings = ["Manual".to_owned(), "Install".to_owned()];
/// assert_eq!(encoder_text(Some("Manual"), &headings, "Run it."), "Manual\nInstall\nRun it.");
/// ```
pub fn encoder_text(title: Option<&str>, headings: &[String], body: &str) -> String {
    let mut text = String::with_capacity(body.len() + 64);
    let mut previous = "";
    // A passage starts with the headings of its section, at most one a level, an empty line after each.
    let opening: Vec<&str> = body.lines().take(2 * headings.len() + 1).collect();
    for line in title.into_iter().chain(headings.iter().map(String::as_str)) {
        let line = line.trim();
        if !line.is_empty() && line != previous && !opening.contains(&line) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
            previous = line;
        }
    }
    text.push_str(body);
    text
}

/// About how many tokens `text` is, for collections without an encoder: a word is one token for each begun seven
/// letters, a letter of a script without spaces (Chinese, Japanese, Thai) is one, a punctuation mark is one.
///
/// ```
/// # use engine::ingest::context::default_count;
/// assert_eq!(default_count("Hello, internationalisation!"), 1 + 1 + 3 + 1);
/// ```
pub fn default_count(text: &str) -> usize {
    let mut tokens = 0;
    let mut letters = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        let (class, width) = match ASCII.get(usize::from(*byte)) {
            Some(class) => (*class, 1),
            None => class_at(text, at),
        };
        // Without branches: where a word ends cannot be foretold.
        let letter = usize::from(class == Class::Letter);
        tokens += usize::from(class == Class::Alone) + letter * usize::from(letters == 0);
        letters = letter * usize::from(letters < 6) * (letters + 1);
        at += width;
    }
    tokens
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    /// A token by itself.
    Alone,
}

/// Classes of the ASCII characters, which most texts are made of.
const ASCII: [Class; 128] = {
    let mut classes = [Class::Alone; 128];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8 as char;
        if c.is_ascii_alphanumeric() {
            classes[byte] = Class::Letter;
        } else if c.is_whitespace() {
            classes[byte] = Class::Space;
        }
        byte += 1;
    }
    classes
};

/// Class and length in bytes of the character at `at`, which is a character boundary below the length.
fn class_at(text: &str, at: usize) -> (Class, usize) {
    let c = text[at..].chars().next().unwrap_or(' ');
    let class = match c {
        c if c.is_whitespace() => Class::Space,
        c if c.is_alphanumeric() && !is_unspaced(c) => Class::Letter,
        _ => Class::Alone,
    };
    (class, c.len_utf8())
}

/// Letters of scripts that write no spaces between words: Thai to Khmer, kana, and the Chinese characters.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}
