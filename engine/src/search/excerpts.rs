//! Which few words of each hit are shown?
//!
//! The words that matched, or, where none did, the sentences nearest to the query. What has to be encoded for that is
//! encoded for all hits in one call, and never more than a person would wait for.

use storage::Task;

use super::join::product;
use super::{Bm25Leg, DenseLeg, Ranking};
use crate::bm25::{Matcher, StoredPassage};
use crate::encoder::Role;
use crate::report::Snippet;
use crate::snippet::{self, Sentences};

/// Characters of an excerpt.
const SNIPPET_CHARS: usize = 280;

/// Bytes of a sentence that are encoded: what has no full stops is one sentence as long as its passage.
const LOOKED_AT: usize = 240;

/// Sentences that are encoded for one answer, over all its hits, where encoding costs more than skimming.
const ENCODED: usize = 4;

impl Ranking<'_> {
    /// An excerpt of each of the passages.
    pub(super) fn excerpts(&self, matcher: &Matcher, shown: &[StoredPassage]) -> Vec<Snippet> {
        let by_words = |leg: &Bm25Leg<'_>, stored: &StoredPassage| {
            leg.evaluation.scores(&[stored.id])[0] > 0.0
        };
        let is_choice = |stored: &StoredPassage| {
            self.dense.is_some() && !self.bm25.as_ref().is_some_and(|leg| by_words(leg, stored))
        };
        let cut: Vec<Option<Sentences>> = shown
            .iter()
            .map(|stored| is_choice(stored).then(|| Sentences::of(&stored.text)))
            .collect();
        let mut best = self.best_sentences(&cut).into_iter();
        let excerpts = shown.iter().zip(&cut);
        excerpts
            .map(|(stored, cut)| match cut {
                Some(cut) => {
                    let best = best.next().unwrap_or(0);
                    cut.excerpt(best, stored.language, matcher, SNIPPET_CHARS)
                }
                None => snippet::snippet(&stored.text, stored.language, matcher, SNIPPET_CHARS),
            })
            .collect()
    }

    /// Of each passage that is there, which of its sentences is nearest to the query.
    fn best_sentences(&self, cut: &[Option<Sentences>]) -> Vec<usize> {
        let choices: Vec<Vec<&str>> = cut
            .iter()
            .flatten()
            .map(|sentences| sentences.choices(SNIPPET_CHARS))
            .collect();
        match &self.dense {
            Some(dense) => dense.nearest(&self.query.positive_text(), &choices),
            None => vec![0; choices.len()],
        }
    }
}

impl DenseLeg {
    /// Which text of each group is nearest to the query, the first of equals; 0 for an empty group.
    ///
    /// Where the encoder can tell roughly by skimming, only the most likely few of each group are encoded.
    fn nearest(&self, query: &str, groups: &[Vec<&str>]) -> Vec<usize> {
        let open = groups.iter().filter(|group| group.len() > 1).count();
        let each = (ENCODED / open.max(1)).max(1);
        let likely: Vec<Vec<usize>> = groups
            .iter()
            .map(|group| self.likely(query, group, each))
            .collect();
        let texts: Vec<&str> = groups
            .iter()
            .zip(&likely)
            .filter(|(_, likely)| likely.len() > 1)
            .flat_map(|(group, likely)| likely.iter().map(|&at| start_of(group[at])))
            .collect();
        let mut nearness = self.nearness(&texts).into_iter();
        let best = |likely: &Vec<usize>| match likely.as_slice() {
            [] => 0,
            [one] => *one,
            more => more[first_best(nearness.by_ref().take(more.len()))],
        };
        likely.iter().map(best).collect()
    }

    /// The `most` texts that skimming finds nearest to the query, in their order; all, if it cannot tell.
    fn likely(&self, query: &str, texts: &[&str], most: usize) -> Vec<usize> {
        let all: Vec<usize> = (0..texts.len()).collect();
        if texts.len() <= most {
            return all;
        }
        let Some(rough) = self.encoder.skim(query, texts) else {
            return all;
        };
        let mut order = all;
        order.sort_by(|&a, &b| rough[b].total_cmp(&rough[a]));
        order.truncate(most);
        order.sort_unstable();
        order
    }

