//! How do records and judgements become places in lists?

use std::collections::{HashMap, HashSet};

use engine::dataset::{Qrels, Record};
use engine::ingest::context::encoder_text;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Chunking, Document, Dropped, Passage, TrainQuery, chunk};

/// Ids of the judged queries.
pub(super) fn query_ids(qrels: &Qrels) -> HashSet<String> {
    qrels.iter().map(|(query, _)| query.to_owned()).collect()
}

/// Documents with text and their passages.
pub(super) fn corpus(
    records: &[Record],
    chunking: Chunking<'_>,
    dropped: &mut Dropped,
) -> (Vec<Document>, Vec<Passage>) {
    let (mut documents, mut passages) = (Vec::new(), Vec::new());
    for record in records {
        let title = record.title.trim();
        let body = record.text.trim();
        if title.is_empty() && body.is_empty() {
            dropped.empty_documents += 1;
            continue;
        }
        // 2^32 passages would not fit in memory long before.
        let (document, start) = (documents.len() as u32, passages.len() as u32);
        let bodies = chunk::bodies(title, body, chunking);
        passages.extend(
            bodies
                .into_iter()
                .map(|body| passage(document, title, body)),
        );
        documents.push(Document {
            id: record.id.clone(),
            passages: start..passages.len() as u32,
            group: document,
        });
    }
    (documents, passages)
}

fn passage(document: u32, title: &str, body: &str) -> Passage {
    let text = encoder_text(Some(title), &[], body);
    Passage {
        document,
        body_at: text.len() - body.len(),
        text,
    }
}

/// Queries of `qrels` with text and a positive, in ascending order of id.
pub(super) fn joined(
    qrels: &Qrels,
    texts: &HashMap<&str, &str>,
    places: &HashMap<&str, u32>,
    dropped: &mut Dropped,
) -> Vec<TrainQuery> {
    let mut queries = Vec::new();
    for (id, grades_of) in qrels.iter() {
        let Some(text) = texts.get(id).map(|text| text.trim()) else {
            dropped.unknown_queries += 1;
            continue;
        };
        if text.is_empty() {
            dropped.empty_queries += 1;
            continue;
        }
        let relevant = grades_of.iter().filter(|(_, grade)| **grade > 0);
        let mut found: Vec<(u32, u32)> = relevant
            .filter_map(|(document, grade)| {
                let place = places.get(document.as_str());
                dropped.missing_positives += usize::from(place.is_none());
                Some((*place?, grade.unsigned_abs()))
            })
            .collect();
        if found.is_empty() {
            dropped.without_positive += 1;
            continue;
        }
        found.sort_unstable();
        let (positives, grades) = found.into_iter().unzip();
        let refused = grades_of.iter().filter(|(_, grade)| **grade <= 0);
        let mut irrelevant: Vec<u32> = refused
            .filter_map(|(document, _)| places.get(document.as_str()).copied())
            .collect();
        irrelevant.sort_unstable();
        queries.push(TrainQuery {
            id: id.to_owned(),
            text: text.to_owned(),
            positives,
            grades,
            irrelevant,
        });
    }
    queries
}

/// Takes `count` queries chosen by `rng` out of `queries`; both keep their order.
pub(super) fn take_out(
    queries: &mut Vec<TrainQuery>,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<TrainQuery> {
    let mut order: Vec<usize> = (0..queries.len()).collect();
    order.shuffle(rng);
    let chosen: HashSet<usize> = order.into_iter().take(count).collect();
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for (at, query) in queries.drain(..).enumerate() {
        if chosen.contains(&at) {
            taken.push(query);
        } else {
            left.push(query);
        }
    }
    *queries = left;
    taken
}
