use std::fs;

use engine::ingest::context::default_count;
use proptest::prelude::*;

use super::*;

fn write(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    fs::write(path, text).expect("a new file");
}

/// A set of four documents, one of them empty, and whatever judgements are given.
fn set(train: &str, others: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        "corpus.jsonl",
        "{\"_id\":\"a\",\"title\":\"Tides\",\"text\":\"The moon pulls the sea.\"}\n\
         {\"_id\":\"b\",\"title\":\"\",\"text\":\"Bread needs yeast.\"}\n\
         {\"_id\":\"c\",\"title\":\"\",\"text\":\"  \"}\n\
         {\"_id\":\"d\",\"title\":\"Lamps\",\"text\":\"\"}\n",
    );
    let queries: String = ["1", "2", "3", "4"]
        .iter()
        .map(|id| format!("{{\"_id\":\"{id}\",\"text\":\"question {id}\"}}\n"))
        .collect();
    write(
        dir.path(),
        "queries.jsonl",
        &(queries + "{\"_id\":\"blank\",\"text\":\" \"}\n"),
    );
    write(
        dir.path(),
        "qrels/train.tsv",
        &format!("query-id\tcorpus-id\tscore\n{train}"),
    );
    for (split, lines) in others {
        write(
            dir.path(),
            &format!("qrels/{split}.tsv"),
            &format!("query-id\tcorpus-id\tscore\n{lines}"),
        );
    }
    dir
}

fn read(dir: &tempfile::TempDir) -> Result<Examples, ExamplesError> {
    let options = Options {
        held_out: 0.0,
        ..Options::default()
    };
    Examples::from_beir(dir.path(), &options)
}

fn ids(queries: &[TrainQuery]) -> Vec<&str> {
    queries.iter().map(|query| query.id.as_str()).collect()
}

#[test]
fn texts_and_labels_become_places() {
    let dir = set("1\ta\t2\n1\tb\t1\n1\td\t0\n2\tb\t1\n", &[]);
    let examples = read(&dir).expect("examples");
    let documents: Vec<&str> = examples.documents.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(documents, ["a", "b", "d"]);
    assert_eq!(
        examples.texts(),
        [
            "Tides\nThe moon pulls the sea.",
            "Bread needs yeast.",
            "Lamps\n"
        ]
    );
    assert_eq!(
        (examples.passages[0].title(), examples.passages[0].body()),
        ("Tides", "The moon pulls the sea.")
    );
    let first = &examples.queries[0];
    assert_eq!(
        (first.positives.as_slice(), first.grades.as_slice()),
        ([0, 1].as_slice(), [2, 1].as_slice())
    );
    assert_eq!(first.irrelevant, [2]);
    assert!(first.is_judged(2) && !first.is_positive(2) && !examples.queries[1].is_judged(0));
    assert_eq!(examples.dropped.empty_documents, 1);
    let qrels = examples.qrels(&examples.queries);
    assert_eq!(
        qrels.grades("1").and_then(|grades| grades.get("a")),
        Some(&2)
    );
}

#[test]
fn what_cannot_be_used_is_counted() {
    let dir = set(
        "1\ta\t1\n2\tgone\t1\n2\tc\t1\n3\ta\t0\nblank\ta\t1\nnobody\ta\t1\n",
        &[],
    );
    let examples = read(&dir).expect("examples");
    assert_eq!(ids(&examples.queries), ["1"]);
    let expected = Dropped {
        empty_documents: 1,
        empty_queries: 1,
        unknown_queries: 1,
        missing_positives: 2,
        without_positive: 2,
        in_other_splits: 0,
    };
    assert_eq!(examples.dropped, expected);
    assert!(
        expected
            .to_string()
            .contains("2 judgements of documents that the corpus lacks")
    );
}

#[test]
fn test_queries_are_never_learned_from() {
    let dir = set(
        "1\ta\t1\n2\tb\t1\n3\ta\t1\n",
        &[("test", "2\tb\t1\n"), ("dev", "3\ta\t1\n2\tb\t1\n")],
    );
    let examples = read(&dir).expect("examples");
    assert_eq!(ids(&examples.queries), ["1"]);
    assert_eq!(ids(&examples.dev), ["3"]);
    assert_eq!(
        (examples.dev_source, examples.dropped.in_other_splits),
        (DevSource::Split, 2)
    );
}

