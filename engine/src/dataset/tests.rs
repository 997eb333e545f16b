use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("below the folder")).expect("folder is writable");
    fs::write(&path, content).expect("folder is writable");
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("temporary folders can be made")
}

fn small_set() -> TempDir {
    let folder = folder();
    file(
        &folder,
        "corpus.jsonl",
        "\u{feff}{\"_id\": \"a/1\", \"title\": \"T\", \"text\": \"x y\"}\r\n\n{\"_id\": 7, \"text\": \"\"}",
    );
    file(
        &folder,
        "queries.jsonl",
        "{\"_id\": \"q 1\", \"text\": \"where?\", \"metadata\": {}}\n",
    );
    file(
        &folder,
        "qrels/test.tsv",
        "query-id\tcorpus-id\tscore\nq 1\ta/1\t2\r\nq 1\t7\t-1\nq2\tgone\t1\n",
    );
    file(&folder, "qrels/dev.tsv", "qid\tdid\trelevance\nq 1\t7\t1\n");
    file(&folder, "qrels/readme.txt", "not a split");
    folder
}

#[test]
fn a_beir_folder_is_read() {
    let set = small_set();
    let beir = beir::Folder::open(set.path()).expect("complete");
    let corpus: Vec<Record> = beir
        .corpus()
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("sound");
    let ids: Vec<&str> = corpus.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["a/1", "7"]);
    assert_eq!(corpus[0].full_text(), "T x y");
    assert_eq!(
        corpus[1],
        Record {
            id: "7".into(),
            ..Record::default()
        }
    );
    let queries = beir.queries().expect("sound");
    assert_eq!(
        queries,
        [Query {
            id: "q 1".into(),
            text: "where?".into()
        }]
    );
    assert_eq!(beir.splits().expect("listed"), ["dev", "test"]);
    let qrels = beir.qrels("test").expect("sound");
    assert_eq!(
        qrels,
        Qrels::from_iter([("q 1", "a/1", 2), ("q 1", "7", -1), ("q2", "gone", 1)])
    );
    assert_eq!(
        beir.qrels("dev").expect("other header names"),
        Qrels::from_iter([("q 1", "7", 1)])
    );
}

#[test]
fn unknown_ids_are_counted_and_kept() {
    let beir = beir::Folder::open(small_set().keep()).expect("complete");
    let qrels = beir.qrels("test").expect("sound");
    let unknown = qrels.unknown_ids(|query| query == "q 1", |document| document != "gone");
    assert_eq!(
        unknown,
        UnknownIds {
            queries: 1,
            judgements: 1
        }
    );
    assert!(unknown.any() && unknown.to_string().starts_with("1 judged queries"));
    assert_eq!(qrels.len(), 3);
    fs::remove_dir_all(beir.path()).expect("ours");
}

#[test]
fn a_missing_split_names_those_that_exist() {
    let set = small_set();
    let beir = beir::Folder::open(set.path()).expect("complete");
    for split in ["train", "../qrels/test"] {
        let error = beir.qrels(split).expect_err("no such split").to_string();
        assert!(
            error.contains(split) && error.ends_with("it has dev, test"),
            "{error}"
        );
    }
    fs::remove_dir_all(set.path().join("qrels")).expect("ours");
    assert!(
        beir.qrels("test")
            .expect_err("none")
            .to_string()
            .contains("no qrels/*.tsv")
    );
    fs::remove_file(set.path().join("queries.jsonl")).expect("ours");
    let error = beir::Folder::open(set.path())
        .expect_err("incomplete")
        .to_string();
    assert!(error.contains("holds no queries.jsonl"), "{error}");
}

/// (reader, content, expected part of the message, after the file name)
type Broken = (
    fn(&Path) -> Option<DatasetError>,
    &'static [u8],
    &'static str,
);

fn corpus(path: &Path) -> Option<DatasetError> {
    let folder = path.parent().expect("in a folder");
    fs::write(folder.join("queries.jsonl"), "").expect("writable");
    let beir = beir::Folder::open(folder).expect("complete");
    let mut records = beir.corpus().expect("opens");
    let error = records.find_map(Result::err);
    assert!(
        records.next().is_none(),
        "reading ends after the first error"
    );
    error
}

fn collection(path: &Path) -> Option<DatasetError> {
    msmarco::read_collection(path)
        .expect("opens")
        .find_map(Result::err)
}

