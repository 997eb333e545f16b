use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use roaring::RoaringBitmap;
use storage::{DocumentId, PassageId};
use tantivy::fieldnorm::FieldNormReader;

use super::analysis::{TokenKind, analyze};
use super::resolve::edit_distance;
use super::score::idf;
use super::*;
use crate::request::Filter;

const BYTES: usize = 16 << 20;

/// A passage of the collections these tests make; the rest is filled in.
#[derive(Debug, Clone, Default)]
struct Note {
    path: &'static str,
    title: String,
    heading: String,
    text: String,
    modified: i64,
    language: Language,
}

fn note(text: &str) -> Note {
    Note {
        path: "/home/notes.txt",
        text: text.to_owned(),
        language: Language::English,
        ..Note::default()
    }
}

fn add(writer: &Bm25Writer, id: usize, note: &Note) {
    let place = |line| Source {
        byte: Some(line * 10),
        line: line as u32,
        page: 0,
    };
    let document = PassageDocument {
        id: PassageId(id as u32),
        document: DocumentId(id as u64),
        path: note.path,
        title: &note.title,
        heading: &note.heading,
        text: &note.text,
        start: place(id as u64),
        end: place(id as u64 + 5),
        modified: note.modified,
        language: note.language,
        record: Some(b"record"),
    };
    writer.add(&document).unwrap();
}

/// An index of `notes`, numbered from 0, committed every `batch` notes.
fn index_in(dir: &Path, notes: &[Note], batch: usize) -> Bm25Index {
    let mut writer = Bm25Writer::open(dir, BYTES, 1).unwrap();
    for (id, note) in notes.iter().enumerate() {
        add(&writer, id, note);
        if (id + 1) % batch == 0 {
            writer.commit("batch").unwrap();
        }
    }
    writer.commit("done").unwrap();
    Bm25Index::open(dir).unwrap()
}

fn index(notes: &[Note]) -> (tempfile::TempDir, Bm25Index) {
    let dir = tempfile::tempdir().unwrap();
    let index = index_in(dir.path(), notes, usize::MAX);
    (dir, index)
}

fn found(index: &Bm25Index, query: &str) -> Vec<u32> {
    let hits = index
        .search(&ParsedQuery::parse(query, false), None, 100)
        .unwrap();
    hits.hits.iter().map(|(id, _)| id.0).collect()
}

fn found_sorted(index: &Bm25Index, query: &str) -> Vec<u32> {
    let mut ids = found(index, query);
    ids.sort_unstable();
    ids
}

fn terms(language: Language, text: &str) -> Vec<String> {
    analyze(language, text)
        .into_iter()
        .map(|token| token.term)
        .collect()
}

#[test]
fn text_becomes_terms() {
    let english = |text: &str| terms(Language::English, text);
    assert_eq!(
        english("The cats' running, Alzheimer's"),
        ["the", "cat", "run", "alzheim"]
    );
    assert_eq!(
        english("parseHttpRequest"),
        ["parsehttprequest", "pars", "http", "request"]
    );
    assert_eq!(
        english("HTTPServer PDFs"),
        ["httpserver", "http", "server", "pdfs"]
    );
    assert_eq!(
        english("snake_case_name x86_64"),
        ["snake", "case", "name", "x86", "64"]
    );
    assert_eq!(
        terms(Language::Unknown, "Crème BRÛLÉE ﬁne straße"),
        ["creme", "brulee", "fine", "strasse"]
    );
    assert_eq!(terms(Language::Unknown, "cafe\u{301}"), ["cafe"]);
    assert_eq!(
        terms(Language::Unknown, "机器学习 a"),
        ["机器", "器学", "学习", "习", "a"]
    );
    assert!(english(&"x".repeat(65)).is_empty());
    assert!(english("").is_empty());
}

#[test]
fn parts_of_words_keep_their_places() {
    let tokens = analyze(Language::Unknown, "a fooBar b");
    let places: Vec<(&str, usize, TokenKind)> = tokens
        .iter()
        .map(|token| (token.term.as_str(), token.position, token.kind))
        .collect();
    let expected = [
        ("a", 0, TokenKind::Word),
        ("foobar", 1, TokenKind::Whole),
        ("foo", 1, TokenKind::Word),
        ("bar", 2, TokenKind::Word),
        ("b", 3, TokenKind::Word),
    ];
    assert_eq!(places, expected);
}

