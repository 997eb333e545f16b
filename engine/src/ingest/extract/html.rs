//! Which text would a browser show for this page?
//!
//! Works on html5ever's tokens and a short stack of open elements instead of a tree: memory and time grow with the
//! length of the page alone, however deep it is nested, and nothing recurses.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use html5ever::LocalName;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::super::{BlockKind, FileKind, Source, Tracking};
use super::builder::Builder;

/// Time for one page. The tokenizer compares each attribute of a tag with all others, so that a tag of a million
/// attributes would take hours.
const TIME: Duration = Duration::from_secs(60);
/// Elements nested deeper than this are read, but not told apart.
const MAX_OPEN: usize = 256;

/// Elements whose content is not part of what the page says.
const HIDDEN: [&str; 12] = [
    "script", "style", "nav", "noscript", "template", "iframe", "svg", "object", "noembed",
    "noframes", "canvas", "math",
];
/// Elements that neither end a paragraph nor begin one.
const INLINE: [&str; 42] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del",
    "dfn", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "math", "meter", "output", "q",
    "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time",
    "tt", "u", "var", "wbr", "input",
];
/// Elements without content or end tag.
const VOID: [&str; 16] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
    "track", "wbr", "keygen", "frame",
];

/// Where the page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the file, so that its lines are the file's.
    File,
    /// It is a part of a container (book, mail): there is no line to give. Books are XHTML, where `<a/>` is empty.
    Part,
}

/// Appends the page's title and blocks.
pub(super) fn extract(page: &str, place: Place, out: &mut Builder) {
    extract_within(TIME, page, place, out);
}

