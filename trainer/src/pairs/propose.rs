//! What does this passage answer?

use std::collections::HashMap;
use std::ops::Range;

use engine::ingest::split;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Form, Kind, PairOptions, Piece, filter, rng};

/// Words of a query; longer ones are cut.
const LONGEST: usize = 48;
/// Words that a sentence needs to ask by itself.
const SENTENCE: usize = 5;
/// Words of a span, and the share of them left out.
const SPAN: (usize, usize) = (5, 20);
const LEFT_OUT: f64 = 0.1;
/// Passages' own numbers of the generator's streams lie below this.
const STREAM: u64 = 1 << 40;

/// A query that a passage answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) kind: Kind,
    pub(super) query: String,
    /// Bytes of the passage that say it.
    pub(super) range: Option<Range<usize>>,
    /// Title and headings that say it, also where the passage begins with them.
    pub(super) lines: Vec<String>,
}

/// Proposals of all pieces that may speak, by their place.
pub(super) fn all(
    pieces: &[Piece],
    speaks: &[bool],
    options: &PairOptions,
) -> HashMap<u32, Vec<Proposal>> {
    let mut found: HashMap<u32, Vec<Proposal>> = HashMap::new();
    let mut start = 0;
    for (at, piece) in pieces.iter().enumerate() {
        if pieces[start].group != piece.group {
            start = at;
        }
        if !speaks[at] {
            continue;
        }
        let earlier = &pieces[start..at];
        let mut rng = rng(options.seed, STREAM + at as u64);
        let mut own: Vec<Proposal> = structure(piece, earlier).into_iter().flatten().collect();
        own.extend(anywhere(piece, &options.kinds, &mut rng));
        own.retain(|proposal| options.kinds.contains(&proposal.kind) && asks(&proposal.query));
        found.insert(at as u32, own);
    }
    found
}

/// Whether people could type it: it has a word of three letters.
fn asks(query: &str) -> bool {
    let mut words = query.split(|c: char| !c.is_alphabetic());
    words.any(|word| word.chars().count() >= 3 || !word.is_ascii())
}

/// What the structure asks; `earlier` are the pieces before it in the same file.
fn structure(piece: &Piece, earlier: &[Piece]) -> [Option<Proposal>; 4] {
    let is_code = piece.form == Form::Code;
    let title = title(piece).filter(|_| earlier.is_empty());
    let heading = heading(piece, earlier.last());
    if is_code {
        return [title, heading, comment(piece), None];
    }
    let lead = match earlier {
        [first] => lead(first),
        _ => None,
    };
    [title, heading, question(piece), lead]
}

fn title(piece: &Piece) -> Option<Proposal> {
    let query = subject(&piece.title);
    // A file's name is no title.
    let is_name =
        query.contains(['/', '\\']) || (!query.contains(' ') && query.contains(['.', '_']));
    (!query.is_empty() && !is_name).then(|| Proposal {
        kind: Kind::Title,
        query: cut(query),
        range: None,
        lines: vec![piece.title.clone()],
    })
}

/// A mail's subject without the marks of replies and forwarding.
fn subject(title: &str) -> &str {
    let mut rest = title.trim();
    loop {
        let mark = ["re:", "fwd:", "fw:", "aw:"].into_iter().find(|mark| {
            rest.get(..mark.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(mark))
        });
        match mark {
            Some(mark) => rest = rest[mark.len()..].trim_start(),
            None => return rest,
        }
    }
}

/// The innermost heading, if this is the first passage below it. Short ones mean something under their title only.
fn heading(piece: &Piece, before: Option<&Piece>) -> Option<Proposal> {
    let heading = piece.headings.last()?;
    if before.is_some_and(|before| before.headings == piece.headings) || *heading == piece.title {
        return None;
    }
    let alone = filter::words(heading) >= 3 || piece.title.is_empty();
    let (query, lines) = if alone {
        (heading.clone(), vec![heading.clone()])
    } else {
        (
            format!("{} {heading}", piece.title),
            vec![heading.clone(), piece.title.clone()],
        )
    };
    Some(Proposal {
        kind: Kind::Heading,
        query: cut(&query),
        range: None,
        lines,
    })
}

/// The first question that something follows.
fn question(piece: &Piece) -> Option<Proposal> {
    let text = &piece.text;
    let is_question = |range: &Range<usize>| {
        let sentence = text[range.clone()].trim_end();
        sentence.ends_with(['?', '\u{ff1f}', '\u{61f}']) && filter::words(sentence) >= 4
    };
    let range = sentences(text).into_iter().find(is_question)?;
    (filter::words(&text[range.end..]) >= super::LEFT).then(|| Proposal {
        kind: Kind::Question,
        query: cut(&text[range.clone()]),
        range: Some(range),
        lines: Vec::new(),
    })
}