#[test]
fn queries_are_taken_apart() {
    let query = ParsedQuery::parse(
        "plain +must -not title:\"two words\" path:src/main.rs --flag unknown:x \u{201c}curly q\u{201d}",
        false,
    );
    let clauses: Vec<(Occur, Option<SearchField>, &str, bool)> = query
        .clauses
        .iter()
        .map(|clause| {
            (
                clause.occur,
                clause.field,
                clause.text.as_str(),
                clause.phrase,
            )
        })
        .collect();
    let expected = [
        (Occur::Should, None, "plain", false),
        (Occur::Must, None, "must", false),
        (Occur::MustNot, None, "not", false),
        (Occur::Should, Some(SearchField::Title), "two words", true),
        (Occur::Should, Some(SearchField::Path), "src/main.rs", false),
        (Occur::Should, None, "--flag", false),
        (Occur::Should, None, "unknown:x", false),
        (Occur::Should, None, "curly q", true),
    ];
    assert_eq!(clauses, expected);
    assert_eq!(
        ParsedQuery::parse("+a -b \"c d\"", false).positive_text(),
        "a c d"
    );
    for nothing in ["", "  ", "+ - \" : ...", "\"\""] {
        assert_eq!(ParsedQuery::parse(nothing, false), ParsedQuery::default());
    }
    assert_eq!(
        ParsedQuery::parse("title:", false).positive_text(),
        "title:"
    );
}

#[test]
fn stems_phrases_fields_and_operators_find_passages() {
    let mut notes = vec![
        note("Running shoes for the mountain trail"),
        note("He runs a mountain hut in winter"),
        note("The trail mountain is closed"),
        note("fn parse_http_request(input: &str) uses HashMap and x = 3.14"),
    ];
    notes[1].title = "Closed huts".to_owned();
    notes[3].path = "/src/net/http_parser.rs";
    let (_dir, index) = index(&notes);
    assert_eq!(found_sorted(&index, "run"), [0, 1]);
    assert_eq!(found_sorted(&index, "\"mountain trail\""), [0]);
    assert_eq!(found_sorted(&index, "title:closed"), [1]);
    assert_eq!(found_sorted(&index, "+mountain -trail"), [1]);
    assert_eq!(found_sorted(&index, "+mountain running"), [0, 1, 2]);
    assert_eq!(found(&index, "+mountain running")[2], 2);
    assert_eq!(found_sorted(&index, "hashmap"), [3]);
    assert_eq!(found_sorted(&index, "+parseHttpRequest"), [3]);
    assert_eq!(found_sorted(&index, "+parse_http_request"), [3]);
    assert_eq!(found_sorted(&index, "+\"request parse\""), [0u32; 0]);
    assert_eq!(found_sorted(&index, "path:net"), [3]);
    assert_eq!(found_sorted(&index, "name:parser -path:elsewhere"), [3]);
    assert!(found(&index, "-trail").is_empty());
    assert!(found(&index, "").is_empty());
    assert_eq!(
        found_sorted(&index, "the"),
        [0, 2],
        "a function word alone is meant"
    );
    assert_eq!(
        found_sorted(&index, "the hut"),
        [1],
        "beside others it is left out"
    );
}

#[test]
fn constraints_hold_for_other_legs_too() {
    let (_dir, index) = index(&[note("red apple"), note("green apple"), note("green pear")]);
    let constraint = |query: &str| index.constraint(&ParsedQuery::parse(query, false)).unwrap();
    assert_eq!(constraint("apple"), None);
    assert_eq!(constraint("-apple"), Some([2].into_iter().collect()));
    assert_eq!(
        constraint("red +green -pear"),
        Some([1].into_iter().collect())
    );
    let scores = index
        .scores_for(
            &ParsedQuery::parse("apple -red", false),
            &[0, 1, 2, 9].map(PassageId),
        )
        .unwrap();
    assert!(scores[0] == 0.0 && scores[1] > 0.0 && scores[2] == 0.0 && scores[3] == 0.0);
}

#[test]
fn each_document_is_stemmed_in_its_language() {
    let mut notes = [
        note("The houses were sold"),
        note("Die Häuser wurden verkauft"),
        note("我们研究机器学习"),
        note("東京タワー"),
    ];
    for (note, code) in notes.iter_mut().zip(["eng", "deu", "cmn", "jpn"]) {
        note.language = Language::from_code(code);
    }
    let (_dir, index) = index(&notes);
    assert_eq!(found(&index, "house"), [0]);
    assert_eq!(found(&index, "haus"), [1]);
    assert_eq!(found(&index, "Hauses"), [1]);
    assert_eq!(found(&index, "机器学习"), [2]);
    assert_eq!(found(&index, "习"), [2]);
    assert_eq!(found(&index, "学"), [2]);
    assert_eq!(found(&index, "タワー"), [3]);
    assert_eq!(
        index.passage(PassageId(1)).unwrap().language,
        Language::German
    );
}

