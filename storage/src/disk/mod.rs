//! How does a byte become durable?
//!
//! Every durable operation of this crate (create, link, sync, rename, remove) goes through this
//! module, so that the order of operations can be read and tested in one place. sled keeps its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::StorageError;

mod watch;

use watch::announce;
pub use watch::{Operation, watched};

/// Creates `path` for writing, readable by its owner alone (0600 on Unix).
///
/// # Errors
/// [`StorageError::Io`], also when the file exists.
pub fn create(path: &Path) -> Result<File, StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    private(&mut options);
    announce(Operation::Create(path))
        .and_then(|()| options.open(path))
        .map_err(StorageError::io("create", path))
}

/// Opens `path` for reading and writing, creating it (0600 on Unix) when missing.
///
/// # Errors
/// [`StorageError::Io`].
pub fn open_or_create(path: &Path) -> Result<File, StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    announce(Operation::Create(path))
        .and_then(|()| options.open(path))
        .map_err(StorageError::io("open", path))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

/// Writes `bytes` to the new file `path` and waits until they are on the disk.
///
/// # Errors
/// [`StorageError::Io`], also when the file exists.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let mut file = create(path)?;
    file.write_all(bytes)
        .map_err(StorageError::io("write", path))?;
    sync(&file, path)
}

/// Waits until everything written to `file` is on the disk.
///
/// # Errors
/// [`StorageError::Io`].
pub fn sync(file: &File, path: &Path) -> Result<(), StorageError> {
    announce(Operation::Sync(path))
        .and_then(|()| file.sync_all())
        .map_err(StorageError::io("sync", path))
}

/// Gives `path` the content `bytes`: afterwards, and after a crash at any point, it holds either the
/// old content or the new, whole. Write beside, sync, rename over, sync the folder.
///
/// # Errors
/// [`StorageError::Io`]; `path` then holds its old content.
pub fn replace_atomically(path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    // The process id keeps two processes that create the same collection out of each other's way.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    remove_file(&beside)?;
    write_new(&beside, bytes)?;
    rename(&beside, path)?;
    match path.parent() {
        Some(folder) => sync_dir(folder),
        None => Ok(()),
    }
}

/// Renames a file or folder; durable once the folder is synced with [`sync_dir`].
///
/// # Errors
/// [`StorageError::Io`].
pub fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    announce(Operation::Rename(from, to))
        .and_then(|()| fs::rename(from, to))
        .map_err(StorageError::io("rename", from))
}

/// Waits until the names in the folder `path` are on the disk. Windows has no such call; its
/// file systems journal names.
///
/// # Errors
/// [`StorageError::Io`].
pub fn sync_dir(path: &Path) -> Result<(), StorageError> {
    if cfg!(unix) {
        let folder = File::open(path).map_err(StorageError::io("open", path))?;
        return sync(&folder, path);
    }
    Ok(())
}

/// Waits until every file below `path`, and every name, is on the disk. Cheap for files that are
/// there already.
///
/// # Errors
/// [`StorageError::Io`].
pub fn sync_tree(path: &Path) -> Result<(), StorageError> {
    for entry in entries(path)? {
        let entry_path = entry.path();
        let kind = entry
            .file_type()
            .map_err(StorageError::io("read", &entry_path))?;
        if kind.is_dir() {
            sync_tree(&entry_path)?;
        } else {
            // Windows syncs only through a handle that may write.
            let file = OpenOptions::new()
                .read(true)
                .write(cfg!(windows))
                .open(&entry_path);
            sync(
                &file.map_err(StorageError::io("open", &entry_path))?,
                &entry_path,
            )?;
        }
    }
    sync_dir(path)
}

/// The entries of the folder `path`, in no order.
///
/// # Errors
/// [`StorageError::Io`].
pub fn entries(path: &Path) -> Result<Vec<fs::DirEntry>, StorageError> {
    fs::read_dir(path)
        .and_then(Iterator::collect)
        .map_err(StorageError::io("list", path))
}

/// Gives the finished file `from` the second name `to`; copies where the file system has no hard
/// links. Finished files are never edited, so that sharing their bytes is safe.
///
/// # Errors
/// [`StorageError::Io`], also when `to` exists.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<(), StorageError> {
    announce(Operation::Link(from, to)).map_err(StorageError::io("link", from))?;
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Err(StorageError::io("link", from)(e))
        }
        Err(_) => copy_new(from, to),
    }
}

fn copy_new(from: &Path, to: &Path) -> Result<(), StorageError> {
    let mut source = File::open(from).map_err(StorageError::io("open", from))?;
    let mut target = create(to)?;
    io::copy(&mut source, &mut target).map_err(StorageError::io("copy", from))?;
    sync(&target, to)
}

/// Creates the folder `path` and its missing parents; those created are open to their owner alone
/// (0700 on Unix). A folder that exists stays as it is.
///
/// # Errors
/// [`StorageError::Io`].
pub fn create_private_dir(path: &Path) -> Result<(), StorageError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    announce(Operation::CreateFolder(path))
        .and_then(|()| builder.create(path))
        .map_err(StorageError::io("create", path))
}

/// Takes everybody's rights but the owner's from `path` and all below it (0700 for folders, 0600 for files on Unix):
/// sled and tantivy create files by the process's mask.
///
/// # Errors
/// [`StorageError::Io`].
#[cfg(unix)]
pub fn make_private(path: &Path) -> Result<(), StorageError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::symlink_metadata(path).map_err(StorageError::io("read", path))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
    if metadata.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(StorageError::io("change the permissions of", path))?;
    }
    if metadata.is_dir() {
        for entry in entries(path)? {
            make_private(&entry.path())?;
        }
    }
    Ok(())
}

/// Takes everybody's rights but the owner's from `path` and all below it. Elsewhere than on Unix folders inherit their
/// rights from the one above, and nothing is done.
///
/// # Errors
/// None here.
#[cfg(not(unix))]
pub fn make_private(_: &Path) -> Result<(), StorageError> {
    Ok(())
}

/// Removes the file `path`; a missing file is fine.
///
/// # Errors
/// [`StorageError::Io`].
pub fn remove_file(path: &Path) -> Result<(), StorageError> {
    announce(Operation::Remove(path))
        .and_then(|()| ignore_missing(fs::remove_file(path)))
        .map_err(StorageError::io("remove", path))
}

/// Removes the folder `path` and all below it; a missing folder is fine.
///
/// # Errors
/// [`StorageError::Io`].
pub fn remove_tree(path: &Path) -> Result<(), StorageError> {
    announce(Operation::Remove(path))
        .and_then(|()| ignore_missing(fs::remove_dir_all(path)))
        .map_err(StorageError::io("remove", path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
