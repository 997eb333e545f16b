use std::path::PathBuf;

use engine::encoder::EncoderIdentity;
use engine::report::{Check, DoctorReport, FileFailure, IndexStatus, Status};
use engine::settings::Settings;

use super::status::index_line;
use super::*;

fn plain(report: &impl Report) -> String {
    let mut stream = anstream::StripStream::new(Vec::new());
    report
        .human(&mut Page {
            stream: &mut stream,
            columns: 0,
        })
        .expect("memory takes everything");
    String::from_utf8(stream.into_inner()).expect("text")
}

#[test]
fn status_explains_the_settings_and_names_the_others() {
    let text = plain(&held());
    for line in [
        "settings    /c/settings.toml",
        "            ignore: leaves out *.log",
        "            hidden: leaves out hidden files",
        "other       @work: 7 documents, generation 2",
        "other       @old: damaged",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line:?} is not in\n{text}"
        );
    }
    let data = held().json();
    assert_eq!(data["settings"]["ignore"], json!(["*.log"]));
    assert_eq!(data["others"][0]["name"], "work");
}

#[test]
fn counts_of_zero_are_left_out() {
    let report = IndexReport {
        added: 1200,
        unchanged: 3,
        ..IndexReport::default()
    };
    assert_eq!(file_counts(&report), "files: 1,200 added, 3 unchanged");
    assert_eq!(file_counts(&IndexReport::default()), "no files found");
}

#[test]
fn an_index_is_told_with_what_it_finds() {
    let point = |nprobe, recall| engine::report::RecallPoint {
        nprobe,
        rescore: 64,
        recall,
    };
    let index = IndexStatus {
        lists: 3168,
        vectors: 100_000,
        tail: 1200,
        measured: vec![point(80, 0.91), point(150, 0.951), point(300, 0.98)],
        ..IndexStatus::default()
    };
    assert_eq!(
        index_line(&index),
        "3,168 lists of 100,000 vectors, 1,200 newer ones compared exactly; finds 95.1% of the ten nearest in 150 lists"
    );
}

fn held() -> Held {
    let status = Status {
        collection: "/c".into(),
        generation: 4,
        published: Some("2026-03-01T10:00:00Z".into()),
        roots: vec!["/home/me/notes".into()],
        documents: 1200,
        passages: 5000,
        text_bytes: 3 << 20,
        extensions: vec![("md".into(), 1100), (String::new(), 100)],
        encoder: Some(EncoderIdentity {
            hash: "0123456789abcdef".into(),
            name: "minilm".into(),
            family: "bert".into(),
            dimension: 384,
            max_tokens: 256,
        }),
        dense_search: Some("exact".into()),
        index: None,
        index_damage: None,
        bytes_on_disk: vec![("documents", 1 << 20), ("bm25", 1 << 20)],
        failures: vec![FileFailure {
            path: "/home/me/x\ny.pdf".into(),
            reason: "not a PDF".into(),
        }],
        writer: None,
    };
    let settings = Settings {
        path: "/c/settings.toml".into(),
        is_there: true,
        ignore: vec!["*.log".into()],
        hidden: Some(false),
        ..Settings::default()
    };
    let other = Status {
        documents: 7,
        generation: 2,
        ..Status::default()
    };
    Held {
        status,
        settings,
        others: vec![
            ("work".into(), Ok(other)),
            ("old".into(), Err("damaged".into())),
        ],
        device: "cpu",
        precision: Some("bf16"),
        warnings: Vec::new(),
        current: PathBuf::from("/home/me"),
    }
}

#[test]
fn status_names_counts_encoder_and_failures() {
    let text = plain(&held());
    for part in [
        "folder      notes\n",
        "documents   1,200 (1,100 md, 100 without extension)\n",
        "encoder     minilm (bert, 384 dimensions, 01234567) on cpu in bf16, exact search\n",
        "on disk     2.00 MiB (documents 1.00 MiB, bm25 1.00 MiB)\n",
        "  x\\ny.pdf: not a PDF\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert_eq!(held().json()["bytes_on_disk"]["bm25"], 1 << 20);
}

#[test]
fn a_damaged_collection_says_what_to_run() {
    let checks = vec![
        Check {
            name: "documents",
            problems: Vec::new(),
        },
        Check {
            name: "vectors",
            problems: vec!["row 7 is not finite".into()],
        },
    ];
    let report = DoctorReport {
        checks,
        repaired: Vec::new(),
        ..DoctorReport::default()
    };
    let checked = CheckedUp {
        remaining: vec!["row 7 is not finite".into()],
        report,
        repair: false,
    };
    assert_eq!(
        plain(&checked),
        "sound    documents\ndamaged  vectors: row 7 is not finite\nrun `askance doctor --repair`; your own files are \
         never touched\n"
    );
    assert_eq!(checked.json()["sound"], false);
}
