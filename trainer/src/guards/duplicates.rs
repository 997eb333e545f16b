//! Do these two passages say nearly the same words?
//!
//! The slow equivalent is [`jaccard`]: the share of three-word shingles two texts have in common. A passage keeps 64
//! numbers, the least hash of its shingles in each of 64 bins (one-permutation MinHash; Li, Owen and Zhang 2012), which
//! estimate that share to about ± .06; only pairs whose estimate comes near the bar are compared in full.

use std::collections::HashMap;

use rayon::prelude::*;

/// Words of a shingle; fewer where a text has fewer.
const WORDS: usize = 3;
const BINS: usize = 64;
/// Bins that have to be equal for two texts to be looked at together: 16 bands of 4 find a pair that shares .8 with
/// probability .9998.
const BAND: usize = 4;
const EMPTY: u32 = u32::MAX;
/// How far below the bar an estimate still asks for the full comparison: about four deviations.
const SLACK: f32 = 0.25;

/// Sketches of all passages.
#[derive(Debug, Clone)]
pub struct Duplicates {
    share: f32,
    sketches: Vec<Sketch>,
}

#[derive(Debug, Clone)]
struct Sketch {
    /// Hash of all words in order: equal texts have equal ones.
    words: u64,
    bins: [u32; BINS],
}

impl Duplicates {
    /// Sketches `texts`; `share` (0 to 1) of common shingles makes two near-duplicates.
    pub fn new<'t>(texts: impl Iterator<Item = &'t str>, share: f32) -> Self {
        let texts: Vec<&str> = texts.collect();
        let sketches = texts.par_iter().map(|text| Sketch::new(text)).collect();
        Self { share, sketches }
    }

    /// Whether passages `a` and `b` are near-duplicates; `text` gives the text of either.
    pub fn near<'t>(&self, a: u32, b: u32, text: impl Fn(u32) -> &'t str) -> bool {
        let [left, right] = [a, b].map(|at| &self.sketches[at as usize]);
        if left.words == right.words {
            return true;
        }
        left.estimate(right) + SLACK >= self.share && jaccard(text(a), text(b)) >= self.share
    }

    /// For each passage the first one that it is a near-duplicate of, through others perhaps; itself if there is none.
    /// Passages are compared with the first of those that have a band of bins in common with them.
    pub fn firsts<'t>(&self, text: impl Fn(u32) -> &'t str) -> Vec<u32> {
        let mut firsts: Vec<u32> = Vec::with_capacity(self.sketches.len());
        let mut buckets: HashMap<(usize, u64), u32> = HashMap::new();
        for (at, sketch) in (0u32..).zip(&self.sketches) {
            let keys = sketch.buckets();
            let mut met: Vec<u32> = keys
                .iter()
                .filter_map(|key| buckets.get(key).copied())
                .collect();
            met.sort_unstable();
            met.dedup();
            let twin = met.into_iter().find(|other| self.near(*other, at, &text));
            firsts.push(twin.map_or(at, |twin| firsts[twin as usize]));
            for key in keys {
                buckets.entry(key).or_insert(at);
            }
        }
        firsts
    }
}

impl Sketch {
    /// Where to meet near-duplicates: a bucket for the words and one for each band that is not empty.
    fn buckets(&self) -> Vec<(usize, u64)> {
        let bands = self
            .bins
            .chunks(BAND)
            .enumerate()
            .filter(|(_, band)| band.iter().any(|bin| *bin != EMPTY));
        let hashed = bands.map(|(at, band)| {
            (
                at + 1,
                band.iter()
                    .fold(0, |hash, bin| mixed(hash ^ u64::from(*bin))),
            )
        });
        std::iter::once((0, self.words)).chain(hashed).collect()
    }

    fn new(text: &str) -> Self {
        let hashes = words(text);
        let mut bins = [EMPTY; BINS];
        for shingle in shingles(&hashes) {
            let bin = &mut bins[(shingle >> 58) as usize];
            // The top bits chose the bin; EMPTY is left to the bins that stay so.
            *bin = (*bin).min((shingle as u32).min(EMPTY - 1));
        }
        Self {
            words: hashes.iter().fold(0, |all, word| mixed(all ^ word)),
            bins,
        }
    }

    /// Share of equal bins among those that either has.
    fn estimate(&self, other: &Self) -> f32 {
        let pairs = self.bins.iter().zip(&other.bins);
        let used = pairs.filter(|(a, b)| **a != EMPTY || **b != EMPTY);
        let (mut equal, mut all) = (0u32, 0u32);
        for (a, b) in used {
            all += 1;
            equal += u32::from(a == b);
        }
        if all == 0 {
            0.0
        } else {
            equal as f32 / all as f32
        }
    }
}

/// Common share (intersection over union) of the three-word shingles of two texts, without regard to case and
/// punctuation; 1 for two texts without words.
pub fn jaccard(a: &str, b: &str) -> f32 {
    let [a, b] = [a, b].map(|text| {
        let mut all: Vec<u64> = shingles(&words(text)).collect();
        all.sort_unstable();
        all.dedup();
        all
    });
    let common = a
        .iter()
        .filter(|shingle| b.binary_search(shingle).is_ok())
        .count();
    let union = a.len() + b.len() - common;
    if union == 0 {
        1.0
    } else {
        common as f32 / union as f32
    }
}

/// Hashes of the words of `text`, in order, in lower case.
fn words(text: &str) -> Vec<u64> {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            let lower = word.chars().flat_map(char::to_lowercase);
            mixed(lower.fold(0xcbf2_9ce4_8422_2325, |hash, c| {
                (hash ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
            }))
        })
        .collect()
}

fn shingles(words: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let size = WORDS.min(words.len()).max(1);
    words
        .windows(size)
        .map(|window| window.iter().fold(0, |all, word| mixed(all ^ word)))
}

/// Spreads every bit over all others (the finaliser of SplitMix64).
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
