//! How do people and programs talk to askance?
//!
//! The only crate that prints. Results go to stdout and everything else to stderr;
//! exit status 0 means found or done, 1 nothing found, 2 error, 130 stopped by Ctrl-C.
//! The modules stand in the order a command runs: typed, resolved, done, shown.

// What was typed, and what it means.
pub mod args;
pub mod date;
pub mod resolve;

// The two streams, and how long work is watched and stopped.
pub mod interrupt;
pub mod io;
pub mod live;
pub mod progress;
pub mod session;
pub mod talk;
pub mod warn;

// One file a verb, and the faces of what they give.
pub mod answer;
pub mod commands;
pub mod output;
pub mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub use interrupt::Interrupt;
pub use io::Io;

use args::Cli;
use session::Session;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Found or done.
    Done,
    /// Nothing found.
    Nothing,
    /// Something went wrong, and stderr says what.
    Failed,
    /// Stopped by Ctrl-C at a safe point.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Nothing => 1,
            Exit::Failed => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// Runs one command line, the program's name first. Everything it reads from and writes to the outside, files apart,
/// goes through `io`.
pub fn run(args: impl IntoIterator<Item = OsString>, io: Io) -> ExitCode {
    let typed = match Cli::try_parse_from(args) {
        Ok(typed) => typed,
        Err(refusal) => return io.show_usage(&refusal).into(),
    };
    let mut session = match Session::new(&typed.global, io) {
        Ok(session) => session,
        Err((io, error)) => return io.show_error(&error).into(),
    };
    let outcome = commands::run(typed.command.as_ref(), &mut session);
    session.finish(outcome).into()
}
