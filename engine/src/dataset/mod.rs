//! What documents, questions and answers do retrieval data sets hold?
//!
//! Readers and writers for the layouts people exchange: BEIR folders ([`beir`]), MS MARCO tables ([`msmarco`]) and
//! TREC judgements and runs ([`trec`]). All ids are strings. Blank lines are skipped; every other line that cannot
//! be read is an error naming file, line and field, since a silently shortened set gives numbers nobody can compare.

pub mod beir;
mod error;
mod lines;
pub mod msmarco;
mod qrels;
mod run;
#[cfg(test)]
mod tests;
pub mod texts;
pub mod trec;

pub use error::DatasetError;
pub use lines::Records;
pub use qrels::{Qrels, UnknownIds};
pub use run::Run;

/// One document of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Its name in the judgements.
    pub id: String,
    /// Title; empty if there is none.
    pub title: String,
    /// Body.
    pub text: String,
}

impl Record {
    /// Title, a space and text, trimmed: the form in which BEIR's published dense figures embed a document.
    pub fn full_text(&self) -> String {
        format!("{} {}", self.title, self.text).trim().to_owned()
    }
}

/// One question of a data set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Its name in the judgements.
    pub id: String,
    /// What is asked.
    pub text: String,
}
