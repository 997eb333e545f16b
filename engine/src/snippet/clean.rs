//! How does a text look on one line of a terminal or page, harmless?

/// `text` with white space collapsed to single blanks, and without control characters, terminal escape sequences and
/// invisible direction marks (which could make a line read other than it is).
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_sequence(&mut rest),
            c if c.is_whitespace() => {
                if !line.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if c.is_control() || is_invisible(c) => {}
            c => line.push(c),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Direction marks, embeddings and isolates, zero-width space, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// After ESC: a control sequence, an operating system command, or one more character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.clone().next() {
        Some('[') => {
            rest.next();
            skip_sequence(rest);
        }
        Some(']') => skip_command(rest),
        Some('(' | ')' | '#' | '%') => {
            rest.nth(1);
        }
        Some(c) if ('\u{30}'..='\u{7e}').contains(&c) => {
            rest.next();
        }
        _ => {}
    }
}

/// Parameters and the final character of a control sequence (ECMA-48, section 5.4). What is not one ends it.
fn skip_sequence(rest: &mut std::str::Chars<'_>) {
    loop {
        match rest.clone().next() {
            Some('\u{20}'..='\u{3f}') => {
                rest.next();
            }
            Some('\u{40}'..='\u{7e}') => {
                rest.next();
                return;
            }
            _ => return,
        }
    }
}

/// An operating system command up to BEL or ESC \; without an end on the same line, only its opening.
fn skip_command(rest: &mut std::str::Chars<'_>) {
    rest.next();
    let text = rest.as_str();
    let end = text.find(['\u{7}', '\u{1b}', '\n']);
    if let Some(end) = end.filter(|&end| !text[end..].starts_with('\n')) {
        let after = &text[end..];
        let closing = if after.starts_with("\u{1b}\\") { 2 } else { 1 };
        *rest = after[closing..].chars();
    }
}
