//! Which files lie below these folders?
//!
//! Streams in a fixed order (by name, folder by folder), follows `.gitignore` and `.ignore` rules, never follows a
//! symbolic link it meets and never opens anything: pipes, sockets and devices are passed over by their type alone.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use ignore::{DirEntry, WalkBuilder};

use crate::report::FileFailure;
use crate::request::ReadOptions;

#[cfg(test)]
mod tests;

/// Folders of version control systems: never entered, even when hidden files are wanted.
const VERSION_CONTROL: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

/// Folders of files that the system makes up as they are read, some without end.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// A regular file that was found; nothing of its content has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Absolute path without `.` and `..`; valid UTF-8.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change in nanoseconds since 1970, negative before; 0 if the file system has none.
    pub mtime_ns: i64,
}

/// Why a walk could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalkError {
    /// A root does not exist or may not be looked at.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Root {
        /// The root as it was given.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A root is a pipe, a socket or a device.
    #[error("{} is neither a file nor a folder; name one of those", path.display())]
    Special {
        /// The root as it was given.
        path: PathBuf,
    },
}

/// Finds the files below `roots`, each once, and hands them to `on_file` in order. A root may itself be a file; a
/// root that is a symbolic link is replaced by what it points to. Paths in `skip` (the collection's own folder) are
/// not entered. What cannot be read on the way is handed over as a failure and the walk goes on;
/// [`ControlFlow::Break`] ends it early.
///
/// # Errors
/// [`WalkError`] if a root is missing or is neither file nor folder. All roots are checked before the first file.
pub fn walk(
    roots: &[PathBuf],
    options: &ReadOptions,
    skip: &[PathBuf],
    mut on_file: impl FnMut(Result<FoundFile, FileFailure>) -> ControlFlow<()>,
) -> Result<(), WalkError> {
    let mut resolved = roots
        .iter()
        .map(|root| resolve_root(root))
        .collect::<Result<Vec<_>, _>>()?;
    resolved.sort();
    resolved.dedup();
    // Only nested roots can lead to a file twice; the set stays empty for all others.
    let nested = resolved
        .windows(2)
        .any(|pair| pair[1].starts_with(&pair[0]));
    let mut seen = HashSet::new();
    let skip: Vec<PathBuf> = skip
        .iter()
        .flat_map(|path| [path.canonicalize().ok(), Some(absolute(path))])
        .flatten()
        .collect();
    for root in &resolved {
        for entry in builder(root, options, skip.clone()).build() {
            let Some(found) = entry.map_or_else(
                |error| Some(Err(walk_failure(root, &error))),
                |entry| look(&entry),
            ) else {
                continue;
            };
            if let (true, Ok(file)) = (nested, &found)
                && !seen.insert(file.path.clone())
            {
                continue;
            }
            if on_file(found).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The path made absolute, with `.` and `..` resolved by name alone: nothing is looked up on disk.
///
/// ```
/// # use std::path::Path;
/// assert_eq!(engine::ingest::walk::absolute(Path::new("/a/./b/../c")), Path::new("/a/c"));
/// ```
pub fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

fn resolve_root(root: &Path) -> Result<PathBuf, WalkError> {
    let failed = |source| WalkError::Root {
        path: root.to_path_buf(),
        source,
    };
    let own = std::fs::symlink_metadata(root).map_err(failed)?;
    let (path, kind) = if own.is_symlink() {
        let target = root.canonicalize().map_err(failed)?;
        let kind = std::fs::metadata(&target).map_err(failed)?.file_type();
        (target, kind)
    } else {
        (absolute(root), own.file_type())
    };
    if kind.is_file() || kind.is_dir() {
        Ok(path)
    } else {
        Err(WalkError::Special {
            path: root.to_path_buf(),
        })
    }
}

fn builder(root: &Path, options: &ReadOptions, skip: Vec<PathBuf>) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(!options.hidden)
        .ignore(options.respect_ignore)
        .git_ignore(options.respect_ignore)
        .git_global(options.respect_ignore)
        .git_exclude(options.respect_ignore)
        .parents(options.respect_ignore)
        .require_git(false)
        .follow_links(false)
        .sort_by_file_name(|a, b| a.cmp(b))
        .filter_entry(move |entry| enters(entry, &skip));
    builder
}

fn enters(entry: &DirEntry, skip: &[PathBuf]) -> bool {
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    let versions = entry.depth() > 0
        && is_folder
        && VERSION_CONTROL
            .iter()
            .any(|name| entry.file_name() == *name);
    let system = cfg!(unix)
        && entry.depth() > 0
        && is_folder
        && SYSTEM
            .iter()
            .any(|folder| entry.path() == Path::new(folder));
    !versions && !system && !skip.iter().any(|path| entry.path() == path)
}

/// The file of an entry, a failure, or nothing for what is no regular file.
fn look(entry: &DirEntry) -> Option<Result<FoundFile, FileFailure>> {
    if !entry.file_type().is_some_and(|kind| kind.is_file()) {
        return None;
    }
    let path = entry.path();
    let Some(name) = path.to_str() else {
        return Some(Err(FileFailure {
            path: PathBuf::from(path.to_string_lossy().into_owned()),
            reason: "the name is not valid UTF-8; rename the file (or the folder it lies in) to index it".to_owned(),
        }));
    };
    Some(match entry.metadata() {
        Ok(metadata) => Ok(FoundFile {
            path: PathBuf::from(name),
            size: metadata.len(),
            mtime_ns: mtime_ns(&metadata),
        }),
        Err(error) => Err(FileFailure {
            path: path.to_path_buf(),
            reason: format!("cannot be looked at: {error}"),
        }),
    })
}

/// Time of the last change in nanoseconds since 1970, as [`FoundFile::mtime_ns`] has it.
pub fn mtime_ns(metadata: &std::fs::Metadata) -> i64 {
    let Ok(modified) = metadata.modified() else {
        return 0;
    };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

fn walk_failure(root: &Path, error: &ignore::Error) -> FileFailure {
    let reason = match error.io_error() {
        Some(io) => format!("cannot be opened: {io}"),
        None => format!("cannot be walked: {error}"),
    };
    FileFailure {
        path: error_path(error).unwrap_or(root).to_path_buf(),
        reason,
    }
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            error_path(err)
        }
        ignore::Error::Loop { child, .. } => Some(child),
        _ => None,
    }
}
