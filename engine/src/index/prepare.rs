//! What does one file hold, cut into passages?

use super::plan::{Candidate, path_text};
use super::session::{DocumentInput, PassageInput};
use crate::bm25::Language;
use crate::ingest::Extracted;
use crate::ingest::extract::pdf::PdfWorker;
use crate::ingest::extract::{ExtractError, ExtractOptions, extract, read_file};
use crate::ingest::split::{SplitBudget, split};
use crate::request::ReadOptions;

/// Counts the tokens of a text.
pub(crate) type TokenCounter = dyn Fn(&str) -> usize + Send + Sync;

/// A file that has been looked into.
pub(crate) struct Prepared {
    pub candidate: Candidate,
    pub outcome: Outcome,
    /// Bytes read.
    pub bytes: u64,
}

/// What came of reading it.
pub(crate) enum Outcome {
    /// The content is what the record says; only the stamp differs.
    Same,
    /// New text.
    Document {
        input: Box<DocumentInput>,
        warnings: Vec<String>,
    },
    /// Nothing to read in it.
    NotText,
    /// It could not be read; one sentence.
    Failed(String),
}

/// Reads, recognises and splits one file. Never fails: what goes wrong is an outcome.
pub(crate) fn prepare(
    candidate: &Candidate,
    options: &ReadOptions,
    budget: &SplitBudget,
    count: &TokenCounter,
) -> Prepared {
    let (outcome, bytes) = match read_file(&candidate.file.path, options.max_file_bytes) {
        Err(error) => (outcome_of(error), 0),
        Ok(content) => (
            look_into(candidate, &content, options, budget, count),
            content.len() as u64,
        ),
    };
    Prepared {
        candidate: candidate.clone(),
        outcome,
        bytes,
    }
}

fn outcome_of(error: ExtractError) -> Outcome {
    match error {
        ExtractError::NotText { .. } => Outcome::NotText,
        error => Outcome::Failed(error.to_string()),
    }
}

fn look_into(
    candidate: &Candidate,
    content: &[u8],
    options: &ReadOptions,
    budget: &SplitBudget,
    count: &TokenCounter,
) -> Outcome {
    let hash = *blake3::hash(content).as_bytes();
    if candidate
        .known
        .as_ref()
        .is_some_and(|known| known.content_hash == hash && !candidate.anew)
    {
        return Outcome::Same;
    }
    let options = ExtractOptions {
        pdf: PdfWorker::new(options.pdf_worker.clone()),
        ..ExtractOptions::default()
    };
    match extract(&candidate.file.path, content, &options) {
        Err(error) => outcome_of(error),
        Ok(extracted) => {
            let input = document(candidate, hash, &extracted, budget, count);
            Outcome::Document {
                input: Box::new(input),
                warnings: extracted.warnings,
            }
        }
    }
}

fn document(
    candidate: &Candidate,
    content_hash: [u8; 32],
    extracted: &Extracted,
    budget: &SplitBudget,
    count: &TokenCounter,
) -> DocumentInput {
    let passages = split(extracted, budget, count);
    let passages = passages.into_iter().map(|passage| PassageInput {
        text: extracted.text[passage.range].to_owned(),
        headings: passage.headings,
        start: passage.start,
        end: passage.end,
    });
    DocumentInput {
        path: path_text(&candidate.file.path),
        kind: extracted.kind,
        size: candidate.file.size,
        mtime_ns: candidate.file.mtime_ns,
        content_hash,
        title: extracted.title.clone().unwrap_or_default(),
        language: Language::detect(&extracted.text),
        passages: passages.collect(),
    }
}
