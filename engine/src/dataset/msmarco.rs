//! What is in these MS MARCO tables?
//!
//! Tab separated, no header: `collection.tsv` with `pid`, `text` (passages) or `docid`, `url`, `title`, `text`
//! (documents); `queries.*.tsv` with `qid`, `text`; `qrels.*.tsv` with `qid`, `0`, `pid`, `grade`, which is TREC's layout.

use std::path::Path;

use super::lines::{self, Bad};
use super::{DatasetError, Qrels, Query, Record, Records, trec};

/// Passages or documents of `collection.tsv`, read as they are asked for.
///
/// # Errors
/// The file cannot be opened; each item can be [`DatasetError::Line`] or [`DatasetError::Duplicate`].
pub fn read_collection(path: &Path) -> Result<Records<Record>, DatasetError> {
    Records::open(path, parse_record)
}

/// All queries of `queries.*.tsv`.
///
/// # Errors
/// The file cannot be read, a line is broken, an id stands twice.
pub fn read_queries(path: &Path) -> Result<Vec<Query>, DatasetError> {
    Records::open(path, parse_query)?.collect()
}

/// Judgements of `qrels.*.tsv`.
///
/// # Errors
/// As [`trec::read_qrels`].
pub fn read_qrels(path: &Path) -> Result<Qrels, DatasetError> {
    trec::read_qrels(path)
}

/// Writes judgements as `qrels.*.tsv` has them.
///
/// # Errors
/// The file cannot be written, or an id holds white space.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<(), DatasetError> {
    qrels.write(path, None, |query, document, grade| {
        format!("{query}\t0\t{document}\t{grade}")
    })
}

/// Writes passages as two columns, the title before the text. Runs of white space become one space: the format has no
/// other way to hold a tab or a line end.
///
/// # Errors
/// The file cannot be written, or an id holds white space.
pub fn write_collection<'a>(
    path: &Path,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<(), DatasetError> {
    let mut rows = records
        .into_iter()
        .map(|record| (record.id.as_str(), record.full_text()));
    write_pairs(path, "pid", &mut rows)
}

/// Writes queries as two columns, white space as in [`write_collection`].
///
/// # Errors
/// The file cannot be written, or an id holds white space.
pub fn write_queries<'a>(
    path: &Path,
    queries: impl IntoIterator<Item = &'a Query>,
) -> Result<(), DatasetError> {
    let mut rows = queries
        .into_iter()
        .map(|query| (query.id.as_str(), query.text.clone()));
    write_pairs(path, "qid", &mut rows)
}

fn write_pairs(
    path: &Path,
    field: &'static str,
    rows: &mut dyn Iterator<Item = (&str, String)>,
) -> Result<(), DatasetError> {
    lines::write(path, |put| {
        for (id, text) in rows {
            let words: Vec<&str> = text.split_whitespace().collect();
            put(&format!(
                "{}\t{}",
                lines::plain(path, field, id)?,
                words.join(" ")
            ))?;
        }
        Ok(())
    })
}

fn parse_record(line: &str) -> Result<Record, Bad> {
    let columns: Vec<&str> = line.split('\t').collect();
    let (id, title, text) = match columns[..] {
        [id, text] => (id, "", text),
        [id, _url, title, text] => (id, title, text),
        _ => {
            let found = columns.len();
            return Err((
                "columns",
                format!("expected 2 (pid, text) or 4 (docid, url, title, text), found {found}"),
            ));
        }
    };
    Ok(Record {
        id: lines::id("pid", id)?,
        title: title.to_owned(),
        text: text.to_owned(),
    })
}

fn parse_query(line: &str) -> Result<Query, Bad> {
    let [id, text] = lines::columns(line.split('\t'), "qid, text")?;
    Ok(Query {
        id: lines::id("qid", id)?,
        text: text.to_owned(),
    })
}
