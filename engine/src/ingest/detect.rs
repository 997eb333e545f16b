//! What kind of file is this, by its name and its first bytes?

use std::path::Path;

use super::FileKind;
use super::extract::{ExtractError, looks_utf16};

#[cfg(test)]
mod tests;

/// Bytes from the start of a file that [`detect`] wants to see; fewer if the file is shorter.
pub const HEAD_BYTES: usize = 8192;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A file of this kind.
    Kind(FileKind),
    /// A zip archive that may be a DOCX or an EPUB: its table of contents, at the end of the file, says.
    Zip,
}

/// Kinds by file name extension, lower case, separated by spaces.
const EXTENSIONS: [(FileKind, &str); 12] = [
    (FileKind::Markdown, "md markdown mdown mkd mdx qmd rmd"),
    (FileKind::Html, "html htm xhtml xht"),
    (FileKind::Pdf, "pdf"),
    (FileKind::Docx, "docx docm dotx"),
    (FileKind::Epub, "epub"),
    (FileKind::Mail, "eml"),
    (FileKind::Mailbox, "mbox mbx"),
    (FileKind::Table, "csv tsv tab"),
    (FileKind::Json, "json geojson jsonld"),
    (FileKind::JsonLines, "jsonl ndjson"),
    (FileKind::Notebook, "ipynb"),
    (FileKind::Code, CODE),
];

/// Extensions of source code and configuration.
const CODE: &str = "ada adb ads asm awk bash bat bazel bzl c cc cfg cjs clj cljs cmake cmd coffee conf cpp cr \
    cs css cu cuh cxx d dart desktop diff dtd el elm env erb erl ex exs f f03 f08 f90 f95 fish \
    for fs fsi fsx glsl go gradle graphql groovy h hcl hh hlsl hpp hrl hs hxx ini java jl js \
    jsx kt kts less lisp lua m m4 mak metal mjs mk ml mli mm nim nix pas patch php pl pm pp \
    pro properties proto ps1 py pyi pyx r rake rb rkt rs s sass scala scm scss sh sql sv \
    svelte swift tcl tf toml ts tsx v vb vhd vhdl vim vue wat wgsl xml xsd xsl yaml yml zig \
    zsh";

/// Names of source files without an extension.
const CODE_NAMES: [&str; 9] = [
    "Makefile",
    "GNUmakefile",
    "Dockerfile",
    "Rakefile",
    "Gemfile",
    "Jenkinsfile",
    "Vagrantfile",
    "Justfile",
    "BUILD",
];

/// First bytes of formats without text of their own.
const MAGIC: [(&[u8], &str); 26] = [
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"RIFF", "an image, sound or film"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xFD7zXZ\0", "an xz archive"),
    (b"\x28\xB5\x2F\xFD", "a zstd archive"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (b"Rar!\x1A\x07", "a RAR archive"),
    (b"!<arch>\n", "a library archive"),
    (b"\x7FELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"\xCF\xFA\xED\xFE", "a program"),
    (b"\xCA\xFE\xBA\xBE", "a program"),
    (b"\0asm", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"OggS", "a sound file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "an old Office document; save it as DOCX or PDF to index it",
    ),
    (b"wOFF", "a font"),
    (
        b"%!PS-Adobe",
        "a PostScript file; convert it to PDF to index it",
    ),
];

/// Tells the kind by the content where it is plain (PDF, zip, archives, images), else by the file name, else by the
/// first characters. `head` holds the first [`HEAD_BYTES`] of the file, or all of it.
///
/// # Errors
/// [`ExtractError::NotText`] for what holds no text: known binary formats, zero bytes outside UTF-16, too many control
/// characters.
pub fn detect(path: &Path, head: &[u8]) -> Result<Content, ExtractError> {
    let named = by_name(path);
    if head
        .get(..1024)
        .unwrap_or(head)
        .windows(5)
        .any(|bytes| bytes == b"%PDF-")
        && named.is_none_or(|kind| kind == FileKind::Pdf)
    {
        return Ok(Content::Kind(FileKind::Pdf));
    }
    if let Some(FileKind::Pdf | FileKind::Docx | FileKind::Epub) = named
        && !head.is_empty()
        && !head.starts_with(b"PK")
    {
        return Err(misnamed(named, head));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Content::Zip);
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| opens_with(head, magic)) {
        return Err(ExtractError::NotText { what });
    }
    if !matches!(named, Some(FileKind::Mail | FileKind::Mailbox)) {
        refuse_binary(head)?;
    }
    Ok(Content::Kind(named.unwrap_or_else(|| by_content(head))))
}

/// Whether the file starts with `magic`. A few letters may start a text too ("ID3 tags are ..."), but no zero byte
/// follows them there.
fn opens_with(head: &[u8], magic: &[u8]) -> bool {
    let plain = magic.len() <= 6 && magic.iter().all(u8::is_ascii_alphanumeric);
    head.starts_with(magic) && (!plain || head.contains(&0))
}

fn misnamed(named: Option<FileKind>, head: &[u8]) -> ExtractError {
    let format = match named {
        Some(FileKind::Pdf) => "PDF",
        Some(FileKind::Docx) => "DOCX",
        _ => "EPUB",
    };
    if head.starts_with(b"\xD0\xCF\x11\xE0") {
        // Office wraps protected documents in its old container.
        return ExtractError::Encrypted;
    }
    ExtractError::Malformed {
        format,
        reason: "its first bytes are those of another format".to_owned(),
    }
}

fn by_name(path: &Path) -> Option<FileKind> {
    let name = path.file_name()?.to_str()?;
    if CODE_NAMES.contains(&name) {
        return Some(FileKind::Code);
    }
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    EXTENSIONS
        .iter()
        .find(|(_, extensions)| extensions.split(' ').any(|known| known == extension))
        .map(|(kind, _)| *kind)
}

fn by_content(head: &[u8]) -> FileKind {
    let start = head
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(head)
        .trim_ascii_start();
    let lower = start.get(..64).unwrap_or(start).to_ascii_lowercase();
    if head.starts_with(b"From ")
        && head
            .split(|&byte| byte == b'\n')
            .nth(1)
            .is_some_and(is_header_line)
    {
        FileKind::Mailbox
    } else if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") {
        FileKind::Html
    } else if start.starts_with(b"#!") || lower.starts_with(b"<?xml") {
        FileKind::Code
    } else {
        FileKind::Text
    }
}

fn is_header_line(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    name.len() < line.len() && !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic())
}

fn refuse_binary(head: &[u8]) -> Result<(), ExtractError> {
    let has_mark = head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF");
    if has_mark || looks_utf16(head).is_some() {
        return Ok(());
    }
    if head.contains(&0) {
        return Err(ExtractError::NotText {
            what: "a binary file",
        });
    }
    // Escape (0x1B) belongs to terminal logs and ISO-2022, form feed to printed text.
    let is_control = |byte: &u8| matches!(byte, 1..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F | 0x7F);
    // In runs whose count fits a byte: many bytes at a time then.
    let count = |run: &[u8]| {
        usize::from(
            run.iter()
                .map(|byte| u8::from(is_control(byte)))
                .sum::<u8>(),
        )
    };
    let controls: usize = head.chunks(255).map(count).sum();
    if controls * 33 > head.len() {
        return Err(ExtractError::NotText {
            what: "a binary file",
        });
    }
    Ok(())
}