#[test]
fn a_phrase_is_stemmed_in_one_language_at_a_time() {
    let languages = [
        Language::English,
        Language::French,
        Language::German,
        Language::Unknown,
    ];
    let notes = languages.map(|language| Note {
        language,
        ..note("several national houses running along")
    });
    let (_dir, index) = index(&notes);
    for phrase in [
        "\"national houses\"",
        "\"several national houses\"",
        "\"houses running along\"",
    ] {
        assert_eq!(found_sorted(&index, phrase), [0, 1, 2, 3], "{phrase}");
    }
}

#[test]
fn languages_are_told_apart() {
    let german = "Der Vertrag wird nach Ablauf von zwei Jahren ohne weitere Mitteilung verlängert.";
    assert_eq!(Language::detect(german), Language::German);
    assert_eq!(Language::detect("let x = 1;"), Language::English);
    assert_eq!(
        Language::detect("机器学习是人工智能的一个分支"),
        Language::Unknown
    );
    for index in 0..Language::COUNT as u64 {
        let language = Language::from_index(index);
        assert_eq!(language as u64, index);
        assert_eq!(Language::from_code(language.code()), language);
    }
}

#[test]
fn fuzzy_words_match_nearby_ones_and_exact_ones_first() {
    let (_dir, index) = index(&[
        note("a mountian of errors"),
        note("a mountain of gold"),
        note("a fountain of youth"),
    ]);
    let fuzzy = |query| {
        let hits = index
            .search(&ParsedQuery::parse(query, true), None, 10)
            .unwrap()
            .hits;
        hits.iter().map(|(id, _)| id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(&index, "mountain"), [1]);
    assert_eq!(fuzzy("mountain")[0], 1);
    assert_eq!(fuzzy("mountain").len(), 3);
    assert_eq!(fuzzy("golf"), [1]);
    assert!(fuzzy("gel").is_empty(), "short words stay exact");
}

#[test]
fn stored_passages_come_back() {
    let mut original = note("Some text\nwith lines \u{2} and marks");
    original.title = "A title".to_owned();
    original.heading = "One › Two".to_owned();
    original.modified = -5;
    let (_dir, index) = index(&[note("first"), original.clone()]);
    let passage = index.passage(PassageId(1)).unwrap();
    let expected = StoredPassage {
        id: PassageId(1),
        document: DocumentId(1),
        path: original.path.to_owned(),
        title: original.title,
        heading: original.heading,
        text: original.text,
        start: Source {
            byte: Some(10),
            line: 1,
            page: 0,
        },
        end: Source {
            byte: Some(60),
            line: 6,
            page: 0,
        },
        modified: -5,
        language: Language::English,
    };
    assert_eq!(passage, expected);
    assert!(matches!(
        index.passage(PassageId(7)),
        Err(Bm25Error::UnknownPassage { .. })
    ));
    let mut records = Vec::new();
    index
        .records(|document, record| records.push((document.0, record.to_vec())))
        .unwrap();
    assert_eq!(records, [(0, b"record".to_vec()), (1, b"record".to_vec())]);
}

#[test]
fn a_commit_is_what_readers_see() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Bm25Writer::open(dir.path(), BYTES, 2).unwrap();
    assert_eq!(writer.payload().unwrap(), None);
    add(&writer, 0, &note("kept"));
    add(&writer, 1, &note("deleted later"));
    writer.commit("generation 1").unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in writer.files().unwrap() {
        fs::hard_link(dir.path().join(&name), copy.path().join(&name)).unwrap();
    }
    writer.delete_document(DocumentId(1)).unwrap();
    add(&writer, 2, &note("dropped"));
    writer.rollback().unwrap();
    assert_eq!(Bm25Index::open(dir.path()).unwrap().live().len(), 2);
    writer.delete_document(DocumentId(1)).unwrap();
    add(&writer, 1, &note("added again"));
    writer.commit("generation 2").unwrap();
    assert_eq!(writer.payload().unwrap().as_deref(), Some("generation 2"));
    let (old, new) = (
        Bm25Index::open(copy.path()).unwrap(),
        Bm25Index::open(dir.path()).unwrap(),
    );
    assert_eq!(
        (found(&old, "deleted"), found(&old, "again")),
        (vec![1], vec![])
    );
    assert_eq!(
        (found(&new, "deleted"), found(&new, "again")),
        (vec![], vec![1])
    );
    assert_eq!(new.live().iter().collect::<Vec<_>>(), [0, 1]);
    assert!(
        matches!(
            Bm25Writer::open(dir.path(), BYTES, 1),
            Err(Bm25Error::Index { .. })
        ),
        "one writer at a time"
    );
}

