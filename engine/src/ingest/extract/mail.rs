//! What does this mail say, who wrote it, and what is attached?

use mailparse::{MailHeaderMap, ParsedMail, parse_mail};

use super::super::{BlockKind, Source, Tracking};
use super::ExtractError;
use super::builder::Builder;
use super::html::{self, Place};
use super::text;

const FORMAT: &str = "mail";
/// Most bytes of header lines of one message and its parts together: each line costs its reader a record.
const MAX_HEADER_BYTES: usize = 4 << 20;
/// Most parts of one message.
const MAX_PARTS: usize = 10_000;
/// Header lines kept above the text.
const KEPT: [&str; 4] = ["From", "To", "Cc", "Date"];

/// Reads one message (RFC 5322): the subject is the title.
pub(super) fn message(bytes: &[u8], out: &mut Builder) -> Result<(), ExtractError> {
    let mail = parse(bytes)?;
    out.title(&subject(&mail));
    let mut push = |text: &str| {
        out.push(
            BlockKind::Paragraph,
            text,
            Source::default(),
            Tracking::Start,
        )
    };
    push(&kept_headers(&mail));
    let content = Content::of(&mail);
    content
        .plain
        .iter()
        .for_each(|plain| text::groups(plain).for_each(|group| push(&plain[group])));
    if content.plain.is_empty() {
        content
            .html
            .iter()
            .for_each(|page| html::extract(page, Place::Part, out));
    }
    out.push(
        BlockKind::Paragraph,
        &content.attachments,
        Source::default(),
        Tracking::Start,
    );
    Ok(())
}

/// Reads a mailbox (RFC 4155): each message is a heading with its subject and one record. Messages that cannot be
/// read are left out with a warning.
pub(super) fn mailbox(bytes: &[u8], out: &mut Builder) {
    for (offset, line, bytes) in messages(bytes) {
        if out.is_full() {
            return;
        }
        let source = Source {
            byte: Some(offset as u64),
            line,
            page: 0,
        };
        match parse(bytes) {
            Ok(mail) => record(&mail, source, out),
            Err(error) => out.warn(format!("the message at line {line} {error}")),
        }
    }
}

fn record(mail: &ParsedMail<'_>, source: Source, out: &mut Builder) {
    let content = Content::of(mail);
    let body = if content.plain.is_empty() {
        content
            .html
            .iter()
            .map(|page| html::fragment_text(page))
            .collect()
    } else {
        content.plain
    };
    let mut parts = vec![kept_headers(mail)];
    parts.extend(
        body.iter()
            .map(|part| part.replace("\r\n", "\n").trim().to_owned()),
    );
    parts.push(content.attachments);
    parts.retain(|part| !part.is_empty());
    out.push(
        BlockKind::Heading(1),
        &subject(mail),
        source,
        Tracking::Start,
    );
    out.push(
        BlockKind::Record,
        &parts.join("\n\n"),
        source,
        Tracking::Start,
    );
}

/// Offset, line and bytes of each message, without its "From " line.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (usize, u32, &[u8])> {
    let mut starts = Vec::new();
    let mut at = 0;
    let mut after_blank = true;
    for (number, line) in (1u32..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
        if after_blank && line.starts_with(b"From ") {
            starts.push((at, number, at + line.len()));
        }
        after_blank = line.trim_ascii().is_empty();
        at += line.len();
    }
    let ends: Vec<usize> = starts
        .iter()
        .skip(1)
        .map(|start| start.0)
        .chain([bytes.len()])
        .collect();
    starts
        .into_iter()
        .zip(ends)
        .map(|((offset, line, start), end)| {
            (offset, line, bytes.get(start..end).unwrap_or_default())
        })
}

fn parse(bytes: &[u8]) -> Result<ParsedMail<'_>, ExtractError> {
    let malformed = |reason: String| ExtractError::Malformed {
        format: FORMAT,
        reason,
    };
    let (headers, parts) = header_bytes_and_parts(bytes);
    if headers > MAX_HEADER_BYTES || parts > MAX_PARTS {
        return Err(malformed(format!(
            "{parts} parts with {headers} bytes of headers are more than a mail has"
        )));
    }
    parse_mail(bytes).map_err(|error| malformed(error.to_string()))
}

/// An upper bound on what a parser would keep: lines that look like headers, after the start or a boundary and up to
/// a blank line, and boundaries.
fn header_bytes_and_parts(bytes: &[u8]) -> (usize, usize) {
    let (mut headers, mut parts, mut in_headers) = (0, 0, true);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"--") {
            in_headers = true;
            // A row of dashes is a rule in somebody's text.
            parts += usize::from(!line.starts_with(b"---"));
        } else if line.trim_ascii().is_empty() {
            in_headers = false;
        } else if in_headers {
            headers += line.len();
        }
    }
    (headers, parts)
}

fn subject(mail: &ParsedMail<'_>) -> String {
    mail.headers.get_first_value("Subject").unwrap_or_default()
}

fn kept_headers(mail: &ParsedMail<'_>) -> String {
    let line = |name: &&str| {
        mail.headers
            .get_first_value(name)
            .map(|value| format!("{name}: {}", value.trim()))
    };
    KEPT.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// The parts of a message that hold something to read.
#[derive(Default)]
struct Content {
    plain: Vec<String>,
    html: Vec<String>,
    /// One line naming the attached files; empty if there are none.
    attachments: String,
}

impl Content {
    fn of(mail: &ParsedMail<'_>) -> Self {
        let mut content = Self::default();
        let mut names = Vec::new();
        for part in mail.parts().filter(|part| part.subparts.is_empty()) {
            let disposition = part.get_content_disposition();
            let name = disposition
                .params
                .get("filename")
                .or_else(|| part.ctype.params.get("name"));
            if let Some(name) = name {
                names.push(name.clone());
                continue;
            }
            match part.ctype.mimetype.as_str() {
                "text/html" | "application/xhtml+xml" => content.html.push(body(part)),
                kind if kind.starts_with("text/") => content.plain.push(body(part)),
                _ => {}
            }
        }
        content.plain.retain(|text| !text.trim().is_empty());
        if !names.is_empty() {
            content.attachments = format!("Attached: {}", names.join(", "));
        }
        content
    }
}

/// The text of a part; as it stands if its transfer encoding is broken.
fn body(part: &ParsedMail<'_>) -> String {
    part.get_body()
        .unwrap_or_else(|_| text::decode(part.raw_bytes).text.into_owned())
}