/// The first sentence of the file, for its second passage.
fn lead(first: &Piece) -> Option<Proposal> {
    let mut lines = first.headings.clone();
    lines.push(first.title.clone());
    let text = &first.text[super::skipped(&first.text, &lines)..];
    let sentence = text[sentences(text).into_iter().next()?].trim();
    (filter::words(sentence) >= SENTENCE).then(|| Proposal {
        kind: Kind::Lead,
        query: cut(sentence),
        range: None,
        lines: Vec::new(),
    })
}

/// The first block of comment lines with code behind it.
fn comment(piece: &Piece) -> Option<Proposal> {
    let mut block: Option<Range<usize>> = None;
    let mut words: Vec<&str> = Vec::new();
    let mut at = 0;
    for line in piece.text.split_inclusive('\n') {
        let end = at + line.len();
        match (comment_text(line), &mut block) {
            (Some(text), block) => {
                block.get_or_insert(at..end).end = end;
                words.extend(text.split_whitespace());
            }
            // A blank line may stand between comment and code.
            (None, Some(_)) if line.trim().is_empty() => {}
            (None, Some(_)) if words.len() >= 3 => break,
            (None, _) => (block, words) = (None, Vec::new()),
        }
        at = end;
    }
    let range = block?;
    let has_code = filter::words(&piece.text[range.end..]) >= super::LEFT;
    (words.len() >= 3 && has_code).then(|| Proposal {
        kind: Kind::Comment,
        query: cut(&words.join(" ")),
        range: Some(range),
        lines: Vec::new(),
    })
}

/// What a line says if it is a comment in one of the common languages.
fn comment_text(line: &str) -> Option<&str> {
    let line = line.trim();
    let code = [
        "#!", "#[", "#include", "#define", "#if", "#else", "#endif", "#pragma", "--)",
    ];
    if code.into_iter().any(|mark| line.starts_with(mark)) {
        return None;
    }
    let marks = [
        "///", "//!", "//", "/**", "/*", "*/", "* ", "# ", "## ", "-- ", ";; ", "\"\"\"", "'''",
    ];
    let mark = marks.into_iter().find(|mark| line.starts_with(mark));
    let rest = match mark {
        Some(mark) => &line[mark.len()..],
        None if line == "*" || line == "#" => "",
        None => return None,
    };
    let ends = ["*/", "\"\"\"", "'''"];
    Some(
        ends.into_iter()
            .fold(rest, |rest, end| rest.strip_suffix(end).unwrap_or(rest))
            .trim(),
    )
}

/// A span or a sentence; where both are wanted and possible, chance decides.
fn anywhere(piece: &Piece, kinds: &[Kind], rng: &mut ChaCha8Rng) -> Option<Proposal> {
    let span_first: bool = rng.random();
    let wanted = |proposal: &Proposal| kinds.contains(&proposal.kind);
    let span = span(piece, rng).filter(wanted);
    let is_text = piece.form == Form::Text;
    let cloze = cloze(piece, rng).filter(wanted).filter(|_| is_text);
    if span_first {
        span.or(cloze)
    } else {
        cloze.or(span)
    }
}

fn span(piece: &Piece, rng: &mut ChaCha8Rng) -> Option<Proposal> {
    let words: Vec<&str> = piece.text.split_whitespace().collect();
    if words.len() < 2 * SPAN.0 {
        return None;
    }
    let length = rng.random_range(SPAN.0..=SPAN.1.min(words.len() / 2));
    let start = rng.random_range(0..=words.len() - length);
    let kept = words[start..start + length]
        .iter()
        .filter(|_| rng.random::<f64>() >= LEFT_OUT);
    let query: Vec<&str> = kept.copied().collect();
    Some(Proposal {
        kind: Kind::Span,
        query: query.join(" "),
        range: None,
        lines: Vec::new(),
    })
}

fn cloze(piece: &Piece, rng: &mut ChaCha8Rng) -> Option<Proposal> {
    let text = &piece.text;
    let all = sentences(text);
    let long = |range: &&Range<usize>| filter::words(&text[(*range).clone()]) >= SENTENCE;
    let usable: Vec<&Range<usize>> = all.iter().filter(long).collect();
    if usable.len() < 2 {
        return None;
    }
    let range = usable[rng.random_range(0..usable.len())].clone();
    Some(Proposal {
        kind: Kind::Cloze,
        query: cut(&text[range.clone()]),
        range: Some(range),
        lines: Vec::new(),
    })
}

/// The sentences of `text`, none across a blank line: a heading is none of what follows it.
fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for paragraph in text.split_inclusive("\n\n") {
        let own = split::sentences(paragraph).into_iter();
        found.extend(own.map(|range| start + range.start..start + range.end));
        start += paragraph.len();
    }
    found
}

/// The first words, one space between them.
fn cut(text: &str) -> String {
    text.split_whitespace()
        .take(LONGEST)
        .collect::<Vec<_>>()
        .join(" ")
}
