//! What changed since the collection was last brought up to date?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Changes wait until there was none for this long,
const QUIET: Duration = Duration::from_millis(250);
/// but no longer than this, so that a busy folder is searchable too.
const LONGEST: Duration = Duration::from_millis(900);
/// New folders are looked at once more after this long without changes: files may have come into them before the system
/// was asked to report on them.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// ... or after this long in a folder that never rests.
const LATEST_SECOND_LOOK: Duration = Duration::from_secs(30);
/// Paths that are kept; beyond them everything is compared, which takes no memory per change.
const MOST_PATHS: usize = 4096;

/// Work to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// These files and folders, ascending.
    Some(Vec<PathBuf>),
    /// Everything below the roots.
    All,
}

impl Work {
    /// How many paths; none where nobody counted.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Some(paths) => Some(paths.len()),
            Self::All => None,
        }
    }

    /// Both pieces of work.
    pub fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(Self::Some(mut a)), Some(Self::Some(b))) => {
                a.extend(b);
                a.sort_unstable();
                a.dedup();
                Some(if a.len() > MOST_PATHS {
                    Self::All
                } else {
                    Self::Some(a)
                })
            }
            (Some(_), Some(_)) => Some(Self::All),
            (one, None) | (None, one) => one,
        }
    }
}

/// Changes that were reported. Bounded however many there are.
#[derive(Debug, Default)]
pub struct Pending {
    paths: BTreeSet<PathBuf>,
    everything: bool,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Folders among the paths that are new.
    folders: BTreeSet<PathBuf>,
    again: Again,
    /// The system lost reports.
    overflowed: bool,
}

/// New folders that wait for their second look.
#[derive(Debug, Default)]
struct Again {
    folders: BTreeSet<PathBuf>,
    at: Option<Instant>,
    latest: Option<Instant>,
}

impl Again {
    fn add(&mut self, folders: BTreeSet<PathBuf>, now: Instant) {
        if !folders.is_empty() && self.folders.len() <= MOST_PATHS {
            self.folders.extend(folders);
            self.latest.get_or_insert(now + LATEST_SECOND_LOOK);
            self.put_off(now);
        }
    }

    fn put_off(&mut self, now: Instant) {
        self.at = self.latest.map(|latest| latest.min(now + SECOND_LOOK));
    }
}

impl Pending {
    /// A file or folder changed.
    pub fn add(&mut self, path: &Path, now: Instant) {
        self.stamp(now);
        if self.everything {
            return;
        }
        // Rules about what is read concern the whole folder.
        let rules = path
            .file_name()
            .is_some_and(|name| name == ".gitignore" || name == ".ignore");
        let path = path.parent().filter(|_| rules).unwrap_or(path);
        self.paths.insert(path.to_owned());
        if self.paths.len() > MOST_PATHS {
            self.everything();
        }
    }

    /// A folder is new.
    pub fn add_folder(&mut self, path: &Path, now: Instant) {
        self.add(path, now);
        if !self.everything {
            self.folders.insert(path.to_owned());
        }
    }

    /// Anything may have changed.
    pub fn add_all(&mut self, now: Instant) {
        self.stamp(now);
        self.everything();
    }

    /// The system lost reports: anything may have changed, and new folders may be unwatched.
    pub fn overflow(&mut self, now: Instant) {
        self.add_all(now);
        self.overflowed = true;
    }

    /// Puts back what could not be done.
    pub fn put_back(&mut self, work: Work, now: Instant) {
        match work {
            Work::All => self.add_all(now),
            Work::Some(paths) => paths.iter().for_each(|path| self.add(path, now)),
        }
    }

    /// Whether the system lost reports since the last question.
    pub fn take_overflow(&mut self) -> bool {
        std::mem::take(&mut self.overflowed)
    }

    fn stamp(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.again.put_off(now);
    }

    fn everything(&mut self) {
        self.everything = true;
        self.paths.clear();
        self.folders.clear();
    }

    /// When there will be something to do, if there are no further changes.
    pub fn due(&self) -> Option<Instant> {
        self.changes_due().into_iter().chain(self.again.at).min()
    }

    fn changes_due(&self) -> Option<Instant> {
        let (first, last) = (self.first?, self.last?);
        Some((last + QUIET).min(first + LONGEST))
    }

    /// What there is to do now, which is no longer pending.
    pub fn take(&mut self, now: Instant) -> Option<Work> {
        if self.changes_due().is_some_and(|due| due <= now) {
            (self.first, self.last) = (None, None);
            self.again.add(std::mem::take(&mut self.folders), now);
            let paths = std::mem::take(&mut self.paths);
            return Some(match std::mem::take(&mut self.everything) {
                true => Work::All,
                false => Work::Some(paths.into_iter().collect()),
            });
        }
        self.again.at.filter(|at| *at <= now)?;
        let folders = std::mem::take(&mut self.again).folders;
        Some(Work::Some(folders.into_iter().collect()))
    }
}

