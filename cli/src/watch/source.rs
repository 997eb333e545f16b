//! Who says that files change?
//!
//! The system, where it can (inotify, FSEvents, ReadDirectoryChangesW). Network drives do not tell what other computers
//! change on them, so those are polled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{CreateKind, EventKind, ModifyKind, RenameMode};
use notify::{Config, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use super::pending::Inbox;

/// Time between two looks at a drive that is polled.
pub const POLL_EVERY: Duration = Duration::from_secs(15);

/// How changes below a root are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The system reports them.
    Told,
    /// By looking every so often.
    Polled(Duration),
}

/// Which reports are of no interest, whatever the rest of the program would make of them.
#[derive(Debug, Clone)]
pub struct Uninteresting {
    /// The collection's own folder.
    pub collection: PathBuf,
    /// Whether hidden files are read.
    pub hidden: bool,
}

/// Folders of version control systems change all the time and are never read.
const VERSION_CONTROL: [&str; 4] = [".git", ".hg", ".svn", ".jj"];

impl Uninteresting {
    fn covers(&self, root: &Path, path: &Path) -> bool {
        if path.starts_with(&self.collection) {
            return true;
        }
        let below = path.strip_prefix(root).unwrap_or(Path::new(""));
        let rules = |name: &str| name == ".gitignore" || name == ".ignore";
        below.components().any(|part| {
            let name = part.as_os_str().to_string_lossy();
            VERSION_CONTROL.contains(&&*name)
                || (!self.hidden && name.starts_with('.') && !rules(&name))
        })
    }
}

/// Reports on one root until dropped.
pub struct Source {
    _watcher: Box<dyn Watcher + Send>,
    /// How it is done.
    pub how: How,
}

impl Source {
    /// Reports changes at or below `root` to `inbox`. A file is watched through its folder, since editors replace files.
    ///
    /// # Errors
    /// The system refuses, or the root is gone.
    pub fn watch(
        root: &Path,
        how: How,
        dull: Uninteresting,
        inbox: Arc<Inbox>,
    ) -> notify::Result<Self> {
        let own = root.to_owned();
        let handler = move |event: notify::Result<Event>| take(&own, &dull, &inbox, event);
        let mut watcher: Box<dyn Watcher + Send> = match how {
            How::Told => Box::new(RecommendedWatcher::new(handler, plain())?),
            How::Polled(every) => Box::new(PollWatcher::new(
                handler,
                plain().with_poll_interval(every),
            )?),
        };
        let parent = root.parent().filter(|_| root.is_file());
        match parent {
            Some(folder) => watcher.watch(folder, RecursiveMode::NonRecursive)?,
            None => watcher.watch(root, RecursiveMode::Recursive)?,
        }
        Ok(Self {
            _watcher: watcher,
            how,
        })
    }
}

/// Links are not followed: the walk does not follow them either.
fn plain() -> Config {
    Config::default().with_follow_symlinks(false)
}

fn take(root: &Path, dull: &Uninteresting, inbox: &Inbox, event: notify::Result<Event>) {
    let now = Instant::now();
    let event = match event {
        Ok(event) if event.need_rescan() => return inbox.with(|pending| pending.overflow(now)),
        Ok(event) => event,
        // What it could not look at may have changed.
        Err(_) => return inbox.with(|pending| pending.add_all(now)),
    };
    let is_folder = matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder | CreateKind::Any)
    );
    let moved_here = matches!(
        event.kind,
        EventKind::Modify(ModifyKind::Name(RenameMode::To))
    );
    if matches!(event.kind, EventKind::Access(_)) {
        return;
    }
    let inside = |path: &&PathBuf| path.starts_with(root) && !dull.covers(root, path);
    let paths: Vec<&PathBuf> = event.paths.iter().filter(inside).collect();
    if paths.is_empty() {
        return;
    }
    inbox.with(|pending| {
        for path in paths {
            if is_folder || (moved_here && path.is_dir()) {
                pending.add_folder(path, now);
            } else {
                pending.add(path, now);
            }
        }
    });
}

/// How changes below `root` have to be noticed: polled on file systems that other computers write to.
pub fn how_for(root: &Path, asked: Option<Duration>) -> How {
    match asked {
        Some(every) => How::Polled(every),
        None if is_remote(root) => How::Polled(POLL_EVERY),
        None => How::Told,
    }
}

/// Whether the file system is NFS, SMB, 9P, AFS, Ceph, Coda, or in user space (sshfs and its like).
#[cfg(target_os = "linux")]
fn is_remote(root: &Path) -> bool {
    const REMOTE: [u32; 9] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x5346_414f,
        0x00c3_6400,
        0x7375_7245,
        0x6573_5546,
    ];
    // The magic number is 32 bits wide in a field that is wider on some machines.
    rustix::fs::statfs(root).is_ok_and(|stat| REMOTE.contains(&(stat.f_type as u32)))
}

/// Elsewhere the person says so with `--poll`.
#[cfg(not(target_os = "linux"))]
fn is_remote(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::super::pending::Work;
    use super::*;

    #[test]
    fn only_what_could_be_read_is_of_interest() {
        let dull = Uninteresting {
            collection: "/home/me/.local/share/askance".into(),
            hidden: false,
        };
        let covers = |path: &str| dull.covers(Path::new("/home/me"), Path::new(path));
        assert!(covers("/home/me/.local/share/askance/LOCK"));
        assert!(covers("/home/me/src/.git/index"));
        assert!(covers("/home/me/.cache/x"));
        assert!(!covers("/home/me/notes/desk.md"));
        assert!(!covers("/home/me/src/.gitignore"));
        let all = Uninteresting {
            hidden: true,
            ..dull
        };
        assert!(!all.covers(Path::new("/home/me"), Path::new("/home/me/.cache/x")));
        assert!(all.covers(Path::new("/home/me"), Path::new("/home/me/src/.git/index")));
    }

    #[test]
    fn a_hidden_root_is_of_interest_itself() {
        let dull = Uninteresting {
            collection: "/c".into(),
            hidden: false,
        };
        assert!(!dull.covers(
            Path::new("/home/me/.notes"),
            Path::new("/home/me/.notes/a.md")
        ));
    }

    #[test]
    fn lost_reports_and_errors_are_answered_by_a_look_at_everything() {
        let inbox = Inbox::default();
        let dull = Uninteresting {
            collection: "/c".into(),
            hidden: false,
        };
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        take(Path::new("/r"), &dull, &inbox, Ok(lost));
        assert!(inbox.with(|pending| pending.take_overflow()));
        let soon = Instant::now() + Duration::from_secs(1);
        assert_eq!(inbox.with(|pending| pending.take(soon)), Some(Work::All));
        take(
            Path::new("/r"),
            &dull,
            &inbox,
            Err(notify::Error::generic("lost")),
        );
        assert!(inbox.with(|pending| pending.due().is_some() && !pending.take_overflow()));
    }

    #[test]
    fn reading_a_file_is_no_change() {
        let inbox = Inbox::default();
        let dull = Uninteresting {
            collection: "/c".into(),
            hidden: false,
        };
        let read =
            Event::new(EventKind::Access(notify::event::AccessKind::Any)).add_path("/r/a".into());
        take(Path::new("/r"), &dull, &inbox, Ok(read));
        assert_eq!(inbox.with(|pending| pending.due()), None);
    }

    #[test]
    fn asking_for_polling_is_enough() {
        let every = Duration::from_secs(3);
        assert_eq!(how_for(Path::new("/"), Some(every)), How::Polled(every));
        let here = std::env::temp_dir();
        assert_eq!(how_for(&here, None), How::Told);
    }
}
