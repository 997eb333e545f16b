use proptest::prelude::*;

use super::*;
use crate::testing::text;

/// A sentence of its own for each number.
fn sentence(at: u32) -> String {
    let mut words = text(at);
    words.truncate(words.trim_end().len());
    format!("{}{}.", words[..1].to_uppercase(), &words[1..])
}

fn sentences(range: std::ops::Range<u32>) -> String {
    range.map(sentence).collect::<Vec<_>>().join(" ")
}

/// `files` files of `parts` passages of four sentences, each under a heading of its own.
fn pieces(files: u32, parts: u32) -> Vec<Piece> {
    let piece = |file: u32, part: u32| {
        let at = (file * parts + part) * 4;
        Piece {
            id: format!("f{file}#{part}"),
            group: file,
            form: Form::Text,
            title: format!("Title of file number{file}"),
            headings: vec![format!("Heading over part{at} here")],
            text: format!("Heading over part{at} here\n\n{}", sentences(at..at + 4)),
        }
    };
    (0..files)
        .flat_map(|file| (0..parts).map(move |part| piece(file, part)))
        .collect()
}

fn options(kinds: &[Kind]) -> PairOptions {
    PairOptions {
        kinds: kinds.to_vec(),
        keep: 0.0,
        ..PairOptions::default()
    }
}

fn made(pieces: &[Piece], options: &PairOptions) -> (Examples, PairReport) {
    examples(PathBuf::from("notes"), pieces, options).expect("examples")
}

fn all(examples: &Examples) -> Vec<&TrainQuery> {
    let mut all: Vec<&TrainQuery> = examples.queries.iter().chain(&examples.dev).collect();
    all.sort_by_key(|query| query.positives[0]);
    all
}

/// The only query that `piece` gives for `kind`, and the passage without it; among enough others to be examples.
fn one(piece: Piece, kind: Kind) -> Option<(String, String)> {
    let mut pieces = pieces(40, 1);
    pieces.iter_mut().for_each(|piece| piece.group += 1);
    pieces.insert(0, piece);
    let (examples, _) = made(&pieces, &options(&[kind, Kind::Span]));
    let name = format!("{}-0-", kind.name());
    let query = all(&examples)
        .into_iter()
        .find(|query| query.id.starts_with(&name))?;
    Some((query.text.clone(), examples.passages[0].text.clone()))
}

fn piece(title: &str, headings: &[&str], text: &str) -> Piece {
    Piece {
        id: "one".into(),
        group: 0,
        form: Form::Text,
        title: title.into(),
        headings: headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .collect(),
        text: text.into(),
    }
}

#[test]
fn a_title_asks_for_the_beginning() {
    let body = sentences(900..903);
    let (query, view) =
        one(piece("Re: Fwd: Boiler service", &[], &body), Kind::Title).expect("a query");
    assert_eq!((query.as_str(), view), ("Boiler service", body.clone()));
    let in_text = format!("Boiler service\n\n{body}");
    let (_, view) = one(
        piece("Boiler service", &["Boiler service"], &in_text),
        Kind::Title,
    )
    .expect("a query");
    assert_eq!(view, body);
    for name in ["notes_2024.md", "src/main.rs", "", "12 34"] {
        assert_eq!(one(piece(name, &[], &body), Kind::Title), None, "{name}");
    }
}

#[test]
fn a_heading_asks_for_its_section() {
    let body = sentences(900..903);
    let long = piece(
        "Manual",
        &["Manual", "How to bleed a radiator"],
        &format!("How to bleed a radiator\n\n{body}"),
    );
    assert_eq!(
        one(long, Kind::Heading),
        Some(("How to bleed a radiator".into(), format!("Manual\n{body}")))
    );
    let short = piece(
        "Radiators",
        &["Radiators", "Bleeding"],
        &format!("Bleeding\n\n{body}"),
    );
    assert_eq!(
        one(short, Kind::Heading),
        Some(("Radiators Bleeding".into(), body))
    );
}

#[test]
fn a_question_asks_for_what_follows() {
    let body = sentences(900..903);
    let asked = piece(
        "Faq",
        &[],
        &format!("It is old. When is the boiler serviced? {body}"),
    );
    assert_eq!(
        one(asked, Kind::Question),
        Some((
            "When is the boiler serviced?".into(),
            format!("Faq\nIt is old.\n{body}")
        ))
    );
    assert_eq!(
        one(
            piece("Faq", &[], &format!("{body} Is that really all?")),
            Kind::Question
        ),
        None
    );
}

