//! What do the benches run on? Text with the word statistics of language, the same for the same seed.

use std::fs;
use std::path::Path;

/// Words that text is made of; their frequencies fall as 1 / rank (Zipf).
const VOCABULARY: usize = 30_000;

/// A small linear congruential generator: benches need the same numbers on every machine, not good ones.
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// The next number from 0 to 1, 1 excluded.
    pub fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The first ranks: what English has there.
const COMMON: [&str; 32] = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "be",
    "by", "on", "not", "he", "this", "are", "or", "his", "from", "at", "which", "but", "have",
    "an", "had", "they", "you", "were",
];

/// One pronounceable word for each rank.
fn word(rank: usize) -> String {
    if let Some(word) = COMMON.get(rank) {
        return (*word).to_owned();
    }
    const SYLLABLES: [&str; 32] = [
        "ka", "to", "ri", "me", "sol", "ne", "bar", "lu", "in", "ter", "po", "ga", "vi", "den",
        "sha", "ro", "mi", "tal", "fe", "ku", "os", "pen", "la", "wi", "dor", "ze", "hal", "ju",
        "ber", "nu", "gri", "ba",
    ];
    let mut rest = rank + 1;
    let mut word = String::new();
    while rest > 0 {
        word.push_str(SYLLABLES[rest % 32]);
        rest /= 32;
    }
    word
}

/// Makes paragraphs of text.
pub struct Prose {
    words: Vec<String>,
    numbers: Numbers,
}

impl Prose {
    /// Text of this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            words: (0..VOCABULARY).map(word).collect(),
            numbers: Numbers::new(seed),
        }
    }

    /// A word, common ones often.
    pub fn word(&mut self) -> &str {
        // Inverse of the logarithm: rank ~ exp(u ln n) has density 1 / rank.
        let rank = (self.numbers.unit() * (VOCABULARY as f64).ln()).exp() as usize - 1;
        &self.words[rank.min(VOCABULARY - 1)]
    }

    /// A paragraph of about `words` words in sentences of about fifteen.
    pub fn paragraph(&mut self, words: usize) -> String {
        let mut text = String::with_capacity(words * 7);
        for n in 1..=words {
            let word = self.word().to_owned();
            text.push_str(&word);
            text.push_str(if n % 15 == 0 || n == words { ". " } else { " " });
        }
        text
    }
}

/// Writes `files` Markdown files of `paragraphs` paragraphs below `dir`; gives the bytes written.
///
/// # Panics
/// When the disk fails: a bench cannot go on.
pub fn write_corpus(dir: &Path, files: usize, paragraphs: usize) -> u64 {
    let mut prose = Prose::new(1);
    let mut bytes = 0;
    for n in 0..files {
        let folder = dir.join(format!("{:03}", n / 100));
        fs::create_dir_all(&folder).expect("a folder for the bench's files");
        let body: Vec<String> = (0..paragraphs).map(|_| prose.paragraph(120)).collect();
        let text = format!("# {}\n\n{}\n", prose.paragraph(6), body.join("\n\n"));
        bytes += text.len() as u64;
        fs::write(folder.join(format!("{n:05}.md")), text).expect("a file for the bench");
    }
    bytes
}