#[test]
fn churn_leaves_few_segments_and_no_stray_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Bm25Writer::open(dir.path(), BYTES, 1).unwrap();
    for round in 0..24 {
        for id in 0..6 {
            writer.delete_document(DocumentId(id)).unwrap();
            add(&writer, id as usize, &note(&format!("round {round}")));
        }
        writer.commit("round").unwrap();
    }
    let index = Bm25Index::open(dir.path()).unwrap();
    assert_eq!(index.live().len(), 6);
    assert!(
        index.segments.len() <= 5,
        "{} segments",
        index.segments.len()
    );
    let files = writer.files().unwrap();
    let present: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let stray = present
        .iter()
        .filter(|name| !files.contains(name) && !name.to_string_lossy().ends_with(".lock"));
    assert_eq!(stray.count(), 0, "{present:?} beside {files:?}");
}

#[test]
fn a_foreign_index_and_a_bad_glob_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut schema = tantivy::schema::Schema::builder();
    schema.add_text_field("other", tantivy::schema::TEXT);
    tantivy::Index::create_in_dir(dir.path(), schema.build()).unwrap();
    assert!(matches!(
        Bm25Index::open(dir.path()),
        Err(Bm25Error::Schema { .. })
    ));
    assert!(matches!(
        Bm25Writer::open(dir.path(), BYTES, 1),
        Err(Bm25Error::Schema { .. })
    ));
    let (_dir, index) = index(&[note("text")]);
    let filter = Filter {
        paths: vec!["a[".to_owned()],
        ..Filter::default()
    };
    assert!(
        index
            .eligible(&filter)
            .unwrap_err()
            .to_string()
            .contains("\"a[\"")
    );
}

const PATHS: [&str; 6] = [
    "/a/docs/x.md",
    "/a/docs/deep/y.MD",
    "/a/src/main.rs",
    "/b/docs.txt",
    "/b/Makefile",
    "/b/x.md",
];

