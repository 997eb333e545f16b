use anstream::StripStream;
use engine::report::Snippet;

use super::*;

fn hit() -> Hit {
    Hit {
        rank: 1,
        score: 1.5,
        path: "/home/me/notes/desk.md".into(),
        title: "Desk".into(),
        heading: "Desk › Height".into(),
        line: 12,
        end_line: 14,
        page: 0,
        byte: Some(310),
        passage: 7,
        snippet: Snippet {
            text: "Set the standing desk to elbow height.".into(),
            highlights: std::iter::once(8..16).collect(),
        },
        explain: Explanation {
            bm25: Some(LegScore {
                score: 4.25,
                standardised: 1.0,
                rank: Some(2),
            }),
            dense: None,
            dense_weight: Some(0.65),
        },
    }
}

fn found(hits: Vec<Hit>, explain: bool) -> Found {
    let response = SearchResponse {
        hits,
        mode: Mode::Hybrid,
        dense_search: None,
        encoder: None,
        device: None,
        precision: None,
        generation: 3,
        eligible: 5210,
        timings_ms: vec![("bm25", 9.0), ("snippets", 3.0)],
        warnings: Vec::new(),
    };
    Found {
        query: "standing".into(),
        response,
        warnings: vec![Warning::NoEncoder],
        explain,
        current: "/home/me".into(),
    }
}

fn page(found: &Found, columns: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    found
        .human(&mut Page {
            stream: &mut bytes,
            columns,
        })
        .expect("memory takes everything");
    bytes
}

fn plain(found: &Found, columns: usize) -> String {
    let mut stream = StripStream::new(Vec::new());
    stream
        .write_all(&page(found, columns))
        .expect("memory takes everything");
    String::from_utf8(stream.into_inner()).expect("text")
}

#[test]
fn a_hit_shows_title_place_and_snippet() {
    assert_eq!(
        plain(&found(vec![hit()], false), 28),
        " 1  Desk › Height\n    notes/desk.md:12\n    Set the standing desk to\n    elbow height.\n"
    );
}

#[test]
fn pages_come_before_lines_and_formats_without_either_show_none() {
    assert_eq!(anchor(&Hit { page: 3, ..hit() }), ", page 3");
    assert_eq!(anchor(&Hit { line: 0, ..hit() }), "");
    assert_eq!(hit_json(&Hit { line: 0, ..hit() })["line"], Value::Null);
}

#[test]
fn an_explanation_shows_both_legs() {
    let text = plain(&found(vec![hit()], true), 0);
    assert!(
        text.contains("bm25  rank 2, score 4.2500, standardised +1.000, weight 0.35\n"),
        "{text}"
    );
    assert!(text.contains("dense did not find it\n"), "{text}");
}

#[test]
fn only_legs_that_ran_are_explained() {
    let mut found = found(vec![hit()], true);
    found.response.mode = Mode::Bm25;
    assert!(!plain(&found, 0).contains("dense"));
}

#[test]
fn escapes_of_hostile_files_do_not_reach_the_terminal() {
    let evil = "\x1b]0;owned\x07\nx";
    let hit = Hit {
        path: format!("/tmp/{evil}").into(),
        title: evil.into(),
        heading: format!("a › {evil}"),
        snippet: Snippet {
            text: evil.into(),
            highlights: Vec::new(),
        },
        ..hit()
    };
    let text = plain(&found(vec![hit.clone()], true), 0);
    assert_eq!(text.matches("\\e]0;owned\\u{7}\\nx").count(), 4, "{text}");
    let raw = page(&found(vec![hit], true), 0);
    let mut after_escape = raw
        .iter()
        .zip(&raw[1..])
        .filter(|(a, _)| **a == 0x1b)
        .map(|(_, b)| *b);
    assert!(after_escape.all(|b| b == b'['), "only colours of our own");
}

#[test]
fn the_footer_names_mode_size_generation_and_time() {
    assert_eq!(
        found(Vec::new(), false).footer(),
        "hybrid · 5,210 passages · generation 3 · 12 ms"
    );
}

#[test]
fn json_carries_everything_in_one_object() {
    let json = found(vec![hit()], false).json();
    assert_eq!(json["hits"][0]["path"], "/home/me/notes/desk.md");
    assert_eq!(json["hits"][0]["highlights"], json!([[8, 16]]));
    assert_eq!(json["mode"], "hybrid");
    assert_eq!(json["timings_ms"]["bm25"], 9.0);
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
#[cfg(unix)]
fn a_path_that_is_not_utf8_has_a_face_too() {
    use std::os::unix::ffi::OsStringExt;
    let path = std::ffi::OsString::from_vec(b"/tmp/\xff.md".to_vec()).into();
    let found = found(vec![Hit { path, ..hit() }], false);
    assert_eq!(found.json()["hits"][0]["path"], "/tmp/\u{fffd}.md");
    assert!(plain(&found, 0).contains("/tmp/\u{fffd}.md:12"));
}
