//! How is a PDF read without its reader ever taking this process down?
//!
//! [`PdfWorker::pages`] (the parent) starts one process a file, writes the file to its standard input and reads
//! pages from its standard output, with a time limit. [`worker_main`] (the child) does the reading; the program that
//! starts it first calls [`limit_this_process`]. A panic, a hang, an endless loop or running out of memory ends the
//! child and becomes an [`ExtractError`] here. PDF is never read in the parent.
//!
//! The child answers with [`MAGIC`], then frames of a tag (1 byte), a length (4 bytes, little endian) and that many
//! bytes of UTF-8: `T` title, `P` one page's text, `B` why a page could not be read, `E` why the file could not be
//! read, `X` a password is needed, `Z` the end.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use pdf_oxide::PdfDocument;
use pdf_oxide::object::Object;

use super::super::{BlockKind, Source, Tracking};
use super::builder::Builder;
use super::{ExtractError, ExtractOptions, text};

#[cfg(test)]
mod tests;

/// First bytes of every answer.
const MAGIC: &[u8] = b"askance-pdf-1\n";
/// Address space of the child in bytes.
const MEMORY_BYTES: u64 = 1 << 30;
/// Processor time of the child in seconds, for when its parent is gone.
const CPU_SECONDS: u64 = 60;
/// Most bytes of the child's complaints that are looked at.
const STDERR_BYTES: u64 = 64 << 10;

/// How PDF files are read: a program to start for each, and how long it may take.
#[derive(Debug, Clone)]
pub struct PdfWorker {
    /// Program and arguments of a process that calls [`worker_main`]. Empty: PDF files cannot be read.
    pub command: Vec<OsString>,
    /// Time for one file. Default 30 s.
    pub timeout: Duration,
}

impl Default for PdfWorker {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// What the child found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PdfText {
    /// Title from the document's own metadata.
    pub title: Option<String>,
    /// Text of each page in order; empty for pages without any.
    pub pages: Vec<String>,
    /// Why pages could not be read, one sentence each; they are empty in `pages`.
    pub broken: Vec<String>,
}

/// Sets the limits of the calling process: 1 GiB of address space and 60 s of processor time. To be called first in
/// the process that then calls [`worker_main`]. Systems other than Linux set the processor time alone, and Windows
/// nothing: there the parent's time limit remains.
///
/// # Errors
/// What the operating system says if it refuses.
pub fn limit_this_process() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = |amount| Rlimit {
            current: Some(amount),
            maximum: Some(amount),
        };
        #[cfg(target_os = "linux")]
        setrlimit(Resource::As, limit(MEMORY_BYTES))?;
        // A crash of the child is an answer; it needs no core file.
        setrlimit(Resource::Core, limit(0))?;
        setrlimit(Resource::Cpu, limit(CPU_SECONDS))?;
    }
    Ok(())
}

/// The child's whole work: reads one PDF from `input` to its end and writes the answer to `output`.
///
/// # Errors
/// Only if `input` cannot be read or `output` not written; a PDF that cannot be read is an answer.
pub fn worker_main(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    output.write_all(MAGIC)?;
    let document = match catch_unwind(|| PdfDocument::from_bytes(bytes)) {
        Ok(Ok(document)) => document,
        Ok(Err(error)) => return frame(&mut output, b'E', &error.to_string()),
        Err(_) => return frame(&mut output, b'E', "the reader gave up on its structure"),
    };
    if document.is_encrypted() && !document.authenticate(b"").unwrap_or(false) {
        return frame(&mut output, b'X', "");
    }
    let pages = match catch_unwind(AssertUnwindSafe(|| document.page_count())) {
        Ok(Ok(pages)) => pages,
        Ok(Err(error)) => return frame(&mut output, b'E', &error.to_string()),
        Err(_) => return frame(&mut output, b'E', "the reader gave up on its list of pages"),
    };
    if let Some(title) = catch_unwind(AssertUnwindSafe(|| title(&document)))
        .ok()
        .flatten()
    {
        frame(&mut output, b'T', &title)?;
    }
    for page in 0..pages {
        match catch_unwind(AssertUnwindSafe(|| document.extract_text(page))) {
            Ok(Ok(text)) => frame(&mut output, b'P', &text)?,
            Ok(Err(error)) => frame(&mut output, b'B', &error.to_string())?,
            Err(_) => frame(&mut output, b'B', "the reader gave up on it")?,
        }
    }
    frame(&mut output, b'Z', "")?;
    output.flush()
}

