use super::*;

#[test]
fn nothing_that_steers_a_terminal_passes() {
    let check = |text: &str, expected: &str| assert_eq!(escape(text), expected);
    check("plain — ünïcode 日本", "plain — ünïcode 日本");
    check("two\nlines", "two\\nlines");
    check("\x1b[31mred\x07", "\\e[31mred\\u{7}");
    check("a\tb\rc", "a\\tb\\rc");
    check("\u{9b}31m", "\\u{9b}31m");
    check("gpj\u{202e}exe", "gpj\\u{202e}exe");
    for c in (0..0x11_0000)
        .filter_map(char::from_u32)
        .filter(|c| c.is_control())
    {
        assert!(!escape(&c.to_string()).contains(c), "{c:?}");
    }
}

fn snippet(marked: &str) -> Snippet {
    let mut snippet = Snippet::default();
    for (i, part) in marked.split('*').enumerate() {
        let start = snippet.text.len();
        snippet.text.push_str(part);
        if i % 2 == 1 {
            snippet.highlights.push(start..snippet.text.len());
        }
    }
    snippet
}

/// Lines with highlights between stars, joined by bars.
fn wrapped(marked: &str, width: usize) -> String {
    let mark = |(text, hot): Run| if hot { format!("*{text}*") } else { text };
    let line = |runs: Vec<Run>| runs.into_iter().map(mark).collect::<String>();
    wrap(&snippet(marked), width)
        .into_iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("|")
}

#[test]
fn lines_break_between_words() {
    assert_eq!(wrapped("one two three four", 9), "one two|three|four");
    assert_eq!(wrapped("one two three four", 0), "one two three four");
    assert_eq!(wrapped("", 9), "");
}

#[test]
fn highlights_survive_the_break() {
    assert_eq!(wrapped("a *big red* dog", 5), "a *big*|*red*|dog");
    assert_eq!(wrapped("a *big red* dog", 0), "a *big red* dog");
    assert_eq!(wrapped("un*believ*able", 6), "un*beli*|*ev*able");
}

#[test]
fn wide_characters_take_two_columns() {
    assert_eq!(wrapped("日本語テキスト", 6), "日本語|テキス|ト");
}

#[test]
fn control_characters_are_spelled_out_in_place() {
    assert_eq!(wrapped("a\x1b[*x*", 0), "a\\e[*x*");
}

#[test]
fn no_line_is_wider_than_asked() {
    let text = "some words of 日本語 and averyveryverylongwordindeed to wrap";
    for width in 2..40 {
        for line in wrap(&snippet(text), width) {
            let columns: usize = line.iter().flat_map(|(t, _)| t.chars()).map(columns).sum();
            assert!(columns <= width, "{columns} > {width}: {line:?}");
        }
    }
}

#[test]
fn durations_have_two_figures() {
    let check = |seconds, expected: &str| assert_eq!(duration(seconds), expected);
    check(0.00042, "0.4 ms");
    check(0.0124, "12 ms");
    check(0.9999, "1.0 s");
    check(4.21, "4.2 s");
    check(42.4, "42 s");
    check(59.7, "1 min 0 s");
    check(192.0, "3 min 12 s");
    check(7500.0, "2 h 5 min");
}

#[test]
fn json_stays_the_same_value_without_what_moves_a_cursor() {
    let value = serde_json::json!({"a\u{9b}": "x\u{7f}\u{202e}\u{1b}[2J\n\u{e9}"});
    let plain = value.to_string();
    let safe = escape_json(&plain);
    assert!(!safe.contains(|c: char| is_unsafe(c)), "{safe}");
    assert!(
        safe.contains("\\u009b") && safe.contains("\\u202e"),
        "{safe}"
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"),
        value
    );
    assert!(matches!(escape_json("{\"a\":1}"), Cow::Borrowed(_)));
}
