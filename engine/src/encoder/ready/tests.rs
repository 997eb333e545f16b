use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::load::{LoadOptions, load_cpu};
use super::super::{Encoder, Role};
use super::*;

const TEXTS: [&str; 4] = [
    "",
    "the quick fox, and the dog",
    "caf\u{e9} fox",
    "zzz \u{1}",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/encoder")
        .join(name)
}

/// A copy of a golden model, and where its kept form goes.
fn model(name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(&golden(name), dir.path());
    let path = dir.path().join("ready.askm");
    (dir, path)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("it is copied");
        }
    }
}

/// Hash of the identity and vectors of [`TEXTS`].
fn open(dir: &Path, kept: Option<&Path>, precision: Precision) -> (String, Vec<f32>) {
    let options = LoadOptions {
        precision,
        kept: kept.map(Path::to_path_buf),
        ..LoadOptions::default()
    };
    let encoder = load_cpu(dir, &options).expect("a complete model");
    let texts = |role| encoder.encode(&TEXTS, role, storage::Task::silent());
    let mut vectors = texts(Role::Query).expect("any text").values;
    vectors.extend(texts(Role::Passage).expect("any text").values);
    (encoder.identity().hash.clone(), vectors)
}

/// What the file of `dir` has to hold for, in f32.
fn source(dir: &Path) -> Source {
    let files = ["model.safetensors", "tokenizer.json"].map(|name| dir.join(name));
    Source::of(&files, Precision::F32, Precision::F32.packed_for()).expect("both are there")
}

#[test]
fn a_kept_model_is_the_same_model() {
    for name in ["bert", "distilbert", "static", "model2vec"] {
        for precision in Precision::available() {
            let (dir, path) = model(name);
            let plain = open(dir.path(), None, precision);
            assert_eq!(open(dir.path(), Some(&path), precision), plain, "{name}");
            let written = fs::metadata(&path).and_then(|about| about.modified());
            let written = written.expect("it was kept");
            assert_eq!(open(dir.path(), Some(&path), precision), plain, "{name}");
            let again = fs::metadata(&path).and_then(|about| about.modified());
            assert_eq!(
                again.expect("it is there"),
                written,
                "taken, not written anew"
            );
        }
    }
}

#[test]
fn tokenizers_without_a_vocabulary_of_ours_are_not_kept() {
    let (dir, path) = model("roberta");
    let plain = open(dir.path(), None, Precision::F32);
    assert_eq!(open(dir.path(), Some(&path), Precision::F32), plain);
    assert!(!path.exists());
}

#[test]
fn every_damaged_byte_and_every_cut_is_found() {
    let (dir, path) = model("bert");
    let plain = open(dir.path(), Some(&path), Precision::F32);
    let (whole, source) = (fs::read(&path).expect("it was kept"), source(dir.path()));
    assert!(Ready::open(&path, &source).is_ok());
    let damaged = dir.path().join("damaged.askm");
    let refused = |bytes: &[u8]| {
        fs::write(&damaged, bytes).expect("it is written");
        Ready::open(&damaged, &source).err().map(|e| e.to_string())
    };
    for at in (0..100).chain((100..whole.len()).step_by(997)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        let said = refused(&bytes).unwrap_or_else(|| panic!("byte {at} went unseen"));
        assert!(said.contains("damaged.askm"), "{said}");
    }
    for length in [0, 7, 63, 64, 100, whole.len() - 1] {
        assert!(refused(&whole[..length]).is_some(), "cut to {length}");
    }
    assert!(
        refused(&[&whole[..], &[0; 64]].concat()).is_some(),
        "longer"
    );
    // Such a file costs nothing but the time to make it again.
    fs::write(&path, &whole[..whole.len() / 2]).expect("it is written");
    assert_eq!(open(dir.path(), Some(&path), Precision::F32), plain);
    assert_eq!(
        fs::read(&path).expect("it was made again").len(),
        whole.len()
    );
}

#[test]
fn errors_keep_their_kind() {
    let (dir, path) = model("bert");
    open(dir.path(), Some(&path), Precision::F32);
    let whole = fs::read(&path).expect("it was kept");
    let held = source(dir.path());
    let other = dir.path().join("other.askm");
    let read = |bytes: &[u8], source: &Source| {
        fs::write(&other, bytes).expect("it is written");
        Ready::open(&other, source).err().expect("an error")
    };
    let absent = Ready::open(&dir.path().join("absent"), &held).err();
    assert!(matches!(absent, Some(ReadyError::Storage(_))));
    assert!(matches!(read(b"text", &held), ReadyError::Foreign { .. }));
    assert!(matches!(read(&[0; 80], &held), ReadyError::Foreign { .. }));
    let mut newer = whole.clone();
    newer[8] = 2;
    let error = read(&newer, &held);
    assert!(error.to_string().contains("version 2"), "{error}");
    let mut damaged = whole.clone();
    damaged[70] ^= 1;
    assert!(matches!(read(&damaged, &held), ReadyError::Damaged { .. }));
    let for_another = |precision, level: &str| Source {
        precision,
        level: level.to_owned(),
        ..held.clone()
    };
    for source in [
        for_another(Precision::Int8, &held.level),
        for_another(Precision::F32, "Another"),
    ] {
        assert!(matches!(read(&whole, &source), ReadyError::Stale { .. }));
    }
}

#[test]
fn another_tokenizer_or_other_weights_make_it_stale() {
    let (dir, path) = model("bert");
    open(dir.path(), Some(&path), Precision::F32);
    for name in ["model.safetensors", "tokenizer.json"] {
        let before = source(dir.path());
        assert!(Ready::open(&path, &before).is_ok());
        let file = fs::OpenOptions::new()
            .write(true)
            .open(dir.path().join(name));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        let touched = file.and_then(|file| file.set_modified(later));
        touched.expect("it is touched");
        let now = source(dir.path());
        let error = Ready::open(&path, &now).err();
        assert!(matches!(error, Some(ReadyError::Stale { .. })), "{name}");
        open(dir.path(), Some(&path), Precision::F32);
    }
}

/// The table of FORMAT.md, held against a file.
#[test]
fn a_file_has_the_bytes_of_its_description() {
    let text = include_str!("../FORMAT.md");
    for row in [
        "| 0 | 8 | magic | `ASKREADY` |",
        "| 8 | 4 | version | 1;",
        "| 12 | 4 | about_bytes |",
        "| 32 | 32 | checksum |",
    ] {
        assert!(text.contains(row), "{row}");
    }
    let (dir, path) = model("bert");
    open(dir.path(), Some(&path), Precision::F32);
    let bytes = fs::read(&path).expect("it was kept");
    assert_eq!(&bytes[..8], b"ASKREADY");
    assert_eq!(&bytes[8..12], &1u32.to_le_bytes());
    assert_eq!(&bytes[16..32], &[0; 16]);
    let length = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let about: serde_json::Value = serde_json::from_slice(&bytes[64..64 + length]).expect("JSON");
    let keys = about.as_object().expect("an object").keys();
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    for key in ["source", "weights", "tokenizer", "vocabulary"] {
        assert!(keys.contains(&key), "{keys:?}");
    }
    assert_eq!(keys.len(), 4);
    let sealed = [&bytes[..32], &bytes[64..]].concat();
    assert_eq!(blake3::hash(&sealed).as_bytes(), &bytes[32..64]);
}