#[test]
fn a_comment_asks_for_its_code() {
    let code = "fn flush(&mut self) -> Result<()> {\n    let bytes = take(&mut self.buffer);\n    self.file.write_all(&bytes)\n}\n";
    let commented = Piece {
        form: Form::Code,
        ..piece(
            "",
            &[],
            &format!("use std::fs;\n\n/// Writes what is\n/// still buffered.\n{code}"),
        )
    };
    let (query, view) = one(commented.clone(), Kind::Comment).expect("a query");
    assert_eq!(query, "Writes what is still buffered.");
    assert_eq!(view, format!("use std::fs;\n{}", code.trim()));
    let python = format!(
        "# Adds two\n# numbers up\n{}",
        "def add(a, b):\n    total = a + b\n    print(total) or log(total)\n    return total\n"
    );
    let python = Piece {
        text: python,
        ..commented.clone()
    };
    assert_eq!(
        one(python, Kind::Comment).expect("a query").0,
        "Adds two numbers up"
    );
    let only = Piece {
        text: "/// Says much\n/// about nothing that follows".into(),
        ..commented
    };
    assert_eq!(one(only, Kind::Comment), None);
}

#[test]
fn the_first_sentence_asks_for_the_second_passage() {
    let pieces = pieces(40, 3);
    let (examples, report) = made(&pieces, &options(&[Kind::Lead]));
    assert_eq!(report.queries, BTreeMap::from([(Kind::Lead, 40)]));
    for query in all(&examples) {
        let second = query.positives[0];
        assert_eq!(second % 3, 1);
        assert_eq!(query.text, sentence((second - 1) * 4));
    }
}

#[test]
fn a_sentence_is_taken_out_of_its_passage() {
    let pieces = pieces(30, 2);
    let (examples, report) = made(&pieces, &options(&[Kind::Cloze]));
    assert!(report.total() >= 20, "{report:?}");
    for query in all(&examples) {
        let at = query.positives[0];
        let view = &examples.passages[at as usize].text;
        assert!(pieces[at as usize].text.contains(query.text.trim()));
        assert!(
            !view.contains(query.text.trim()),
            "{view} still says {}",
            query.text
        );
    }
    let kept = PairOptions {
        keep: 1.0,
        ..options(&[Kind::Cloze])
    };
    let (examples, _) = made(&pieces, &kept);
    assert!(all(&examples).iter().all(|q| {
        examples.passages[q.positives[0] as usize]
            .text
            .contains(&q.text)
    }));
}

#[test]
fn spans_are_words_of_their_passage_in_order() {
    let pieces = pieces(60, 1);
    let (examples, _) = made(&pieces, &options(&[Kind::Span]));
    for query in all(&examples) {
        let mut words = pieces[query.positives[0] as usize].text.split_whitespace();
        assert!(
            query
                .text
                .split_whitespace()
                .all(|word| words.any(|other| other == word))
        );
    }
}

#[test]
fn boilerplate_copies_and_junk_ask_nothing() {
    let mut pieces = pieces(40, 2);
    for piece in &mut pieces {
        piece.headings = vec!["Terms and conditions apply".into()];
    }
    let copy = Piece {
        group: 40,
        id: "copy".into(),
        ..pieces[4].clone()
    };
    let digits: Vec<String> = (0..200).map(|at| format!("{at},{}", at * 7)).collect();
    let junk = Piece {
        group: 41,
        id: "junk".into(),
        text: digits.join("; "),
        ..pieces[0].clone()
    };
    let over = Piece {
        group: 42,
        id: "over".into(),
        text: "the same words ".repeat(30),
        ..pieces[0].clone()
    };
    let blob = Piece {
        group: 43,
        id: "blob".into(),
        text: "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo".repeat(9),
        ..pieces[0].clone()
    };
    pieces.extend([copy, junk, over, blob]);
    let (examples, report) = made(&pieces, &PairOptions::default());
    assert_eq!(
        (report.junk, report.copies, report.files, report.passages),
        (3, 1, 44, 84)
    );
    assert!(
        report.templated >= 40 && !report.queries.contains_key(&Kind::Heading),
        "{report:?}"
    );
    assert!(all(&examples).iter().all(|query| query.positives[0] < 80));
    assert_eq!(
        examples.passages.len(),
        84,
        "what asks nothing can still be found"
    );
}

#[test]
fn too_little_is_refused_with_its_reasons() {
    let junk = Piece {
        text: "1 2 3 4 5 6 7 8 9".into(),
        ..Piece::default()
    };
    let same: Vec<Piece> = (0..50)
        .map(|group| Piece {
            group,
            ..pieces(1, 1).remove(0)
        })
        .collect();
    let cases = [
        (pieces(3, 1), "gives"),
        (Vec::new(), "gives 0 queries"),
        (vec![junk; 40], "40 are no running text"),
        (same, "49 are copies"),
    ];
    for (pieces, expected) in cases {
        let message = examples("notes".into(), &pieces, &PairOptions::default())
            .expect_err("too little")
            .to_string();
        assert!(
            message.contains(expected) && message.contains("at least 32"),
            "{message}"
        );
    }
}

#[test]
fn a_text_without_structure_still_asks() {
    let plain: Vec<Piece> = (0..60)
        .map(|at| Piece {
            group: at,
            ..piece("", &[], &sentences(at * 4..at * 4 + 4))
        })
        .collect();
    let (_, report) = made(&plain, &PairOptions::default());
    assert!(
        report.queries.keys().all(|kind| !kind.is_structural()) && report.total() >= 50,
        "{report:?}"
    );
}

