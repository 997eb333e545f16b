//! Which headings, paragraphs and tables does this Word document hold?

use std::collections::HashMap;

use super::super::{BlockKind, Source, Tracking};
use super::archive::Archive;
use super::builder::Builder;
use super::xml::{self, Node, attribute};
use super::{ExtractError, ExtractOptions};

const FORMAT: &str = "DOCX";

/// Reads the body, then foot- and endnotes; the title is the one of the document's properties, else its first heading.
pub(super) fn extract(
    bytes: &[u8],
    options: &ExtractOptions,
    out: &mut Builder,
) -> Result<(), ExtractError> {
    let mut archive = Archive::open(bytes, FORMAT, options)?;
    if let Some(core) = archive.text("docProps/core.xml")? {
        out.title(&title(&core)?);
    }
    let levels = match archive.text("word/styles.xml")? {
        Some(styles) => heading_levels(&styles)?,
        None => HashMap::new(),
    };
    for (part, required) in [
        ("word/document.xml", true),
        ("word/footnotes.xml", false),
        ("word/endnotes.xml", false),
    ] {
        let xml = if required {
            Some(archive.required(part)?)
        } else {
            archive.text(part)?
        };
        if let Some(xml) = xml {
            body(&xml, &levels, out)?;
        }
    }
    Ok(())
}

fn title(core: &str) -> Result<String, ExtractError> {
    let mut title = String::new();
    let mut inside = false;
    xml::visit(core, FORMAT, |node| {
        match node {
            Node::Open(name, _) => inside = name == "title",
            Node::Close(_) => inside = false,
            Node::Text(text) if inside => title.push_str(text),
            Node::Text(_) => {}
        }
        true
    })?;
    Ok(title)
}

/// Heading level by style id: from the style's outline level, else from its English name, which Word keeps in every
/// language.
fn heading_levels(styles: &str) -> Result<HashMap<String, u8>, ExtractError> {
    let mut levels = HashMap::new();
    let mut style = String::new();
    xml::visit(styles, FORMAT, |node| {
        if let Node::Open(name, tag) = node {
            match name {
                "style" => style = attribute(tag, "styleId").unwrap_or_default(),
                "name" => {
                    if let Some(level) = attribute(tag, "val").and_then(|name| level_of_name(&name))
                    {
                        levels.insert(style.clone(), level);
                    }
                }
                "outlineLvl" => {
                    if let Some(level) = outline_level(attribute(tag, "val")) {
                        levels.insert(style.clone(), level);
                    }
                }
                _ => {}
            }
        }
        true
    })?;
    Ok(levels)
}

fn level_of_name(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    name.strip_prefix("heading ")?
        .parse()
        .ok()
        .filter(|level| (1..=9).contains(level))
        .map(|level: u8| level.min(6))
}

/// Outline levels count from 0; 9 is body text.
fn outline_level(value: Option<String>) -> Option<u8> {
    value?
        .parse::<u8>()
        .ok()
        .filter(|&level| level < 9)
        .map(|level| (level + 1).min(6))
}

#[derive(Default)]
struct Paragraph {
    text: String,
    level: Option<u8>,
}

fn body(xml: &str, levels: &HashMap<String, u8>, out: &mut Builder) -> Result<(), ExtractError> {
    let mut paragraph = Paragraph::default();
    let mut row = String::new();
    let mut tables = 0usize;
    let mut in_text = false;
    xml::visit(xml, FORMAT, |node| {
        match node {
            Node::Open("t", _) => in_text = true,
            Node::Close("t") => in_text = false,
            Node::Text(text) if in_text => paragraph.text.push_str(text),
            Node::Open("tab", _) => paragraph.text.push('\t'),
            Node::Open("br" | "cr", _) => paragraph.text.push('\n'),
            Node::Open("noBreakHyphen", _) => paragraph.text.push('-'),
            Node::Open("pStyle", tag) => {
                paragraph.level = attribute(tag, "val")
                    .and_then(|style| levels.get(&style).copied())
                    .or(paragraph.level);
            }
            Node::Open("outlineLvl", tag) => {
                paragraph.level = outline_level(attribute(tag, "val")).or(paragraph.level)
            }
            Node::Open("tbl", _) => tables += 1,
            Node::Close("tbl") => tables = tables.saturating_sub(1),
            Node::Close("p") => {
                let done = std::mem::take(&mut paragraph);
                if tables > 0 {
                    row.push_str(done.text.trim());
                    row.push(' ');
                } else {
                    finish(&done, out);
                }
            }
            Node::Close("tc") => row.push_str("| "),
            Node::Close("tr") if tables <= 1 => {
                let cells = std::mem::take(&mut row);
                let cells = cells.trim_end_matches(['|', ' ']);
                out.push(
                    BlockKind::Paragraph,
                    cells,
                    Source::default(),
                    Tracking::Start,
                );
            }
            _ => {}
        }
        !out.is_full()
    })
}

fn finish(paragraph: &Paragraph, out: &mut Builder) {
    let kind = match paragraph.level {
        Some(level) => {
            out.title(&paragraph.text);
            BlockKind::Heading(level)
        }
        None => BlockKind::Paragraph,
    };
    out.push(kind, &paragraph.text, Source::default(), Tracking::Start);
}
