//! Does the real binary behave as people and scripts rely on?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

mod collections;
mod faults;
mod hostile;
mod kill;
mod mcp;
mod serve;
mod together;
mod watch;

/// A home of askance's own and a folder of files, both gone with the test.
struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
        };
        fs::create_dir_all(desk.files().join("sub")).expect("a folder");
        desk.write("desk.md", "# Standing desk\n\nSet the desk to elbow height.\n\n## Cable tray\n\nZip ties hold it.\n");
        desk.write(
            "sub/retry.rs",
            "/// Retries with backoff.\nfn retry_with_backoff() {}\n",
        );
        desk.write("plain.txt", "The heron stood in the reeds all morning.\n");
        desk.write("page.html", "<html><title>Tides</title><body><p>Spring tides follow the new moon.</p></body></html>");
        desk
    }

    fn indexed() -> Self {
        let desk = Self::new();
        desk.run(&["index", "files"]).expect(0);
        desk
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.files().join(name), text).expect("a file is written");
    }

    /// askance in this home and no other, whatever the environment of the tests says.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_askance"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("ASKANCE_HOME", self.home());
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).output().expect("the binary starts"))
    }
}

/// What a process said and how it ended.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.out,
            self.err
        );
        self
    }

    /// stderr of a failure: one line that starts with "error:" and holds `part`.
    fn error(self, part: &str) {
        let Self { err, .. } = self.expect(2);
        assert!(
            err.starts_with("error: ") && err.trim_end().lines().count() == 1,
            "not one sentence: {err}"
        );
        assert!(err.contains(part), "{part:?} is not in {err}");
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

#[test]
fn a_folder_is_indexed_and_searched() {
    let desk = Desk::new();
    let indexed = desk.run(&["index", "files", "--json"]).expect(0).json();
    assert_eq!(indexed["added"], 4, "{indexed}");
    let found = desk.run(&["search", "elbow height"]).expect(0);
    assert!(found.out.contains("files/desk.md:"), "{}", found.out);
    assert!(
        found.err.contains("hybrid · ") && found.err.contains("glance"),
        "the footer names mode and encoder: {}",
        found.err
    );
}

#[test]
fn json_is_one_object_and_json_lines_one_a_hit() {
    let desk = Desk::indexed();
    let json = desk
        .run(&["search", "retry backoff", "--json"])
        .expect(0)
        .json();
    assert_eq!(json["query"], "retry backoff");
    assert!(
        json["hits"][0]["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("files/sub/retry.rs")),
        "{json}"
    );
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(0), "{json}");
    let lines = desk
        .run(&["search", "retry backoff", "--json-lines"])
        .expect(0);
    assert!(!lines.out.is_empty());
    for line in lines.out.lines() {
        let hit: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        assert!(hit["rank"].is_u64(), "{hit}");
    }
}

#[test]
fn an_empty_mount_point_takes_nothing_out_of_the_collection() {
    let desk = Desk::new();
    for folder in ["drive", "desk"] {
        fs::create_dir(desk.files().join(folder)).expect("a folder");
    }
    desk.write("drive/heron.txt", "A heron by the water.\n");
    desk.write("desk/otter.txt", "An otter in the water.\n");
    desk.run(&["index", "files/drive", "files/desk"]).expect(0);
    fs::remove_file(desk.files().join("drive/heron.txt")).expect("a removal");

    let refused = desk.run(&["index", "files/drive"]).expect(2);
    assert!(
        refused
            .err
            .contains("files/drive is empty now, and the collection holds documents of it (1)"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("--allow-empty"), "{}", refused.err);
    let others = desk.run(&["index"]).expect(0);
    assert!(others.err.contains("files/drive"), "{}", others.err);
    desk.run(&["search", "--mode", "bm25", "heron"]).expect(0);

    desk.run(&["index", "--allow-empty"]).expect(0);
    desk.run(&["search", "--mode", "bm25", "heron"]).expect(1);
    desk.run(&["search", "--mode", "bm25", "otter"]).expect(0);
}

#[test]
fn search_is_by_meaning_too_with_nothing_added() {
    let desk = Desk::indexed();
    let found = desk
        .run(&["search", "bird in the water plants", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&found["mode"], &found["encoder"]["name"]),
        (&"hybrid".into(), &"glance".into())
    );
    let best = found["hits"][0]["path"].as_str().unwrap_or_default();
    assert!(
        best.ends_with("plain.txt"),
        "no word of the query is in the text: {found}"
    );
    let listed = desk.run(&["model", "list"]).expect(0);
    assert!(
        listed.out.starts_with("* glance") && listed.out.contains("built in"),
        "{}",
        listed.out
    );
    let listed = desk.run(&["model", "list", "--json"]).expect(0).json();
    assert_eq!(
        (&listed["default"], &listed["models"][0]["builtin"]),
        (&"glance".into(), &true.into())
    );
    desk.run(&["model", "remove", "glance"])
        .error("part of askance");
}

#[test]
fn a_collection_of_words_stays_one_and_is_told_once_how_to_switch() {
    let desk = Desk::new();
    desk.run(&["model", "use", "none"]).expect(0);
    desk.run(&["index", "files"]).expect(0);
    let said = |outcome: Outcome| outcome.expect(0).err.contains("askance model use glance");
    assert!(said(desk.run(&["search", "heron"])));
    assert!(!said(desk.run(&["search", "heron"])));
    let json = desk.run(&["search", "heron", "--json"]).expect(0).json();
    assert_eq!(json["mode"], "bm25");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1), "{json}");
    desk.run(&["search", "heron", "--mode", "dense"])
        .error("askance model");
    let switched = desk
        .run(&["model", "use", "glance", "--json"])
        .expect(0)
        .json();
    assert!(switched["encoded"].as_u64() >= Some(4), "{switched}");
    let json = desk.run(&["search", "heron", "--json"]).expect(0).json();
    assert_eq!(
        (&json["mode"], &json["warnings"]),
        (&"hybrid".into(), &serde_json::json!([]))
    );
}

