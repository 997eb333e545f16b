//! What is said beside the results?

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anstyle::Style;

use crate::io::Styled;
use crate::output::style;
use crate::output::text::{escape, wrap_plain};
use crate::warn::Warning;

/// stderr: notes, warnings, errors. Everything said is one paragraph, control characters made visible.
pub struct Talk {
    stream: Mutex<Styled>,
    columns: usize,
    quiet: bool,
}

impl Talk {
    /// Talk on `stream`; `columns` is 0 where it is no terminal. With `quiet` there are no notes.
    pub fn new(stream: Styled, columns: usize, quiet: bool) -> Self {
        let stream = Mutex::new(stream);
        Self {
            stream,
            columns,
            quiet,
        }
    }

    /// Whether progress is drawn as bars.
    pub fn draws_bars(&self) -> bool {
        self.columns > 0 && !self.quiet
    }

    /// Whether notes and progress are unwanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Something good to know; not said with `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say("", Style::new(), text, style::DIM);
        }
    }

    /// Something a person should know.
    pub fn warn(&self, warning: &Warning) {
        self.say(
            "warning: ",
            style::WARNING,
            &warning.to_string(),
            Style::new(),
        );
    }

    /// Why the run failed.
    pub fn error(&self, text: &str) {
        self.say("error: ", style::ERROR, text, Style::new());
    }

    fn say(&self, word: &str, word_style: Style, text: &str, text_style: Style) {
        let width = match self.columns {
            0 => 0,
            columns => columns.saturating_sub(word.len()).max(20),
        };
        let indent = " ".repeat(word.len());
        let lines = wrap_plain(text, width).join(&format!("\n{indent}"));
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // stderr may be closed; there is nowhere left to say so.
        let _ = writeln!(
            stream,
            "{word_style}{word}{word_style:#}{text_style}{lines}{text_style:#}"
        )
        .and_then(|()| stream.flush());
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

#[cfg(test)]
mod tests;