fn frame(output: &mut impl Write, tag: u8, text: &str) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    output.write_all(&[tag])?;
    output.write_all(&length.to_le_bytes())?;
    output.write_all(text.as_bytes())
}

/// The title of the document information dictionary (ISO 32000-1, 14.3.3).
fn title(document: &PdfDocument) -> Option<String> {
    let info = document.trailer().as_dict()?.get("Info")?;
    let info = resolve(document, info)?;
    let title = resolve(document, info.as_dict()?.get("Title")?)?;
    let bytes = title.as_string()?;
    let title = if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\xEF\xBB\xBF") {
        text::decode(bytes).text.into_owned()
    } else {
        // PDFDocEncoding agrees with Latin-1 in all letters that titles are made of.
        bytes.iter().map(|&byte| char::from(byte)).collect()
    };
    let title = title
        .strip_prefix("Microsoft Word - ")
        .unwrap_or(&title)
        .trim()
        .to_owned();
    let is_name = [".doc", ".docx", ".dvi", ".tex", ".indd", ".pdf"]
        .iter()
        .any(|end| title.to_lowercase().ends_with(end));
    (!is_name && !title.is_empty() && !title.eq_ignore_ascii_case("untitled")).then_some(title)
}

fn resolve(document: &PdfDocument, object: &Object) -> Option<Object> {
    document.resolve_object(object).ok()
}

impl PdfWorker {
    /// A worker started by `command`, with the default time limit.
    pub fn new(command: Vec<OsString>) -> Self {
        Self {
            command,
            timeout: Duration::from_secs(30),
        }
    }

    /// The text of a PDF, page by page, read in a process of its own. `max_bytes` bounds what is taken from it.
    ///
    /// # Errors
    /// [`ExtractError::NoPdfReader`], [`ExtractError::PdfReaderStart`], [`ExtractError::PdfReader`] if the process
    /// crashed, ran out of memory or took too long, and what it says of the file itself.
    pub fn pages(&self, pdf: &[u8], max_bytes: usize) -> Result<PdfText, ExtractError> {
        let answer = self.run(pdf, max_bytes)?;
        parse(&answer)
    }

    fn run(&self, pdf: &[u8], max_bytes: usize) -> Result<Vec<u8>, ExtractError> {
        let mut child = Reaped(self.start()?);
        let deadline = Instant::now() + self.timeout;
        let input = child.0.stdin.take();
        let answer = drain(child.0.stdout.take(), max_bytes as u64 + 1);
        let complaints = drain(child.0.stderr.take(), STDERR_BYTES);
        let answer = std::thread::scope(|scope| {
            // A child that dies early closes its input: what ended it is told by its status, not by this write.
            scope.spawn(move || input.map(|mut input| input.write_all(pdf)));
            let answer = answer.recv_timeout(self.timeout);
            if answer
                .as_ref()
                .map_or(true, |answer| answer.len() > max_bytes)
            {
                // Ends the write above too, which may wait for a child that reads nothing.
                let _ = child.0.kill();
            }
            answer
        });
        let late = || {
            ExtractError::PdfReader(format!("took longer than {} s", self.timeout.as_secs_f32()))
        };
        let answer = answer.map_err(|_| late())?;
        if answer.len() > max_bytes {
            return Err(ExtractError::Bomb {
                limit: max_bytes as u64,
            });
        }
        let status = child.wait_until(deadline)?.ok_or_else(late)?;
        if status.success() {
            return Ok(answer);
        }
        let complaints = complaints
            .recv_timeout(Duration::from_secs(1))
            .unwrap_or_default();
        Err(ExtractError::PdfReader(ending(
            status,
            &String::from_utf8_lossy(&complaints),
        )))
    }

    fn start(&self) -> Result<Child, ExtractError> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or(ExtractError::NoPdfReader)?;
        let start = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        start.map_err(|source| ExtractError::PdfReaderStart {
            program: program.to_string_lossy().into_owned(),
            source,
        })
    }
}