/// Globs with what they mean, written without a glob library.
type Meaning = fn(&str) -> bool;
const GLOBS: [(&str, Meaning); 5] = [
    ("*.md", |path| path.ends_with(".md")),
    ("docs/**", |path| path.contains("/docs/")),
    ("docs", |path| path.contains("/docs/")),
    ("/a/*/*.rs", |path| path == "/a/src/main.rs"),
    ("./src/", |path| path.contains("/src/")),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn filters_mean_what_they_say(
        notes in prop::collection::vec((0usize..6, -3i64..3), 1..12),
        globs in prop::collection::vec(0usize..5, 0..3),
        extension in prop::option::of(prop::sample::select(vec!["md", ".RS", "txt"])),
        after in prop::option::of(-3i64..3),
        before in prop::option::of(-3i64..3),
    ) {
        let notes: Vec<Note> = notes
            .into_iter()
            .map(|(path, modified)| Note { path: PATHS[path], modified, ..note("word") })
            .collect();
        let filter = Filter {
            paths: globs.iter().map(|&glob| GLOBS[glob].0.to_owned()).collect(),
            extensions: extension.into_iter().map(str::to_owned).collect(),
            after,
            before,
        };
        let passes = |note: &Note| {
            let ending = |extension: &str| format!(".{}", extension.trim_start_matches('.').to_lowercase());
            (globs.is_empty() || globs.iter().any(|&glob| GLOBS[glob].1(note.path)))
                && extension.is_none_or(|extension| note.path.to_lowercase().ends_with(&ending(extension)))
                && after.is_none_or(|after| note.modified >= after)
                && before.is_none_or(|before| note.modified < before)
        };
        let expected: RoaringBitmap =
            (0u32..).zip(&notes).filter(|(_, note)| passes(note)).map(|(id, _)| id).collect();
        let dir = tempfile::tempdir().unwrap();
        let index = index_in(dir.path(), &notes, 5);
        let eligible = index.eligible(&filter).unwrap();
        prop_assert_eq!(eligible.clone().unwrap_or_else(|| index.live().clone()), expected.clone());
        let hits = index.search(&ParsedQuery::parse("word", false), eligible.as_ref(), 100).unwrap();
        prop_assert_eq!(hits.hits.iter().map(|(id, _)| id.0).collect::<RoaringBitmap>(), expected);
    }

    #[test]
    fn scores_are_those_of_the_formula(
        notes in prop::collection::vec((words(12), words(3)), 1..20),
        query in words(3),
        batch in 3usize..30,
        eligible in prop::option::of(prop::collection::btree_set(0u32..20, 0..20)),
    ) {
        let notes: Vec<Note> = notes
            .into_iter()
            .map(|(text, title)| Note { title, ..note(&text) })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let mut index = index_in(dir.path(), &notes, batch);
        for weight in [[1.0, 0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0, 0.0]] {
            let scoring = Scoring { k1: 1.2, b: [0.75, 0.5, 0.0, 0.0, 0.0], weight, compound: 0.0 };
            index.set_scoring(scoring.clone());
            let eligible: Option<RoaringBitmap> = eligible.as_ref().map(|set| set.iter().copied().collect());
            let hits = index.search(&ParsedQuery::parse(&query, false), eligible.as_ref(), 5).unwrap();
            let naive = naive_scores(&notes, &query, &scoring);
            check_hits(&hits, &naive, eligible.as_ref())?;
        }
    }

    #[test]
    fn no_query_fails(text in "\\PC{0,40}|[\\-+\":a-z* ]{0,30}", fuzzy: bool) {
        let (_dir, index) = index(&[note("a b title: quote \" word-word _x_ 机器学习"), note("fooBar")]);
        let query = ParsedQuery::parse(&text, fuzzy);
        let hits = index.search(&query, None, 10).unwrap();
        let ids: Vec<PassageId> = hits.hits.iter().map(|(id, _)| *id).collect();
        let scores: Vec<f32> = hits.hits.iter().map(|(_, score)| *score).collect();
        prop_assert_eq!(index.scores_for(&query, &ids).unwrap(), scores);
        index.matcher(&query).unwrap();
        index.constraint(&query).unwrap();
    }

    #[test]
    fn edit_distances_are_those_of_the_definition(a in "[abc]{0,5}", b in "[abc]{0,5}") {
        prop_assert_eq!(edit_distance(&a, &b), slow_distance(a.as_bytes(), b.as_bytes()));
    }
}

/// Optimal string alignment as a recursion over the ends of both words.
fn slow_distance(a: &[u8], b: &[u8]) -> usize {
    let ([a_rest @ .., x], [b_rest @ .., y]) = (a, b) else {
        return a.len() + b.len();
    };
    let change = slow_distance(a_rest, b_rest) + usize::from(x != y);
    let one = (slow_distance(a_rest, b) + 1)
        .min(slow_distance(a, b_rest) + 1)
        .min(change);
    match (a, b) {
        ([a_rest @ .., p, q], [b_rest @ .., r, s]) if p == s && q == r => {
            one.min(slow_distance(a_rest, b_rest) + 1)
        }
        _ => one,
    }
}

/// Texts over a few words, some of them one another's forms.
fn words(most: usize) -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "red", "blue", "greens", "green", "walking", "walks", "stone",
    ]);
    prop::collection::vec(word, 1..=most).prop_map(|words| words.join(" "))
}

/// The formula of `score`, computed passage by passage from the words themselves.
fn naive_scores(notes: &[Note], query: &str, scoring: &Scoring) -> Vec<f32> {
    let fields = |note: &Note| {
        [
            terms(note.language, &note.text),
            terms(note.language, &note.title),
        ]
    };
    let documents: Vec<[Vec<String>; 2]> = notes.iter().map(fields).collect();
    let average = |field: usize| {
        documents
            .iter()
            .map(|document| document[field].len())
            .sum::<usize>() as f32
            / documents.len() as f32
    };
    let averages = [average(0), average(1)];
    let frequency = |document: &[Vec<String>; 2], term: &String| {
        let field_frequency = |field: usize| {
            let count = document[field].iter().filter(|word| *word == term).count() as f32;
            let length = document[field].len() as u32;
            let length =
                FieldNormReader::id_to_fieldnorm(FieldNormReader::fieldnorm_to_id(length)) as f32;
            let b = scoring.b[field];
            scoring.weight[field] * count / (1.0 - b + b * length / averages[field])
        };
        field_frequency(0) + field_frequency(1)
    };
    let mut scores = vec![0.0f32; notes.len()];
    for term in terms(Language::English, query) {
        let frequencies: Vec<f32> = documents
            .iter()
            .map(|document| frequency(document, &term))
            .collect();
        let containing = frequencies
            .iter()
            .filter(|frequency| **frequency > 0.0)
            .count();
        for (score, tf) in scores.iter_mut().zip(frequencies) {
            *score += idf(containing as u64, notes.len() as u64) * (scoring.k1 + 1.0) * tf
                / (scoring.k1 + tf);
        }
    }
    scores
}

