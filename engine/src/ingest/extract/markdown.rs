//! Which headings, paragraphs and code blocks does this Markdown make?

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::super::{BlockKind, Source, Tracking};
use super::builder::Builder;
use super::html;
use super::text::{Decoded, Places};

/// Reads a Markdown file; the front matter's title, else the first heading, is the title.
pub(super) fn extract(decoded: &Decoded<'_>, out: &mut Builder) {
    let mut places = Places::new(decoded);
    read(&decoded.text, &mut |offset| places.at(offset), out);
}

/// Reads Markdown that is a part of something else, so that there is no place to give.
pub(super) fn extract_part(text: &str, out: &mut Builder) {
    read(text, &mut |_| Source::default(), out);
}

fn read(text: &str, place: &mut dyn FnMut(usize) -> Source, out: &mut Builder) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader {
        source: text,
        place,
        out,
        text: String::new(),
        start: 0,
        verbatim: true,
        inside: Inside::Prose,
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        if reader.out.is_full() {
            break;
        }
        reader.event(event, range);
    }
    reader.flush();
}

struct Reader<'a> {
    source: &'a str,
    place: &'a mut dyn FnMut(usize) -> Source,
    out: &'a mut Builder,
    /// Text of the block that is being read.
    text: String,
    /// Offset in `source` of its first character.
    start: usize,
    /// Whether `text` is the slice of `source` from `start` on.
    verbatim: bool,
    inside: Inside,
}

/// What the text that comes belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Prose,
    Heading(u8),
    Code,
    Html,
    FrontMatter,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.open(&tag),
            Event::End(tag) => self.close(tag),
            Event::Text(text) | Event::Html(text) => self.append(&text, range),
            // Backticks and dollar signs lie around what is shown.
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.append(&text, range)
            }
            Event::SoftBreak | Event::HardBreak => self.append("\n", range),
            Event::Rule => self.flush(),
            Event::InlineHtml(_) | Event::FootnoteReference(_) | Event::TaskListMarker(_) => {
                self.verbatim = false
            }
        }
    }

    fn open(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Link { .. }
            | Tag::Image { .. } => {}
            Tag::Superscript | Tag::Subscript => {}
            Tag::TableCell => {
                if !self.text.is_empty() {
                    self.text.push_str(" | ");
                    self.verbatim = false;
                }
            }
            other => {
                self.flush();
                self.inside = match other {
                    Tag::Heading { level, .. } => Inside::Heading(depth(*level)),
                    Tag::CodeBlock(_) => Inside::Code,
                    Tag::HtmlBlock => Inside::Html,
                    Tag::MetadataBlock(_) => Inside::FrontMatter,
                    _ => Inside::Prose,
                };
            }
        }
    }

    fn close(&mut self, tag: TagEnd) {
        let inline = matches!(
            tag,
            TagEnd::Emphasis
                | TagEnd::Strong
                | TagEnd::Strikethrough
                | TagEnd::Link
                | TagEnd::Image
                | TagEnd::TableCell
                | TagEnd::Superscript
                | TagEnd::Subscript
        );
        if !inline {
            self.flush();
            self.inside = Inside::Prose;
        }
    }

    fn append(&mut self, text: &str, range: Range<usize>) {
        let mut text = text;
        if self.text.is_empty() && self.inside != Inside::Code {
            // A block starts at its first visible character, whether or not the text before it is the source's.
            text = text.trim_start();
        }
        let Some(first) = text.chars().next() else {
            return;
        };
        if self.text.is_empty() {
            self.start = range.start + self.source[range].find(first).unwrap_or(0);
            self.verbatim = true;
        }
        let at = self.start + self.text.len();
        self.verbatim &= self.source.get(at..at + text.len()) == Some(text);
        self.text.push_str(text);
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let source = (self.place)(self.start);
        let tracking = if self.verbatim {
            Tracking::Bytes
        } else {
            Tracking::Lines
        };
        match self.inside {
            Inside::Prose => self.out.push(BlockKind::Paragraph, &text, source, tracking),
            Inside::Code => self.out.push(BlockKind::Code, &text, source, tracking),
            Inside::Heading(level) => {
                self.out.title(&text);
                self.out
                    .push(BlockKind::Heading(level), &text, source, tracking);
            }
            Inside::Html => self.out.push(
                BlockKind::Paragraph,
                &html::fragment_text(&text),
                source,
                Tracking::Start,
            ),
            Inside::FrontMatter => {
                if let Some(title) = front_matter_title(&text) {
                    self.out.title(title);
                }
                self.out.push(BlockKind::Paragraph, &text, source, tracking);
            }
        }
    }
}

fn depth(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

fn front_matter_title(text: &str) -> Option<&str> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("title:"))?
        .trim();
    Some(value.trim_matches(['"', '\'']))
}