/// [`extract`] that gives up, with a warning, when `time` is over.
pub(super) fn extract_within(time: Duration, page: &str, place: Place, out: &mut Builder) {
    let start = Instant::now();
    let xhtml = page
        .get(..256)
        .unwrap_or(page)
        .trim_start()
        .starts_with("<?xml");
    let builder = std::mem::replace(out, Builder::new(FileKind::Html, 0));
    let state = State {
        out: builder,
        open: Vec::new(),
        text: String::new(),
        line: 0,
        title: String::new(),
        numbered: place == Place::File,
        xhtml,
    };
    let tokenizer = Tokenizer::new(Sink(RefCell::new(state)), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut late = false;
    // Small pieces keep the tokenizer's own buffers small, and the clock is looked at after each.
    for piece in pieces(page, 1 << 12) {
        input.push_back(StrTendril::from_slice(piece));
        // A sink that never asks for a script to run is never left with input to read.
        let _ = tokenizer.feed(&input);
        late = start.elapsed() > time;
        if late {
            break;
        }
    }
    tokenizer.end();
    let mut state = tokenizer.sink.0.into_inner();
    state.flush();
    if late {
        state.out.warn(format!(
            "the page took longer than {} s and the rest was left out",
            time.as_secs()
        ));
    }
    *out = state.out;
}

/// The visible text of a fragment, blocks joined by blank lines.
pub(super) fn fragment_text(fragment: &str) -> String {
    let mut out = Builder::new(FileKind::Html, fragment.len());
    extract(fragment, Place::Part, &mut out);
    out.finish().text
}

fn pieces(text: &str, size: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(size));
        rest = after;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

struct Sink(RefCell<State>);

struct State {
    out: Builder,
    open: Vec<Open>,
    /// Text of the block that is being read, white space collapsed unless preformatted.
    text: String,
    /// Line on which `text` starts.
    line: u64,
    title: String,
    numbered: bool,
    xhtml: bool,
}

struct Open {
    name: LocalName,
    hidden: bool,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => state.start(&tag),
            Token::TagToken(tag) => {
                state.end(&tag.name);
                TokenSinkResult::Continue
            }
            Token::CharacterTokens(text) => {
                state.characters(&text, line);
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

impl State {
    fn start(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        if !INLINE.contains(&name) && name != "br" {
            self.block_edge(name);
        }
        match name {
            "br" => self.line_break(),
            "img" => self.alternative(tag),
            "td" | "th" if !self.text.trim().is_empty() => self.text.push_str(" | "),
            _ => {}
        }
        let closes_itself = tag.self_closing && self.xhtml;
        if VOID.contains(&name) || closes_itself {
            return TokenSinkResult::Continue;
        }
        self.close_implied(name);
        if self.open.len() < MAX_OPEN || HIDDEN.contains(&name) {
            // Past the limit only hidden elements are noted, and those hold no further ones.
            let hidden = self.is_hidden() || HIDDEN.contains(&name) || is_hidden_by_attribute(tag);
            if self.open.len() < 2 * MAX_OPEN {
                self.open.push(Open {
                    name: tag.name.clone(),
                    hidden,
                });
            }
        }
        raw_content(name)
    }

    fn end(&mut self, name: &LocalName) {
        if !INLINE.contains(&&**name) {
            self.block_edge(name);
        }
        if let Some(at) = self.open.iter().rposition(|open| open.name == *name) {
            self.open.truncate(at);
        }
        if &**name == "title" {
            let title = std::mem::take(&mut self.title);
            self.out.title(&title);
        }
    }

    /// Ends the block that is being read, but for cells, which stay in the line of their row.
    fn block_edge(&mut self, name: &str) {
        let cell = matches!(name, "td" | "th");
        if !cell && !self.is_hidden() {
            self.flush();
        }
    }

    /// Ends elements whose end tag is commonly left out before this one.
    fn close_implied(&mut self, name: &str) {
        let (ends, up_to): (&[&str], &[&str]) = match name {
            "li" => (&["li"], &["ul", "ol", "menu"]),
            "dt" | "dd" => (&["dt", "dd"], &["dl"]),
            "tr" => (&["tr"], &["table"]),
            "td" | "th" => (&["td", "th"], &["tr", "table"]),
            "body" => (&["head", "title"], &[]),
            _ if INLINE.contains(&name) => return,
            _ => {
                if self.open.last().is_some_and(|open| &*open.name == "p") {
                    self.open.pop();
                }
                return;
            }
        };
        let stop = self
            .open
            .iter()
            .rposition(|open| up_to.contains(&&*open.name))
            .map_or(0, |at| at + 1);
        if let Some(at) = self.open[stop..]
            .iter()
            .position(|open| ends.contains(&&*open.name))
        {
            self.open.truncate(stop + at);
        }
    }

    fn characters(&mut self, text: &str, line: u64) {
        if self.out.is_full() {
            return;
        }
        if self.open.last().is_some_and(|open| &*open.name == "title") {
            if !self.is_hidden() {
                self.title.push_str(text);
            }
            return;
        }
        if self.is_hidden() {
            return;
        }
        if self.text.is_empty() {
            let white = &text[..text.len() - text.trim_start().len()];
            let newlines = |text: &str| text.bytes().filter(|&byte| byte == b'\n').count() as u64;
            self.line = line.saturating_sub(newlines(text))
                + if self.is_pre() { 0 } else { newlines(white) };
        }
        if self.is_pre() {
            self.text.push_str(text);
        } else {
            collapse(text, &mut self.text);
        }
    }

    fn line_break(&mut self) {
        if !self.is_hidden() && !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn alternative(&mut self, tag: &Tag) {
        let alt = tag
            .attrs
            .iter()
            .find(|attribute| &*attribute.name.local == "alt");
        if let (Some(alt), false) = (alt, self.is_hidden()) {
            collapse(&alt.value, &mut self.text);
        }
    }

    fn flush(&mut self) {
        let kind = self.kind();
        let line = if self.numbered {
            u32::try_from(self.line).unwrap_or(u32::MAX)
        } else {
            0
        };
        let tracking = if kind == BlockKind::Code {
            Tracking::Lines
        } else {
            Tracking::Start
        };
        let text = std::mem::take(&mut self.text);
        self.out.push(
            kind,
            text.trim_end_matches(" | "),
            Source {
                byte: None,
                line,
                page: 0,
            },
            tracking,
        );
    }

    fn kind(&self) -> BlockKind {
        let of = |open: &Open| match &*open.name {
            "h1" => Some(BlockKind::Heading(1)),
            "h2" => Some(BlockKind::Heading(2)),
            "h3" => Some(BlockKind::Heading(3)),
            "h4" => Some(BlockKind::Heading(4)),
            "h5" => Some(BlockKind::Heading(5)),
            "h6" => Some(BlockKind::Heading(6)),
            "pre" | "textarea" | "listing" | "xmp" => Some(BlockKind::Code),
            _ => None,
        };
        self.open
            .iter()
            .rev()
            .find_map(of)
            .unwrap_or(BlockKind::Paragraph)
    }

    fn is_pre(&self) -> bool {
        self.kind() == BlockKind::Code
    }

    fn is_hidden(&self) -> bool {
        self.open.last().is_some_and(|open| open.hidden)
    }
}

fn is_hidden_by_attribute(tag: &Tag) -> bool {
    tag.attrs
        .iter()
        .any(|attribute| match &*attribute.name.local {
            "hidden" => &*attribute.value != "until-found",
            "aria-hidden" => &*attribute.value == "true",
            "style" => attribute
                .value
                .split(';')
                .any(|rule| rule.replace(' ', "").eq_ignore_ascii_case("display:none")),
            _ => false,
        })
}

/// Elements whose content holds no tags, as the HTML standard has it (13.2.5 and 13.2.6.4.4).
fn raw_content(name: &str) -> TokenSinkResult<()> {
    match name {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noembed" | "noframes" | "xmp" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

/// Appends with each run of white space made one space.
fn collapse(text: &str, out: &mut String) {
    for c in text.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with([' ', '\n']) {
            out.push(' ');
        }
    }
}
