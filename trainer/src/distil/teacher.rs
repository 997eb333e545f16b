//! Which vectors does the transformer give the texts?
//!
//! Encoding them is most of the work, so what is done is kept: a file in the run's folder, a record of the text's hash and
//! its vector for each text. A run that was stopped goes on from there, and so does one with other settings.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use engine::encoder::{Encoder, Role};
use storage::{StorageError, Task, disk};

use super::lessons::Lessons;
use super::{DistilError, Job};

/// Texts encoded between two writes.
const AT_ONCE: usize = 2048;
/// Bytes of a text's hash.
const KEY: usize = 16;

/// The teacher's vectors of the taught texts, in their order.
pub(super) struct Vectors {
    pub(super) values: Vec<f32>,
    /// Length of one.
    pub(super) width: usize,
}

impl Vectors {
    pub(super) fn new(
        job: &Job<'_>,
        lessons: &Lessons,
        task: Task<'_>,
    ) -> Result<Self, DistilError> {
        disk::create_private_dir(job.out)?;
        let mut kept = Kept::open(job.out, job.teacher)?;
        let mut missing: Vec<&str> = lessons
            .texts
            .iter()
            .map(String::as_str)
            .filter(|text| !kept.places.contains_key(&key(text)))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        // Texts of one length together are no work for padding, and short ones first show early how long it takes.
        missing.sort_by_key(|text| text.len());
        let total = missing.len() as u64;
        for (at, texts) in missing.chunks(AT_ONCE).enumerate() {
            task.report("the teacher encodes", (at * AT_ONCE) as u64, total);
            let vectors = job.teacher.encode(texts, Role::Passage, task.quiet())?;
            kept.add(texts, &vectors.values)?;
        }
        let width = kept.width;
        let mut values = Vec::with_capacity(lessons.texts.len() * width);
        for text in &lessons.texts {
            values.extend_from_slice(kept.get(text));
        }
        Ok(Self { values, width })
    }
}

/// The vector of each token by itself, (tokens, width); zeros for what says nothing.
pub(super) fn alone(
    teacher: &dyn Encoder,
    vocabulary: &[String],
    task: Task<'_>,
) -> Result<Vec<f32>, DistilError> {
    // A piece that goes on with a word is read without its mark.
    let texts: Vec<&str> = vocabulary
        .iter()
        .map(|token| token.strip_prefix("##").unwrap_or(token))
        .collect();
    let width = teacher.identity().dimension;
    let mut values = Vec::with_capacity(texts.len() * width);
    for (at, part) in texts.chunks(AT_ONCE).enumerate() {
        task.report(
            "the teacher encodes tokens",
            (at * AT_ONCE) as u64,
            texts.len() as u64,
        );
        values.extend(teacher.encode(part, Role::Passage, task.quiet())?.values);
    }
    for (row, token) in values.chunks_exact_mut(width).zip(vocabulary) {
        if is_mute(token) {
            row.fill(0.0);
        }
    }
    Ok(values)
}

/// Special tokens, and those that a vocabulary keeps free.
fn is_mute(token: &str) -> bool {
    token.is_empty() || token.starts_with("[unused")
}

fn key(text: &str) -> [u8; KEY] {
    let hash = blake3::hash(text.as_bytes());
    let mut key = [0; KEY];
    key.copy_from_slice(&hash.as_bytes()[..KEY]);
    key
}

/// The file.
struct Kept {
    path: PathBuf,
    width: usize,
    places: HashMap<[u8; KEY], usize>,
    values: Vec<f32>,
}

impl Kept {
    /// Reads the file of `teacher` in `out`; a record that was not written whole is dropped.
    fn open(out: &Path, teacher: &dyn Encoder) -> Result<Self, DistilError> {
        let path = out.join(format!("teacher-{}.bin", &teacher.identity().hash[..16]));
        let mut kept = Self {
            width: teacher.identity().dimension,
            places: HashMap::new(),
            values: Vec::new(),
            path,
        };
        if kept.path.exists() {
            kept.read()?;
        }
        Ok(kept)
    }

    fn read(&mut self) -> Result<(), DistilError> {
        let bytes = fs::read(&self.path).map_err(StorageError::io("read", &self.path))?;
        let size = KEY + 4 * self.width;
        let whole = bytes.len() / size * size;
        for record in bytes[..whole].chunks_exact(size) {
            let (key, numbers) = record.split_at(KEY);
            let numbers = numbers.as_chunks::<4>().0;
            let vector = numbers.iter().map(|b| f32::from_le_bytes(*b));
            let key = key.try_into().expect("split at the length of a key");
            self.insert(key, vector);
        }
        if whole < bytes.len() {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|file| file.set_len(whole as u64))
                .map_err(StorageError::io("write", &self.path))?;
        }
        Ok(())
    }

    fn insert(&mut self, key: [u8; KEY], vector: impl Iterator<Item = f32>) {
        let place = self.values.len() / self.width;
        self.values.extend(vector);
        self.places.insert(key, place);
    }

    fn add(&mut self, texts: &[&str], vectors: &[f32]) -> Result<(), DistilError> {
        let mut bytes = Vec::with_capacity(texts.len() * (KEY + 4 * self.width));
        for (text, vector) in texts.iter().zip(vectors.chunks_exact(self.width)) {
            let key = key(text);
            bytes.extend_from_slice(&key);
            bytes.extend(vector.iter().flat_map(|v| v.to_le_bytes()));
            self.insert(key, vector.iter().copied());
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path);
        file.and_then(|mut file| file.write_all(&bytes))
            .map_err(StorageError::io("write", &self.path))?;
        Ok(())
    }

    fn get(&self, text: &str) -> &[f32] {
        let place = self.places[&key(text)];
        &self.values[place * self.width..][..self.width]
    }
}