/// Where the system's threads leave changes and the follower picks them up.
#[derive(Debug, Default)]
pub struct Inbox {
    pending: Mutex<Pending>,
    changed: Condvar,
}

impl Inbox {
    /// Looks at or changes what is pending, and wakes the follower.
    pub fn with<T>(&self, work: impl FnOnce(&mut Pending) -> T) -> T {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut pending);
        self.changed.notify_all();
        done
    }

    /// Waits until something is due, or for `longest`.
    pub fn wait(&self, longest: Duration) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let left = pending
            .due()
            .map(|due| due.saturating_duration_since(Instant::now()));
        let wait = left.map_or(longest, |left| left.min(longest));
        // Woken by a change or by the clock: the caller looks either way.
        let _ = self
            .changed
            .wait_timeout(pending, wait.max(Duration::from_millis(5)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn paths(paths: &[&str]) -> Option<Work> {
        Some(Work::Some(paths.iter().map(PathBuf::from).collect()))
    }

    #[test]
    fn changes_wait_until_things_are_quiet() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add(Path::new("/a"), start);
        assert_eq!(pending.take(start + ms(200)), None);
        pending.add(Path::new("/b"), start + ms(200));
        assert_eq!(pending.take(start + ms(300)), None);
        assert_eq!(pending.take(start + ms(460)), paths(&["/a", "/b"]));
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn a_folder_that_never_rests_is_not_put_off_for_ever() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for i in 0..20 {
            pending.add(Path::new("/log"), start + ms(50 * i));
        }
        assert!(pending.take(start + ms(1000)).is_some());
    }

    #[test]
    fn a_hundred_thousand_changes_take_no_more_room_than_a_few_thousand() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        for i in 0..100_000 {
            pending.add_folder(Path::new(&format!("/a/{i}")), start);
            assert!(pending.paths.len() <= MOST_PATHS && pending.folders.len() <= MOST_PATHS);
        }
        assert_eq!(pending.take(start + ms(500)), Some(Work::All));
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn new_folders_are_looked_at_twice() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add_folder(Path::new("/new"), start);
        pending.add(Path::new("/old.txt"), start);
        assert_eq!(pending.take(start + ms(300)), paths(&["/new", "/old.txt"]));
        assert_eq!(pending.take(start + ms(2200)), None);
        // Another change puts the second look off.
        pending.add(Path::new("/old.txt"), start + ms(2200));
        assert_eq!(pending.take(start + ms(2500)), paths(&["/old.txt"]));
        assert_eq!(pending.take(start + ms(4100)), None);
        assert_eq!(pending.take(start + ms(4300)), paths(&["/new"]));
        assert_eq!(pending.due(), None);
    }

    #[test]
    fn the_second_look_comes_even_where_nothing_rests() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add_folder(Path::new("/new"), start);
        let mut looks = 0;
        for i in 0..400 {
            let now = start + ms(100 * i);
            pending.add(Path::new("/log"), now);
            let new = pending
                .take(now)
                .is_some_and(|work| work == Work::Some(vec!["/new".into()]));
            looks += usize::from(new);
        }
        assert_eq!(looks, 1);
    }

    #[test]
    fn work_grows_into_everything_and_no_further() {
        let some = |range: std::ops::Range<usize>| {
            let path = |i| PathBuf::from(format!("/{i:05}"));
            Some(Work::Some(range.map(path).collect()))
        };
        assert_eq!(Work::join(some(0..2), some(1..3)), some(0..3));
        assert_eq!(Work::join(some(0..4000), some(4000..8000)), Some(Work::All));
        assert_eq!(Work::join(Some(Work::All), some(0..1)), Some(Work::All));
        assert_eq!(Work::join(None, None), None);
    }

    #[test]
    fn a_change_of_rules_concerns_the_whole_folder() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.add(Path::new("/a/.gitignore"), start);
        assert_eq!(pending.take(start + ms(300)), paths(&["/a"]));
    }

    #[test]
    fn what_could_not_be_done_comes_back() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        pending.overflow(start);
        let work = pending.take(start + ms(300)).expect("due");
        assert!(pending.take_overflow() && !pending.take_overflow());
        pending.put_back(work, start + ms(400));
        assert_eq!(pending.take(start + ms(700)), Some(Work::All));
    }
}
