use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::context::default_count;
use super::super::{FileKind, Source, Tracking};
use super::*;
use crate::ingest::Block;

/// A document of blocks joined by blank lines, with the lines they would have in a file that looks the same.
fn document(blocks: &[(BlockKind, &str)]) -> Extracted {
    let mut doc = Extracted {
        kind: FileKind::Text,
        title: None,
        text: String::new(),
        blocks: Vec::new(),
        warnings: Vec::new(),
    };
    for (kind, text) in blocks {
        if !doc.text.is_empty() {
            doc.text.push_str("\n\n");
        }
        let start = doc.text.len();
        let line = 1 + u32::try_from(doc.text.matches('\n').count()).unwrap();
        doc.text.push_str(text);
        doc.blocks.push(Block {
            range: start..doc.text.len(),
            kind: *kind,
            source: Source {
                byte: Some(start as u64),
                line,
                page: 0,
            },
            tracking: Tracking::Bytes,
        });
    }
    doc
}

fn budget(max_tokens: usize, overlap_tokens: usize, min_tokens: usize) -> SplitBudget {
    SplitBudget {
        max_tokens,
        overlap_tokens,
        min_tokens,
    }
}

fn texts<'a>(doc: &'a Extracted, passages: &[Passage]) -> Vec<&'a str> {
    passages
        .iter()
        .map(|passage| &doc.text[passage.range.clone()])
        .collect()
}

const H1: BlockKind = BlockKind::Heading(1);
const H2: BlockKind = BlockKind::Heading(2);
const P: BlockKind = BlockKind::Paragraph;

#[test]
fn sections_give_passages_their_headings() {
    let doc = document(&[
        (P, "before"),
        (H1, "Guide"),
        (P, "intro text"),
        (H2, "Setup"),
        (P, "run it"),
        (H1, "End"),
        (P, "bye"),
    ]);
    let passages = split(&doc, &budget(50, 0, 0), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        [
            "before",
            "Guide\n\nintro text",
            "Setup\n\nrun it",
            "End\n\nbye"
        ]
    );
    let headings: Vec<_> = passages
        .iter()
        .map(|passage| passage.headings.join("/"))
        .collect();
    assert_eq!(headings, ["", "Guide", "Guide/Setup", "End"]);
}

#[test]
fn small_sections_join_the_next_of_their_own_depth_or_below() {
    let doc = document(&[
        (H1, "A"),
        (H2, "A1"),
        (P, "one"),
        (H2, "A2"),
        (P, "two"),
        (H1, "B"),
        (P, "three"),
    ]);
    let passages = split(&doc, &budget(50, 0, 10), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        ["A\n\nA1\n\none\n\nA2\n\ntwo", "B\n\nthree"]
    );
    assert_eq!(passages[0].headings, ["A"]);
    let apart = split(&doc, &budget(50, 0, 0), &default_count);
    assert_eq!(
        texts(&doc, &apart),
        ["A\n\nA1\n\none", "A2\n\ntwo", "B\n\nthree"]
    );
    assert_eq!(apart[0].headings, ["A", "A1"]);
}

#[test]
fn a_block_that_fits_is_not_torn_apart() {
    let doc = document(&[(P, "a b c d e f"), (P, "One two. Three four."), (P, "y z")]);
    let passages = split(&doc, &budget(8, 0, 0), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        ["a b c d e f", "One two. Three four.\n\ny z"]
    );
}

#[test]
fn long_paragraphs_are_cut_at_sentences_and_overlap_in_whole_sentences() {
    let doc = document(&[
        (H1, "T"),
        (
            P,
            "Alpha one two. Beta one two.\nGamma one two. Delta one two. Eps one two.",
        ),
    ]);
    let passages = split(&doc, &budget(9, 4, 0), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        [
            "T\n\nAlpha one two. Beta one two.",
            "Beta one two.\nGamma one two.",
            "Gamma one two. Delta one two.",
            "Delta one two. Eps one two."
        ]
    );
    let lines: Vec<_> = passages
        .iter()
        .map(|passage| (passage.start.line, passage.end.line))
        .collect();
    assert_eq!(lines, [(1, 3), (3, 4), (4, 4), (4, 4)]);
}

#[test]
fn code_is_cut_at_lines_without_overlap() {
    let doc = document(&[(BlockKind::Code, "    a b c\n    d e f\n    g h. i\n    j")]);
    let passages = split(&doc, &budget(6, 6, 0), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        ["a b c\n    d e f", "g h. i\n    j"]
    );
    assert_eq!((passages[1].start.line, passages[1].end.line), (3, 4));
    assert_eq!(
        passages[1].start.byte,
        Some(doc.text.find('g').unwrap() as u64)
    );
}

