//! On which threads does long work run, so that a search need not wait?
//!
//! Indexing has its own, one a core: a search never waits in line behind a file to be read or an index to be trained.
//! They and the encoder's threads also stand back, on Linux: a search that wants the same core goes first.

use std::path::Path;
use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::EngineError;

/// How far they stand back, as `nice` counts: a search gets three times their share of a core.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// The threads of indexing, started with the first call, for the collection in `dir`. What is installed on them stays
/// there, whatever it does side by side.
///
/// # Errors
/// The operating system starts no more threads.
pub(crate) fn indexing(dir: &Path) -> Result<&'static ThreadPool, EngineError> {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let pool = ThreadPoolBuilder::new()
        .thread_name(|i| format!("indexing-{i}"))
        .start_handler(|_| stand_back())
        .build()
        .map_err(std::io::Error::other)
        .map_err(EngineError::io("start threads to index", dir))?;
    Ok(POOL.get_or_init(|| pool))
}

/// Lowers the priority of the calling thread. Elsewhere than on Linux the call would lower the whole process, searches and
/// all.
pub(crate) fn stand_back() {
    #[cfg(target_os = "linux")]
    {
        // Refused nowhere for a lower priority; and without it the work is the same.
        let _ = rustix::process::nice(NICENESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexing_stays_off_the_threads_of_search() {
        let pool = indexing(Path::new(".")).expect("threads start");
        let name = || std::thread::current().name().map(str::to_owned);
        let (ours, spread) = pool.install(|| {
            let spread = rayon::broadcast(|_| name().unwrap_or_default());
            (name().unwrap_or_default(), spread)
        });
        assert!(ours.starts_with("indexing-"), "{ours}");
        assert_eq!(spread.len(), pool.current_num_threads());
        assert!(
            spread.iter().all(|n| n.starts_with("indexing-")),
            "{spread:?}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_threads_of_indexing_stand_back() {
        let niceness = || rustix::process::getpriority_process(None).expect("a number");
        let before = niceness();
        let pool = indexing(Path::new(".")).expect("threads start");
        assert_eq!(pool.install(niceness), (before + NICENESS).min(19));
        assert_eq!(niceness(), before);
    }
}
