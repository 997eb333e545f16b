//! Who may write, and who is writing now?
//!
//! The operating system's lock on the file `LOCK` decides; it goes with its process, so that a crash
//! leaves nothing to clean up. The file's text only names the holder, and its modification time says
//! since when.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{GenerationId, StorageError, disk};

use super::{Collection, GenerationBuilder, text};

/// How often, and with which pauses, a writer tries before it takes the lock for another writer's.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// The right to change a collection, held until dropped.
#[derive(Debug)]
pub struct WriterLock {
    collection: Collection,
    /// Locked; closing it unlocks.
    _file: File,
}

impl WriterLock {
    pub(super) fn take(collection: &Collection) -> Result<Self, StorageError> {
        let path = collection.lock_path();
        let mut file = disk::open_or_create(&path)?;
        if !try_lock_patiently(&file, &path)? {
            return Err(StorageError::Locked {
                path: collection.dir().to_path_buf(),
                holder: describe(&mut file),
            });
        }
        // Only for people to read: a file system without room must not keep the writer out.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(myself().as_bytes()));
        let lock = Self {
            collection: collection.clone(),
            _file: file,
        };
        lock.sweep();
        Ok(lock)
    }

    /// The collection that may be changed.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// A number above every generation's on the disk and in `CURRENT`, readable or not.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn next_generation(&self) -> Result<GenerationId, StorageError> {
        let on_disk = self.collection.generations()?.last().map_or(0, |id| id.0);
        let current = self
            .collection
            .current_id()
            .ok()
            .flatten()
            .map_or(0, |id| id.0);
        Ok(GenerationId(on_disk.max(current) + 1))
    }

    /// Starts to build generation `id`, which must not exist yet; see
    /// [`WriterLock::next_generation`].
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Invalid`].
    pub fn begin(&self, id: GenerationId) -> Result<GenerationBuilder<'_>, StorageError> {
        GenerationBuilder::begin(self, id)
    }

    /// Makes the complete generation `id` the current one: going back to the one before, or
    /// mending a damaged `CURRENT`.
    ///
    /// # Errors
    /// Those of [`Collection::generation`], and [`StorageError::Io`].
    pub fn point_to(&self, id: GenerationId) -> Result<(), StorageError> {
        self.collection.generation(id)?;
        self.set_current(id)
    }

    /// Replaces `CURRENT`: the moment a generation is published.
    pub(super) fn set_current(&self, id: GenerationId) -> Result<(), StorageError> {
        let body = format!("{}\n", text::folder(id));
        let text = text::sealed("current", text::CURRENT_VERSION, &body);
        disk::replace_atomically(&self.collection.dir().join(super::CURRENT), text.as_bytes())
    }

    /// Removes what crashed writers left half-built. What cannot be removed now is tried again by the
    /// next writer.
    pub fn sweep(&self) {
        for path in tmp_entries(self.collection.dir()) {
            // A file of another name may belong to a process that is creating this collection.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(super::CURRENT) {
                let _ = disk::remove_file(&path);
            } else if name.starts_with(super::DOCUMENTS) {
                let _ = disk::remove_tree(&path);
            }
        }
        for path in tmp_entries(&self.collection.generations_dir()) {
            let _ = disk::remove_tree(&path);
        }
    }

    /// Removes generations but `current` and `previous`, the one it replaced. Readers keep what they
    /// have open; what cannot be removed now (Windows) goes with a later publish.
    pub(super) fn remove_old(&self, current: GenerationId, previous: Option<GenerationId>) {
        let ids = self.collection.generations().unwrap_or_default();
        for id in ids
            .into_iter()
            .filter(|&id| id < current && Some(id) != previous)
        {
            let _ = self.remove_generation(id);
        }
    }

    /// Removes every generation but the current one: there is no going back afterwards. A reader that has one of them
    /// open keeps it, and its bytes on the disk, until it closes it.
    ///
    /// # Errors
    /// [`StorageError::Io`] if one stays; those of [`Collection::current_id`].
    pub fn remove_all_but_current(&self) -> Result<(), StorageError> {
        let current = self.collection.current_id()?;
        for id in self.collection.generations()? {
            if Some(id) != current {
                self.remove_generation(id)?;
            }
        }
        disk::sync_dir(&self.collection.generations_dir())
    }

    fn remove_generation(&self, id: GenerationId) -> Result<(), StorageError> {
        let dir = self.collection.generations_dir().join(text::folder(id));
        // Renaming first takes the folder away at once, so that no reader finds half of it.
        let doomed = dir.with_extension("tmp");
        disk::rename(&dir, &doomed)?;
        disk::remove_tree(&doomed)
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // The folder above is private in any case; a file that could not be changed is tried again next time.
        let _ = disk::make_private(self.collection.dir());
    }
}

/// Entries of the folder `dir` that end in `.tmp`; none when it cannot be listed.
fn tmp_entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = disk::entries(dir).unwrap_or_default().into_iter();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tmp"))
}

/// Who holds the lock of `collection`.
pub(super) fn holder(collection: &Collection) -> Result<Option<String>, StorageError> {
    let path = collection.lock_path();
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StorageError::io("open", &path)(e)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(describe(&mut file))),
        Err(TryLockError::Error(e)) => Err(StorageError::io("lock", &path)(e)),
    }
}

/// Tries to lock a few times: whoever asks for the [`holder`] has the lock for a moment, and is no writer.
fn try_lock_patiently(file: &File, path: &Path) -> Result<bool, StorageError> {
    for _ in 1..TRIES {
        if try_lock(file, path)? {
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
    try_lock(file, path)
}

fn try_lock(file: &File, path: &Path) -> Result<bool, StorageError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(e)) => Err(StorageError::io("lock", path)(e)),
    }
}

/// What a holder writes about itself.
fn myself() -> String {
    let command = std::env::args_os().next().unwrap_or_default();
    let command = Path::new(&command).file_name().unwrap_or_default();
    format!(
        "process {} ({})\n",
        std::process::id(),
        command.to_string_lossy()
    )
}

/// What the lock file says about its holder. Windows lets nobody read a locked file.
fn describe(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let name = match text.trim() {
        name if read.is_ok() && !name.is_empty() => name,
        _ => "another process",
    };
    let since = file.metadata().and_then(|metadata| metadata.modified());
    match since.ok().and_then(|since| since.elapsed().ok()) {
        Some(elapsed) => format!("{name} for {} s", elapsed.as_secs()),
        None => name.to_string(),
    }
}
