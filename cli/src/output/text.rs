//! How is text from files made fit for a terminal?

use std::borrow::Cow;

use engine::report::Snippet;
use unicode_width::UnicodeWidthChar;

/// `text` with everything visible that could move the cursor, recolour the terminal or turn the reading direction.
/// Text without such characters is borrowed.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        push_visible(c, &mut visible);
    }
    Cow::Owned(visible)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the bidirectional controls that can make text
/// read as something it is not (Boucher and Anderson, "Trojan Source", 2021).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

fn push_visible(c: char, visible: &mut String) {
    match c {
        '\u{1b}' => visible.push_str("\\e"),
        c if is_unsafe(c) => visible.extend(c.escape_default()),
        c => visible.push(c),
    }
}

/// JSON text with the characters that [`escape`] makes visible as `\uXXXX`: the same value, fit for a terminal.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        match is_unsafe(c) {
            // All of them are below U+10000, and stand inside strings only.
            true => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// A character of a snippet and whether it is highlighted.
type Lit = (char, bool);

/// A run of text that is highlighted or not.
pub type Run = (String, bool);

/// The snippet in lines of at most `width` columns (0: one line), made safe, as runs to highlight or not.
pub fn wrap(snippet: &Snippet, width: usize) -> Vec<Vec<Run>> {
    let width = if width == 0 { usize::MAX } else { width };
    let lit = lit(snippet);
    let mut lines = Vec::<Vec<Lit>>::new();
    let mut column = 0;
    for word in lit
        .split(|(c, _)| *c == ' ')
        .filter(|word| !word.is_empty())
    {
        let columns: usize = word.iter().map(|(c, _)| columns(*c)).sum();
        match lines.last_mut() {
            Some(line) if column + 1 + columns <= width => {
                let joined = line.last().is_some_and(|(_, hot)| *hot)
                    && word.first().is_some_and(|(_, hot)| *hot);
                line.push((' ', joined));
                line.extend(word);
                column += 1 + columns;
            }
            _ => column = break_word(word, width, &mut lines),
        }
    }
    lines.iter().map(|line| runs(line)).collect()
}

/// Plain text in lines of at most `width` columns (0: one line), made safe.
pub fn wrap_plain(text: &str, width: usize) -> Vec<String> {
    let snippet = Snippet {
        text: text.to_owned(),
        highlights: Vec::new(),
    };
    let join = |runs: Vec<Run>| runs.into_iter().map(|(text, _)| text).collect();
    wrap(&snippet, width).into_iter().map(join).collect()
}

/// Starts a new line with `word`, and further ones where it is wider than a line. Returns the columns of the last.
fn break_word(word: &[Lit], width: usize, lines: &mut Vec<Vec<Lit>>) -> usize {
    let mut line = Vec::new();
    let mut column = 0;
    for &(c, hot) in word {
        let wide = columns(c);
        if column + wide > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            column = 0;
        }
        line.push((c, hot));
        column += wide;
    }
    lines.push(line);
    column
}

fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The snippet character by character, control characters spelled out.
fn lit(snippet: &Snippet) -> Vec<Lit> {
    let mut lit = Vec::with_capacity(snippet.text.len());
    let mut visible = String::new();
    for (at, c) in snippet.text.char_indices() {
        let hot = snippet.highlights.iter().any(|range| range.contains(&at));
        visible.clear();
        push_visible(c, &mut visible);
        lit.extend(visible.chars().map(|c| (c, hot)));
    }
    lit
}

fn runs(line: &[Lit]) -> Vec<Run> {
    let same = line.chunk_by(|a, b| a.1 == b.1);
    same.map(|run| {
        (
            run.iter().map(|(c, _)| c).collect(),
            run.first().is_some_and(|(_, hot)| *hot),
        )
    })
    .collect()
}

/// "1.2 ms", "240 ms", "4.2 s", "3 min 12 s", "2 h 5 min".
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.00995 => format!("{:.1} ms", s * 1e3),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 3599.5 => format!("{} min {} s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{} h {} min", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

#[cfg(test)]
mod tests;
