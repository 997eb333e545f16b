//! Which characters are these bytes, and which paragraphs do they make?

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::super::{BlockKind, Source, Tracking};
use super::builder::Builder;

/// A text file as characters.
pub(super) struct Decoded<'a> {
    /// The characters, without a byte order mark.
    pub text: Cow<'a, str>,
    /// Offset in the file of the first byte of `text`, if the two agree byte for byte.
    pub base: Option<u64>,
    /// What a person should know about the decoding.
    pub warning: Option<String>,
}

/// Decodes by byte order mark, as UTF-8, as UTF-16, else in the most likely legacy encoding. Never fails: what does
/// not fit becomes U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Decoded<'_> {
    let (encoding, bom) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    let body = bytes.get(bom..).unwrap_or_default();
    if encoding == UTF_8
        && let Ok(text) = std::str::from_utf8(body)
    {
        return Decoded {
            text: with_newlines(text.into()),
            base: Some(bom as u64),
            warning: None,
        };
    }
    let encoding = if bom > 0 { encoding } else { guess(body) };
    let (text, broken) = encoding.decode_without_bom_handling(body);
    let warning = broken.then(|| format!("some bytes are not valid {}", encoding.name()));
    Decoded {
        text: with_newlines(text),
        base: None,
        warning,
    }
}

/// Whether the start of a file looks like UTF-16 without a mark: every other byte is nearly always zero.
pub(in super::super) fn looks_utf16(head: &[u8]) -> Option<&'static Encoding> {
    if !head.contains(&0) {
        return None;
    }
    let pairs = head.chunks_exact(2).len();
    let zeros = |at: usize| head.chunks_exact(2).filter(|pair| pair[at] == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    match pairs {
        0..=3 => None,
        _ if low * 10 >= pairs * 7 && high * 20 <= pairs => Some(UTF_16LE),
        _ if high * 10 >= pairs * 7 && low * 20 <= pairs => Some(UTF_16BE),
        _ => None,
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if let Some(encoding) = looks_utf16(bytes.get(..8192).unwrap_or(bytes)) {
        return encoding;
    }
    if is_mostly_utf8(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    // The first mebibyte says enough; a longer look costs more than reading the file.
    let sample = bytes.get(..1 << 20).unwrap_or(bytes);
    detector.feed(sample, true);
    detector.guess(None, Utf8Detection::Deny)
}

/// A few broken bytes in a UTF-8 file (a cut end, a pasted line) do not make it a file in another encoding.
fn is_mostly_utf8(bytes: &[u8]) -> bool {
    let mut sound = 0usize;
    let mut broken = 0usize;
    for chunk in bytes.utf8_chunks() {
        sound += chunk.valid().bytes().filter(|&byte| byte >= 0xC0).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    sound >= broken * 8
}

/// Files of old Macs end lines with `\r` alone.
fn with_newlines(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') && !text.contains('\n') {
        Cow::Owned(text.replace('\r', "\n"))
    } else {
        text
    }
}

/// Turns rising offsets of a decoded text into places in the file.
pub(super) struct Places<'a> {
    text: &'a str,
    base: Option<u64>,
    offset: usize,
    line: u32,
}

impl<'a> Places<'a> {
    pub fn new(decoded: &'a Decoded<'_>) -> Self {
        Self {
            text: &decoded.text,
            base: decoded.base,
            offset: 0,
            line: 1,
        }
    }

    /// Place of byte `offset` of the text; one before the last asked for gives that one's line.
    pub fn at(&mut self, offset: usize) -> Source {
        if let Some(between) = self.text.as_bytes().get(self.offset..offset) {
            let lines = between.iter().filter(|&&byte| byte == b'\n').count();
            self.line = self
                .line
                .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.offset = offset;
        }
        Source {
            byte: self.base.map(|base| base + offset as u64),
            line: self.line,
            page: 0,
        }
    }
}

/// Paragraphs by blank lines; a line underlined with `=`, `-` and the like (reStructuredText and many a README) is a
/// heading.
pub(super) fn extract(decoded: &Decoded<'_>, out: &mut Builder) {
    let mut places = Places::new(decoded);
    let mut underlines = String::new();
    for group in groups(&decoded.text) {
        if out.is_full() {
            return;
        }
        let mut rest = group;
        if let Some((title, mark, length)) = underlined(&decoded.text[rest.clone()]) {
            // Levels come in the order in which the marks first appear.
            let level = underlines.find(mark).unwrap_or(underlines.len());
            if level == underlines.len() {
                underlines.push(mark);
            }
            let level = u8::try_from(level + 1).unwrap_or(6).min(6);
            out.title(title);
            out.push(
                BlockKind::Heading(level),
                title,
                places.at(rest.start),
                Tracking::Lines,
            );
            rest.start += length;
        }
        out.push(
            BlockKind::Paragraph,
            &decoded.text[rest.clone()],
            places.at(rest.start),
            Tracking::Bytes,
        );
    }
}

/// Byte ranges of runs of lines without a blank one.
pub(super) fn groups(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut lines = text.split_inclusive('\n');
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut group: Option<std::ops::Range<usize>> = None;
        for line in lines.by_ref() {
            let start = at;
            at += line.len();
            if !line.trim().is_empty() {
                group = Some(group.map_or(start, |group| group.start)..at);
            } else if group.is_some() {
                break;
            }
        }
        group
    })
}

/// The title, the mark and the bytes of both lines, if the second line of `group` underlines the first.
fn underlined(group: &str) -> Option<(&str, char, usize)> {
    let mut lines = group.split_inclusive('\n');
    let (title, rule) = (lines.next()?, lines.next()?);
    let mark = rule
        .chars()
        .next()
        .filter(|mark| "=-~^\"'*+#`".contains(*mark))?;
    let (shown, ruled) = (title.trim(), rule.trim_end());
    let is_rule = ruled.chars().all(|c| c == mark)
        && ruled.len() >= 3
        && ruled.len() + 2 >= shown.chars().count();
    let is_title = shown.chars().any(char::is_alphanumeric)
        && !title.starts_with([' ', '\t'])
        && shown.len() <= 120;
    (is_rule && is_title).then_some((shown, mark, title.len() + rule.len()))
}
