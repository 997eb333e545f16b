//! Which verb does what?
//!
//! Each file has a `run` that takes what was typed, does it through the engine and shows one report.

use clap::CommandFactory;
use engine::ingest::extract::pdf;

use crate::Exit;
use crate::args::{Cli, Command};
use crate::session::Session;

mod bench;
mod compact;
mod compare;
mod doctor;
mod encode;
pub(crate) mod encoders;
mod eval;
mod index;
mod model;
mod notice;
mod remove;
mod search;
mod serve;
mod status;
#[cfg(feature = "trainer")]
mod train;

const WELCOME: &str = "\
askance searches the files on this computer by word and by meaning, offline.

  askance search --in ~/notes \"standing desk\"   index a folder and search it, in one go
  askance index ~/Documents                     add a folder to your collection
  askance search passport renewal               search everything you added

`askance --help` lists every command, `askance COMMAND --help` shows examples.
";

/// Runs the verb.
///
/// # Errors
/// One sentence for the person; [`crate::output::Closed`] where whoever read stdout has gone.
pub fn run(command: Option<&Command>, session: &mut Session) -> anyhow::Result<Exit> {
    match command {
        None => session.screen.raw(WELCOME.as_bytes()).map(|()| Exit::Done),
        Some(Command::Index(args)) => index::run(args, session),
        Some(Command::Search(args)) => search::run(args, session),
        Some(Command::Remove(args)) => remove::run(args, session),
        Some(Command::Status) => status::run(session),
        Some(Command::Doctor(args)) => doctor::run(args, session),
        Some(Command::Compact) => compact::run(session),
        Some(Command::Model(args)) => model::run(args, session),
        Some(Command::Eval(args)) => eval::run(args, session),
        Some(Command::Compare(args)) => compare::run(args, session),
        #[cfg(feature = "trainer")]
        Some(Command::Train(args)) => train::run(args, session),
        Some(Command::Encode(args)) => encode::run(args, session),
        Some(Command::Bench(args)) => bench::run(args, session),
        Some(Command::Serve(args)) => serve::run(args, session),
        Some(Command::Completions { shell }) => completions(*shell, session),
        Some(Command::PdfWorker) => pdf_worker(),
    }
}

fn completions(shell: clap_complete::Shell, session: &mut Session) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "askance", &mut script);
    session.screen.raw(&script)?;
    Ok(Exit::Done)
}

/// Reads the one PDF on stdin for the process that started this one; the bytes of its answer are no text, so they go past
/// the styled streams.
fn pdf_worker() -> anyhow::Result<Exit> {
    pdf::limit_this_process()?;
    pdf::worker_main(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Exit::Done)
}
