//! What is in this BEIR folder?
//!
//! Layout (Thakur et al., NeurIPS 2021): `corpus.jsonl` with `_id`, `title`, `text`; `queries.jsonl` with `_id`, `text`;
//! `qrels/SPLIT.tsv` with a header line and the columns `query-id`, `corpus-id`, `score`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::lines::{self, Bad};
use super::{DatasetError, Qrels, Query, Record, Records};

const CORPUS: &str = "corpus.jsonl";
const QUERIES: &str = "queries.jsonl";
const HEADER: &str = "query-id\tcorpus-id\tscore";

/// A folder in BEIR layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Takes `path` for a BEIR folder.
    ///
    /// # Errors
    /// [`DatasetError::Layout`] if corpus.jsonl or queries.jsonl is missing.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DatasetError> {
        let path = path.into();
        match [CORPUS, QUERIES]
            .into_iter()
            .find(|name| !path.join(name).is_file())
        {
            Some(missing) => Err(DatasetError::Layout { path, missing }),
            None => Ok(Self { path }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The documents in file order, read as they are asked for.
    ///
    /// # Errors
    /// The file cannot be opened; each item can be [`DatasetError::Line`] or [`DatasetError::Duplicate`].
    pub fn corpus(&self) -> Result<Records<Record>, DatasetError> {
        Records::open(&self.path.join(CORPUS), parse_record)
    }

    /// The queries of all splits in file order.
    ///
    /// # Errors
    /// The file cannot be read, a line is broken, an id stands twice.
    pub fn queries(&self) -> Result<Vec<Query>, DatasetError> {
        Records::open(&self.path.join(QUERIES), parse_query)?.collect()
    }

    /// Names of the splits that have judgements, in alphabetical order.
    ///
    /// # Errors
    /// The qrels folder exists and cannot be listed.
    pub fn splits(&self) -> Result<Vec<String>, DatasetError> {
        let folder = self.path.join("qrels");
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut splits = Vec::new();
        for entry in fs::read_dir(&folder).map_err(DatasetError::io("list", &folder))? {
            let path = entry.map_err(DatasetError::io("list", &folder))?.path();
            if path.extension().is_some_and(|extension| extension == "tsv") {
                splits.extend(
                    path.file_stem()
                        .map(|stem| stem.to_string_lossy().into_owned()),
                );
            }
        }
        splits.sort_unstable();
        Ok(splits)
    }

    /// Judgements of `split`.
    ///
    /// # Errors
    /// [`DatasetError::Split`] naming the splits that exist, or what is wrong with the file.
    pub fn qrels(&self, split: &str) -> Result<Qrels, DatasetError> {
        let existing = self.splits()?;
        if !existing.iter().any(|name| name == split) {
            return Err(DatasetError::Split {
                path: self.path.clone(),
                split: split.to_owned(),
                existing,
            });
        }
        read_qrels(&self.path.join("qrels").join(format!("{split}.tsv")))
    }
}

/// Reads judgements in BEIR's three columns; the header may be missing.
///
/// # Errors
/// The file cannot be read, a line is broken, or two lines contradict each other.
pub fn read_qrels(path: &Path) -> Result<Qrels, DatasetError> {
    let mut first = true;
    Qrels::read(path, |line| {
        let is_first = std::mem::take(&mut first);
        if is_first && line.trim() == HEADER {
            return Ok(None);
        }
        let judgement = parse_judgement(line);
        // A header under other names ("qid did relevance") has words where the grade would be.
        if is_first && matches!(&judgement, Err(("score", _))) {
            return Ok(None);
        }
        judgement.map(Some)
    })
}

fn parse_judgement(line: &str) -> Result<(String, String, i32), Bad> {
    let [query, document, grade] = lines::columns(line.split('\t'), "query-id, corpus-id, score")?;
    Ok((
        lines::id("query-id", query)?,
        lines::id("corpus-id", document)?,
        lines::number("score", grade)?,
    ))
}

/// Writes judgements in BEIR's three columns with the header.
///
/// # Errors
/// The file cannot be written, or an id holds white space.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<(), DatasetError> {
    qrels.write(path, Some(HEADER), |query, document, grade| {
        format!("{query}\t{document}\t{grade}")
    })
}

/// Writes documents as `corpus.jsonl` has them, one JSON object a line.
///
/// # Errors
/// The file cannot be written.
pub fn write_corpus<'a>(
    path: &Path,
    records: impl IntoIterator<Item = &'a Record>,
) -> Result<(), DatasetError> {
    lines::write(path, |put| {
        records
            .into_iter()
            .try_for_each(|Record { id, title, text }| {
                put(&json!({ "_id": id, "title": title, "text": text }).to_string())
            })
    })
}

/// Writes queries as `queries.jsonl` has them, one JSON object a line.
///
/// # Errors
/// The file cannot be written.
pub fn write_queries<'a>(
    path: &Path,
    queries: impl IntoIterator<Item = &'a Query>,
) -> Result<(), DatasetError> {
    lines::write(path, |put| {
        let mut queries = queries.into_iter();
        queries
            .try_for_each(|Query { id, text }| put(&json!({ "_id": id, "text": text }).to_string()))
    })
}

/// A record that needs no id.
pub(super) fn parse_text(line: &str) -> Result<Record, Bad> {
    let mut object = parse_object(line)?;
    let id = match object.contains_key("_id") {
        true => take_id(&mut object)?,
        false => String::new(),
    };
    let (title, text) = take_title_and_text(&mut object)?;
    Ok(Record { id, title, text })
}

fn take_title_and_text(object: &mut Map<String, Value>) -> Result<(String, String), Bad> {
    let title = take_text(object, "title")?.unwrap_or_default();
    let text = take_text(object, "text")?.ok_or(("text", "is missing".to_owned()))?;
    Ok((title, text))
}

fn parse_record(line: &str) -> Result<Record, Bad> {
    let mut object = parse_object(line)?;
    let id = take_id(&mut object)?;
    let (title, text) = take_title_and_text(&mut object)?;
    Ok(Record { id, title, text })
}

fn parse_query(line: &str) -> Result<Query, Bad> {
    let mut object = parse_object(line)?;
    Ok(Query {
        id: take_id(&mut object)?,
        text: take_text(&mut object, "text")?.ok_or(("text", "is missing".to_owned()))?,
    })
}

fn parse_object(line: &str) -> Result<Map<String, Value>, Bad> {
    serde_json::from_str(line).map_err(|error| ("line", format!("not a JSON object: {error}")))
}

/// Some sets write their ids as numbers; an id is a string here all the same.
fn take_id(object: &mut Map<String, Value>) -> Result<String, Bad> {
    match object.remove("_id") {
        Some(Value::String(id)) if !id.trim().is_empty() => Ok(id),
        Some(Value::Number(id)) => Ok(id.to_string()),
        Some(other) => Err(("_id", format!("{other} is not an id; expected a string"))),
        None => Err(("_id", "is missing".to_owned())),
    }
}

fn take_text(object: &mut Map<String, Value>, field: &'static str) -> Result<Option<String>, Bad> {
    match object.remove(field) {
        Some(Value::String(text)) => Ok(Some(text)),
        None | Some(Value::Null) => Ok(None),
        Some(other) => Err((field, format!("{other} is not a string"))),
    }
}