#[test]
fn in_searches_a_folder_that_was_never_indexed_and_leaves_the_collection_alone() {
    let desk = Desk::new();
    let found = desk
        .run(&["search", "--in", "files", "spring", "tides"])
        .expect(0);
    assert!(found.out.contains("page.html"), "{}", found.out);
    assert_eq!(
        desk.run(&["status", "--json"]).expect(0).json()["generation"],
        0
    );
    desk.write("new.txt", "A kingfisher passed.\n");
    desk.run(&["search", "--in", "files", "kingfisher"])
        .expect(0);
    desk.run(&["search", "kingfisher"]).expect(1);
}

#[test]
fn nothing_found_is_1_and_so_is_an_empty_collection() {
    let desk = Desk::indexed();
    // By meaning everything is near to some degree; words are there or not.
    let nothing = desk
        .run(&["search", "xylophone", "--mode", "bm25"])
        .expect(1);
    assert_eq!(nothing.out, "");
    let empty = Desk::new().run(&["search", "heron"]).expect(1);
    assert!(empty.err.contains("askance index"), "{}", empty.err);
}

#[test]
fn errors_are_one_sentence_and_2() {
    let desk = Desk::indexed();
    desk.run(&["index", "no/such/folder"])
        .error("there is no file or folder no/such/folder");
    desk.run(&["search", "heron", "--after", "soon"])
        .error("'soon' is no date");
    desk.run(&["model", "use", "nothing"])
        .error("there is no model named nothing");
    desk.run(&["model", "add", "files"]).error("config.json");
    desk.run(&["eval", "--beir", "files", "--mode", "bm25"])
        .error("corpus.jsonl");
    desk.run(&["compare", "a.trec", "b.trec", "--qrels", "q.tsv"])
        .error("q.tsv");
    desk.run(&["search", "heron", "--limit", "0"]).expect(2);
    desk.run(&["frobnicate"]).expect(2);
}

#[test]
fn a_missing_path_among_others_touches_nothing() {
    let desk = Desk::new();
    desk.run(&["index", "files", "gone"]).error("gone");
    assert!(!desk.home().join("data").exists());
}