#[test]
fn few_long_files_hold_passages_out() {
    let (examples, report) = made(&pieces(2, 40), &PairOptions::default());
    assert_eq!(report.files, 2);
    assert!(!examples.dev.is_empty() && examples.dev.len() * 4 < examples.queries.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn held_out_files_are_not_trained_on(files in 12u32..30, parts in 2u32..4, seed in any::<u64>(), keep in 0.0f64..1.0) {
        let pieces = pieces(files, parts);
        let options = PairOptions { seed, keep, ..PairOptions::default() };
        let (examples, report) = made(&pieces, &options);
        let groups = |queries: &[TrainQuery]| -> HashSet<u32> {
            queries.iter().map(|query| examples.documents[query.positives[0] as usize].group).collect()
        };
        prop_assert!(groups(&examples.queries).is_disjoint(&groups(&examples.dev)));
        prop_assert!(!examples.dev.is_empty() && !examples.queries.is_empty());
        prop_assert_eq!(examples.queries.len() + examples.dev.len(), report.total());
        let ids: HashSet<&str> = all(&examples).iter().map(|query| query.id.as_str()).collect();
        prop_assert_eq!(ids.len(), report.total());
        for query in all(&examples) {
            prop_assert!(!query.text.trim().is_empty());
            let passage = &examples.passages[query.positives[0] as usize];
            prop_assert!(filter::words(passage.body()) >= LEFT);
        }
        prop_assert_eq!(made(&pieces, &options), (examples, report));
    }
}

#[test]
fn a_data_set_is_read_without_its_judgements() {
    let dir = tempfile::tempdir().expect("a folder");
    let corpus = "{\"_id\":\"a\",\"title\":\"Tides\",\"text\":\"The moon pulls.\"}\n{\"_id\":\"b\",\"text\":\" \"}\n";
    std::fs::write(dir.path().join("corpus.jsonl"), corpus).expect("written");
    std::fs::write(dir.path().join("queries.jsonl"), "").expect("written");
    let pieces = collection::read_beir(dir.path()).expect("pieces");
    assert_eq!(pieces.len(), 1);
    assert_eq!(
        (pieces[0].id.as_str(), pieces[0].title.as_str()),
        ("a", "Tides")
    );
    let nothing = collection::read(&dir.path().join("none"));
    assert!(
        matches!(nothing, Err(PairsError::Empty { .. })),
        "{nothing:?}"
    );
}

/// Words of a script without capital letters the trainer could lean on, or without spaces.
fn foreign(words: &[&str], between: &str, stop: &str, file: u32) -> String {
    let mut state = u64::from(file) + 1;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        words[(state >> 33) as usize % words.len()]
    };
    let mut sentence = || {
        let words: Vec<&str> = (0..9).map(|_| word()).collect();
        format!("{}{stop}", words.join(between))
    };
    let sentences: Vec<String> = (0..6).map(|_| sentence()).collect();
    sentences.join(between)
}

#[test]
fn a_language_that_no_encoder_was_trained_on_asks_too() {
    let greek = [
        "θάλασσα",
        "βουνό",
        "ψωμί",
        "λάμπα",
        "χειμώνας",
        "κήπος",
        "γράμμα",
        "λιμάνι",
        "σύννεφο",
        "πέτρα",
        "ποτάμι",
        "βιολί",
        "μηχανή",
        "χαλκός",
    ];
    let piece = |file: u32| Piece {
        id: format!("g{file}"),
        group: file,
        title: format!(
            "{} {} {file}",
            greek[file as usize % 14],
            greek[(file as usize / 14 + 3) % 14]
        ),
        text: foreign(&greek, " ", ".", file),
        ..Piece::default()
    };
    let pieces: Vec<Piece> = (0..60).map(piece).collect();
    let (examples, report) = made(&pieces, &PairOptions::default());
    assert!(report.total() >= FEWEST, "{report:?}");
    assert!(!examples.queries.is_empty() && !examples.dev.is_empty());
}

#[test]
fn a_language_without_spaces_asks_or_says_that_it_cannot() {
    let chinese = [
        "河流",
        "石头",
        "灯",
        "冬天",
        "面包",
        "发动机",
        "小提琴",
        "花园",
        "信",
        "港口",
        "云",
        "铜",
    ];
    let piece = |file: u32| Piece {
        id: format!("c{file}"),
        group: file,
        text: foreign(&chinese, "", "。", file),
        ..Piece::default()
    };
    let pieces: Vec<Piece> = (0..60).map(piece).collect();
    match examples(PathBuf::from("notes"), &pieces, &PairOptions::default()) {
        Ok((examples, _)) => {
            let empty = |query: &&TrainQuery| query.text.trim().is_empty();
            assert_eq!(all(&examples).into_iter().filter(empty).count(), 0);
        }
        Err(error) => assert!(error.to_string().contains("60 passages"), "{error}"),
    }
}
