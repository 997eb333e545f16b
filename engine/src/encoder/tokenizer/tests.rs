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
    // Runs that are remembered now.
    found.clear();
    tokenizer.ids(text, &mut found).expect("any text");
    assert_eq!(found, wanted(tokenizer, text), "{text:?}, again");
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
            static KEPT: TextTokenizer = kept(&golden("bert"));
        }
        TOKENIZERS.with(|all| all.iter().for_each(|tokenizer| same(tokenizer, &text)));
        KEPT.with(|kept| same(kept, &text));
    }
}

/// The tokenizer of `dir` from what is kept of it.
fn kept(dir: &Path) -> TextTokenizer {
    let whole = TextTokenizer::open(dir, 1000, PLAIN).expect("a complete tokenizer");
    let (notes, words) = whole.notes().expect("BERT's");
    let text = serde_json::to_string(&notes).expect("text and numbers");
    let notes = serde_json::from_str(&text).expect("what was written");
    TextTokenizer::stored(dir, 1000, notes, slab(words)).expect("a complete tokenizer")
}

fn slab(words: &[u32]) -> Slab {
    let mut slab = Slab::zeroed(words.len());
    slab.words_mut().copy_from_slice(words);
    slab
}

#[test]
fn what_is_kept_is_read_again_only_for_texts_that_are_not_plain() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("tokenizer.json");
    std::fs::copy(golden("bert/tokenizer.json"), &file).expect("it is copied");
    let kept = kept(dir.path());
    let mut ids = Vec::new();
    kept.ids("the quick fox, [and] the dog", &mut ids)
        .expect("plain words");
    assert!(kept.inner.get().is_none());
    std::fs::write(&file, "{}").expect("it is written");
    let error = kept.ids("caf\u{e9}", &mut ids).expect_err("another file");
    let said = error.to_string();
    assert!(
        said.contains("tokenizer.json") && said.contains("changed"),
        "{said}"
    );
    std::fs::copy(golden("bert/tokenizer.json"), &file).expect("it is copied");
    same(&kept, "caf\u{e9} the fox");
}

#[test]
fn what_does_not_fit_together_is_not_taken() {
    let whole = TextTokenizer::open(&golden("bert"), 1000, PLAIN).expect("a complete tokenizer");
    let (notes, words) = whole.notes().expect("BERT's");
    let stored = |rows, notes: &TokenizerNotes, words: &[u32]| {
        TextTokenizer::stored(&golden("bert"), rows, notes.clone(), slab(words)).is_some()
    };
    assert!(stored(1000, &notes, words));
    assert!(!stored(3, &notes, words), "ids past the table");
    assert!(!stored(1000, &notes, &words[1..]), "half a vocabulary");
    let notes = TokenizerNotes {
        digest: "no digest".into(),
        ..notes
    };
    assert!(!stored(1000, &notes, words));
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
