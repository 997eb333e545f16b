//! What does a command line touch outside its files?

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::args::ColorArg;
use crate::output::text::escape;
use crate::{Exit, Interrupt};

/// A stream that takes styled text and drops the styles where they are not wanted.
pub type Styled = AutoStream<Box<dyn Write + Send>>;

/// The outside world of one run; tests bring their own.
pub struct Io {
    /// Where results go.
    pub out: Box<dyn Write + Send>,
    /// Where everything else goes.
    pub err: Box<dyn Write + Send>,
    /// Whether results are read on a terminal.
    pub out_is_terminal: bool,
    /// Whether progress may be drawn on stderr. Bars are drawn on the process's own stderr.
    pub err_is_terminal: bool,
    /// Columns of the terminal; 0 if there is none.
    pub columns: usize,
    /// Environment variables.
    pub env: HashMap<OsString, OsString>,
    /// Raised by Ctrl-C.
    pub interrupt: Interrupt,
}

impl Io {
    /// The streams, terminal and environment of this process; installs the Ctrl-C handler.
    pub fn process() -> Self {
        let interrupt = Interrupt::default();
        interrupt.listen();
        std::panic::set_hook(Box::new(|panic| {
            // A message may quote a document. Nowhere left to report a failure to.
            let _ = writeln!(std::io::stderr(), "askance: {}", escape(&panic.to_string()));
        }));
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            columns: terminal_size::terminal_size().map_or(0, |(width, _)| width.0.into()),
            env: std::env::vars_os().collect(),
            interrupt,
        }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&OsString> {
        self.env
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
    }

    /// Whether a stream takes colour: `--color` first, then NO_COLOR (<https://no-color.org>), TERM and the terminal.
    pub fn colour(&self, wanted: ColorArg, is_terminal: bool) -> ColorChoice {
        let dumb = self.variable("TERM").is_some_and(|term| term == "dumb");
        let auto = is_terminal && !dumb && self.variable("NO_COLOR").is_none();
        match wanted {
            ColorArg::Always => ColorChoice::AlwaysAnsi,
            ColorArg::Auto if auto => ColorChoice::Always,
            ColorArg::Auto | ColorArg::Never => ColorChoice::Never,
        }
    }

    /// Prints what clap says instead of running: help and version are results, the rest is an error.
    pub fn show_usage(self, message: &clap::Error) -> Exit {
        let is_error = message.use_stderr();
        let is_terminal = if is_error {
            self.err_is_terminal
        } else {
            self.out_is_terminal
        };
        let choice = self.colour(ColorArg::Auto, is_terminal);
        let mut stream = AutoStream::new(if is_error { self.err } else { self.out }, choice);
        // clap repeats what was typed, and a shell types file names for people.
        let plain = message.render().to_string();
        let text = match plain
            .lines()
            .any(|line| matches!(escape(line), Cow::Owned(_)))
        {
            true => plain
                .lines()
                .map(|line| format!("{}\n", escape(line)))
                .collect(),
            false => message.render().ansi().to_string(),
        };
        // A closed pipe is no failure, and there is nowhere left to report another.
        let _ = write!(stream, "{text}").and_then(|()| stream.flush());
        if is_error { Exit::Failed } else { Exit::Done }
    }

    /// Prints an error that came before the streams were set up.
    pub fn show_error(mut self, error: &anyhow::Error) -> Exit {
        // Nowhere left to report a failure to.
        let _ = writeln!(self.err, "error: {}", escape(&sentence(error)));
        Exit::Failed
    }
}

/// An error and its causes in one line; a cause that its parent's text already holds is not said twice.
pub fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.is_empty() {
            true => cause,
            false if said.contains(&cause) => said,
            false => format!("{said}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests;