#[test]
fn an_unreadable_file_is_a_warning_and_remembered() {
    let desk = Desk::new();
    desk.write("broken.pdf", "%PDF-1.7\nthis is no PDF\n");
    let indexed = desk.run(&["index", "files"]).expect(0);
    assert!(
        indexed.err.contains("1 file could not be read"),
        "{}",
        indexed.err
    );
    let status = desk.run(&["status", "--json"]).expect(0).json();
    assert!(
        status["failures"][0]["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("broken.pdf")),
        "{status}"
    );
    let again = desk.run(&["index", "files", "--json"]).expect(0).json();
    assert_eq!(
        (&again["still_failing"], &again["unchanged"]),
        (&1.into(), &4.into()),
        "{again}"
    );
}

#[test]
fn removing_forgets_and_unknown_paths_are_1() {
    let desk = Desk::indexed();
    desk.run(&["remove", "files/plain.txt"]).expect(0);
    desk.run(&["search", "heron", "--mode", "bm25"]).expect(1);
    let unknown = desk.run(&["remove", "files/never.txt"]).expect(1);
    assert!(
        unknown.err.contains("not in the collection"),
        "{}",
        unknown.err
    );
    assert!(desk.files().join("plain.txt").exists());
}

#[test]
fn a_sound_collection_passes_the_check_up() {
    let desk = Desk::indexed();
    let report = desk.run(&["doctor", "--json"]).expect(0).json();
    assert_eq!(report["sound"], true, "{report}");
    assert_ne!(report["checks"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_closed_pipe_is_success() {
    let desk = Desk::indexed();
    for arguments in [
        ["search", "desk"].as_slice(),
        &["--help"],
        &["completions", "bash"],
    ] {
        let mut child = desk
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let outcome = Outcome::of(child.wait_with_output().expect("the binary ends")).expect(0);
        assert!(!outcome.err.contains("error"), "{}", outcome.err);
    }
}

#[test]
fn colour_is_for_those_who_ask() {
    let desk = Desk::indexed();
    let coloured = |command: &mut Command| {
        let outcome = Outcome::of(command.output().expect("the binary starts")).expect(0);
        outcome.out.contains('\x1b') || outcome.err.contains('\x1b')
    };
    assert!(
        !coloured(&mut desk.command(&["search", "desk"])),
        "a pipe gets none"
    );
    assert!(coloured(
        &mut desk.command(&["search", "desk", "--color", "always"])
    ));
    assert!(!coloured(
        desk.command(&["search", "desk"]).env("NO_COLOR", "1")
    ));
    assert!(!coloured(
        &mut desk.command(&["search", "desk", "--color", "never"])
    ));
}

#[test]
#[cfg(unix)]
fn a_path_with_a_newline_and_an_escape_stays_on_one_line() {
    let desk = Desk::new();
    desk.write(
        "two\nlines \x1b[31m.txt",
        "A bittern booms in the reeds at dusk.\n",
    );
    desk.run(&["index", "files"]).expect(0);
    let found = desk.run(&["search", "bittern"]).expect(0);
    assert!(
        found.out.contains("files/two\\nlines \\e[31m.txt"),
        "{}",
        found.out
    );
    assert!(!found.out.contains('\x1b'), "{}", found.out);
    let json = desk.run(&["search", "bittern", "--json"]).expect(0).json();
    assert!(
        json["hits"][0]["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("two\nlines \x1b[31m.txt")),
        "{json}"
    );
}

#[test]
fn everything_stays_below_askance_home_or_the_collection_named() {
    let desk = Desk::indexed();
    let entries = |dir: &Path| {
        let mut names: Vec<_> = fs::read_dir(dir)
            .expect("a folder")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(entries(desk.dir.path()), ["files", "home"]);
    assert!(desk.home().join("data/collections/default").is_dir());
    let elsewhere = desk.dir.path().join("elsewhere");
    let indexed = desk
        .command(&["index", "files"])
        .env("ASKANCE_COLLECTION", &elsewhere)
        .output();
    Outcome::of(indexed.expect("the binary starts")).expect(0);
    assert!(elsewhere.is_dir());
    desk.run(&["--collection", "elsewhere", "search", "heron"])
        .expect(0);
}

#[test]
fn no_arguments_are_a_friendly_start() {
    let start = Desk::new().run(&[]).expect(0);
    assert!(start.out.contains("askance search --in"), "{}", start.out);
    assert_eq!(start.err, "");
}

#[test]
fn completions_name_the_commands() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.run(&["completions", shell]).expect(0).out;
        assert!(
            script.contains("doctor") && script.contains("search"),
            "{shell}"
        );
    }
}

#[test]
fn two_runs_are_compared_query_by_query() {
    let desk = Desk::new();
    let file = |name: &str, text: &str| {
        fs::write(desk.dir.path().join(name), text).expect("a file is written")
    };
    file(
        "qrels.tsv",
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n",
    );
    file("qrels.txt", "q1 0 d1 1\nq2 0 d2 1\n");
    file("a.trec", "q1 Q0 d1 1 2.0 a\nq2 Q0 d9 1 2.0 a\n");
    file("b.trec", "q1 Q0 d1 1 2.0 b\nq2 Q0 d2 1 2.0 b\n");
    for qrels in ["qrels.tsv", "qrels.txt"] {
        let compared = desk
            .run(&["compare", "a.trec", "b.trec", "--qrels", qrels, "--json"])
            .expect(0)
            .json();
        assert_eq!(
            (&compared["a"]["mean"], &compared["b"]["mean"]),
            (&0.5.into(), &1.0.into()),
            "{compared}"
        );
        assert_eq!(
            (&compared["wins"], &compared["losses"], &compared["ties"]),
            (&1.into(), &0.into(), &1.into())
        );
        assert_eq!(compared["differ_most"][0]["query"], "q2");
    }
    desk.run(&[
        "compare",
        "a.trec",
        "b.trec",
        "--qrels",
        "qrels.txt",
        "--metric",
        "speed",
    ])
    .error("speed");
}

#[cfg(feature = "trainer")]
#[test]
fn a_training_run_is_drawn_as_a_page() {
    let desk = Desk::new();
    let run = desk.dir.path().join("run");
    fs::create_dir(&run).expect("a folder");
    desk.run(&["train", "report", "run"]).error("log.jsonl");
    let step = r#"{"seconds":1.5,"event":"step","step":0,"loss":0.5,"lr":2e-5,"grad_norm":1.0,"sequences_per_second":90.0,"staleness":0}"#;
    fs::write(run.join("log.jsonl"), format!("{step}\n")).expect("a log");
    let drawn = desk.run(&["train", "report", "run"]).expect(0);
    assert_eq!(drawn.out.trim(), "run/report.html");
    let page = fs::read_to_string(run.join("report.html")).expect("a page");
    assert!(page.contains("1 of 1") && page.contains("</html>"));
    let json = desk
        .run(&["train", "report", "run", "--json"])
        .expect(0)
        .json();
    assert_eq!(json["report"], "run/report.html");
}

/// A file of the repository, as an argument.
#[cfg(feature = "trainer")]
fn of_repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join(path).to_string_lossy().into_owned()
}

#[cfg(feature = "trainer")]
#[test]
fn an_encoder_is_trained_resumed_and_reported() {
    let desk = Desk::new();
    let (beir, model) = (
        of_repository("tests/corpus/beir"),
        of_repository("tests/golden/encoder/bert"),
    );
    let run = |more: &[&str]| {
        let fixed = [
            "train",
            "--beir",
            &beir,
            "--model",
            &model,
            "--device",
            "cpu",
            "--steps",
            "4",
            "--batch",
            "4",
            "--refresh-every",
            "2",
            "--set",
            "query-tokens=16",
            "--set",
            "passage_tokens=24",
        ];
        desk.run(&[&fixed[..], more].concat())
    };
    let plan = run(&["--dry-run", "--json"]).expect(0).json();
    assert_eq!(
        (
            &plan["plan"]["steps"],
            &plan["plan"]["settings"]["query_tokens"]
        ),
        (&4.into(), &16.into()),
        "{plan}"
    );
    assert!(plan["memory_bytes"].as_u64() > Some(0));
    let trained = run(&["--out", "run", "--json"]).expect(0);
    assert!(trained.err.contains("step 4: nDCG@10"), "{}", trained.err);
    let trained = trained.json();
    assert_eq!(
        (&trained["steps"], &trained["report"]),
        (&4.into(), &"run/report.html".into()),
        "{trained}"
    );
    let model = desk
        .dir
        .path()
        .join(trained["model"].as_str().expect("a folder"));
    assert!(
        model.join("model.safetensors").exists()
            && desk.dir.path().join("run/report.html").exists()
    );
    run(&["--out", "run"]).error("--resume");
    let again = run(&["--out", "run", "--resume", "--json"])
        .expect(0)
        .json();
    assert_eq!(again["verdict"], trained["verdict"]);
    run(&["--out", "other", "--set", "no_such_setting=1"]).error("no_such_setting");
    run(&["--out", "other", "--set", "batch=0"]).error("batch is 0");
}

#[cfg(feature = "trainer")]
#[test]
fn texts_without_judgements_ask_their_own_questions() {
    let desk = Desk::indexed();
    let (beir, model) = (
        of_repository("tests/corpus/beir"),
        of_repository("tests/golden/encoder/bert"),
    );
    let start = ["train", "--model", &model, "--dry-run"];
    desk.run(&start).error("at least 32");
    let unlabelled = [&start[..], &["--beir", &beir, "--unlabelled", "--json"]].concat();
    let plan = desk.run(&unlabelled).expect(0).json();
    assert!(
        plan["asked"]["queries"]["title"].as_u64() >= Some(10),
        "{plan}"
    );
    let plan = desk.run(&["train", "--beir", &beir, "--dry-run"]).expect(0);
    assert!(
        plan.out.starts_with("glance"),
        "the built-in encoder is a start: {}",
        plan.out
    );
    desk.run(&["model", "use", "none"]).expect(0);
    desk.run(&["train", "--beir", &beir, "--dry-run"])
        .error("--model");
}

#[cfg(feature = "trainer")]
#[test]
fn a_transformer_becomes_a_table_that_searches() {
    let desk = Desk::new();
    let (beir, model) = (
        of_repository("tests/corpus/beir"),
        of_repository("tests/golden/encoder/bert"),
    );
    let distil = [
        "train",
        "distil",
        "--teacher",
        &model,
        "--beir",
        &beir,
        "--out",
        "run",
    ];
    let small = [
        "--dimension",
        "16",
        "--set",
        "copy_epochs=1",
        "--set",
        "pair_epochs=1",
        "--json",
    ];
    let made = desk.run(&[&distil[..], &small[..]].concat()).expect(0);
    assert!(made.err.contains("contrast 1: loss"), "{}", made.err);
    let made = made.json();
    assert_eq!(made["settings"]["dimension"], 16, "{made}");
    let folder = made["outcome"]["model"]
        .as_str()
        .expect("a folder")
        .to_owned();
    desk.run(&["model", "add", &folder, "--name", "table"])
        .expect(0);
    desk.run(&["index", "files"]).expect(0);
    let found = desk.run(&["search", "heron", "--json"]).expect(0).json();
    assert_eq!(found["encoder"]["name"], "table");
    desk.run(&[&distil[..], &["--dimension", "7"]].concat())
        .error("dimension is 7");
    desk.run(&[&distil[..], &["--set", "depht=7"]].concat())
        .error("depht");
}

/// Writes `rows` vectors of `columns` numbers that look random.
fn npy(path: &Path, rows: usize, columns: usize) {
    let mut writer = storage::npy::NpyWriter::create(path, columns).expect("a new file");
    let number = |i: usize| ((i * 7919 + i * i * 31) % 1009) as f32 / 504.0 - 1.0;
    for row in 0..rows {
        let row: Vec<f32> = (0..columns).map(|at| number(row * columns + at)).collect();
        writer.push(&row).expect("a row");
    }
    writer.finish().expect("a finished file");
}

#[test]
fn an_index_is_measured_on_ones_own_vectors() {
    let desk = Desk::new();
    let file = |name: &str| desk.dir.path().join(name);
    npy(&file("base.npy"), 700, 16);
    npy(&file("queries.npy"), 9, 16);
    npy(&file("other.npy"), 9, 8);
    let bench = ["bench", "ann", "--base", "base.npy", "--queries"];
    let run = |more: &[&str]| desk.run(&[&bench[..], more].concat());
    let measured = run(&["queries.npy", "--json", "--repeat", "1", "--work", "kept"])
        .expect(0)
        .json();
    for key in ["build_s", "bytes_per_vector", "exact_qps"] {
        assert!(
            measured[key].as_f64().is_some_and(|x| x > 0.0),
            "{measured}"
        );
    }
    let points = measured["points"].as_array().expect("a list");
    let best = points
        .iter()
        .filter_map(|p| p["recall"].as_f64())
        .fold(0.0, f64::max);
    assert!(best > 0.95, "{measured}");
    assert!(
        points.iter().all(|p| p["qps"].as_f64() > Some(0.0)),
        "{measured}"
    );
    let again = run(&[
        "queries.npy",
        "--json",
        "--repeat",
        "1",
        "--work",
        "kept",
        "--settings",
        "999999:700",
    ])
    .expect(0)
    .json();
    assert_eq!(again["points"][0]["recall"], 1.0, "all lists and all rows");
    assert_eq!(again["build_s"], measured["build_s"], "used again");
    let chosen = run(&[
        "queries.npy",
        "--json",
        "--repeat",
        "1",
        "--work",
        "kept",
        "--targets",
        "0.95,1",
    ])
    .expect(0)
    .json();
    let found = |at: usize| chosen["points"][at]["recall"].as_f64().expect("a recall");
    assert!(found(0) > 0.85 && found(1) == 1.0, "{chosen}");
    run(&["other.npy"]).error("different encoders");
    run(&["files/plain.txt"]).error("numpy.save");
    let wrong = run(&["queries.npy", "--settings", "0:9"]).expect(2);
    assert!(wrong.err.contains("write lists:codes"), "{}", wrong.err);
}

#[test]
fn texts_become_a_table_of_vectors() {
    let desk = Desk::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encoder/static");
    let model = model.to_string_lossy();
    desk.run(&["model", "add", &model, "--name", "tiny"])
        .expect(0);
    fs::write(
        desk.dir.path().join("texts.jsonl"),
        "{\"text\": \"a boat\"}\n\n{\"_id\": 7, \"title\": \"a\", \"text\": \"boat\"}\n{\"text\": \"\"}\n",
    )
    .expect("a file is written");
    let encode = [
        "encode",
        "--input",
        "texts.jsonl",
        "--out",
        "v.npy",
        "--model",
        "tiny",
    ];
    let encoded = desk.run(&[&encode[..], &["--json"]].concat()).expect(0);
    assert_eq!(encoded.json()["rows"], 3);
    assert!(encoded.err.contains("passages/s"), "{}", encoded.err);
    let path = desk.dir.path().join("v.npy");
    let mut table = storage::npy::NpyReader::open(&path).expect("a table");
    let (rows, columns) = (table.rows(), table.columns());
    let numbers = table.read_all().expect("its numbers");
    assert_eq!(
        (rows, encoded.json()["dimension"].as_u64()),
        (3, Some(columns as u64))
    );
    assert_eq!(
        numbers[..columns],
        numbers[columns..2 * columns],
        "title and text are one"
    );
    fs::write(
        desk.dir.path().join("texts.jsonl"),
        "{\"text\": \"a\"}\n{\"words\": 1}\n",
    )
    .expect("written");
    desk.run(&encode).error("line 2, field text");
    let kept = storage::npy::NpyReader::open(&path).expect("the table from before");
    assert_eq!(kept.rows(), 3);
}

#[test]
fn every_answer_names_the_precision_of_the_encoder() {
    let desk = Desk::new();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/encoder/bert");
    let model = model.to_str().expect("a path in UTF-8");
    let json = |arguments: &[&str]| desk.run(arguments).expect(0).json();
    let added = json(&["model", "add", model, "--json"]);
    let precision = &added["precision"];
    assert!(precision["chosen"].is_string(), "{precision}");
    assert!(precision["measured"][0]["texts_per_second"].is_number());

    desk.run(&["model", "use", "bert", "--precision", "f32"])
        .expect(0);
    let listed = json(&["model", "--json"]);
    assert_eq!(listed["models"][1]["precision"]["pinned"], "f32");
    desk.run(&["index", "files"]).expect(0);
    let found = json(&["search", "desk", "--mode", "dense", "--json"]);
    assert_eq!(found["precision"], "f32");
    assert_eq!(json(&["status", "--json"])["precision"], "f32");
    let shown = desk.run(&["model"]).expect(0);
    assert!(shown.out.contains("in use, as asked for"), "{}", shown.out);
}
