//! What do the tests of this crate learn from?

use storage::PassageId;
use storage::matrix::{Dtype, Matrix, MatrixWriter};

use crate::examples::{DevSource, Document, Dropped, Examples, Passage, TrainQuery};

/// Words whose order tells texts apart.
const WORDS: [&str; 12] = [
    "river", "stone", "lamp", "winter", "bread", "engine", "violin", "garden", "letter", "harbour",
    "cloud", "copper",
];

/// A text of twelve words that shares hardly a shingle with that of another number.
pub(crate) fn text(number: u32) -> String {
    let word =
        |at: u32| WORDS[(number.wrapping_mul(7919).wrapping_add(at * (number + 1)) % 12) as usize];
    let words: Vec<&str> = (0..12).map(word).collect();
    format!("{} {number}x {}", words.join(" "), number * 31)
}

/// A query numbered `at`, with its positives.
pub(crate) fn query(at: usize, positives: &[u32]) -> TrainQuery {
    let mut positives = positives.to_vec();
    positives.sort_unstable();
    positives.dedup();
    TrainQuery {
        id: format!("q{at}"),
        text: text(1000 + at as u32),
        grades: vec![1; positives.len()],
        positives,
        irrelevant: Vec::new(),
    }
}

/// `documents` documents of `passages` passages each, and one training query for each list of positives.
pub(crate) fn examples(documents: u32, passages: u32, labels: &[Vec<u32>]) -> Examples {
    let document = |at: u32| Document {
        id: format!("d{at}"),
        passages: at * passages..(at + 1) * passages,
        group: at,
    };
    let passage = |at: u32| Passage {
        document: at / passages,
        text: text(at),
        body_at: 0,
    };
    Examples {
        documents: (0..documents).map(document).collect(),
        passages: (0..documents * passages).map(passage).collect(),
        queries: labels
            .iter()
            .enumerate()
            .map(|(at, labels)| query(at, labels))
            .collect(),
        dev: Vec::new(),
        dev_source: DevSource::HeldOut,
        dropped: Dropped::default(),
    }
}

/// `rows` as a matrix in the folder `dir`, ids from 0.
pub(crate) fn matrix(dir: &std::path::Path, dimension: usize, rows: &[f32]) -> Matrix {
    let path = dir.join("rows.vec");
    let mut writer = MatrixWriter::create(&path, dimension, Dtype::F32).expect("a new file");
    for (row, id) in rows.chunks_exact(dimension).zip(0..) {
        writer.push(PassageId(id), row).expect("a row");
    }
    writer.finish(false).expect("a whole file");
    Matrix::open(dir, ["rows.vec"], dimension).expect("the file just written")
}
