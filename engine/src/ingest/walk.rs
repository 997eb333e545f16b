//! Which files lie below these folders?
//!
//! Streams in a fixed order (by name, folder by folder), follows `.gitignore` and `.ignore` rules, never follows a
//! symbolic link it meets and never opens anything: pipes, sockets and devices are passed over by their type alone.

use std::collections::{BTreeSet, HashSet};
use std::ops::{Bound, ControlFlow};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
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

/// The files and folders that a walk is confined to, absolute. They need not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Within(BTreeSet<PathBuf>);

impl Within {
    /// Whether `path` is one of the paths or lies below one.
    pub fn contains(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.0.contains(above))
    }

    /// Whether a walk has to enter `path`.
    fn admits(&self, path: &Path) -> bool {
        let from = (Bound::Included(path), Bound::Unbounded);
        let leads = || self.0.range::<Path, _>(from).next();
        self.contains(path) || leads().is_some_and(|first| first.starts_with(path))
    }

    /// The paths, ascending, without those below another.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let mut last: Option<&Path> = None;
        self.0.iter().map(PathBuf::as_path).filter(move |path| {
            let new = last.is_none_or(|last| !path.starts_with(last));
            if new {
                last = Some(path);
            }
            new
        })
    }
}

impl<P: Into<PathBuf>> FromIterator<P> for Within {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        Self(paths.into_iter().map(Into::into).collect())
    }
}

/// Patterns a person added to those of `.gitignore` files, by the same syntax.
#[derive(Debug, Clone)]
pub struct Ignored(Gitignore);

impl Ignored {
    /// `patterns` as if they stood in `root/.gitignore`.
    ///
    /// # Errors
    /// A malformed pattern, in one sentence.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new(root);
        for pattern in patterns {
            let added = builder.add_line(None, pattern);
            added.map_err(|error| format!("'{pattern}' is no pattern: {error}"))?;
        }
        builder.build().map(Self).map_err(|error| error.to_string())
    }

    fn covers(&self, entry: &DirEntry) -> bool {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() > 0 && self.0.matched(entry.path(), is_folder).is_ignore()
    }
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
    /// A pattern of [`ReadOptions::ignore`] is malformed.
    #[error("{0}")]
    Pattern(String),
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
    on_file: impl FnMut(Result<FoundFile, FileFailure>) -> ControlFlow<()>,
) -> Result<(), WalkError> {
    walk_within(roots, None, options, skip, on_file)
}

/// The same for the parts of `roots` that `within` names, by the same rules: a file below an ignored folder is not found
/// however it is named. Folders that lead to none of them are not entered.
///
/// # Errors
/// As [`walk`].
pub fn walk_within(
    roots: &[PathBuf],
    within: Option<&Within>,
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
        let ignored = Ignored::new(root, &options.ignore).map_err(WalkError::Pattern)?;
        for entry in builder(root, options, within.cloned(), ignored, skip.clone()).build() {
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

/// Whether `path` is a folder without anything in it. Where a drive was unmounted, its empty mount point stays behind.
pub fn is_empty_folder(path: &Path) -> bool {
    path.is_dir() && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
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

fn builder(
    root: &Path,
    options: &ReadOptions,
    within: Option<Within>,
    ignored: Ignored,
    skip: Vec<PathBuf>,
) -> WalkBuilder {
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
        .filter_entry(move |entry| {
            enters(entry, &skip)
                && !ignored.covers(entry)
                && within
                    .as_ref()
                    .is_none_or(|within| within.admits(entry.path()))
        });
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