fn check_hits(
    hits: &LegHits,
    naive: &[f32],
    eligible: Option<&RoaringBitmap>,
) -> Result<(), TestCaseError> {
    let counted: HashMap<u32, f32> = (0u32..)
        .zip(naive.iter().copied())
        .filter(|(id, _)| eligible.is_none_or(|set| set.contains(*id)))
        .collect();
    let close = |a: f32, b: f32| (a - b).abs() <= 1e-4 * (1.0 + b.abs());
    let matched = counted.values().filter(|score| **score > 0.0).count();
    prop_assert_eq!(hits.matched, matched as u64);
    prop_assert_eq!(hits.hits.len(), matched.min(5));
    for &(id, score) in &hits.hits {
        prop_assert!(
            close(score, counted[&id.0]),
            "{id:?}: {score}, not {}",
            counted[&id.0]
        );
    }
    let ordered = hits
        .hits
        .windows(2)
        .all(|pair| pair[0].1 > pair[1].1 || (pair[0].1 == pair[1].1 && pair[0].0 < pair[1].0));
    prop_assert!(ordered, "{:?}", hits.hits);
    if let Some((_, last)) = hits.hits.last() {
        let better = counted
            .values()
            .filter(|score| **score > last + 1e-3)
            .count();
        prop_assert!(better < hits.hits.len() || better == 0);
    }
    let count = counted.len().max(1) as f32;
    let mean = counted.values().sum::<f32>() / count;
    let variance = counted
        .values()
        .map(|score| (score - mean).powi(2))
        .sum::<f32>()
        / count;
    prop_assert!(close(hits.mean, mean), "{} {mean}", hits.mean);
    prop_assert!(
        (hits.deviation - variance.sqrt()).abs() < 1e-3,
        "{} {}",
        hits.deviation,
        variance.sqrt()
    );
    Ok(())
}

/// With one field of weight 1 the formula is tantivy's own.
#[test]
fn scores_of_one_field_are_those_of_tantivy() {
    use tantivy::collector::TopDocs;
    use tantivy::query::{BooleanQuery, Occur as Clause, Query, TermQuery};
    let texts = [
        "red stone",
        "red red stone walks far away",
        "blue stone",
        "a red walking stick",
        "green",
        "walks walks",
    ];
    let notes: Vec<Note> = texts.iter().map(|text| note(text)).collect();
    let dir = tempfile::tempdir().unwrap();
    let mut ours = index_in(dir.path(), &notes, 2);
    ours.set_scoring(Scoring {
        k1: 1.2,
        b: [0.75, 0.0, 0.0, 0.0, 0.0],
        weight: [1.0, 0.0, 0.0, 0.0, 0.0],
        compound: 0.0,
    });
    let index = tantivy::Index::open_in_dir(dir.path()).unwrap();
    let body = index.schema().get_field("body").unwrap();
    let clauses = ["red", "walk"].map(|term| {
        let term = tantivy::Term::from_field_text(body, term);
        let query = TermQuery::new(term, tantivy::schema::IndexRecordOption::WithFreqs);
        (Clause::Should, Box::new(query) as Box<dyn Query>)
    });
    let searcher = index.reader().unwrap().searcher();
    let top = TopDocs::with_limit(10).order_by_score();
    let theirs = searcher
        .search(&BooleanQuery::new(clauses.into()), &top)
        .unwrap();
    let hits = ours
        .search(&ParsedQuery::parse("red walk", false), None, 10)
        .unwrap()
        .hits;
    assert_eq!(hits.len(), theirs.len());
    for ((_, ours), (theirs, _)) in hits.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    }
}
