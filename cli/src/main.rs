//! What does the process do? What `askance::run` says.

use std::process::ExitCode;

fn main() -> ExitCode {
    askance::run(std::env::args_os(), askance::Io::process())
}