    /// Inner product of each sentence's vector and the query's; nothing if the encoder fails, since an excerpt is not
    /// worth an answer.
    fn nearness(&self, sentences: &[&str]) -> Vec<f32> {
        if sentences.is_empty() {
            return Vec::new();
        }
        let encoded = self
            .encoder
            .encode(sentences, Role::Passage, Task::silent());
        encoded.map_or_else(
            |_| Vec::new(),
            |rows| rows.rows().map(|row| product(row, &self.vector)).collect(),
        )
    }
}

/// As much of `sentence` as is encoded.
fn start_of(sentence: &str) -> &str {
    &sentence[..sentence.floor_char_boundary(LOOKED_AT)]
}

/// Where the greatest of `scores` stands, the first of equals: what comes earlier reads better. 0 if there is none.
fn first_best(scores: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (at, score) in scores.enumerate() {
        if score > best.1 {
            best = (at, score);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use storage::flat::FlatHits;

    use super::*;
    use crate::encoder::testing::HashingEncoder;
    use crate::encoder::{Embeddings, EncodeError, Encoder, EncoderIdentity};

    #[test]
    fn the_first_of_equals_is_best_and_no_number_is_not() {
        assert_eq!(first_best([1.0, 3.0, 3.0].into_iter()), 1);
        assert_eq!(first_best([f32::NAN, -1.0].into_iter()), 1);
        assert_eq!(first_best([f32::NAN, f32::NAN].into_iter()), 0);
        assert_eq!(first_best([].into_iter()), 0);
    }

    /// Notes how many texts each call was given.
    struct Noting {
        inner: HashingEncoder,
        skims: bool,
        calls: Mutex<Vec<usize>>,
    }

    impl Encoder for Noting {
        fn identity(&self) -> &EncoderIdentity {
            self.inner.identity()
        }

        fn encode(
            &self,
            texts: &[&str],
            role: Role,
            task: Task<'_>,
        ) -> Result<Embeddings, EncodeError> {
            self.calls.lock().expect("no panic").push(texts.len());
            self.inner.encode(texts, role, task)
        }

        fn count_tokens(&self, text: &str) -> usize {
            self.inner.count_tokens(text)
        }

        fn skim(&self, query: &str, texts: &[&str]) -> Option<Vec<f32>> {
            let vector = |text: &str| self.inner.encode(&[text], Role::Passage, Task::silent());
            let query = vector(query).expect("no cancel flag").values;
            let near = |text: &&str| product(&vector(text).expect("no cancel flag").values, &query);
            self.skims.then(|| texts.iter().map(near).collect())
        }
    }

    /// The best of `groups` for "heron reeds", and how many texts each call of the encoder was given.
    fn nearest(groups: &[Vec<&str>], skims: bool) -> (Vec<usize>, Vec<usize>) {
        let (inner, calls) = (HashingEncoder::new(256), Mutex::default());
        let query = inner.encode(&["heron reeds"], Role::Query, Task::silent());
        let noting = Arc::new(Noting {
            inner,
            skims,
            calls,
        });
        let leg = DenseLeg {
            encoder: noting.clone(),
            vector: query.expect("no cancel flag").values,
            hits: FlatHits {
                hits: Vec::new(),
                mean: 0.0,
                deviation: 0.0,
                scanned: 0,
            },
            how: String::new(),
            warning: None,
        };
        let best = leg.nearest("heron reeds", groups);
        let calls = noting.calls.lock().expect("no panic").clone();
        (best, calls)
    }

    #[test]
    fn all_hits_share_one_call_of_the_encoder() {
        let birds = vec![
            "an otter dives",
            "a boat",
            "the heron stands in reeds",
            "rain",
        ];
        let plants = vec!["reeds and heron", "grass", "moss"];
        let groups = [birds, Vec::new(), plants, vec!["alone"]];
        let best = [2, 0, 0, 0];
        assert_eq!(nearest(&groups, false), (best.to_vec(), vec![7]));
        assert_eq!(nearest(&groups, true), (best.to_vec(), vec![4]));
        let many: Vec<_> = (0..5).flat_map(|_| groups.clone()).collect();
        assert_eq!(nearest(&many, true), (best.repeat(5), vec![]));
    }
}