#[test]
fn records_stay_alone_but_keep_their_heading() {
    let record = BlockKind::Record;
    let doc = document(&[
        (record, "a: 1"),
        (record, "a: 2"),
        (H1, "Subject"),
        (record, "Body."),
        (P, "tail"),
    ]);
    let passages = split(&doc, &budget(50, 10, 40), &default_count);
    assert_eq!(
        texts(&doc, &passages),
        ["a: 1", "a: 2", "Subject\n\nBody.", "tail"]
    );
}

#[test]
fn a_counter_that_grows_when_pieces_join_is_obeyed() {
    let square = |text: &str| text.split_whitespace().count().pow(2);
    let doc = document(&[(P, "a b c d."), (P, "E f."), (P, "G h i. J k.")]);
    for passage in split(&doc, &budget(9, 0, 0), &square) {
        assert!(square(&doc.text[passage.range]) <= 9);
    }
}

#[test]
fn megabytes_without_a_space_or_a_stop_end_soon() {
    for text in [
        "x".repeat(10_000_000),
        "é1.".repeat(500_000),
        "a ".repeat(1_000_000),
    ] {
        let doc = document(&[(P, &text)]);
        let start = Instant::now();
        let passages = split(&doc, &SplitBudget::default(), &default_count);
        // A generous bound: quadratic work would take hours.
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        assert!(passages.len() > 500);
        check(&doc, &SplitBudget::default(), &passages);
    }
}

#[test]
fn a_tokenizer_that_sees_one_token_in_a_long_word_gives_bounded_passages() {
    let doc = document(&[(P, &"x".repeat(100_000))]);
    let passages = split(&doc, &budget(10, 0, 0), &|text: &str| {
        text.split_whitespace().count()
    });
    assert!(passages.iter().all(|passage| passage.range.len() <= 160));
}

/// What holds for every document, budget and additive counter.
fn check(doc: &Extracted, budget: &SplitBudget, passages: &[Passage]) {
    let mut covered = 0;
    let mut previous = 0..0;
    for passage in passages {
        let text = doc.text.get(passage.range.clone()).expect("an exact slice");
        assert!(!text.trim().is_empty() && text.trim() == text);
        let single = text.chars().count() == 1;
        assert!(
            default_count(text) <= budget.max_tokens.max(1) || single,
            "{text:?}"
        );
        assert!(previous.start < passage.range.start || previous == (0..0));
        assert!(previous.end < passage.range.end);
        if passage.range.start > covered {
            assert_eq!(doc.text[covered..passage.range.start].trim(), "");
        }
        covered = passage.range.end;
        previous = passage.range.clone();
    }
    assert_eq!(doc.text[covered..].trim(), "");
}

fn any_block() -> impl Strategy<Value = (BlockKind, String)> {
    let kind = prop_oneof![
        (1u8..=6).prop_map(BlockKind::Heading),
        Just(BlockKind::Paragraph),
        Just(BlockKind::Paragraph),
        Just(BlockKind::Code),
        Just(BlockKind::Record),
    ];
    let words = proptest::collection::vec("[a-zA-Zéß検0-9]{1,12}[.!?,]?[ \n]{1,2}", 1..30)
        .prop_map(|words| words.concat());
    let text = prop_oneof![words, "\\PC{1,80}"];
    (kind, text).prop_filter_map("nothing visible", |(kind, text)| {
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some((kind, text))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn passages_cover_the_text_in_order_within_the_budget(
        blocks in proptest::collection::vec(any_block(), 0..12),
        max in 1usize..40, overlap in 0usize..20, min in 0usize..30,
    ) {
        let blocks: Vec<_> = blocks.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        let doc = document(&blocks);
        let budget = budget(max, overlap, min);
        let passages = split(&doc, &budget, &default_count);
        check(&doc, &budget, &passages);
        prop_assert_eq!(&passages, &split(&doc, &budget, &default_count));
        // Blocks stand in the text as in their file, so the slow way to a line is to count from the start.
        for passage in &passages {
            let line = |offset: usize| 1 + doc.text[..offset].matches('\n').count();
            prop_assert_eq!(passage.start.line as usize, line(passage.range.start));
            prop_assert_eq!(passage.end.line as usize, line(passage.range.end));
            prop_assert_eq!(passage.start.byte, Some(passage.range.start as u64));
        }
    }

    #[test]
    fn any_counter_is_obeyed(text in "[a-z .\n]{1,200}", seed in 1usize..50) {
        prop_assume!(!text.trim().is_empty());
        let odd = |piece: &str| piece.len() * 7 / seed + piece.len() % 3;
        let doc = document(&[(P, text.trim())]);
        for passage in split(&doc, &budget(20, 5, 0), &odd) {
            let piece = &doc.text[passage.range];
            prop_assert!(odd(piece) <= 20 || piece.chars().count() == 1);
        }
    }
}
