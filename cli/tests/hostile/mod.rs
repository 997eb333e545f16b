//! Can a file's name or content reach the terminal, lead out of the tree, or stop the run?

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Desk, Outcome};

/// Recolours the terminal, ends the line, sets the title, turns the reading direction, and starts a sequence in 8-bit
/// form.
const EVIL: &str = "x\u{1b}[31m\r\n\u{1b}]0;owned\u{7}\u{202e}\u{9b}2J\u{7f}";

/// Nothing but text, its line ends, and what escapes were spelled out as.
fn assert_harmless(outcome: &Outcome, what: &str) {
    for text in [&outcome.out, &outcome.err] {
        let bad = text.chars().find(|&c| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(bad, None, "{what} sends it to the terminal: {text:?}");
    }
}

#[cfg(unix)]
#[test]
fn no_name_and_no_content_reaches_the_terminal_as_it_is() {
    let desk = Desk::new();
    let name = format!("{EVIL}.md");
    desk.write(
        &name,
        &format!("# {EVIL} title\n\nThe heron {EVIL} stands.\n\n## {EVIL}\n\nheron {EVIL}\n"),
    );
    desk.write(&format!("{EVIL}.pdf"), &format!("%PDF-1.4 {EVIL}"));
    desk.write(&format!("{EVIL}.docx"), "no zip");
    desk.write(
        "a.json",
        &format!("{{\"{}\": \"heron\"}}", EVIL.escape_default()),
    );
    desk.write("a.csv", &format!("\"{EVIL}\",b\nheron,2\n"));
    let evil_path = format!("files/{name}");
    let evil_folder = format!("{EVIL}/none");
    let commands: Vec<Vec<&str>> = vec![
        vec!["index", "files"],
        vec!["index", "files"],
        vec!["index", &evil_folder],
        vec!["search", "heron", "--limit", "20"],
        vec!["search", "heron", "--explain"],
        vec!["search", "--json-lines", "heron"],
        vec!["search", EVIL],
        vec!["search", "heron", "--path", EVIL],
        vec!["search", "heron", "--path", "[\u{1b}"],
        vec!["search", "heron", "--type", EVIL],
        vec!["search", "heron", "--after", EVIL],
        vec!["search", "heron", "--mode", EVIL],
        vec!["search", "heron", "--in", &evil_path],
        vec!["status"],
        vec!["doctor"],
        vec!["remove", &evil_folder],
        vec!["remove", &evil_path],
        vec!["compact"],
        vec!["model", "add", EVIL],
        vec!["model", "use", EVIL],
        vec!["model", "list"],
        vec!["eval", "--beir", EVIL],
        vec!["compare", EVIL, EVIL, "--qrels", EVIL],
        vec!["--collection", &evil_folder, "status"],
        vec![EVIL],
        vec!["search", "--", EVIL, "\u{1b}c"],
        vec!["--\u{1b}[31m"],
    ];
    for arguments in commands {
        for json in [false, true] {
            let mut all = arguments.clone();
            if json && !arguments.contains(&"--json-lines") {
                all.insert(0, "--json");
            }
            assert_harmless(&desk.run(&all), &format!("{all:?}"));
        }
    }
}

#[cfg(unix)]
#[test]
fn links_pipes_and_devices_are_passed_over() {
    use std::os::unix::fs::symlink;
    let desk = Desk::new();
    let outside = desk.dir.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret.txt"), "The heron's secret nest.\n").expect("a file");
    symlink(&outside, desk.files().join("folder-link")).expect("a link");
    symlink(outside.join("secret.txt"), desk.files().join("link.txt")).expect("a link");
    symlink("/dev/zero", desk.files().join("endless.txt")).expect("a link");
    symlink(".", desk.files().join("loop")).expect("a link");
    let made = Command::new("mkfifo")
        .arg(desk.files().join("pipe.txt"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    let indexed = desk.run(&["index", "files", "--json"]).expect(0).json();
    assert_eq!(
        (
            &indexed["added"],
            indexed["failed"].as_array().map(Vec::len)
        ),
        (&4.into(), Some(0)),
        "{indexed}"
    );
    desk.run(&["search", "secret nest", "--mode", "bm25"])
        .expect(1);
    desk.run(&["index", "files/pipe.txt"])
        .error("neither a file nor a folder");
}

/// Files of each text format nested far deeper than any person's.
#[test]
fn nesting_without_end_ends() {
    let desk = Desk::new();
    let deep = 100_000;
    let open = |tag: &str| tag.repeat(deep);
    desk.write(
        "deep.html",
        &format!("{}heron{}", open("<div><b>"), open("</div>")),
    );
    desk.write("deep.json", &format!("{}\"heron\"{}", open("["), open("]")));
    desk.write("deep-object.json", &open("{\"a\":"));
    desk.write("deep.md", &format!("{} heron", open("> ")));
    desk.write("lists.md", &open("* "));
    desk.write("links.md", &format!("{}heron{}", open("["), open("](x)")));
    desk.write("stars.md", &open("*a_"));
    desk.write("deep.ipynb", &format!("{{\"cells\":{}", open("[")));
    desk.write("deep.xml", &open("<a>"));
    desk.write("wide.csv", &open("a,"));
    let started = Instant::now();
    let indexed = desk.run(&["index", "files", "--json"]).expect(0).json();
    assert!(
        indexed["added"].as_u64().is_some_and(|n| n >= 10),
        "{indexed}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    desk.run(&["search", "heron"]).expect(0);
}

/// What a PDF may do to its reader, each file read in its own process within its limits.
#[test]
fn hostile_pdf_files_are_reported_and_nothing_else_suffers() {
    let desk = Desk::new();
    let page = "3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R >> endobj\n";
    let files = [
        (
            "kids.pdf",
            "2 0 obj << /Type /Pages /Kids [2 0 R] /Count 1 >> endobj\n".to_owned(),
        ),
        (
            "count.pdf",
            format!("2 0 obj << /Type /Pages /Kids [3 0 R] /Count 2000000000 >> endobj\n{page}"),
        ),
        ("parent.pdf", "2 0 obj 2 0 R endobj\n".to_owned()),
        (
            "length.pdf",
            format!(
                "2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n{page}4 0 obj << /Length 999999999999 >>\nstream\nBT\n"
            ),
        ),
        (
            "deep.pdf",
            format!("2 0 obj {} endobj\n", "[".repeat(200_000)),
        ),
        (
            "form.pdf",
            format!(
                "2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n\
                 3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /XObject << /F 5 0 R >> >> >> endobj\n\
                 4 0 obj << /Length 5 >>\nstream\n/F Do\nendstream\nendobj\n\
                 5 0 obj << /Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /F 5 0 R >> >> /Length {} >>\n\
                 stream\n{}\nendstream\nendobj\n",
                5 * 40 - 1,
                ["/F Do"; 40].join("\n"),
            ),
        ),
    ];
    for (name, objects) in &files {
        let text = format!(
            "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n{objects}trailer << /Size 6 /Root 1 0 R >>\n%%EOF\n"
        );
        desk.write(name, &text);
    }
    let bomb = bomb_pdf(256 << 20);
    fs::write(desk.files().join("bomb.pdf"), bomb).expect("a file");
    let started = Instant::now();
    let indexed = desk.run(&["index", "files", "--json"]).expect(0).json();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(150), "{took:?}: {indexed}");
    let found = desk.run(&["search", "elbow height"]).expect(0);
    assert!(found.out.contains("desk.md"), "{}", found.out);
}

/// A page whose content unpacks to `bytes` zeros.
fn bomb_pdf(bytes: usize) -> Vec<u8> {
    let packed = packed_zeros(bytes);
    let head = format!(
        "%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj\n\
         2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj\n\
         3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >> endobj\n\
         4 0 obj << /Filter /FlateDecode /Length {} >>\nstream\n",
        packed.len()
    );
    let tail = "\nendstream\nendobj\ntrailer << /Size 5 /Root 1 0 R >>\n%%EOF\n";
    [head.as_bytes(), &packed, tail.as_bytes()].concat()
}

/// A zlib stream (RFC 1950, 1951) of about `bytes` zeros: one literal and copies of 258 bytes, 13 bits each.
fn packed_zeros(bytes: usize) -> Vec<u8> {
    let (mut out, mut bits, mut count) = (vec![0x78, 0x9c], 0u64, 0);
    let mut put = |value: u64, width: u32, out: &mut Vec<u8>| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    let code = |value: u64, width: u32| value.reverse_bits() >> (64 - width);
    let copies = bytes / 258;
    // The last block, with fixed codes; the literal 0; the copies; the end.
    put(0b011, 3, &mut out);
    put(code(0b0011_0000, 8), 8, &mut out);
    for _ in 0..copies {
        put(code(0b1100_0101, 8), 8, &mut out);
        put(0, 5, &mut out);
    }
    put(0, 7, &mut out);
    put(0, 7, &mut out);
    let length = (1 + copies * 258) as u32;
    out.extend((((length % 65_521) << 16) | 1).to_be_bytes());
    out
}

/// Files come, go and change while a run reads them; the run after that ends where it should.
#[test]
fn files_that_change_or_vanish_while_read_do_not_stop_the_run() {
    let desk = Desk::new();
    let write = |n: usize, text: &str| desk.write(&format!("{n}.txt"), text);
    (0..200).for_each(|n| write(n, "heron"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                n = (n + 7) % 200;
                let path = desk.files().join(format!("{n}.txt"));
                match n % 3 {
                    0 => drop(fs::remove_file(&path)),
                    1 => write(n, &"bittern ".repeat(n * 100)),
                    _ => swap_for_a_folder(&path),
                }
            }
        });
        for _ in 0..5 {
            desk.run(&["index", "files"]).expect(0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for n in 0..200 {
        let _ = fs::remove_dir(desk.files().join(format!("{n}.txt")));
        write(n, &format!("kingfisher number {n}"));
    }
    desk.run(&["index", "files"]).expect(0);
    let found = desk
        .run(&[
            "search",
            "kingfisher",
            "--mode",
            "bm25",
            "--limit",
            "1000",
            "--json",
        ])
        .expect(0)
        .json();
    assert_eq!(found["hits"].as_array().map(Vec::len), Some(200));
    desk.run(&["search", "bittern", "--mode", "bm25"]).expect(1);
    desk.run(&["doctor"]).expect(0);
}

fn swap_for_a_folder(path: &Path) {
    // Each step may find what the step before left.
    let _ = fs::remove_file(path);
    let _ = fs::create_dir(path);
    let _ = fs::remove_dir(path);
}

#[test]
fn a_request_too_large_is_one_sentence() {
    let desk = Desk::indexed();
    let long = "x".repeat(70_000);
    desk.run(&["search", &long])
        .error("more than the limit of 65536");
    let words = "heron ".repeat(5000);
    desk.run(&["search", &words])
        .error("words of the query are 5000");
    desk.run(&["search", "--fuzzy", &words[..600]])
        .error("fuzzy");
    desk.run(&["search", "heron", "--path", &"*".repeat(2000)])
        .error("path pattern");
}