#[test]
fn broken_lines_name_file_line_and_field() {
    let cases: &[Broken] = &[
        (
            corpus,
            b"{\"_id\":\"a\",\"text\":\"\"}\n\n{\"_id\":\"b\"",
            "line 3, field line: not a JSON object",
        ),
        (corpus, b"[1]\n", "line 1, field line: not a JSON object"),
        (
            corpus,
            b"{\"_id\":\"a\"}\n",
            "line 1, field text: is missing",
        ),
        (
            corpus,
            b"{\"text\":\"a\"}\n",
            "line 1, field _id: is missing",
        ),
        (
            corpus,
            b"{\"_id\":[],\"text\":\"a\"}\n",
            "line 1, field _id: [] is not an id",
        ),
        (
            corpus,
            b"{\"_id\":\"\",\"text\":\"a\"}\n",
            "line 1, field _id: \"\" is not an id",
        ),
        (
            corpus,
            b"{\"_id\":\"a\",\"text\":3}\n",
            "line 1, field text: 3 is not a string",
        ),
        (
            corpus,
            b"{\"_id\":\"a\",\"text\":\"\xff\"}\n",
            "line 1, field encoding: not UTF-8",
        ),
        (
            corpus,
            b"{\"_id\":\"1\",\"text\":\"\"}\n\n{\"_id\":1,\"text\":\"\"}\n",
            "\"1\" is on line 1 and again on line 3",
        ),
        (
            collection,
            b"1\ta\n2\tb\tc\n",
            "line 2, field columns: expected 2 (pid, text) or 4",
        ),
        (collection, b"\ta\n", "line 1, field pid: is empty"),
        (
            collection,
            b"1\ta\n1\tb\n",
            "\"1\" is on line 1 and again on line 2",
        ),
        (
            |p| msmarco::read_queries(p).err(),
            b"1\n",
            "line 1, field columns: expected 2 (qid, text), found 1",
        ),
        (
            |p| beir::read_qrels(p).err(),
            b"q\td\ts\nq\td\t1.5\n",
            "line 2, field score: \"1.5\" is not a number",
        ),
        (
            |p| beir::read_qrels(p).err(),
            b"query-id\tcorpus-id\tscore\nq d 1\n",
            "line 2, field columns: expected 3",
        ),
        (
            |p| beir::read_qrels(p).err(),
            b"q d 1\n",
            "line 1, field columns: expected 3",
        ),
        (
            |p| beir::read_qrels(p).err(),
            b"q\td\t1\nq\td\t1\nq\td\t2\n",
            "\"q d\" is on line 1 and again on line 3",
        ),
        (
            |p| trec::read_qrels(p).err(),
            b"q 0 d x\n",
            "line 1, field grade: \"x\" is not a number",
        ),
        (
            |p| trec::read_run(p).err(),
            b"q Q0 d 1 nan t\n",
            "line 1, field score: NaN is no finite number",
        ),
        (
            |p| trec::read_run(p).err(),
            b"q Q0 d 1 .5\n",
            "line 1, field columns: expected 6",
        ),
        (
            |p| trec::read_run(p).err(),
            b"q Q0 d 1 .5 t\nq Q0 d 2 .4 t\n",
            "\"q d\" is on line 1 and again on line 2",
        ),
    ];
    for (read, content, expected) in cases {
        let folder = folder();
        let path = file(&folder, "corpus.jsonl", content);
        let error = read(&path).expect("has to fail").to_string();
        assert!(
            error.contains("corpus.jsonl") && error.contains(expected),
            "{error}\nexpected {expected}"
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("no/such/run.txt");
    let error = trec::read_run(path).expect_err("not there").to_string();
    assert!(
        error.starts_with("cannot read no/such/run.txt: "),
        "{error}"
    );
}

#[test]
fn white_space_in_ids_is_refused_where_it_separates_columns() {
    let folder = folder();
    let path = folder.path().join("out");
    let qrels = Qrels::from_iter([("q", "a b", 1)]);
    let mut run = Run::new("two words");
    run.push("q", "d", 1.0);
    for error in [
        trec::write_qrels(&path, &qrels).expect_err("white space"),
        beir::write_qrels(&path, &Qrels::from_iter([("", "d", 1)])).expect_err("empty"),
        msmarco::write_qrels(&path, &qrels).expect_err("white space"),
        trec::write_run(&path, &run).expect_err("white space in the tag"),
    ] {
        assert!(matches!(error, DatasetError::Unwritable { .. }), "{error}");
    }
}

#[test]
fn msmarco_documents_keep_their_title() {
    let folder = folder();
    let path = file(
        &folder,
        "docs.tsv",
        "D1\thttp://x\tA title\tThe body\n2\tonly a passage\n",
    );
    let records: Vec<Record> = msmarco::read_collection(&path)
        .expect("opens")
        .collect::<Result<_, _>>()
        .expect("sound");
    assert_eq!(records[0].full_text(), "A title The body");
    assert_eq!(records[1].full_text(), "only a passage");
}

fn id() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß_./:\u{4e00}-]{1,12}"
}

