use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/encoder")
        .join(name)
}

/// The tokenizer of BERT's golden model; `edits` are replaced in its file.
fn tokenizer(options: TokenizerOptions, edits: &[(&str, &str)]) -> TextTokenizer {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut text = std::fs::read_to_string(golden("bert/tokenizer.json")).expect("a text file");
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(dir.path().join("tokenizer.json"), text).expect("it is written");
    TextTokenizer::open(dir.path(), 1000, options).expect("a complete tokenizer")
}

const PLAIN: TokenizerOptions = TokenizerOptions {
    specials: true,
    lower_case: false,
    drop_unknown: false,
    max_tokens: Some(100_000),
};

/// What Hugging Face's tokenizer makes of the whole text.
fn wanted(tokenizer: &TextTokenizer, text: &str) -> Vec<u32> {
    let encoding = tokenizer.encode(text).expect("any text");
    let kept = encoding.get_ids().iter().copied();
    let room = tokenizer.max_tokens - tokenizer.prefix.len() - tokenizer.suffix.len();
    let kept = kept.filter(|id| tokenizer.keeps(*id)).take(room);
    let (prefix, suffix) = (tokenizer.prefix.iter(), tokenizer.suffix.iter());
    prefix.copied().chain(kept).chain(suffix.copied()).collect()
}

#[track_caller]
fn same(tokenizer: &TextTokenizer, text: &str) {
    assert!(tokenizer.words.is_some(), "the fast way is open");
    let mut found = Vec::new();
    tokenizer.ids(text, &mut found).expect("any text");
    assert_eq!(found, wanted(tokenizer, text), "{text:?}");
    let whole = tokenizer.encode(text).expect("any text").len();
    assert_eq!(tokenizer.count(text), whole, "{text:?}");
}

/// Pieces that a text is made of: words of the vocabulary and others, cases, punctuation, accents, other scripts,
/// controls, special tokens whole and broken, prefixes spelled out.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[A-Za-z0-9]{1,12}",
        "[!-~]{1,8}",
        "[ \\t\\n\\r]{1,3}",
        "\\PC{1,4}",
        any::<String>().prop_map(|s| s.chars().take(6).collect()),
        prop::sample::select(vec![
            "the", "quick", "Fox", "dog", "##s", "##", "[CLS]", "[MASK]", "[mask]", "[UN", "K]",
            "é", "e\u{301}", "\u{301}", "ß", "Σ", "İ", "中文", "\u{a0}", "\u{2003}", "\u{200b}",
            "\u{fffd}", "\0", "\u{7f}", "\u{b}", "\u{c}", "\u{85}", "—", "’", "😀", "ﬁ", "Å",
        ])
        .prop_map(str::to_owned),
        Just("x".repeat(101)),
    ]
}

fn text() -> impl Strategy<Value = String> {
    (prop::collection::vec(piece(), 0..12), any::<bool>())
        .prop_map(|(pieces, spaced)| pieces.join(if spaced { " " } else { "" }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn ids_of_any_text_are_those_of_hugging_face(text in text()) {
        thread_local! {
            static TOKENIZERS: [TextTokenizer; 4] = [
                tokenizer(PLAIN, &[]),
                tokenizer(PLAIN, &[("\"lowercase\":true", "\"lowercase\":false")]),
                tokenizer(TokenizerOptions { lower_case: true, ..PLAIN }, &[]),
                tokenizer(TokenizerOptions { drop_unknown: true, specials: false, max_tokens: Some(5), ..PLAIN }, &[]),
            ];
        }
        TOKENIZERS.with(|all| all.iter().for_each(|tokenizer| same(tokenizer, &text)));
    }
}

#[test]
fn the_longest_word_and_the_cut_are_the_same() {
    let all = tokenizer(PLAIN, &[]);
    for n in [99, 100, 101, 255, 256, 257, 5000] {
        same(&all, &"fox".repeat(n)[..n]);
        same(&all, &format!("the {} dog", "z".repeat(n)));
    }
    let few = tokenizer(
        TokenizerOptions {
            max_tokens: Some(7),
            ..PLAIN
        },
        &[],
    );
    for text in [
        "",
        "the quick brown fox jumps over the lazy dog",
        "foxfoxfoxfox foxes",
        "é é é é é é é é é",
    ] {
        same(&few, text);
    }
}

#[test]
fn tokenizers_that_look_beyond_words_are_left_to_hugging_face() {
    let spaced = [("\"content\":\"[MASK]\"", "\"content\":\"[MA SK]\"")];
    assert!(tokenizer(PLAIN, &spaced).words.is_none());
    let normalised = [("\"normalized\":false", "\"normalized\":true")];
    assert!(tokenizer(PLAIN, &normalised).words.is_none());
    let roberta = TextTokenizer::open(&golden("roberta"), 1000, PLAIN).expect("a tokenizer");
    assert!(roberta.words.is_none());
}
