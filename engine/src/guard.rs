//! What if a library panics on what it finds on the disk?
//!
//! tantivy and sled trust their own files more than a damaged disk deserves. A panic below becomes an error here, so that
//! one damaged collection takes down neither a server nor a check-up of the rest.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::EngineError;

/// Runs `work` on the stores in `dir`; a panic of it is [`EngineError::Panicked`]. Nothing that `work` shares with
/// others may be left half changed by a panic: stores that are read only, or a session that is dropped afterwards.
pub(crate) fn guarded<T>(
    dir: &Path,
    work: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(EngineError::Panicked {
            path: dir.to_owned(),
            message: message(&*panic),
        })
    })
}

/// What a panic said, in one line.
fn message(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = said.unwrap_or("no message");
    said.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_names_the_folder_and_the_next_step() {
        let outcome: Result<(), _> =
            guarded(Path::new("/c"), || panic!("index out of bounds\nand more"));
        let said = outcome.expect_err("a panic").to_string();
        assert!(
            said.contains("/c") && said.contains("index out of bounds"),
            "{said}"
        );
        assert!(
            said.contains("askance doctor") && !said.contains("and more"),
            "{said}"
        );
        assert_eq!(guarded(Path::new("/c"), || Ok(3)).expect("no panic"), 3);
    }
}
