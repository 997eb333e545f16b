#![cfg(unix)]

use super::*;

/// A PDF of one page a text, written by hand; `None` makes a page without content.
pub(crate) fn pdf(title: &str, pages: &[Option<&str>]) -> Vec<u8> {
    let mut objects = vec!["<< /Type /Catalog /Pages 2 0 R >>".to_owned()];
    let kids: Vec<String> = (0..pages.len())
        .map(|page| format!("{} 0 R", 5 + 2 * page))
        .collect();
    objects.push(format!(
        "<< /Type /Pages /Kids [{}] /Count {} >>",
        kids.join(" "),
        pages.len()
    ));
    objects.push("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned());
    objects.push(format!("<< /Title ({title}) >>"));
    for (page, text) in pages.iter().enumerate() {
        let content = 6 + 2 * page;
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        ));
        let stream = text.map_or(String::new(), |text| {
            format!("BT /F1 12 Tf 72 700 Td ({text}) Tj ET")
        });
        objects.push(format!(
            "<< /Length {} >>\nstream\n{stream}\nendstream",
            stream.len()
        ));
    }
    let mut file = "%PDF-1.4\n".to_owned();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        offsets.push(file.len());
        file.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let table = file.len();
    file.push_str(&format!(
        "xref\n0 {}\n0000000000 65535 f \n",
        objects.len() + 1
    ));
    offsets
        .iter()
        .for_each(|offset| file.push_str(&format!("{offset:010} 00000 n \n")));
    file.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    ));
    file.into_bytes()
}

fn answer(pdf: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    worker_main(pdf, &mut answer).expect("memory");
    answer
}

fn shell(script: &str) -> PdfWorker {
    let command = ["sh", "-c", script].iter().map(OsString::from).collect();
    PdfWorker {
        command,
        timeout: Duration::from_millis(400),
    }
}

fn reason(script: &str) -> String {
    shell(script)
        .pages(b"%PDF-1.4", 1 << 20)
        .expect_err("no PDF reader")
        .to_string()
}

#[test]
fn the_child_answers_page_by_page() {
    let found = parse(&answer(&pdf(
        "On pages",
        &[Some("Hello world"), None, Some("Good bye")],
    )))
    .expect("a sound file");
    assert_eq!(found.title.as_deref(), Some("On pages"));
    let pages: Vec<&str> = found.pages.iter().map(|page| page.trim()).collect();
    assert_eq!(pages, ["Hello world", "", "Good bye"]);
    assert_eq!(found.broken, Vec::<String>::new());
}

#[test]
fn the_child_answers_to_broken_files_too() {
    let sound = pdf("Cut", &[Some("Hello world")]);
    for end in (0..sound.len()).step_by(23) {
        // Any answer that can be read is right: some cut files can be repaired.
        match parse(&answer(&sound[..end])) {
            Ok(_)
            | Err(ExtractError::Malformed { format: "PDF", .. } | ExtractError::Encrypted) => {}
            Err(error) => panic!("cut at {end}: {error}"),
        }
    }
    assert!(matches!(
        parse(&answer(b"not a PDF")),
        Err(ExtractError::Malformed { format: "PDF", .. })
    ));
}

#[test]
fn the_parent_reads_an_answer_from_a_real_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("answer");
    std::fs::write(&path, answer(&pdf("Of a child", &[Some("Hello world")]))).expect("a file");
    let script = format!("cat > /dev/null; cat '{}'", path.display());
    let found = shell(&script)
        .pages(&[b'x'; 300_000], 1 << 20)
        .expect("an answer");
    assert_eq!(
        (found.title.as_deref(), found.pages.len()),
        (Some("Of a child"), 1)
    );
}

#[test]
fn a_child_that_fails_is_an_error_that_says_how() {
    assert!(reason("sleep 60").contains("longer than 0.4 s"));
    assert!(reason("exec sleep 60").contains("longer than 0.4 s"));
    assert!(reason("exec >&-; sleep 60").contains("longer than 0.4 s"));
    assert!(reason("kill -9 $$").contains("signal 9"));
    assert!(
        reason("echo 'memory allocation of 99 bytes failed' >&2; kill -6 $$")
            .contains("out of memory (limit 1024 MiB)")
    );
    assert!(
        reason("echo 'thread main has overflowed its stack' >&2; kill -6 $$")
            .contains("nested too deeply")
    );
    assert!(reason("echo first >&2; echo it broke >&2; exit 3").ends_with("crashed: it broke"));
    assert!(reason("exit 3").contains("exit status: 3"));
    assert!(reason("echo garbage").contains("no sense"));
    assert!(reason("printf 'askance-pdf-1\\nP\\377\\377\\377\\377x'").contains("no sense"));
    assert!(reason("cat /dev/zero").contains("unpacks to more than"));
}

#[test]
fn a_child_that_reads_nothing_ends_with_its_time() {
    let start = Instant::now();
    let error = shell("exec sleep 60")
        .pages(&[b'x'; 1 << 20], 1 << 20)
        .expect_err("no PDF reader");
    assert!(matches!(error, ExtractError::PdfReader(_)));
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn without_a_program_nothing_is_read_in_process() {
    let none = PdfWorker::default().pages(&pdf("x", &[Some("y")]), 1 << 20);
    assert!(matches!(none, Err(ExtractError::NoPdfReader)));
    let missing = PdfWorker::new(vec!["/nowhere/askance".into()])
        .pages(b"", 1 << 20)
        .expect_err("no such program");
    assert!(
        missing.to_string().contains("/nowhere/askance"),
        "{missing}"
    );
}

#[test]
fn pages_become_paragraphs_and_words_are_rejoined() {
    let mut bytes = MAGIC.to_vec();
    frame(
        &mut bytes,
        b'P',
        "A long para-\ngraph of X-\nRays.\n\nSecond one.",
    )
    .expect("memory");
    frame(&mut bytes, b'P', " ").expect("memory");
    frame(&mut bytes, b'B', "damaged").expect("memory");
    frame(&mut bytes, b'Z', "").expect("memory");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("answer");
    std::fs::write(&path, bytes).expect("a file");
    let pdf = shell(&format!("cat > /dev/null; cat '{}'", path.display()));
    let options = ExtractOptions {
        pdf,
        ..ExtractOptions::default()
    };
    let doc = super::super::extract(std::path::Path::new("a.pdf"), b"%PDF-1.4", &options)
        .expect("an answer");
    assert_eq!(doc.text, "A long paragraph of X-\nRays.\n\nSecond one.");
    assert_eq!(
        doc.blocks
            .iter()
            .map(|block| block.source.page)
            .collect::<Vec<_>>(),
        [1, 1]
    );
    assert_eq!(doc.warnings.len(), 2, "{:?}", doc.warnings);
    assert!(doc.warnings[0].starts_with("1 of 3 pages") && doc.warnings[1].starts_with("page 3 "));
}
