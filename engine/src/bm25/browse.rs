//! Which documents are there, and what is each word worth?

use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;
use storage::PassageId;
use tantivy::TantivyDocument;
use tantivy::schema::Value;

use super::analysis::analyze;
use super::postings::{DELETED, Segment};
use super::query::{Occur, ParsedQuery, SearchField};
use super::reader::Bm25Index;
use super::resolve::Group;
use super::score::idf;
use super::{Bm25Error, Language, schema};

/// A document as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path of the file as text.
    pub path: String,
    /// Its first passage.
    pub first: PassageId,
    /// How many passages it has.
    pub passages: u64,
    /// When the file was modified, Unix seconds.
    pub modified: i64,
}

/// What one word or phrase of a query adds to the BM25 score of one passage.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TermScore {
    /// The word as it is looked up (its stem), or the words of a phrase.
    pub term: String,
    /// Its part of the score; 0 where the passage does not hold it.
    pub score: f32,
    /// Inverse document frequency: how much the word tells in this collection.
    pub idf: f32,
    /// Passages that hold it.
    pub passages: u64,
}

impl Bm25Index {
    /// Documents with passages among `eligible` (`None`: all), ordered by path.
    ///
    /// # Errors
    /// Damaged files.
    pub fn documents(&self, eligible: Option<&RoaringBitmap>) -> Result<Vec<Listed>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let mut documents = BTreeMap::new();
        for segment in &self.segments {
            segment
                .documents(eligible, &mut documents)
                .map_err(&failed)?;
        }
        Ok(documents.into_values().collect())
    }

    /// What the caller of [`super::PassageDocument::record`] left with this passage.
    ///
    /// # Errors
    /// Damaged files.
    pub fn record(&self, id: PassageId) -> Result<Option<Vec<u8>>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let Some((segment, doc)) = self.place(id) else {
            return Ok(None);
        };
        // A segment holds fewer than 2^32 documents, by tantivy's own numbering.
        let stored = self.segments[segment]
            .store
            .get::<TantivyDocument>(doc as u32);
        let stored = stored.map_err(failed)?;
        let record = stored.get_first(self.fields.record);
        Ok(record
            .and_then(|value| value.as_bytes())
            .map(<[u8]>::to_vec))
    }

    /// Each positive word and phrase of `query` with its part of the passage's score, the largest first. Costs a search.
    ///
    /// # Errors
    /// Damaged files.
    pub fn term_scores(
        &self,
        query: &ParsedQuery,
        id: PassageId,
    ) -> Result<Vec<TermScore>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let groups = self.resolve(query).map_err(&failed)?;
        let mut terms = Vec::new();
        for group in groups.iter().filter(|group| group.occur != Occur::MustNot) {
            let evaluation = self.evaluate_group(group).map_err(&failed)?;
            let passages = evaluation.matched();
            terms.push(TermScore {
                term: label(group),
                score: evaluation.scores(&[id])[0],
                idf: idf(passages, self.documents),
                passages,
            });
        }
        terms.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(terms)
    }

    /// At most `count` different words of `text` that tell most about it, by frequency in the text times inverse document
    /// frequency, the most telling first. Words that no other passage has are left out: they lead nowhere.
    ///
    /// # Errors
    /// Damaged files.
    pub fn telling_words(
        &self,
        text: &str,
        language: Language,
        count: usize,
    ) -> Result<Vec<String>, Bm25Error> {
        let failed = Bm25Error::index("read", &self.dir);
        let mut words = HashMap::<String, (f32, &str)>::new();
        for token in analyze(language, text) {
            let word = &text[token.range];
            if word.chars().count() > 2 && !language.is_stop_word(&word.to_lowercase()) {
                words.entry(token.term).or_insert((0.0, word)).0 += 1.0;
            }
        }
        let mut weighed = Vec::with_capacity(words.len());
        for (term, (frequency, word)) in words {
            let found = self.term_frequency(std::slice::from_ref(&term));
            let found = found.map_err(&failed)?;
            if found > 1 {
                let weight = frequency / (frequency + 1.0) * idf(found, self.documents);
                weighed.push((weight, word.to_owned()));
            }
        }
        weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        weighed.truncate(count);
        Ok(weighed.into_iter().map(|(_, word)| word).collect())
    }
}

impl Segment {
    /// Adds the documents, or parts of documents, that lie in this segment, by path.
    fn documents(
        &self,
        eligible: Option<&RoaringBitmap>,
        documents: &mut BTreeMap<String, Listed>,
    ) -> tantivy::Result<()> {
        let fast = self.reader.fast_fields();
        let modified = fast.i64(schema::MODIFIED)?;
        let Some(paths) = fast.str(schema::PATH)? else {
            return Ok(());
        };
        let mut by_ord = HashMap::<u64, Listed>::new();
        for (&id, doc) in self.passages.iter().zip(0u32..) {
            let wanted = id != DELETED && eligible.is_none_or(|set| set.contains(id));
            let Some(ord) = paths.term_ords(doc).next().filter(|_| wanted) else {
                continue;
            };
            let document = by_ord.entry(ord).or_insert_with(|| Listed {
                path: String::new(),
                first: PassageId(id),
                passages: 0,
                modified: modified.first(doc).unwrap_or(0),
            });
            document.first = document.first.min(PassageId(id));
            document.passages += 1;
        }
        for (ord, mut part) in by_ord {
            paths.ord_to_str(ord, &mut part.path)?;
            match documents.get_mut(&part.path) {
                Some(whole) => whole.join(&part),
                None => {
                    documents.insert(part.path.clone(), part);
                }
            }
        }
        Ok(())
    }
}

impl Listed {
    fn join(&mut self, part: &Self) {
        self.first = self.first.min(part.first);
        self.passages += part.passages;
    }
}

/// A group as a person reads it: the different terms of its body, or of its first field where it looks in one alone.
fn label(group: &Group) -> String {
    let field = match group.alternatives.first() {
        Some(first) if group.alternatives.iter().all(|a| a.field == first.field) => first.field,
        _ => SearchField::Body,
    };
    let mut texts = Vec::<String>::new();
    for alternative in group.alternatives.iter().filter(|a| a.field == field) {
        let words: Vec<&str> = alternative
            .terms
            .iter()
            .map(|(_, term)| term.as_str())
            .collect();
        let text = words.join(" ");
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.truncate(4);
    texts.join(" / ")
}
