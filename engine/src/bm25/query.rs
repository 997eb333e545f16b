//! What did the person ask for?
//!
//! Words are alternatives that add up; `"a phrase"` wants its words side by side; `+` demands, `-` forbids;
//! `title:`, `heading:`, `body:`, `name:` and `path:` look in one field. Whatever does not fit is read as words, so no
//! input fails. A query without positive words (empty, punctuation, only forbidden words) finds nothing.

/// A field people can search in by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SearchField {
    /// The passage.
    Body,
    /// Title of the document.
    Title,
    /// Headings above the passage.
    Heading,
    /// File name.
    Name,
    /// Folders above the file; `path:` looks in the file name as well.
    Path,
}

impl SearchField {
    /// All fields.
    pub const ALL: [Self; 5] = [
        Self::Body,
        Self::Title,
        Self::Heading,
        Self::Name,
        Self::Path,
    ];

    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "body" | "text" => Some(Self::Body),
            "title" => Some(Self::Title),
            "heading" => Some(Self::Heading),
            "name" | "file" | "filename" => Some(Self::Name),
            "path" | "folder" => Some(Self::Path),
            _ => None,
        }
    }
}

/// How a clause takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Occur {
    /// Adds to the score.
    Should,
    /// Has to match.
    Must,
    /// Must not match.
    MustNot,
}

/// One thing asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// How it takes part.
    pub occur: Occur,
    /// The one field to look in; `None` is all of them.
    pub field: Option<SearchField>,
    /// As typed, without operators and quotes; never empty.
    pub text: String,
    /// Whether it was quoted.
    pub phrase: bool,
}

/// A query taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedQuery {
    /// In the order typed.
    pub clauses: Vec<Clause>,
    /// Whether words also match with a letter or two changed.
    pub fuzzy: bool,
}

impl ParsedQuery {
    /// `text` as plain words: nothing in it is an operator.
    pub fn words(text: &str, fuzzy: bool) -> Self {
        let clause = |word: &str| Clause {
            occur: Occur::Should,
            field: None,
            text: word.to_owned(),
            phrase: false,
        };
        Self {
            clauses: text.split_whitespace().map(clause).collect(),
            fuzzy,
        }
    }

    /// Takes `text` apart. Every text is a query.
    pub fn parse(text: &str, fuzzy: bool) -> Self {
        let mut clauses = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (clause, after) = take_clause(rest);
            clauses.extend(clause);
            rest = after.trim_start();
        }
        Self { clauses, fuzzy }
    }

    /// What is looked for, as typed: the clauses that are not forbidden.
    pub fn positive(&self) -> impl Iterator<Item = &Clause> {
        self.clauses
            .iter()
            .filter(|clause| clause.occur != Occur::MustNot)
    }

    /// The positive clauses as running text, without operators: what an encoder should see.
    pub fn positive_text(&self) -> String {
        let texts: Vec<&str> = self.positive().map(|clause| clause.text.as_str()).collect();
        texts.join(" ")
    }

    /// Whether some clause demands or forbids.
    pub fn has_constraints(&self) -> bool {
        self.clauses
            .iter()
            .any(|clause| clause.occur != Occur::Should)
    }
}

/// The first clause of `input` (which starts with no white space) and what follows it.
fn take_clause(input: &str) -> (Option<Clause>, &str) {
    let (occur, input) = take_operator(input);
    let (field, input) = take_field(input);
    let (text, phrase, rest) = match take_quoted(input) {
        Some((text, rest)) => (text, true, rest),
        None => {
            let end = input.find(char::is_whitespace).unwrap_or(input.len());
            (&input[..end], false, &input[end..])
        }
    };
    let clause = text.contains(char::is_alphanumeric).then(|| Clause {
        occur,
        field,
        text: text.trim().to_owned(),
        phrase,
    });
    (clause, rest)
}

/// `+` and `-` count only directly before something, and not doubled: `--flag` and `++` are words.
fn take_operator(input: &str) -> (Occur, &str) {
    let mut chars = input.chars();
    let (occur, sign) = match chars.next() {
        Some('+') => (Occur::Must, '+'),
        Some('-') => (Occur::MustNot, '-'),
        _ => return (Occur::Should, input),
    };
    match chars.next() {
        Some(next) if next != sign && !next.is_whitespace() => (occur, &input[1..]),
        _ => (Occur::Should, input),
    }
}

fn take_field(input: &str) -> (Option<SearchField>, &str) {
    let Some((name, rest)) = input.split_once(':') else {
        return (None, input);
    };
    match SearchField::from_name(name) {
        Some(field) if rest.starts_with(|c: char| !c.is_whitespace()) => (Some(field), rest),
        _ => (None, input),
    }
}

/// The inside of a quotation that starts `input` and is closed, and what follows it.
fn take_quoted(input: &str) -> Option<(&str, &str)> {
    let open = input.chars().next()?;
    let close = match open {
        '"' => ['"', '"'],
        '\u{201c}' | '\u{201e}' => ['\u{201d}', '\u{201c}'],
        '\u{ab}' => ['\u{bb}', '\u{bb}'],
        _ => return None,
    };
    let inside = &input[open.len_utf8()..];
    let end = inside.find(close)?;
    let closing = inside[end..].chars().next().map_or(0, char::len_utf8);
    Some((&inside[..end], &inside[end + closing..]))
}
