//! Which documents answer which query, and how well?

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::lines::{Bad, Lines, Seen};
use super::{DatasetError, lines};

/// Judgements: a grade for (query, document). Above 0 is relevant; 0 and below is judged and not relevant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels {
    grades: BTreeMap<String, BTreeMap<String, i32>>,
}

impl Qrels {
    /// Records a judgement; gives back the grade it replaces.
    pub fn insert(
        &mut self,
        query: impl Into<String>,
        document: impl Into<String>,
        grade: i32,
    ) -> Option<i32> {
        let documents = self.grades.entry(query.into()).or_default();
        documents.insert(document.into(), grade)
    }

    /// Queries with at least one judgement and their graded documents, both in ascending order of id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &BTreeMap<String, i32>)> {
        self.grades
            .iter()
            .map(|(query, grades)| (query.as_str(), grades))
    }

    /// The graded documents of `query`.
    pub fn grades(&self, query: &str) -> Option<&BTreeMap<String, i32>> {
        self.grades.get(query)
    }

    /// Number of judgements.
    pub fn len(&self) -> usize {
        self.grades.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing is judged.
    pub fn is_empty(&self) -> bool {
        self.grades.is_empty()
    }

    /// Judgements whose query or document is not in the data set. They stay in force: a relevant document that the
    /// corpus lacks still counts in the denominators, as with trec_eval.
    pub fn unknown_ids(
        &self,
        is_query: impl Fn(&str) -> bool,
        is_document: impl Fn(&str) -> bool,
    ) -> UnknownIds {
        let documents = self.grades.values().flat_map(BTreeMap::keys);
        UnknownIds {
            queries: self.grades.keys().filter(|id| !is_query(id)).count(),
            judgements: documents.filter(|id| !is_document(id)).count(),
        }
    }

    /// Reads lines through `parse` (query, document, grade). Equal repetitions are harmless, contradictions an error.
    pub(super) fn read(
        path: &Path,
        mut parse: impl FnMut(&str) -> Result<Option<(String, String, i32)>, Bad>,
    ) -> Result<Self, DatasetError> {
        let (mut lines, mut seen, mut qrels) =
            (Lines::open(path)?, Seen::default(), Self::default());
        while let Some(judgement) = lines.next(&mut parse)? {
            let Some((query, document, grade)) = judgement else {
                continue;
            };
            if qrels
                .grades(&query)
                .and_then(|grades| grades.get(&document))
                != Some(&grade)
            {
                seen.note(&lines, &[&query, &document])?;
                qrels.insert(query, document, grade);
            }
        }
        Ok(qrels)
    }

    /// Writes one line for each judgement, made by `line`, after `header`.
    pub(super) fn write(
        &self,
        path: &Path,
        header: Option<&str>,
        line: impl Fn(&str, &str, i32) -> String,
    ) -> Result<(), DatasetError> {
        lines::write(path, |put| {
            header.map_or(Ok(()), &mut *put)?;
            for (query, grades) in self.iter() {
                let query = lines::plain(path, "query id", query)?;
                for (document, grade) in grades {
                    put(&line(
                        query,
                        lines::plain(path, "document id", document)?,
                        *grade,
                    ))?;
                }
            }
            Ok(())
        })
    }
}

impl<Q: Into<String>, D: Into<String>> FromIterator<(Q, D, i32)> for Qrels {
    fn from_iter<I: IntoIterator<Item = (Q, D, i32)>>(judgements: I) -> Self {
        let mut qrels = Self::default();
        for (query, document, grade) in judgements {
            qrels.insert(query, document, grade);
        }
        qrels
    }
}

/// Judgements that speak of what the data set does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct UnknownIds {
    /// Judged queries that queries.jsonl lacks.
    pub queries: usize,
    /// Judgements of documents that the corpus lacks.
    pub judgements: usize,
}

impl UnknownIds {
    /// Whether there is anything to report.
    pub fn any(&self) -> bool {
        self.queries + self.judgements > 0
    }
}

impl fmt::Display for UnknownIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} judged queries are not among the queries and {} judgements name documents the corpus lacks; \
             they count as not found",
            self.queries, self.judgements
        )
    }
}