/// A child that never outlives its owner.
struct Reaped(Child);

impl Reaped {
    /// The status of a child that has closed its output, or nothing if it has not ended by `deadline`.
    fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            let status = self.0.try_wait()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both do nothing to a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe to its end in a thread, at most `limit` bytes. The thread is not waited for: a grandchild may hold the
/// pipe open after the child is gone.
fn drain(pipe: Option<impl Read + Send + 'static>, limit: u64) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What could be read before an error is judged like any other answer.
            let _ = pipe.take(limit).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// How the child ended, as a person would put it.
fn ending(status: ExitStatus, complaints: &str) -> String {
    if complaints.contains("memory allocation of") || complaints.contains("capacity overflow") {
        return format!("ran out of memory (limit {} MiB)", MEMORY_BYTES >> 20);
    }
    if complaints.contains("overflowed its stack") {
        return "crashed: the file is nested too deeply".to_owned();
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("crashed (signal {signal})");
    }
    let last = complaints
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !line.starts_with("note:"));
    match last {
        Some(line) => format!("crashed: {}", &line[..line.floor_char_boundary(200)]),
        None => format!("crashed ({status})"),
    }
}

fn parse(answer: &[u8]) -> Result<PdfText, ExtractError> {
    let garbled = || {
        ExtractError::PdfReader(
            "gave an answer that makes no sense; check that it is the same version".to_owned(),
        )
    };
    let malformed = |reason: &str| ExtractError::Malformed {
        format: "PDF",
        reason: reason.to_owned(),
    };
    let mut rest = answer.strip_prefix(MAGIC).ok_or_else(garbled)?;
    let mut found = PdfText::default();
    loop {
        let (tag, text, after) = next_frame(rest).ok_or_else(garbled)?;
        rest = after;
        match tag {
            b'T' => found.title = Some(text.to_owned()),
            b'P' => found.pages.push(text.to_owned()),
            b'B' => {
                found.broken.push(format!(
                    "page {} could not be read: {text}",
                    found.pages.len() + 1
                ));
                found.pages.push(String::new());
            }
            b'E' => return Err(malformed(text)),
            b'X' => return Err(ExtractError::Encrypted),
            b'Z' => return Ok(found),
            _ => return Err(garbled()),
        }
    }
}

fn next_frame(bytes: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (text, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((tag, std::str::from_utf8(text).ok()?, after))
}

/// Appends the pages as paragraphs.
pub(super) fn extract(
    bytes: &[u8],
    options: &ExtractOptions,
    out: &mut Builder,
) -> Result<(), ExtractError> {
    // The answer may be longer than the text that is kept: the builder says when it leaves something out.
    let found = options
        .pdf
        .pages(bytes, options.max_text_bytes.saturating_mul(4))?;
    if let Some(title) = &found.title {
        out.title(title);
    }
    for (number, page) in (1..).zip(&found.pages) {
        let page = rejoin(page);
        for group in text::groups(&page) {
            let source = Source {
                byte: None,
                line: 0,
                page: number,
            };
            out.push(BlockKind::Paragraph, &page[group], source, Tracking::Start);
        }
    }
    let empty = found
        .pages
        .iter()
        .filter(|page| page.trim().is_empty())
        .count()
        - found.broken.len();
    if empty > 0 {
        out.warn(format!(
            "{empty} of {} pages hold no text (scanned pages need text recognition first)",
            found.pages.len()
        ));
    }
    found
        .broken
        .into_iter()
        .take(5)
        .for_each(|warning| out.warn(warning));
    Ok(())
}

/// Joins words that were parted at a line end: a letter, a hyphen, a line end, a small letter.
fn rejoin(page: &str) -> String {
    let mut joined = String::with_capacity(page.len());
    for line in page.split_inclusive('\n') {
        let parted = joined
            .strip_suffix("-\n")
            .is_some_and(|before| before.ends_with(char::is_alphabetic));
        if parted && line.starts_with(char::is_lowercase) {
            joined.truncate(joined.len() - 2);
        }
        joined.push_str(line);
    }
    joined
}
