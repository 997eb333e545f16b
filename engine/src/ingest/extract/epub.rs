//! Which chapters does this book hold, in reading order?

use std::collections::HashMap;

use super::archive::Archive;
use super::builder::Builder;
use super::html::{self, Place};
use super::xml::{self, Node, attribute};
use super::{ExtractError, ExtractOptions};

const FORMAT: &str = "EPUB";

/// What the package document says.
#[derive(Default)]
struct Package {
    title: String,
    /// Path of a member by its id, as written.
    items: HashMap<String, String>,
    /// Ids in reading order.
    spine: Vec<String>,
}

/// Reads the chapters of the spine. One that is missing or too large is left out with a warning.
pub(super) fn extract(
    bytes: &[u8],
    options: &ExtractOptions,
    out: &mut Builder,
) -> Result<(), ExtractError> {
    let mut archive = Archive::open(bytes, FORMAT, options)?;
    let package_path = package_path(&archive.required("META-INF/container.xml")?)?;
    let package = package(&archive.required(&package_path)?)?;
    out.title(&package.title);
    let folder = package_path
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    for id in &package.spine {
        if out.is_full() {
            break;
        }
        let Some(href) = package.items.get(id) else {
            out.warn(format!(
                "the book names a chapter {id:?} that it does not list"
            ));
            continue;
        };
        match archive.text(&member_path(folder, href)) {
            Ok(Some(chapter)) => html::extract(&chapter, Place::Part, out),
            Ok(None) => out.warn(format!("chapter {href} is missing from the book")),
            Err(error @ ExtractError::Bomb { .. }) => return Err(error),
            Err(error) => out.warn(format!("chapter {href}: {error}")),
        }
    }
    Ok(())
}

fn package_path(container: &str) -> Result<String, ExtractError> {
    let mut path = None;
    xml::visit(container, FORMAT, |node| {
        if let Node::Open("rootfile", tag) = node {
            path = attribute(tag, "full-path");
        }
        path.is_none()
    })?;
    let reason = "META-INF/container.xml names no package".to_owned();
    path.ok_or(ExtractError::Malformed {
        format: FORMAT,
        reason,
    })
}

fn package(xml: &str) -> Result<Package, ExtractError> {
    let mut package = Package::default();
    let mut in_title = false;
    xml::visit(xml, FORMAT, |node| {
        match node {
            // The first title is the book's; further ones are subtitles and series.
            Node::Open("title", _) => in_title = package.title.trim().is_empty(),
            Node::Close("title") => in_title = false,
            Node::Text(text) if in_title => package.title.push_str(text),
            Node::Open("item", tag) => {
                if let (Some(id), Some(href)) = (attribute(tag, "id"), attribute(tag, "href")) {
                    package.items.insert(id, href);
                }
            }
            Node::Open("itemref", tag) => package.spine.extend(attribute(tag, "idref")),
            _ => {}
        }
        true
    })?;
    Ok(package)
}

/// The member that `href`, written in a document in `folder`, points to: percent signs decoded, `..` resolved.
fn member_path(folder: &str, href: &str) -> String {
    let href = percent_decoded(href.split('#').next().unwrap_or_default());
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(href.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn percent_decoded(href: &str) -> String {
    let mut bytes = Vec::with_capacity(href.len());
    let mut rest = href.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
