//! What does this Markdown look like, without any markup of its own?
//!
//! The outcome is a tree of text and of elements from a short list, not HTML text: nothing in a file can become an element
//! or an attribute. Raw HTML is dropped, images become their description, links keep their target only if it is a web or
//! mail address.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use schemars::JsonSchema;
use serde::Serialize;

/// Elements deeper than this are dropped; no reader sees so far.
const DEEPEST: usize = 64;

/// Text, or an element with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Node {
    /// Text.
    Text(String),
    /// An element.
    Element(Element),
}

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Element {
    /// Its name in HTML: p, h1 to h6, ul, ol, li, blockquote, pre, code, em, strong, del, a, table, thead, tbody, tr, th, td,
    /// hr, br, sup, sub.
    pub tag: String,
    /// Line of the file it starts in, from 1; only of blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Target of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// State of the box of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<bool>,
    /// What is in it.
    pub nodes: Vec<Node>,
}

/// Renders a file.
pub fn render(text: &str) -> Vec<Node> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut writer = Writer {
        open: vec![Element::default()],
        hidden: 0,
        in_head: false,
    };
    let mut lines = Lines {
        text,
        at: 0,
        line: 1,
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let line = lines.of(range.start);
        writer.event(event, line);
    }
    while writer.open.len() > 1 {
        writer.close();
    }
    writer.open.pop().map(|root| root.nodes).unwrap_or_default()
}

/// Counts lines forward.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// Line of the byte `at`, from 1. Events that look back keep the line of the one before.
    fn of(&mut self, at: usize) -> usize {
        if at > self.at {
            let passed = self.text.as_bytes().get(self.at..at).unwrap_or_default();
            self.line += passed.iter().filter(|&&byte| byte == b'\n').count();
            self.at = at;
        }
        self.line
    }
}

struct Writer {
    /// Elements that are not closed yet, the root first; never empty while events come.
    open: Vec<Element>,
    /// Elements whose content is not shown that are open.
    hidden: usize,
    /// Inside the head of a table.
    in_head: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(tag) => self.start(&tag, line),
            Event::End(tag) => self.end(&tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.open("code", None);
                self.text(&text);
                self.close();
            }
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => self.leaf("br", None),
            Event::Rule => self.leaf("hr", Some(line)),
            Event::FootnoteReference(name) => {
                self.open("sup", None);
                self.text(&name);
                self.close();
            }
            Event::TaskListMarker(done) => {
                if let Some(item) = self.open.last_mut() {
                    item.done = Some(done);
                }
            }
            // Markup of the file's own.
            Event::Html(_) | Event::InlineHtml(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>, line: usize) {
        if matches!(tag, Tag::HtmlBlock | Tag::MetadataBlock(_)) {
            self.hidden += 1;
            return;
        }
        self.in_head |= matches!(tag, Tag::TableHead);
        let cell = if self.in_head { "th" } else { "td" };
        let line = Some(line);
        match tag {
            Tag::Paragraph => self.open("p", line),
            Tag::Heading { level, .. } => self.open(heading(*level), line),
            Tag::BlockQuote(_) => self.open("blockquote", line),
            Tag::CodeBlock(kind) => {
                // Fenced or indented: the same look; the language is not shown.
                let (CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) = kind;
                self.open("pre", line);
            }
            Tag::List(Some(_)) => self.open("ol", line),
            Tag::List(None) | Tag::DefinitionList => self.open("ul", line),
            Tag::Item | Tag::DefinitionListTitle | Tag::DefinitionListDefinition => {
                self.open("li", line)
            }
            Tag::FootnoteDefinition(name) => {
                self.open("p", line);
                self.open("sup", None);
                self.text(name);
                self.close();
            }
            Tag::Table(_) => self.open("table", line),
            Tag::TableHead => {
                self.open("thead", None);
                self.open("tr", line);
            }
            Tag::TableRow => self.open("tr", line),
            Tag::TableCell => self.open(cell, None),
            Tag::Emphasis | Tag::Image { .. } => self.open("em", None),
            Tag::Strong => self.open("strong", None),
            Tag::Strikethrough => self.open("del", None),
            Tag::Superscript => self.open("sup", None),
            Tag::Subscript => self.open("sub", None),
            Tag::Link { dest_url, .. } => {
                self.open("a", None);
                if let Some(link) = self.open.last_mut() {
                    link.href = safe_target(dest_url).map(str::to_owned);
                }
            }
            Tag::HtmlBlock | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: &TagEnd) {
        match tag {
            TagEnd::HtmlBlock | TagEnd::MetadataBlock(_) => self.hidden -= 1,
            TagEnd::TableHead => {
                self.in_head = false;
                self.close();
                self.close();
            }
            _ => self.close(),
        }
    }

    fn open(&mut self, tag: &str, line: Option<usize>) {
        self.open.push(Element {
            tag: tag.to_owned(),
            line,
            ..Element::default()
        });
    }

    fn close(&mut self) {
        if self.open.len() < 2 {
            return;
        }
        let deep = self.open.len() > DEEPEST;
        if let (Some(done), Some(parent)) = (self.open.pop(), self.open.last_mut())
            && !deep
        {
            parent.nodes.push(Node::Element(done));
        }
    }

    fn leaf(&mut self, tag: &str, line: Option<usize>) {
        self.open(tag, line);
        self.close();
    }

    fn text(&mut self, text: &str) {
        if self.hidden > 0 {
            return;
        }
        // The root is there as long as events come.
        let Some(element) = self.open.last_mut() else {
            return;
        };
        match element.nodes.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => element.nodes.push(Node::Text(text.to_owned())),
        }
    }
}