#[test]
fn without_a_dev_split_queries_are_held_out() {
    let dir = set("1\ta\t1\n2\tb\t1\n3\ta\t1\n4\tb\t1\n", &[("dev", "")]);
    let with = |seed| {
        let options = Options {
            held_out: 0.3,
            seed,
            ..Options::default()
        };
        Examples::from_beir(dir.path(), &options).expect("examples")
    };
    let examples = with(0);
    assert_eq!((examples.dev.len(), examples.queries.len()), (2, 2));
    assert_eq!(examples.dev_source, DevSource::HeldOut);
    let mut all = [ids(&examples.dev), ids(&examples.queries)].concat();
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3", "4"]);
    assert_eq!(with(0), examples);
    assert!((1..20).any(|seed| ids(&with(seed).dev) != ids(&examples.dev)));
}

#[test]
fn one_training_query_is_not_held_out() {
    let examples =
        Examples::from_beir(set("1\ta\t1\n", &[]).path(), &Options::default()).expect("examples");
    assert_eq!((examples.queries.len(), examples.dev.len()), (1, 0));
}

#[test]
fn nothing_to_learn_from_is_said() {
    let message = |result: Result<Examples, ExamplesError>| match result {
        Ok(_) => panic!("examples where there are none"),
        Err(error) => error.to_string(),
    };
    assert!(message(read(&set("", &[]))).contains("no training query"));
    let lost = message(read(&set("1\tgone\t1\n", &[])));
    assert!(
        lost.contains("1 judgements of documents that the corpus lacks"),
        "{lost}"
    );
    let dir = set("1\ta\t1\n", &[]);
    write(
        dir.path(),
        "corpus.jsonl",
        "{\"_id\":\"a\",\"text\":\"alone\"}\n",
    );
    assert!(message(read(&dir)).contains("1 documents with text"));
    fs::remove_file(dir.path().join("qrels/train.tsv")).expect("removed");
    assert!(message(read(&dir)).contains("no split \"train\""));
    let options = Options {
        held_out: 1.5,
        ..Options::default()
    };
    assert!(message(Examples::from_beir(dir.path(), &options)).contains("no split"));
    let raw = Raw::default();
    assert!(message(Examples::assemble(raw, &options)).contains("held-out share is 1.5"));
}

proptest! {
    #[test]
    fn chunks_cover_the_beginning_in_order_and_fit(
        words in prop::collection::vec("[a-zé]{1,9}", 0..80),
        gaps in prop::collection::vec(prop::sample::select(vec![" ", "  ", "\n", "\u{2003}"]), 80),
        max_tokens in 8usize..40,
        chunks in 1usize..6,
    ) {
        let body: String = words.iter().zip(&gaps).flat_map(|(word, gap)| [word.as_str(), gap]).collect();
        let body = body.trim();
        let chunking = Chunking::MaxP { max_tokens, chunks, count: &default_count };
        let found = chunk::bodies("", body, chunking);
        prop_assert!(!found.is_empty() && found.len() <= chunks);
        let joined: Vec<&str> = found.iter().flat_map(|chunk| chunk.split_whitespace()).collect();
        let expected: Vec<&str> = body.split_whitespace().take(joined.len()).collect();
        prop_assert_eq!(&joined, &expected);
        prop_assert!(found.len() == chunks || joined.len() == words.len());
        for chunk in &found {
            prop_assert!(words.is_empty() || !chunk.is_empty());
            prop_assert!(default_count(chunk) <= max_tokens);
        }
    }
}

#[test]
fn long_documents_have_several_passages_under_one_title() {
    let record = Record {
        id: "long".into(),
        title: "Tides".into(),
        text: vec!["sea"; 40].join(" "),
    };
    let short = Record {
        id: "short".into(),
        title: String::new(),
        text: "sand".into(),
    };
    let raw = Raw {
        records: vec![record, short],
        queries: vec![Query {
            id: "1".into(),
            text: "why".into(),
        }],
        train: [("1", "long", 1)].into_iter().collect(),
        ..Raw::default()
    };
    let chunking = Chunking::MaxP {
        max_tokens: 11,
        chunks: 3,
        count: &default_count,
    };
    let options = Options {
        chunking,
        ..Options::default()
    };
    let examples = Examples::assemble(raw, &options).expect("examples");
    assert_eq!(examples.documents[0].passages, 0..3);
    assert_eq!(examples.documents[1].passages, 3..4);
    assert!(
        examples.passages[..3]
            .iter()
            .all(|p| p.title() == "Tides" && default_count(&p.text) <= 11)
    );
    assert_eq!((examples.first_passage(1), examples.document_of(2)), (3, 0));
}
