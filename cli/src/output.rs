//! How does one result look to a person and to a program?

use std::io::{self, BufWriter, ErrorKind, Write};

use serde_json::Value;

use crate::args::GlobalArgs;
use crate::io::Styled;
use text::escape_json;

pub mod bench;
pub mod collection;
pub mod evaluation;
pub mod hits;
pub mod json;
pub mod models;
pub mod text;
#[cfg(feature = "trainer")]
pub mod train;

/// Columns that text for pipes and files is laid out for: none, lines stay whole.
const UNLIMITED: usize = 0;

/// The colours, in one place.
pub mod style {
    use anstyle::{AnsiColor, Style};

    /// Titles.
    pub const TITLE: Style = Style::new().bold();
    /// Places in files.
    pub const PLACE: Style = AnsiColor::Cyan.on_default();
    /// Words that matched.
    pub const MATCH: Style = AnsiColor::Yellow.on_default().bold();
    /// What may be overlooked.
    pub const DIM: Style = Style::new().dimmed();
    /// The word "warning".
    pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
    /// The word "error".
    pub const ERROR: Style = AnsiColor::Red.on_default().bold();
    /// What is sound.
    pub const GOOD: Style = AnsiColor::Green.on_default();
}

/// Which face of a result is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Text for people.
    Human,
    /// One JSON object.
    Json,
}

impl Face {
    /// What `--json` asks for.
    pub fn of(global: &GlobalArgs) -> Self {
        if global.json { Self::Json } else { Self::Human }
    }
}

/// A result with its faces.
pub trait Report {
    /// For programs; names and units are kept stable.
    fn json(&self) -> Value;

    /// For people.
    ///
    /// # Errors
    /// The stream's.
    fn human(&self, page: &mut Page<'_>) -> io::Result<()>;
}

/// Whoever read stdout has seen enough: the run ends well.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("stdout is closed")]
pub struct Closed;

/// stdout.
pub struct Screen {
    stream: BufWriter<Styled>,
    columns: usize,
    face: Face,
}

/// What a human face is written on.
pub struct Page<'a> {
    stream: &'a mut dyn Write,
    /// Columns; 0 where lines stay whole.
    pub columns: usize,
}

impl Write for Page<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Screen {
    /// Results on `stream`; `columns` is 0 where it is no terminal.
    pub fn new(stream: Styled, columns: usize, face: Face) -> Self {
        Self {
            stream: BufWriter::new(stream),
            columns,
            face,
        }
    }

    /// Whether a person reads it.
    pub fn is_human(&self) -> bool {
        self.face == Face::Human
    }

    /// Prints the face that was asked for.
    ///
    /// # Errors
    /// [`Closed`], or the stream's own.
    pub fn show(&mut self, report: &impl Report) -> anyhow::Result<()> {
        let columns = if self.columns == 0 {
            UNLIMITED
        } else {
            self.columns.max(20)
        };
        let written = match self.face {
            Face::Json => writeln!(self.stream, "{}", escape_json(&report.json().to_string())),
            Face::Human => report.human(&mut Page {
                stream: &mut self.stream,
                columns,
            }),
        };
        written.or_else(closed)
    }

    /// Prints one JSON value on a line of its own, whatever the face.
    ///
    /// # Errors
    /// [`Closed`], or the stream's own.
    pub fn json_line(&mut self, value: &Value) -> anyhow::Result<()> {
        writeln!(self.stream, "{}", escape_json(&value.to_string())).or_else(closed)
    }

    /// Prints bytes as they are: scripts, files.
    ///
    /// # Errors
    /// [`Closed`], or the stream's own.
    pub fn raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).or_else(closed)
    }

    /// Hands everything to the stream.
    ///
    /// # Errors
    /// [`Closed`], or the stream's own.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.flush().or_else(closed)
    }
}

fn closed(error: io::Error) -> anyhow::Result<()> {
    match error.kind() {
        ErrorKind::BrokenPipe => Err(Closed.into()),
        _ => Err(anyhow::Error::new(error).context("cannot write results to stdout")),
    }
}