fn heading(level: HeadingLevel) -> &'static str {
    match level {
        HeadingLevel::H1 => "h1",
        HeadingLevel::H2 => "h2",
        HeadingLevel::H3 => "h3",
        HeadingLevel::H4 => "h4",
        HeadingLevel::H5 => "h5",
        HeadingLevel::H6 => "h6",
    }
}

/// A target that a browser may follow: nothing that runs, and nothing on this computer.
fn safe_target(target: &str) -> Option<&str> {
    let target = target.trim();
    let scheme = target.split_once(':')?.0.to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "mailto").then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text, `tag[...]`, for tests to read.
    fn shown(nodes: &[Node]) -> String {
        let show = |node: &Node| match node {
            Node::Text(text) => text.clone(),
            Node::Element(Element {
                tag, nodes, href, ..
            }) => {
                let href = href
                    .as_ref()
                    .map(|href| format!("={href}"))
                    .unwrap_or_default();
                format!("{tag}{href}[{}]", shown(nodes))
            }
        };
        nodes.iter().map(show).collect()
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(shown(&render(text)), expected, "{text}");
    }

    #[test]
    fn structure_is_kept() {
        check("# A *b*\n\ntext `c`\n", "h1[A em[b]]p[text code[c]]");
        check("- a\n- b\n", "ul[li[a]li[b]]");
        check("1. a\n", "ol[li[a]]");
        check("> q\n", "blockquote[p[q]]");
        check("```rust\nfn x() {}\n```\n", "pre[fn x() {}\n]");
        check(
            "|a|b|\n|-|-|\n|1|2|\n",
            "table[thead[tr[th[a]th[b]]]tr[td[1]td[2]]]",
        );
        check("---\ntitle: x\n---\n\ntext\n", "p[text]");
        check("a[^1]\n\n[^1]: note\n", "p[asup[1]]p[sup[1]p[note]]");
    }

    #[test]
    fn markup_of_the_file_is_dropped() {
        check("<script>alert(1)</script>\n\ntext\n", "p[text]");
        check("a <b onclick=\"x()\">b</b> c\n", "p[a b c]");
        check("<img src=x onerror=alert(1)>\n", "");
        check("![alt](http://example.com/track.png)\n", "p[em[alt]]");
        check("&lt;script&gt;\n", "p[<script>]");
    }

    #[test]
    fn links_lead_to_the_web_or_nowhere() {
        check(
            "[a](https://example.com/x)\n",
            "p[a=https://example.com/x[a]]",
        );
        for target in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "../x.md",
            "//x.y",
        ] {
            check(&format!("[a](<{target}>)\n"), "p[a[a]]");
        }
    }

    #[test]
    fn blocks_know_their_lines() {
        let nodes = render("# A\n\ntext\nmore\n\n- x\n");
        let lines: Vec<_> = nodes
            .iter()
            .map(|node| match node {
                Node::Element(element) => element.line,
                Node::Text(_) => None,
            })
            .collect();
        assert_eq!(lines, [Some(1), Some(3), Some(6)]);
    }

    #[test]
    fn bottomless_nesting_ends() {
        let deep = format!("{}x", "> ".repeat(5000));
        let depth = |nodes: &[Node]| {
            let (mut depth, mut nodes) = (0, nodes.to_vec());
            while let Some(Node::Element(element)) = nodes.first().cloned() {
                (depth, nodes) = (depth + 1, element.nodes);
            }
            depth
        };
        assert!(depth(&render(&deep)) <= DEEPEST);
    }
}
