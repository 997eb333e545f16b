use proptest::prelude::*;
use storage::{DocumentId, PassageId};

use super::*;
use crate::bm25::{Bm25Index, Bm25Writer, ParsedQuery, PassageDocument};
use crate::ingest::Source;

/// What `query` marks in `text`, which is the only passage of its collection.
fn matcher(text: &str, language: Language, query: &str, fuzzy: bool) -> Matcher {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Bm25Writer::open(dir.path(), 16 << 20, 1).unwrap();
    let passage = PassageDocument {
        id: PassageId(0),
        document: DocumentId(0),
        path: "/note",
        title: "",
        heading: "",
        text,
        start: Source::default(),
        end: Source::default(),
        modified: 0,
        language,
        record: None,
    };
    writer.add(&passage).unwrap();
    writer.commit("one").unwrap();
    let index = Bm25Index::open(dir.path()).unwrap();
    index.matcher(&ParsedQuery::parse(query, fuzzy)).unwrap()
}

fn shown(text: &str, query: &str, fuzzy: bool, budget: usize) -> (String, Vec<String>) {
    let matcher = matcher(text, Language::English, query, fuzzy);
    let snippet = snippet(text, Language::English, &matcher, budget);
    let marked = snippet
        .highlights
        .iter()
        .map(|range| snippet.text[range.clone()].to_owned());
    (snippet.text.clone(), marked.collect())
}

#[test]
fn stems_phrases_and_fuzzy_words_are_marked() {
    let text = "The runner runs.\nRunning is   a red letter day; letter red.";
    assert_eq!(shown(text, "run", false, 200).1, ["runs", "Running"]);
    assert_eq!(shown(text, "\"red letter\"", false, 200).1, ["red letter"]);
    assert_eq!(shown(text, "lettre", true, 200).1, ["letter", "letter"]);
    assert_eq!(shown(text, "-runs day", false, 200).1, ["day"]);
    assert_eq!(
        shown("call parseHttp(x) now", "parse_http", false, 200).1,
        ["parseHttp"]
    );
    assert_eq!(
        shown("我们研究机器学习。", "机器学习", false, 200).1,
        ["机器学习"]
    );
    assert!(shown(text, "title:runs", false, 200).1.is_empty());
}

#[test]
fn the_window_holds_the_most_different_words() {
    let filler = "Nothing of interest happens in this sentence. ".repeat(20);
    let text =
        format!("One apple, an apple and an apple. {filler}The apple and the pear met. {filler}");
    let (line, marked) = shown(&text, "apple pear", false, 80);
    assert!(line.starts_with("…The apple and the pear met."), "{line}");
    assert!(line.ends_with('…') && line.chars().count() <= 82, "{line}");
    assert_eq!(marked, ["apple", "pear"]);
    let (line, marked) = shown(&text, "absent", false, 60);
    assert!(line.starts_with("One apple") && marked.is_empty());
}

#[test]
fn a_match_deep_in_a_long_sentence_is_shown_with_words_before_it() {
    let text = format!(
        "{} needle {}",
        "straw ".repeat(100).trim(),
        "straw ".repeat(100).trim()
    );
    let (line, marked) = shown(&text, "needle", false, 60);
    assert_eq!(marked, ["needle"]);
    assert!(
        line.starts_with("…straw") && line.contains("straw needle straw"),
        "{line}"
    );
}

#[test]
fn an_excerpt_starts_with_the_sentence_that_was_chosen() {
    let text = "The weather in the mountains is pleasant in June. Cats sleep for most of the day and night. Trains leave hourly from the station.";
    let matcher = matcher(text, Language::English, "cat trains", false);
    let sentences = Sentences::of(text);
    let choices = sentences.choices(50);
    assert_eq!(choices.len(), 3, "{choices:?}");
    let cats = choices.iter().position(|choice| choice.starts_with("Cats"));
    let best = sentences.excerpt(cats.unwrap(), Language::English, &matcher, 50);
    assert!(best.text.starts_with("…Cats sleep"), "{}", best.text);
    assert_eq!(&best.text[best.highlights[0].clone()], "Cats");
    let beyond = sentences.excerpt(9, Language::English, &matcher, 50);
    assert!(beyond.text.starts_with("The weather"), "{}", beyond.text);
    assert!(sentences.choices(500).is_empty(), "it fits as a whole");
    let whole = sentences.excerpt(0, Language::English, &matcher, 500);
    assert_eq!(whole.text, text);
    let none = Sentences::of("");
    assert!(none.choices(0).is_empty());
    assert_eq!(
        none.excerpt(0, Language::English, &matcher, 50),
        Snippet::default()
    );
}

#[test]
fn lines_are_harmless() {
    assert_eq!(one_line("  a\t\nb\u{a0}c  "), "a b c");
    assert_eq!(
        one_line("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y\u{9b}1mz"),
        "red xyz"
    );
    assert_eq!(one_line("\u{1b}]0;never ends\nnext"), "0;never ends next");
    assert_eq!(one_line("ab\u{202e}c\u{0}d\u{7f}\u{200b}"), "abcd");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn highlights_are_valid(
        text in "(\\PC{0,12}|word|Wörter|机器学|\u{1b}\\[1m|[ \\n]){0,30}",
        query in "(word|wörter|器学|\"word word\"| |\\PC){0,6}",
        budget in 0usize..80,
    ) {
        let matcher = matcher(&text, Language::German, &query, true);
        let sentences = Sentences::of(&text);
        let sentences = sentences.excerpt(sentences.choices(budget).len() / 2, Language::German, &matcher, budget);
        for shown in [snippet(&text, Language::German, &matcher, budget), sentences] {
            prop_assert!(shown.text.chars().count() <= budget + 2);
            prop_assert!(!shown.text.contains(char::is_control));
            let mut end = 0;
            for range in &shown.highlights {
                prop_assert!(end <= range.start && range.start < range.end);
                prop_assert!(shown.text.get(range.clone()).is_some());
                end = range.end;
            }
        }
    }
}
