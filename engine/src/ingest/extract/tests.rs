use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::{BlockKind, Source, Tracking};
use super::*;

const H1: BlockKind = BlockKind::Heading(1);
const H2: BlockKind = BlockKind::Heading(2);
const P: BlockKind = BlockKind::Paragraph;
const CODE: BlockKind = BlockKind::Code;
const RECORD: BlockKind = BlockKind::Record;

fn read(name: &str, bytes: impl AsRef<[u8]>) -> Extracted {
    extract(Path::new(name), bytes.as_ref(), &ExtractOptions::default()).expect("a sound file")
}

fn failure(name: &str, bytes: impl AsRef<[u8]>) -> ExtractError {
    extract(Path::new(name), bytes.as_ref(), &ExtractOptions::default()).expect_err("a broken file")
}

fn blocks(doc: &Extracted) -> Vec<(BlockKind, &str)> {
    doc.blocks
        .iter()
        .map(|block| (block.kind, &doc.text[block.range.clone()]))
        .collect()
}

fn lines(doc: &Extracted) -> Vec<u32> {
    doc.blocks.iter().map(|block| block.source.line).collect()
}

/// A zip with these members.
fn zip(members: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in members {
        writer
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .expect("a new member");
        writer.write_all(text.as_bytes()).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

fn docx() -> Vec<u8> {
    let styles = r#"<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
        <w:style w:styleId="Eigene"><w:name w:val="Eigene"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>"#;
    let body = r#"<w:document xmlns:w="w"><w:body>
        <w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Report</w:t></w:r></w:p>
        <w:p><w:r><w:t xml:space="preserve">Caf&#233; &amp; </w:t></w:r><w:r><w:t>bar</w:t><w:br/><w:t>next</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>
        <w:p><w:pPr><w:pStyle w:val="Eigene"/></w:pPr><w:r><w:t>Part</w:t></w:r></w:p>
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>
        <w:tr><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc></w:tr></w:tbl></w:body></w:document>"#;
    let notes = r#"<w:footnotes xmlns:w="w"><w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote></w:footnotes>"#;
    let core =
        r#"<cp:coreProperties xmlns:dc="d"><dc:title>The Title</dc:title></cp:coreProperties>"#;
    zip(&[
        ("[Content_Types].xml", "<Types/>"),
        ("word/document.xml", body),
        ("word/styles.xml", styles),
        ("word/footnotes.xml", notes),
        ("docProps/core.xml", core),
    ])
}

fn epub() -> Vec<u8> {
    let container =
        r#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#;
    let package = r#"<package><metadata><dc:title xmlns:dc="d">A &lt;Book&gt;</dc:title><dc:title>Sub</dc:title></metadata>
        <manifest><item id="one" href="text/ch%201.xhtml"/><item id="two" href="../two.xhtml#top"/></manifest>
        <spine><itemref idref="two"/><itemref idref="one"/><itemref idref="three"/></spine></package>"#;
    let one = r#"<?xml version="1.0"?><html><head><title/><script src="x"/></head><body><h1>One</h1><p>First.</p></body></html>"#;
    zip(&[
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", container),
        ("OEBPS/book.opf", package),
        ("OEBPS/text/ch 1.xhtml", one),
        ("two.xhtml", "<h1>Two</h1><p>Second.</p>"),
    ])
}

const MAIL: &str = "From: Ann <ann@example.org>\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n\
    Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
    --c\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nCaf=E9 one.\r\n\r\nTwo.\r\n\
    --c\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n--c--\r\n\
    --b\r\nContent-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment; filename=notes.txt\r\n\r\nattached\r\n--b--\r\n";

const MARKDOWN: &str = "---\ntitle: \"Front\"\n---\n# Guide\n\nSome *marked* text\nover two lines.\n\n- item one\n- item two\n\n\
    ```rust\nfn main() {}\n\nlet x;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<p align=center>In <b>html</b></p>\n\n\
    Under\n-----\n\nPlain text.\n";

const HTML: &str = "<!doctype html><html><head><title>The\n page</title><style>p{}</style></head>\n<body><nav><p>menu</p></nav>\n\
    <h1>Top</h1>\n<p>A &eacute; <b>bold</b>\n word<p hidden>no</p>\n<ul><li>one<li>two</ul><pre>x\n  y</pre>\n\
    <table><tr><th>k<th>v<tr><td>1</td><td>2</td></table><div aria-hidden=true>no<div>no</div></div>\n\
    <script>if (a<b) { '</p>' }</script>after<br>break<img alt=picture></body></html>";

const NOTEBOOK: &str = r##"{"cells":[{"cell_type":"markdown","source":["# Plot\n","Some words."]},
    {"cell_type":"code","source":"x = 1\nprint(x)","outputs":[{"text":["secret"]}]}],"nbformat":4}"##;

