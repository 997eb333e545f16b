//! What does this XML say, element by element? Entities that a document declares itself are never expanded.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::ExtractError;

/// One thing met on the way through a document.
pub(super) enum Node<'a> {
    Open(&'a str, &'a BytesStart<'a>),
    Close(&'a str),
    Text(&'a str),
}

/// Calls `on_node` for each element and text of `xml`, names without prefixes; an empty element is opened and closed.
/// `on_node` returns false to stop.
///
/// # Errors
/// [`ExtractError::Malformed`] naming the byte, if the document is not well-formed.
pub(super) fn visit(
    xml: &str,
    format: &'static str,
    mut on_node: impl FnMut(Node<'_>) -> bool,
) -> Result<(), ExtractError> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| ExtractError::Malformed {
                format,
                reason: format!("XML at byte {}: {error}", reader.error_position()),
            })?;
        let go_on = match &event {
            Event::Start(tag) => on_node(Node::Open(tag.local_name().as_ref(), tag)),
            Event::End(tag) => on_node(Node::Close(tag.local_name().as_ref())),
            Event::Empty(tag) => {
                on_node(Node::Open(tag.local_name().as_ref(), tag))
                    && on_node(Node::Close(tag.local_name().as_ref()))
            }
            Event::Text(text) => on_node(Node::Text(text)),
            Event::CData(text) => on_node(Node::Text(text)),
            Event::GeneralRef(entity) => {
                on_node(Node::Text(character(entity).encode_utf8(&mut [0; 4])))
            }
            Event::Eof => return Ok(()),
            _ => true,
        };
        if !go_on {
            return Ok(());
        }
    }
}

/// The character of `&#233;` or of one of XML's five names; a space for any other.
fn character(entity: &BytesRef<'_>) -> char {
    if let Ok(Some(c)) = entity.resolve_char_ref() {
        return c;
    }
    match &**entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => ' ',
    }
}

/// The value of an attribute by its name without prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    // Looking for duplicates would take quadratic time on a tag of a million attributes.
    let found = tag
        .attributes()
        .with_checks(false)
        .flatten()
        .find(|attribute| {
            let local: &str = attribute.key.local_name().into_inner();
            local == name
        })?;
    let value = found
        .normalized_value(quick_xml::XmlVersion::Explicit1_0)
        .ok()?;
    Some(value.into_owned())
}
