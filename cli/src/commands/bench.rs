//! What does `askance bench` do?

use crate::Exit;
use crate::args::{BenchArgs, BenchCommand};
use crate::session::Session;

mod ann;
#[cfg(feature = "trainer")]
mod train;

/// Measures.
pub fn run(args: &BenchArgs, session: &mut Session) -> anyhow::Result<Exit> {
    match &args.what {
        BenchCommand::Ann(args) => ann::run(args, session),
        #[cfg(feature = "trainer")]
        BenchCommand::Train(args) => train::run(args, session),
    }
}