#[test]
fn text_is_cut_at_blank_lines_and_keeps_its_bytes() {
    let source = "\u{FEFF}Título\n======\n\nfirst é\nline\n \t\n\n  second\x07 end  \n";
    let doc = read("a.txt", source);
    assert_eq!(
        blocks(&doc),
        [(H1, "Título"), (P, "first é\nline"), (P, "second end")]
    );
    assert_eq!(lines(&doc), [1, 4, 8]);
    assert_eq!(doc.title.as_deref(), Some("Título"));
    let place = doc.blocks[1].source.byte.expect("UTF-8") as usize;
    assert!(source[place..].starts_with("first"));
    assert_eq!(doc.blocks[1].tracking, Tracking::Bytes);
    assert_eq!(doc.blocks[2].tracking, Tracking::Lines);
    assert_eq!(
        blocks(&read("a.txt", "one\r\ntwo\r\n\r\nthree")),
        [(P, "one\ntwo"), (P, "three")]
    );
    assert_eq!(lines(&read("a.txt", "one\rtwo\r\rthree")), [1, 4]);
    assert!(read("a.txt", "").blocks.is_empty());
}

#[test]
fn encodings_are_recognised() {
    let utf16 = |text: &str, mark: bool| {
        let units = mark
            .then_some(0xFEFF)
            .into_iter()
            .chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    assert_eq!(
        read("a.txt", utf16("Grüße an alle", true)).text,
        "Grüße an alle"
    );
    assert_eq!(
        read("a.txt", utf16("Grüße an alle", false)).text,
        "Grüße an alle"
    );
    let latin = read(
        "a.txt",
        b"Die sch\xF6ne M\xFCllerin geht \xFCber die Br\xFCcke",
    );
    assert_eq!(latin.text, "Die schöne Müllerin geht über die Brücke");
    assert_eq!(
        (latin.blocks[0].source.byte, latin.blocks[0].source.line),
        (None, 1)
    );
    let (russian, _, _) =
        encoding_rs::WINDOWS_1251.encode("Съешь ещё этих мягких французских булок");
    assert_eq!(
        read("a.txt", russian).text,
        "Съешь ещё этих мягких французских булок"
    );
    let (japanese, _, _) = encoding_rs::SHIFT_JIS.encode("日本語の文章をここに書きます。");
    assert_eq!(
        read("a.txt", japanese).text,
        "日本語の文章をここに書きます。"
    );
    let broken = read(
        "a.txt",
        "sehr schöne Grüße über Österreich äöüß äöü"
            .as_bytes()
            .iter()
            .copied()
            .chain([0xC3])
            .collect::<Vec<_>>(),
    );
    assert!(broken.text.starts_with("sehr schöne Grüße") && broken.text.ends_with('\u{FFFD}'));
    assert_eq!(broken.warnings.len(), 1);
}

#[test]
fn markdown_keeps_structure_and_lines() {
    let doc = read("a.md", MARKDOWN);
    assert_eq!(doc.title.as_deref(), Some("Front"));
    assert_eq!(
        blocks(&doc),
        [
            (P, "title: \"Front\""),
            (H1, "Guide"),
            (P, "Some marked text\nover two lines."),
            (P, "item one"),
            (P, "item two"),
            (CODE, "fn main() {}\n\nlet x;"),
            (P, "a | b"),
            (P, "1 | 2"),
            (P, "In html"),
            (H2, "Under"),
            (P, "Plain text."),
        ]
    );
    assert_eq!(lines(&doc), [2, 4, 6, 9, 10, 13, 18, 20, 22, 24, 27]);
    for block in doc
        .blocks
        .iter()
        .filter(|block| block.tracking == Tracking::Bytes)
    {
        let byte = block.source.byte.expect("UTF-8") as usize;
        assert!(MARKDOWN[byte..].starts_with(&doc.text[block.range.clone()]));
    }
}

#[test]
fn html_shows_what_a_browser_shows() {
    let doc = read("a.html", HTML);
    assert_eq!(doc.title.as_deref(), Some("The page"));
    assert_eq!(
        blocks(&doc),
        [
            (H1, "Top"),
            (P, "A é bold word"),
            (P, "one"),
            (P, "two"),
            (CODE, "x\n  y"),
            (P, "k | v"),
            (P, "1 | 2"),
            (P, "after\nbreakpicture"),
        ]
    );
    assert_eq!(lines(&doc), [4, 5, 7, 7, 7, 9, 9, 10]);
}

#[test]
fn html_nested_without_end_stays_flat() {
    let start = Instant::now();
    for (open, close) in [
        ("<div>", "</div>"),
        ("<b><p>", ""),
        ("<table><tr><td>", ""),
        ("<nav>", ""),
        ("<svg><a hidden>", "</x>"),
    ] {
        let page = format!(
            "<p>start</p>{}deep{}<p>end",
            open.repeat(300_000),
            close.repeat(300_000)
        );
        let doc = read("a.html", page);
        assert!(doc.text.starts_with("start"), "{open}");
    }
    // A generous bound: quadratic work would take hours.
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_page_that_takes_too_long_is_cut_off_with_a_warning() {
    let attributes: String = (0..60_000).map(|number| format!(" a{number}")).collect();
    let page = format!("<p>start</p><p{attributes}>end");
    let mut out = Builder::new(FileKind::Html, 1 << 20);
    html::extract_within(Duration::from_millis(1), &page, html::Place::File, &mut out);
    let doc = out.finish();
    assert_eq!((doc.text.as_str(), doc.warnings.len()), ("start", 1));
}

#[test]
fn long_keys_do_not_multiply() {
    let json = format!(
        "[{{\"{}\":[{}\"x\"]}}]",
        "k".repeat(100_000),
        "\"x\",".repeat(20_000)
    );
    assert!(read("a.json", json).text.len() < 5_000_000);
}

#[test]
fn hidden_elements_end_with_their_parents() {
    let doc = read(
        "a.html",
        "<div><nav>menu</div><p>shown<div style='color:red; display: none'>x</div><p>too",
    );
    assert_eq!(blocks(&doc), [(P, "shown"), (P, "too")]);
}

#[test]
fn code_groups_stay_with_their_comments() {
    let source =
        "//! Docs.\n\nuse a;\n\n/// About f.\nfn f() {\n    one();\n\n    two();\n}\n\nfn g() {}\n";
    let doc = read("a.rs", source);
    let code = |text| (CODE, text);
    assert_eq!(
        blocks(&doc),
        [
            code("//! Docs."),
            code("use a;"),
            code("/// About f.\nfn f() {\n    one();\n\n    two();\n}"),
            code("fn g() {}")
        ]
    );
    assert_eq!(lines(&doc), [1, 3, 5, 12]);
    assert_eq!(
        doc.blocks[2].source.byte,
        Some(source.find("///").unwrap() as u64)
    );
}

#[test]
fn word_documents_have_headings_tables_and_notes() {
    let doc = read("a.docx", docx());
    assert_eq!(doc.title.as_deref(), Some("The Title"));
    let expected = [
        (H1, "Report"),
        (P, "Café & bar\nnext"),
        (H2, "Part"),
        (P, "a | b"),
        (P, "1"),
        (P, "A note."),
    ];
    assert_eq!(blocks(&doc), expected);
    assert_eq!(read("renamed.bin", docx()).kind, FileKind::Docx);
}

#[test]
fn books_are_read_in_the_order_of_their_spine() {
    let doc = read("a.epub", epub());
    assert_eq!(doc.title.as_deref(), Some("A <Book>"));
    assert_eq!(
        blocks(&doc),
        [(H1, "Two"), (P, "Second."), (H1, "One"), (P, "First.")]
    );
    assert_eq!(doc.warnings.len(), 1);
    assert!(
        doc.blocks
            .iter()
            .all(|block| block.source == Source::default())
    );
}

#[test]
fn mail_prefers_plain_text_and_names_attachments() {
    let doc = read("a.eml", MAIL);
    assert_eq!(doc.title.as_deref(), Some("Grüße"));
    let headers = "From: Ann <ann@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0000";
    assert_eq!(
        blocks(&doc),
        [
            (P, headers),
            (P, "Café one."),
            (P, "Two."),
            (P, "Attached: notes.txt")
        ]
    );
    let html = "Subject: x\nContent-Type: text/html\n\n<title>y</title><h1>Head</h1><p>Body";
    assert_eq!(blocks(&read("a.eml", html)), [(H1, "Head"), (P, "Body")]);
}

#[test]
fn mailboxes_are_one_record_a_message() {
    let mbox = format!("From a Mon\nSubject: One\n\nText\nFrom inside.\n\nFrom b Tue\n{MAIL}");
    let doc = read("inbox.mbox", mbox);
    let found = blocks(&doc);
    assert_eq!(found[..2], [(H1, "One"), (RECORD, "Text\nFrom inside.")]);
    assert_eq!(found[2], (H1, "Grüße"));
    assert!(
        found[3]
            .1
            .ends_with("Café one.\n\nTwo.\n\nAttached: notes.txt")
    );
    assert_eq!(lines(&doc), [1, 1, 7, 7]);
}

#[test]
fn mail_with_endless_parts_is_refused() {
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n{}",
        "--b\n".repeat(20_000)
    );
    assert!(matches!(
        failure("a.eml", parts),
        ExtractError::Malformed { format: "mail", .. }
    ));
    assert!(matches!(
        failure("a.eml", "a:\n".repeat(3_000_000)),
        ExtractError::Malformed { format: "mail", .. }
    ));
}

#[test]
fn tables_are_records_with_their_headers() {
    let doc = read("a.csv", "name;age\n\"Ann\nB\";3\nBob;\n");
    assert_eq!(
        blocks(&doc),
        [(RECORD, "name: Ann\nB\nage: 3"), (RECORD, "name: Bob")]
    );
    assert_eq!(lines(&doc), [2, 4]);
    assert_eq!(doc.blocks[1].source.byte, Some(19));
    assert_eq!(
        blocks(&read("a.tsv", "1\ta,b\n2\tc\n")),
        [(RECORD, "1\na,b"), (RECORD, "2\nc")]
    );
}

#[test]
fn json_gives_texts_with_their_keys() {
    let doc = read("a.json", r#"{"b":{"c":["x","y"],"n":1},"a":"z","e":""}"#);
    assert_eq!(blocks(&doc), [(P, "b.c: x"), (P, "b.c: y"), (P, "a: z")]);
    let list = read("a.json", r#"[{"k":"v","l":["w"]},{"k":"x"},3]"#);
    assert_eq!(blocks(&list), [(RECORD, "k: v\nl: w"), (RECORD, "k: x")]);
    let commented = read("a.json", "// note\n{\"a\": 1,}");
    assert_eq!(blocks(&commented), [(CODE, "// note\n{\"a\": 1,}")]);
    let deep = read(
        "a.json",
        format!(
            "{{\"a\":\"kept\",\"b\":{}{}}}",
            "[".repeat(5000),
            "]".repeat(5000)
        ),
    );
    assert_eq!(
        (blocks(&deep), deep.warnings.len()),
        (vec![(P, "a: kept")], 1)
    );
}

#[test]
fn json_lines_name_broken_lines_and_know_titles() {
    let doc = read(
        "a.jsonl",
        "{\"_id\":\"1\",\"title\":\"T\",\"text\":\"B\"}\n\n{oops\n{\"q\":\"a\",\"r\":{\"s\":\"b\"}}\n",
    );
    assert_eq!(blocks(&doc), [(RECORD, "T\nB"), (RECORD, "q: a\nr.s: b")]);
    assert_eq!(lines(&doc), [1, 4]);
    assert!(doc.warnings[0].starts_with("line 3 "), "{:?}", doc.warnings);
}

#[test]
fn notebooks_are_text_and_code_without_output() {
    let doc = read("a.ipynb", NOTEBOOK);
    assert_eq!(doc.title.as_deref(), Some("Plot"));
    assert_eq!(
        blocks(&doc),
        [(H1, "Plot"), (P, "Some words."), (CODE, "x = 1\nprint(x)")]
    );
}

#[test]
fn text_beyond_the_limit_is_left_out_with_a_warning() {
    let options = ExtractOptions {
        max_text_bytes: 10,
        ..ExtractOptions::default()
    };
    let doc = extract(
        Path::new("a.txt"),
        "one\n\nféééééé\n\nthree".as_bytes(),
        &options,
    )
    .expect("text");
    assert_eq!(doc.text, "one\n\nféé");
    assert_eq!(doc.warnings.len(), 1);
}

#[test]
fn zip_bombs_and_other_archives_are_told_apart() {
    let bomb = zip(&[("word/document.xml", &" ".repeat(64 << 20))]);
    assert!(matches!(failure("a.docx", bomb), ExtractError::Bomb { .. }));
    assert!(matches!(
        failure("a.zip", zip(&[("a.txt", "x")])),
        ExtractError::NotText { .. }
    ));
    assert!(matches!(
        failure("a.docx", &docx()[..200]),
        ExtractError::Malformed { .. }
    ));
}

#[test]
fn xml_entities_are_never_expanded() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;'>]><w:document><w:p><w:t>x&b;y</w:t></w:p></w:document>";
    assert_eq!(
        read("a.docx", zip(&[("word/document.xml", bomb)])).text,
        "x y"
    );
}

#[test]
fn read_file_stops_early() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    let text = path("a.txt", &b"word ".repeat(4000));
    assert_eq!(read_file(&text, 20_000).expect("fits").len(), 20_000);
    assert!(matches!(
        read_file(&text, 19_999),
        Err(ExtractError::TooLarge {
            size: 20_000,
            limit: 19_999
        })
    ));
    assert!(matches!(
        read_file(&path("b.txt", &[0; 9000]), 10),
        Err(ExtractError::NotText { .. })
    ));
    assert!(matches!(
        read_file(folder.path(), 10),
        Err(ExtractError::NotText { .. })
    ));
    assert!(matches!(
        read_file(&folder.path().join("none"), 10),
        Err(ExtractError::Io(_))
    ));
}

const KINDS: [(FileKind, &str); 12] = [
    (FileKind::Text, "x.txt"),
    (FileKind::Markdown, "x.md"),
    (FileKind::Html, "x.html"),
    (FileKind::Code, "x.rs"),
    (FileKind::Docx, "x.docx"),
    (FileKind::Epub, "x.epub"),
    (FileKind::Mail, "x.eml"),
    (FileKind::Mailbox, "x.mbox"),
    (FileKind::Table, "x.csv"),
    (FileKind::Json, "x.json"),
    (FileKind::JsonLines, "x.jsonl"),
    (FileKind::Notebook, "x.ipynb"),
];

/// Runs every extractor on the bytes, whatever they are, and checks what an `Extracted` promises.
fn survives(bytes: &[u8]) {
    for (kind, name) in KINDS {
        let Ok(doc) = extract_as(kind, Path::new(name), bytes, &ExtractOptions::default()) else {
            continue;
        };
        let mut end = 0;
        for block in &doc.blocks {
            assert_eq!(
                doc.text
                    .get(end..block.range.start)
                    .expect("on a boundary")
                    .trim(),
                ""
            );
            assert!(
                !doc.text
                    .get(block.range.clone())
                    .expect("on a boundary")
                    .trim()
                    .is_empty()
            );
            assert!(
                block
                    .source
                    .byte
                    .is_none_or(|byte| byte < bytes.len() as u64)
            );
            end = block.range.end;
        }
        assert_eq!(end, doc.text.len());
        assert!(!doc.text.contains(['\r', '\0']));
        if let (FileKind::Text | FileKind::Markdown | FileKind::Code, Ok(source)) =
            (kind, std::str::from_utf8(bytes))
        {
            tracks(&doc, source);
        }
    }
}

/// Bytes and lines of the blocks are those of the file.
fn tracks(doc: &Extracted, source: &str) {
    for block in &doc.blocks {
        // A start that had to be moved over control characters is not known to the byte.
        let Some(byte) = block.source.byte.map(|byte| byte as usize) else {
            assert!(
                source.contains(|c: char| c.is_control() && c != '\n'),
                "{source:?}"
            );
            continue;
        };
        let text = &doc.text[block.range.clone()];
        if block.tracking == Tracking::Bytes {
            // An old line end, a lone carriage return, becomes a new one of the same length.
            let there = source.get(byte..byte + text.len());
            assert_eq!(
                there.map(|there| there.replace('\r', "\n")).as_deref(),
                Some(text),
                "{source:?}"
            );
        }
        if source.contains('\n') {
            assert_eq!(
                block.source.line as usize,
                1 + source[..byte].matches('\n').count(),
                "{source:?}"
            );
        }
    }
}

fn samples() -> Vec<Vec<u8>> {
    let texts = [
        MARKDOWN,
        HTML,
        MAIL,
        NOTEBOOK,
        "a;b\n\"1\n;2\n",
        "[{\"a\":\"b\"},[]]\n{\"text\":\"c\"}",
    ];
    let mut samples: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    samples.extend([docx(), epub(), format!("From x\n{MAIL}").into_bytes()]);
    samples
}

#[test]
fn a_start_moved_over_white_space_is_still_known_to_the_byte() {
    let source = "<p>\n\n<b hidden>    <p>- ";
    let doc = extract_as(
        FileKind::Markdown,
        Path::new("x.md"),
        source.as_bytes(),
        &ExtractOptions::default(),
    )
    .expect("Markdown");
    assert_eq!(
        doc.blocks[0].source.byte,
        source.find('-').map(|at| at as u64)
    );
    survives(source.as_bytes());
}

#[test]
fn whole_and_cut_files_survive_every_extractor() {
    for sample in samples() {
        for end in (0..=sample.len())
            .step_by(sample.len() / 40 + 1)
            .chain([sample.len()])
        {
            survives(&sample[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_bytes_survive_every_extractor(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        survives(&bytes);
        let _ = extract(Path::new("x"), &bytes, &ExtractOptions::default());
    }

    #[test]
    fn random_markup_survives_every_extractor(
        parts in proptest::collection::vec(prop_oneof![
            Just("<p>"), Just("</p>"), Just("<table><tr><td>"), Just("# "), Just("\n\n"), Just("\n"), Just("    "), Just("- "),
            Just("```\n"), Just("| a | b |\n|--|--|\n"), Just("> "), Just("\r\n"), Just("---\n"), Just("{\"a\":"), Just("[1,"), Just("\"x\""),
            Just("--b\n"), Just("From x\n"), Just("Subject: y\n"), Just("<!--"), Just("<script>"), Just("&amp;"), Just("é"), Just("*"),
            Just("word "), Just("1. "), Just("[l](u)"), Just("<b hidden>"), Just("===\n"), Just("\t"), Just("`"), Just("\u{b}"),
        ], 0..40),
    ) {
        survives(parts.concat().as_bytes());
    }

    #[test]
    fn damaged_files_survive_every_extractor(at in any::<prop::sample::Index>(), byte in any::<u8>(), which in 0usize..9) {
        let mut sample = samples().swap_remove(which);
        let at = at.index(sample.len());
        sample[at] = byte;
        survives(&sample);
    }
}
