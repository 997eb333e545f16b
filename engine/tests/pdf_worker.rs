//! Is a PDF really read in a process of its own? This program is that process too, when started with `pdf-worker`.

use std::ffi::OsString;
use std::path::Path;

use engine::ingest::extract::pdf::{PdfWorker, limit_this_process, worker_main};
use engine::ingest::extract::{ExtractError, ExtractOptions, extract};
use engine::request::ReadOptions;

const PDF: &str = "%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >> endobj
4 0 obj << /Length 41 >>
stream
BT /F1 12 Tf 72 700 Td (Hello world) Tj ET
endstream
endobj
5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> endobj
trailer << /Size 6 /Root 1 0 R >>
%%EOF
";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("pdf-worker") => {
            limit_this_process().expect("limits can be lowered");
            worker_main(std::io::stdin(), std::io::stdout()).expect("pipes to the parent");
        }
        Some("memory") => {
            limit_this_process().expect("limits can be lowered");
            // Twice the limit; reserving alone is refused.
            std::hint::black_box(vec![1u8; 2 << 30]);
        }
        Some("stack") => {
            std::hint::black_box(endless(0));
        }
        // Whatever the test runner hands over means: run.
        _ => {
            a_real_child_reads();
            a_real_child_dies();
        }
    }
}

#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    std::hint::black_box([depth; 64]);
    endless(depth + 1) + 1
}

fn worker(task: &str) -> Vec<OsString> {
    vec![
        std::env::current_exe().expect("this program").into(),
        task.into(),
    ]
}

fn a_real_child_reads() {
    let options = ReadOptions {
        pdf_worker: worker("pdf-worker"),
        ..ReadOptions::default()
    };
    let doc = extract(
        Path::new("a.pdf"),
        PDF.as_bytes(),
        &ExtractOptions::from(&options),
    )
    .expect("a sound file");
    assert_eq!(doc.text, "Hello world");
    assert_eq!(doc.blocks[0].source.page, 1);
    let broken = extract(
        Path::new("a.pdf"),
        b"%PDF-1.4 and no more",
        &ExtractOptions::from(&options),
    );
    assert!(
        matches!(broken, Err(ExtractError::Malformed { format: "PDF", .. })),
        "{broken:?}"
    );
}

fn a_real_child_dies() {
    let reason = |task| {
        PdfWorker::new(worker(task))
            .pages(b"%PDF-1.4", 1 << 20)
            .expect_err("no answer")
            .to_string()
    };
    if cfg!(target_os = "linux") {
        assert!(
            reason("memory").contains("ran out of memory"),
            "{}",
            reason("memory")
        );
    }
    assert!(
        reason("stack").contains("nested too deeply"),
        "{}",
        reason("stack")
    );
}
