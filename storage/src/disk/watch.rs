//! What is about to happen on the disk, and should it?
//!
//! For crash tests: a watcher sees each durable operation of its thread before it happens. It can refuse it, as a disk
//! that is full or gone would, or work out what a power cut at this moment would leave behind.

use std::cell::RefCell;
use std::io;
use std::path::Path;

/// One durable operation. Bytes written to a file are not announced: until [`Operation::Sync`] nothing is known of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The file is created, or opened for writing if it is there.
    Create(&'a Path),
    /// The folder, and those missing above it, are created.
    CreateFolder(&'a Path),
    /// What was written to the file becomes durable; of a folder, the names in it do.
    Sync(&'a Path),
    /// The first name is replaced by the second, which is overwritten.
    Rename(&'a Path, &'a Path),
    /// The first name's file gets the second name too.
    Link(&'a Path, &'a Path),
    /// The file, or the folder with all below it, is removed. It may be missing.
    Remove(&'a Path),
}

type Watcher<'w> = dyn FnMut(Operation<'_>) -> io::Result<()> + 'w;

thread_local! {
    static WATCHER: RefCell<Option<Box<Watcher<'static>>>> = const { RefCell::new(None) };
}

/// Runs `work` with `watcher` called before each durable operation of this thread; what it returns as an error, the
/// operation fails with. Watchers do not nest: the inner one replaces the outer one for good.
pub fn watched<T>(
    watcher: impl FnMut(Operation<'_>) -> io::Result<()> + 'static,
    work: impl FnOnce() -> T,
) -> T {
    struct Unwatch;
    impl Drop for Unwatch {
        fn drop(&mut self) {
            WATCHER.with(|slot| slot.borrow_mut().take());
        }
    }
    WATCHER.with(|slot| *slot.borrow_mut() = Some(Box::new(watcher)));
    let _unwatch = Unwatch;
    work()
}

/// Tells the watcher, if there is one.
pub(super) fn announce(operation: Operation<'_>) -> io::Result<()> {
    WATCHER.with(|slot| {
        // Taken out while it runs: what the watcher itself does on the disk is not announced to it.
        let Some(mut watcher) = slot.try_borrow_mut().ok().and_then(|mut slot| slot.take()) else {
            return Ok(());
        };
        let verdict = watcher(operation);
        *slot.borrow_mut() = Some(watcher);
        verdict
    })
}
