//! What does every command have at hand?

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anstream::AutoStream;
use engine::models::ModelStore;
use storage::Task;

use crate::Exit;
use crate::args::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::io::{Io, Styled, sentence};
use crate::output::text::escape;
use crate::output::{Closed, Face, Screen, style};
use crate::progress::Meter;
use crate::resolve::Places;
use crate::warn::Warning;

/// One run of the program: where things are, where results and talk go, and the flag that stops it.
pub struct Session {
    /// Folders.
    pub places: Places,
    /// Where results go.
    pub screen: Screen,
    /// Where everything else goes.
    pub talk: Talk,
    /// When the run began, in the person's time zone.
    pub now: jiff::Zoned,
    interrupt: Interrupt,
}

impl Session {
    /// Looks at the environment once.
    ///
    /// # Errors
    /// No home folder, or an unreadable current folder. The streams come back with the error.
    pub fn new(global: &GlobalArgs, io: Io) -> Result<Self, (Io, anyhow::Error)> {
        let places = match Places::resolve(global, &io) {
            Ok(places) => places,
            Err(error) => return Err((io, error)),
        };
        let out_colour = io.colour(global.color, io.out_is_terminal);
        let err_colour = io.colour(global.color, io.err_is_terminal);
        let columns = if io.out_is_terminal { io.columns } else { 0 };
        Ok(Self {
            places,
            screen: Screen::new(
                AutoStream::new(io.out, out_colour),
                columns,
                Face::of(global),
            ),
            talk: Talk {
                stream: Mutex::new(AutoStream::new(io.err, err_colour)),
                quiet: global.quiet,
                bars: io.err_is_terminal && !global.quiet,
            },
            now: jiff::Zoned::now(),
            interrupt: io.interrupt,
        })
    }

    /// The encoders on this computer.
    pub fn models(&self) -> ModelStore {
        ModelStore::new(&self.places.models)
    }

    /// Prints warnings.
    pub fn warn(&self, warnings: &[Warning]) {
        warnings.iter().for_each(|warning| self.talk.warn(warning));
    }

    /// Runs long work with a progress display, stopped by Ctrl-C at its next safe point.
    pub fn long<T>(&self, work: impl FnOnce(Task<'_>) -> T) -> T {
        let meter = Meter::new(&self.talk);
        self.interrupt
            .during(|flag| work(Task::new(&|progress| meter.report(progress), flag)))
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    /// Says that Ctrl-C ended the run.
    pub fn stopped(&self) -> Exit {
        self.talk
            .error("stopped; nothing is lost, run the command again to go on where it stopped");
        Exit::Interrupted
    }

    /// Says how the run ended where it did not end well.
    pub fn finish(mut self, outcome: anyhow::Result<Exit>) -> Exit {
        let error = match outcome.and_then(|exit| self.screen.flush().map(|()| exit)) {
            Ok(exit) => return exit,
            Err(error) => error,
        };
        if error.is::<Closed>() {
            return Exit::Done;
        }
        if self.is_interrupted() {
            return self.stopped();
        }
        self.talk.error(&sentence(&error));
        Exit::Failed
    }
}

/// stderr: notes, warnings, errors, progress.
pub struct Talk {
    stream: Mutex<Styled>,
    quiet: bool,
    bars: bool,
}

impl Talk {
    /// Whether progress is drawn as bars.
    pub fn draws_bars(&self) -> bool {
        self.bars
    }

    /// Whether notes and progress are wanted at all.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Something good to know; not said with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("{}{}{:#}", style::DIM, escape(text), style::DIM));
        }
    }

    /// Something a person should know.
    pub fn warn(&self, warning: &Warning) {
        let text = warning.to_string();
        self.line(&format!(
            "{}warning:{:#} {}",
            style::WARNING,
            style::WARNING,
            escape(&text)
        ));
    }

    /// Why the run failed.
    pub fn error(&self, text: &str) {
        self.line(&format!(
            "{}error:{:#} {}",
            style::ERROR,
            style::ERROR,
            escape(text)
        ));
    }

    fn line(&self, text: &str) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // stderr may be closed; there is nowhere left to say so.
        let _ = writeln!(stream, "{text}").and_then(|()| stream.flush());
    }
}

/// A path as a person would write it: below the current folder without its prefix, control characters visible.
pub fn shown(path: &Path, current: &Path) -> String {
    let short = path
        .strip_prefix(current)
        .ok()
        .filter(|rest| !rest.as_os_str().is_empty());
    escape(&short.unwrap_or(path).to_string_lossy()).into_owned()
}
