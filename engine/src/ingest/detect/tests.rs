use super::*;

fn kind(name: &str, head: &[u8]) -> Option<FileKind> {
    match detect(Path::new(name), head) {
        Ok(Content::Kind(kind)) => Some(kind),
        Ok(Content::Zip) => panic!("{name} is a zip"),
        Err(_) => None,
    }
}

#[test]
fn names_decide_where_the_content_leaves_it_open() {
    assert_eq!(kind("README.MD", b"# x"), Some(FileKind::Markdown));
    assert_eq!(kind("a.html", b"x"), Some(FileKind::Html));
    assert_eq!(kind("Makefile", b"all:"), Some(FileKind::Code));
    assert_eq!(kind("x.rs", b"fn"), Some(FileKind::Code));
    assert_eq!(kind("x.log", b"line"), Some(FileKind::Text));
    assert_eq!(kind("x.csv", b"a,b"), Some(FileKind::Table));
    assert_eq!(kind("empty.pdf", b""), Some(FileKind::Pdf));
    assert_eq!(kind("x", b"#!/bin/sh\n"), Some(FileKind::Code));
    assert_eq!(
        kind("x", b"\xEF\xBB\xBF <!DOCTYPE HTML>"),
        Some(FileKind::Html)
    );
    assert_eq!(
        kind("inbox", b"From me Mon\nSubject: x\n"),
        Some(FileKind::Mailbox)
    );
    assert_eq!(kind("letter", b"From me\nto you\n"), Some(FileKind::Text));
}

#[test]
fn content_decides_where_it_is_plain() {
    assert_eq!(kind("x", b"%PDF-1.4\n"), Some(FileKind::Pdf));
    assert_eq!(
        kind("notes.md", b"%PDF-1.4 starts a file"),
        Some(FileKind::Markdown)
    );
    assert_eq!(
        detect(Path::new("x.txt"), b"PK\x03\x04..").ok(),
        Some(Content::Zip)
    );
    assert_eq!(kind("x.txt", b"\x89PNG\r\n\x1a\n...."), None);
    assert_eq!(kind("x.txt", b"ID3\x04\0\0"), None);
    assert_eq!(
        kind("x.txt", b"ID3 tags are text here"),
        Some(FileKind::Text)
    );
    assert_eq!(kind("x.txt", b"text\0text"), None);
    assert_eq!(kind("x.txt", &[7; 100]), None);
    assert_eq!(kind("x.txt", b"\xFF\xFEt\0"), Some(FileKind::Text));
    assert_eq!(kind("x.txt", b"t\0e\0x\0t\0 \0a\0"), Some(FileKind::Text));
    assert!(matches!(
        detect(Path::new("x.pdf"), b"<html>"),
        Err(ExtractError::Malformed { format: "PDF", .. })
    ));
    assert!(matches!(
        detect(Path::new("x.docx"), b"\xD0\xCF\x11\xE0"),
        Err(ExtractError::Encrypted)
    ));
}

#[test]
fn lists_name_nothing_twice() {
    let mut all: Vec<&str> = EXTENSIONS
        .iter()
        .flat_map(|(_, extensions)| extensions.split(' '))
        .collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}
