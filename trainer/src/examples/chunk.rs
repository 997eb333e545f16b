//! Where is a long document cut?

use super::Chunking;

/// The bodies of a document's passages: all of it, or chunks of at most so many tokens with the title counted in.
/// Never empty; chunks are cut between words and hold text.
pub(super) fn bodies<'t>(title: &str, body: &'t str, chunking: Chunking<'_>) -> Vec<&'t str> {
    let Chunking::MaxP {
        max_tokens,
        chunks,
        count,
    } = chunking
    else {
        return vec![body];
    };
    // A title that takes most of the room would leave chunks of single words.
    let room = max_tokens.saturating_sub(count(title)).max(max_tokens / 2);
    let mut found = Vec::new();
    let mut rest = body;
    while found.len() < chunks && !rest.is_empty() {
        let end = cut(rest, room, count);
        found.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    if found.is_empty() {
        found.push(body);
    }
    found
}

/// Bytes of the longest beginning of `text` that is about `room` tokens and ends before a word; at least one word.
fn cut(text: &str, room: usize, count: &dyn Fn(&str) -> usize) -> usize {
    let mut end = text.len();
    // Each round scales the beginning by how far it overshoots, so that few rounds suffice.
    loop {
        let tokens = count(&text[..end]);
        if tokens <= room {
            return end;
        }
        let guess = (end as f64 * room as f64 / tokens as f64) as usize;
        let shorter = word_start(text, guess.min(end.saturating_sub(1)));
        if shorter == 0 {
            return first_word(text);
        }
        end = shorter;
    }
}

/// The last byte at or before `at` where a word begins; 0 if there is none.
fn word_start(text: &str, at: usize) -> usize {
    let head = &text[..text.floor_char_boundary(at)];
    match head.rfind(char::is_whitespace) {
        Some(space) => space + head[space..].chars().next().map_or(1, char::len_utf8),
        None => 0,
    }
}

/// Bytes of the first word, which `text` starts with.
fn first_word(text: &str) -> usize {
    text.find(char::is_whitespace).unwrap_or(text.len())
}
