//! Which records does this CSV or TSV file hold?

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::super::{BlockKind, Source, Tracking};
use super::builder::Builder;
use super::text::Decoded;

/// One record a row, as `header: value` lines; empty values are left out. Rows that cannot be read are left out with
/// a warning that names their line.
pub(super) fn extract(path: &Path, decoded: &Decoded<'_>, out: &mut Builder) {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(path, &decoded.text))
        .has_headers(false)
        .flexible(true)
        .from_reader(decoded.text.as_bytes());
    let mut headers: Option<StringRecord> = None;
    let mut row = StringRecord::new();
    while !out.is_full() {
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                out.warn(format!("a row was left out: {error}"));
                continue;
            }
        }
        let Some(headers) = &headers else {
            if !is_header(&row) {
                push(&StringRecord::new(), &row, decoded, out);
                headers = Some(StringRecord::new());
            } else {
                headers = Some(row.clone());
            }
            continue;
        };
        push(headers, &row, decoded, out);
    }
}

fn push(headers: &StringRecord, row: &StringRecord, decoded: &Decoded<'_>, out: &mut Builder) {
    let mut text = String::new();
    for (at, value) in row
        .iter()
        .map(str::trim)
        .enumerate()
        .filter(|(_, value)| !value.is_empty())
    {
        if let Some(header) = headers
            .get(at)
            .map(str::trim)
            .filter(|header| !header.is_empty())
        {
            text.push_str(header);
            text.push_str(": ");
        }
        text.push_str(value);
        text.push('\n');
    }
    let source = row
        .position()
        .map_or_else(Source::default, |position| Source {
            byte: decoded.base.map(|base| base + position.byte()),
            line: u32::try_from(position.line()).unwrap_or(u32::MAX),
            page: 0,
        });
    out.push(BlockKind::Record, &text, source, Tracking::Start);
}

/// A first row names the columns if it has several cells, all filled, all different and none a number.
fn is_header(row: &StringRecord) -> bool {
    let cells: Vec<&str> = row.iter().map(str::trim).collect();
    let names = cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.len() <= 100 && cell.parse::<f64>().is_err());
    let mut distinct = cells.clone();
    distinct.sort_unstable();
    distinct.dedup();
    names && distinct.len() == cells.len()
}

/// Tab for TSV by name, else the one of `,` `;` tab `|` that stands most often in the first line.
fn delimiter(path: &Path, text: &str) -> u8 {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    if ["tsv", "tab"]
        .iter()
        .any(|tabbed| extension.eq_ignore_ascii_case(tabbed))
    {
        return b'\t';
    }
    let first = text.lines().next().unwrap_or_default();
    let count = |mark: u8| first.bytes().filter(|&byte| byte == mark).count();
    // Of equals the last wins: the comma.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(|&mark| count(mark))
        .unwrap_or(b',')
}
