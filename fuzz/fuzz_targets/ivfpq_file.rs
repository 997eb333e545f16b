//! Does the reader of index files survive bytes that nobody wrote?
//!
//! The input is laid over a small sound file, and the header sealed anew: otherwise its checksum would turn nearly
//! every input away before anything else is read.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use storage::flat::Metric;
use storage::ivfpq::{BuildParams, Index, SearchParams, build};
use storage::matrix::{Dtype, Matrix, MatrixSegment, MatrixWriter};
use storage::{PassageId, PassageSet, Task};

const DIMENSION: usize = 8;
const ROWS: u32 = 40;
const HEADER: usize = 128;

struct Sound {
    folder: std::path::PathBuf,
    matrix: Matrix,
    bytes: Vec<u8>,
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("askance-fuzz-ivfpq-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let rows = folder.join("rows.emb");
        let mut writer = MatrixWriter::create(&rows, DIMENSION, Dtype::F16).expect("a new file");
        for id in 0..ROWS {
            let row: Vec<f32> = (0..DIMENSION as u32).map(|i| ((id * 7 + i * 13) % 17) as f32 / 8.0 - 1.0).collect();
            writer.push(PassageId(id), &row).expect("a row");
        }
        writer.finish(false).expect("a finished file");
        let segment = Arc::new(MatrixSegment::open(&rows).expect("a segment"));
        let matrix = Matrix::new(DIMENSION, vec![segment]).expect("a matrix");
        let path = folder.join("sound.ivf");
        let params = BuildParams {
            metric: Metric::InnerProduct,
            lists: Some(4),
            ..BuildParams::default()
        };
        build(&path, &matrix, None, &params, Task::silent()).expect("an index");
        let bytes = std::fs::read(&path).expect("its bytes");
        Sound { folder, matrix, bytes }
    })
}

/// Start (two bytes, modulo the length) and content of a patch, as often as the input has them.
fn patched(mut input: &[u8], bytes: &mut [u8]) {
    while let [low, high, length, rest @ ..] = input {
        let start = usize::from(u16::from_le_bytes([*low, *high])) % bytes.len();
        let length = usize::from(*length % 16).min(rest.len()).min(bytes.len() - start);
        bytes[start..start + length].copy_from_slice(&rest[..length]);
        input = &rest[length..];
    }
}

fuzz_target!(|input: &[u8]| {
    let sound = sound();
    let mut bytes = sound.bytes.clone();
    patched(input, &mut bytes);
    let crc = crc32fast::hash(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
    let path = sound.folder.join("damaged.ivf");
    std::fs::write(&path, &bytes).expect("a written file");
    let Ok(index) = Index::open(&path, sound.matrix.clone()) else {
        return;
    };
    let live = PassageSet::from_range(0..ROWS);
    let _ = index.audit(&live, Task::silent());
    let query = [0.25; DIMENSION];
    for params in [
        SearchParams { nprobe: Some(usize::MAX), rescore: Some(100), ..SearchParams::default() },
        SearchParams { always_probe: true, ..SearchParams::default() },
    ] {
        if let Ok(answer) = index.search(&query, &params, None) {
            assert!(answer.hits.len() <= params.k);
            assert!(answer.hits.is_sorted_by(|a, b| a.1 >= b.1));
        }
    }
});
