//! What do these TREC files say: which documents are relevant, which were retrieved?
//!
//! Columns separated by white space. Judgements: `qid iter docid grade`. Runs: `qid Q0 docid rank score tag`.
//! The second column of both and the rank of a run are read over, as trec_eval does.

use std::path::Path;

use super::lines::{self, Bad, Lines, Seen};
use super::{DatasetError, Qrels, Run};

/// Reads judgements.
///
/// # Errors
/// The file cannot be read, a line is broken, or two lines contradict each other.
pub fn read_qrels(path: &Path) -> Result<Qrels, DatasetError> {
    Qrels::read(path, |line| {
        let [query, _iter, document, grade] =
            lines::columns(line.split_whitespace(), "qid, iter, docid, grade")?;
        Ok(Some((
            query.to_owned(),
            document.to_owned(),
            lines::number("grade", grade)?,
        )))
    })
}

/// Writes judgements.
///
/// # Errors
/// The file cannot be written, or an id holds white space.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<(), DatasetError> {
    qrels.write(path, None, |query, document, grade| {
        format!("{query} 0 {document} {grade}")
    })
}

/// Reads a run. Its tag is that of the last line.
///
/// # Errors
/// The file cannot be read, a line is broken, or a document stands twice for one query.
pub fn read_run(path: &Path) -> Result<Run, DatasetError> {
    let (mut lines, mut seen, mut run) = (Lines::open(path)?, Seen::default(), Run::default());
    while let Some((query, document, score, tag)) = lines.next(parse_hit)? {
        seen.note(&lines, &[&query, &document])?;
        run.push(&query, document, score);
        run.tag = tag;
    }
    Ok(run)
}

fn parse_hit(line: &str) -> Result<(String, String, f32, String), Bad> {
    let [query, _q0, document, _rank, score, tag] =
        lines::columns(line.split_whitespace(), "qid, Q0, docid, rank, score, tag")?;
    let score: f32 = lines::number("score", score)?;
    if !score.is_finite() {
        return Err(("score", format!("{score} is no finite number")));
    }
    Ok((query.to_owned(), document.to_owned(), score, tag.to_owned()))
}

/// Writes a run, each query's documents best first with ranks from 1. Scores read back bit for bit.
///
/// # Errors
/// The file cannot be written, or the tag or an id holds white space.
pub fn write_run(path: &Path, run: &Run) -> Result<(), DatasetError> {
    let tag = lines::plain(path, "tag", &run.tag)?;
    lines::write(path, |put| {
        for query in run.queries() {
            let name = lines::plain(path, "query id", query)?;
            for (rank, (document, score)) in (1..).zip(run.ranking(query)) {
                let document = lines::plain(path, "document id", document)?;
                put(&format!("{name} Q0 {document} {rank} {score} {tag}"))?;
            }
        }
        Ok(())
    })
}