fn judgements() -> impl Strategy<Value = Qrels> {
    prop::collection::vec((id(), id(), -3..6_i32), 0..30).prop_map(Qrels::from_iter)
}

proptest! {
    #[test]
    fn judgements_survive_every_format(qrels in judgements()) {
        let folder = folder();
        let path = folder.path().join("qrels");
        beir::write_qrels(&path, &qrels)?;
        prop_assert_eq!(&beir::read_qrels(&path)?, &qrels);
        trec::write_qrels(&path, &qrels)?;
        prop_assert_eq!(&trec::read_qrels(&path)?, &qrels);
        msmarco::write_qrels(&path, &qrels)?;
        prop_assert_eq!(&msmarco::read_qrels(&path)?, &qrels);
    }

    #[test]
    fn documents_and_queries_survive(
        texts in prop::collection::btree_map(id(), (any::<String>(), any::<String>()), 0..12)
    ) {
        let folder = folder();
        let records: Vec<Record> = texts.iter()
            .map(|(id, (title, text))| Record { id: id.clone(), title: title.clone(), text: text.clone() })
            .collect();
        let queries: Vec<Query> = texts.iter()
            .map(|(id, (_, text))| Query { id: id.clone(), text: text.split_whitespace().collect::<Vec<_>>().join(" ") })
            .collect();
        beir::write_corpus(&folder.path().join("corpus.jsonl"), &records)?;
        beir::write_queries(&folder.path().join("queries.jsonl"), &queries)?;
        let beir = beir::Folder::open(folder.path())?;
        prop_assert_eq!(beir.corpus()?.collect::<Result<Vec<_>, _>>()?, records);
        prop_assert_eq!(beir.queries()?, queries.clone());
        let path = folder.path().join("queries.tsv");
        msmarco::write_queries(&path, &queries)?;
        prop_assert_eq!(msmarco::read_queries(&path)?, queries);
    }

    #[test]
    fn a_run_survives_bit_for_bit(
        hits in prop::collection::btree_map((id(), id()), -1e30..1e30_f32, 1..40)
    ) {
        let folder = folder();
        let path = folder.path().join("run");
        let mut run = Run::new("tag");
        for ((query, document), score) in &hits {
            run.push(query, document.as_str(), *score);
        }
        trec::write_run(&path, &run)?;
        let back = trec::read_run(&path)?;
        prop_assert_eq!(&back.tag, "tag");
        for query in run.queries() {
            prop_assert_eq!(back.ranking(query), run.ranking(query));
        }
        prop_assert_eq!(back.queries().len(), run.queries().len());
    }

    #[test]
    fn no_bytes_bring_a_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = folder();
        let path = file(&folder, "bytes", &bytes);
        let _ = (beir::read_qrels(&path), trec::read_qrels(&path), trec::read_run(&path));
        let _ = (msmarco::read_queries(&path), msmarco::read_collection(&path)?.count());
    }
}

#[test]
fn a_ranking_follows_scores_then_ids_and_names_each_document_once() {
    let mut run = Run::new("t");
    for (document, score) in [
        ("b", 1.0),
        ("a", 1.0),
        ("n", f32::NAN),
        ("c", 2.0),
        ("z", -0.0),
        ("y", 0.0),
        ("b", 3.0),
    ] {
        run.push("q", document, score);
    }
    let order: Vec<&str> = run
        .ranking("q")
        .into_iter()
        .map(|(document, _)| document)
        .collect();
    assert_eq!(order, ["b", "c", "a", "z", "y", "n"]);
    assert!(run.ranking("other").is_empty());
}

#[test]
fn judgements_can_be_replaced_and_counted() {
    let mut qrels = Qrels::default();
    assert!(qrels.is_empty());
    assert_eq!(qrels.insert("q", "d", 1), None);
    assert_eq!(qrels.insert("q", "d", 2), Some(1));
    assert_eq!((qrels.len(), qrels.is_empty()), (1, false));
    assert_eq!(
        qrels.grades("q"),
        Some(&BTreeMap::from([("d".to_owned(), 2)]))
    );
}
