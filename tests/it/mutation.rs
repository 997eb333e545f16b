//! Do mutated files come through every door without harm? The same doors as the fuzz targets, some seconds of them.
//!
//! `ASKANCE_MUTATIONS` sets how many of each sample (default 60).

use std::fs;
use std::path::Path;

use tests::entries::{ENTRIES, Entry, NAMES};

/// Samples of a door, from `fuzz/corpus` and, where they fit, from the files of the test corpus.
fn samples(name: &str) -> Vec<Vec<u8>> {
    let mut samples = vec![Vec::new(), vec![0; 64]];
    let folder = tests::root().join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    samples.extend(files.iter().map(|file| fs::read(file).expect("a sample")));
    if name == "extract" {
        samples.extend(corpus_files(&tests::corpus().join("files")));
    }
    samples
}

/// Each file of the corpus behind the byte that stands for its kind.
fn corpus_files(dir: &Path) -> Vec<Vec<u8>> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            samples.extend(corpus_files(&path));
            continue;
        }
        let extension = path.extension().unwrap_or_default();
        let kind = NAMES
            .iter()
            .position(|name| Path::new(name).extension() == Some(extension));
        let mut sample = vec![u8::try_from(kind.unwrap_or(0)).expect("few names")];
        sample.extend(fs::read(&path).expect("a file"));
        samples.push(sample);
    }
    samples
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    /// Flips, cuts, doubles, joins and overwrites: what fuzzers begin with.
    fn mutate(&mut self, sample: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..=self.below(4) {
            let (from, to) = (self.below(bytes.len()), self.below(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            match self.below(7) {
                0 if !bytes.is_empty() => bytes[from] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => {
                    bytes[from] = [0, 0xff, 0x7f, b'<', b'"', b'\n'][self.below(6)]
                }
                2 => bytes.truncate(to),
                3 => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(to..to, piece);
                }
                4 => {
                    let at = self.below(other.len());
                    let piece = other[at..].iter().copied().take(64);
                    bytes.splice(from..to.min(from + 16), piece);
                }
                5 => drop(bytes.drain(from..to.min(from + 8))),
                _ if bytes.len() >= 4 => {
                    let at = from.min(bytes.len() - 4);
                    let number = [0, 1, u32::MAX, 1 << 31, 0x7fff_ffff, 65_536][self.below(6)];
                    bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
                }
                _ => bytes.push(self.below(256) as u8),
            }
        }
        bytes
    }
}

fn try_all((name, entry): Entry, rounds: usize) {
    let samples = samples(name);
    assert!(samples.len() > 3, "no samples in fuzz/corpus/{name}");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ name.len() as u64);
    for sample in &samples {
        entry(sample);
        for _ in 0..rounds {
            let other = &samples[dice.below(samples.len())];
            let bytes = dice.mutate(sample, other);
            let outcome = std::panic::catch_unwind(|| entry(&bytes));
            assert!(
                outcome.is_ok(),
                "{name} falls over {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn mutated_files_do_no_harm() {
    let rounds = std::env::var("ASKANCE_MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok());
    for entry in ENTRIES {
        try_all(entry, rounds.unwrap_or(60));
    }
}
