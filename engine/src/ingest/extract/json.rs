//! Which texts stand in this JSON, and under which keys?
//!
//! Read as a stream: numbers and structure are passed over and never kept, so that memory grows with the texts alone.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::{BlockKind, Source, Tracking};
use super::builder::Builder;
use super::code;
use super::text::{Decoded, Places};

/// Keys are shown up to this many bytes of path, so that a long one is not repeated before each text below it.
const MAX_PATH_BYTES: usize = 200;
/// Most bytes of one record.
const MAX_RECORD_BYTES: usize = 32 << 20;

/// Each string as `key.path: text`. The elements of a list at the top are records; all other texts are paragraphs.
/// What is no JSON after all (comments, trailing commas) is kept as it stands, as code.
pub(super) fn extract(decoded: &Decoded<'_>, out: &mut Builder) {
    if serde_json::from_str::<IgnoredAny>(&decoded.text).is_err() {
        return code::extract(decoded, out);
    }
    let records = decoded.text.trim_start().starts_with('[');
    let result = visit(&decoded.text, &mut |event| {
        match event {
            Found::Text(_, line) if !records => out.push(
                BlockKind::Paragraph,
                line,
                Source::default(),
                Tracking::Start,
            ),
            Found::Text(..) => {}
            Found::Element(record) => out.push(
                BlockKind::Record,
                record,
                Source::default(),
                Tracking::Start,
            ),
        }
        !out.is_full()
    });
    if let (Err(error), false) = (result, out.is_full()) {
        out.warn(format!("the rest was left out: {error}"));
    }
}

/// A record a line. Where an object has a `text`, as in BEIR sets, the record is its `title` and `text`; else all its
/// texts with their keys. Broken lines are left out with a warning that names them.
pub(super) fn lines(decoded: &Decoded<'_>, out: &mut Builder) {
    let mut places = Places::new(decoded);
    let mut at = 0;
    for line in decoded.text.split_inclusive('\n') {
        let source = places.at(at);
        at += line.len();
        if out.is_full() {
            return;
        }
        if line.trim().is_empty() {
            continue;
        }
        match record(line) {
            Ok(record) => out.push(BlockKind::Record, &record, source, Tracking::Start),
            Err(error) => out.warn(format!(
                "line {} is not JSON and was left out: {error}",
                source.line
            )),
        }
    }
}

fn record(line: &str) -> Result<String, serde_json::Error> {
    let (mut title, mut text, mut all) = (String::new(), String::new(), String::new());
    visit(line, &mut |event| {
        if let Found::Text(path, line) = event {
            let value = || line.get(path.len() + 2..).unwrap_or_default().to_owned();
            match path {
                "title" => title = value(),
                "text" => text = value(),
                _ => {}
            }
            all.push_str(line);
            all.push('\n');
        }
        true
    })?;
    if text.is_empty() {
        return Ok(all);
    }
    Ok(if title.is_empty() {
        text
    } else {
        format!("{title}\n{text}")
    })
}

/// What [`visit`] met.
enum Found<'a> {
    /// A string: its key path, and the line `path: string` (without a path the string alone).
    Text(&'a str, &'a str),
    /// The end of an element of the outermost list: its lines.
    Element(&'a str),
}

/// Calls `on_found` for what stands in `json`, in order, until it returns false.
fn visit(json: &str, on_found: &mut dyn FnMut(Found<'_>) -> bool) -> Result<(), serde_json::Error> {
    let mut walk = Walk {
        path: String::new(),
        line: String::new(),
        record: String::new(),
        depth: 0,
        on_found,
    };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    Node(&mut walk).deserialize(&mut deserializer)?;
    deserializer.end()
}

struct Walk<'a> {
    /// Keys joined by dots; list positions are not in it.
    path: String,
    line: String,
    record: String,
    depth: usize,
    on_found: &'a mut dyn FnMut(Found<'_>) -> bool,
}

struct Node<'a, 'b>(&'a mut Walk<'b>);

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let walk = self.0;
        if text.trim().is_empty() {
            return Ok(());
        }
        walk.line.clear();
        if !walk.path.is_empty() {
            walk.line.push_str(&walk.path);
            walk.line.push_str(": ");
        }
        walk.line.push_str(text);
        if walk.record.len() < MAX_RECORD_BYTES {
            walk.record.push_str(&walk.line);
            walk.record.push('\n');
        }
        go_on((walk.on_found)(Found::Text(&walk.path, &walk.line)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let walk = self.0;
        walk.depth += 1;
        loop {
            if walk.depth == 1 {
                walk.record.clear();
            }
            if list.next_element_seed(Node(walk))?.is_none() {
                break;
            }
            if walk.depth == 1 {
                go_on((walk.on_found)(Found::Element(&walk.record)))?;
            }
        }
        walk.depth -= 1;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.0;
        walk.depth += 1;
        let above = walk.path.len();
        while let Some(key) = map.next_key::<String>()? {
            if above > 0 {
                walk.path.push('.');
            }
            let room = MAX_PATH_BYTES.saturating_sub(walk.path.len());
            walk.path.push_str(&key[..key.floor_char_boundary(room)]);
            map.next_value_seed(Node(walk))?;
            walk.path.truncate(above);
        }
        walk.depth -= 1;
        Ok(())
    }
}

fn go_on<E: Error>(on: bool) -> Result<(), E> {
    if on {
        Ok(())
    } else {
        Err(E::custom("enough was read"))
    }
}
