//! Is a watched folder still there, and is it still the same one?
//!
//! A folder that vanished may be a drive that was pulled out: what was indexed of it stays until it returns.

use std::path::{Path, PathBuf};

use engine::ingest::walk::is_empty_folder;

/// What a look at a root brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// As before.
    Same,
    /// It is gone, or an empty folder stands in its place.
    Gone,
    /// It is back, or another one of that name is there: everything has to be looked at.
    Returned,
}

/// A watched folder or file.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    seen: Option<Identity>,
}

/// What tells a folder from another one of its name.
type Identity = (u64, u64);

impl Root {
    /// The root at `path`, not looked at yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was there at the last look.
    pub fn is_there(&self) -> bool {
        self.seen.is_some()
    }

    /// Looks again.
    pub fn look(&mut self) -> News {
        let now = identity(&self.path);
        match (self.seen, now) {
            (None, None) => News::Same,
            (Some(before), Some(now)) if before == now => News::Same,
            // A drive that was unmounted leaves its empty mount point behind.
            (_, Some(_)) if is_empty_folder(&self.path) => self.gone(),
            (_, Some(now)) => {
                self.seen = Some(now);
                News::Returned
            }
            (Some(_), None) => self.gone(),
        }
    }

    /// The first look. An empty folder is there too, unless it should hold something.
    pub fn begin(&mut self, should_hold: bool) -> bool {
        let waits = should_hold && is_empty_folder(&self.path);
        self.seen = identity(&self.path).filter(|_| !waits);
        self.is_there()
    }

    fn gone(&mut self) -> News {
        match self.seen.take() {
            Some(_) => News::Gone,
            None => News::Same,
        }
    }
}

/// Device and inode of a folder; a file is only there or not, since saving often replaces it.
#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(match metadata.is_dir() {
        true => (metadata.dev(), metadata.ino()),
        false => (0, 0),
    })
}

/// Only whether it is there.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    path.exists().then_some((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_goes_and_comes_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("drive");
        fs::create_dir(&path).expect("made");
        fs::write(path.join("a.txt"), "a").expect("written");
        let mut root = Root::new(path.clone());
        assert!(root.begin(false));
        assert_eq!(root.look(), News::Same);
        fs::rename(&path, dir.path().join("elsewhere")).expect("moved");
        assert_eq!((root.look(), root.look()), (News::Gone, News::Same));
        assert!(!root.is_there());
        fs::create_dir(&path).expect("an empty mount point");
        assert_eq!(root.look(), News::Same);
        fs::write(path.join("b.txt"), "b").expect("written");
        assert_eq!((root.look(), root.look()), (News::Returned, News::Same));
    }

    #[test]
    fn an_empty_folder_that_should_hold_something_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut root = Root::new(dir.path().to_owned());
        assert!(!root.begin(true));
        assert_eq!(root.look(), News::Same);
        fs::write(dir.path().join("a.txt"), "a").expect("written");
        assert_eq!(root.look(), News::Returned);
        let mut filled = Root::new(dir.path().to_owned());
        assert!(filled.begin(true));
    }

    #[cfg(unix)]
    #[test]
    fn another_folder_of_the_same_name_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notes");
        fs::create_dir(&path).expect("made");
        let mut root = Root::new(path.clone());
        assert!(root.begin(false));
        fs::create_dir(dir.path().join("new")).expect("made");
        fs::write(dir.path().join("new/a.txt"), "a").expect("written");
        fs::rename(&path, dir.path().join("old")).expect("moved");
        fs::rename(dir.path().join("new"), &path).expect("moved");
        assert_eq!(root.look(), News::Returned);
    }

    #[test]
    fn a_file_that_is_replaced_is_the_same_root() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.txt");
        fs::write(&path, "a").expect("written");
        let mut root = Root::new(path.clone());
        assert!(root.begin(false));
        fs::write(dir.path().join("b"), "b").expect("written");
        fs::rename(dir.path().join("b"), &path).expect("replaced");
        assert_eq!(root.look(), News::Same);
    }
}
