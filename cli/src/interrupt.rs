//! How does Ctrl-C stop long work at a safe point?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit status of a run that Ctrl-C ended, as shells count it (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// The flag that Ctrl-C raises.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

impl Interrupt {
    /// Makes Ctrl-C raise the flag while long work runs. At any other time, and the second time, it ends the process at
    /// once: published files are never edited, so there is nothing to tidy up.
    pub fn listen(&self) {
        let (raised, busy) = (self.raised.clone(), self.busy.clone());
        let handler = move || {
            if raised.swap(true, Ordering::Relaxed) || !busy.load(Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
        };
        // Refused only where another handler is installed; then the system's own Ctrl-C applies, which is as safe.
        let _ = ctrlc::set_handler(handler);
    }

    /// Runs work that watches the flag.
    pub fn during<T>(&self, work: impl FnOnce(&AtomicBool) -> T) -> T {
        self.busy.store(true, Ordering::Relaxed);
        let outcome = work(&self.raised);
        self.busy.store(false, Ordering::Relaxed);
        outcome
    }

    /// Raises the flag, as Ctrl-C does.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is up.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }
}
