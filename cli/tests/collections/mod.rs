//! Do several collections, each with its settings, live beside each other?

use std::fs;

use super::Desk;

fn settings(desk: &Desk, name: &str, text: &str) {
    let dir = desk.home().join("data/collections").join(name);
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("settings.toml"), text).expect("written");
}

#[test]
fn index_without_a_path_refreshes_the_folders() {
    let desk = Desk::indexed();
    desk.write("tern.md", "A tern dives.\n");
    assert_eq!(desk.run(&["index", "--json"]).expect(0).json()["added"], 1);
    fs::rename(desk.files(), desk.dir.path().join("away")).expect("moved");
    desk.run(&["index"])
        .error("none of the collection's folders is there");
    desk.run(&["search", "tern"]).expect(0);
    let other = desk.dir.path().join("other");
    desk.run(&["index", "--collection", other.to_str().expect("text")])
        .error("has no folders yet");
}

#[test]
fn settings_say_what_is_read() {
    let desk = Desk::new();
    let roots = desk.files().canonicalize().expect("there");
    settings(
        &desk,
        "work",
        &format!("roots = [{roots:?}]\nignore = [\"*.txt\", \"sub/\"]\nhidden = true\n"),
    );
    desk.write(".hidden.md", "A hidden heron.\n");
    let report = desk
        .run(&["index", "--collection", "@work", "--json"])
        .expect(0)
        .json();
    assert_eq!(report["added"], 3, "{report}");
    desk.run(&["search", "--collection", "@work", "hidden heron"])
        .expect(0);
    desk.run(&[
        "search",
        "--collection",
        "@work",
        "retries",
        "--mode",
        "bm25",
    ])
    .expect(1);
    // The other collection knows nothing of it, and status names both.
    desk.run(&["index", "files"]).expect(0);
    let status = desk.run(&["status"]).expect(0).out;
    assert!(status.contains("@work: 3 documents"), "{status}");
    let status = desk.run(&["status", "--collection", "@work"]).expect(0).out;
    assert!(
        status.contains("leaves out *.txt, sub/") && status.contains("@default: 4 documents"),
        "{status}"
    );
}

#[test]
fn another_length_of_passages_reads_everything_again_once() {
    let desk = Desk::new();
    let long: String = (0..200)
        .map(|i| format!("Sentence {i} of a report on herons.\n"))
        .collect();
    desk.write("long.txt", &long);
    desk.run(&["index", "files"]).expect(0);
    let passages = |desk: &Desk| {
        desk.run(&["status", "--json"]).json()["passages"]
            .as_u64()
            .expect("a number")
    };
    let before = passages(&desk);
    settings(&desk, "default", "passage_tokens = 64\n");
    let again = desk.run(&["index", "--json"]).expect(0).json();
    assert_eq!(again["changed"], 5, "{again}");
    assert!(
        passages(&desk) > 2 * before,
        "{} of {before}",
        passages(&desk)
    );
    let still = desk.run(&["index", "--json"]).expect(0).json();
    assert_eq!(still["changed"], 0, "{still}");
}

#[test]
fn wrong_settings_are_named_by_every_command_that_reads_them() {
    let desk = Desk::indexed();
    settings(&desk, "default", "hiden = true\n");
    for arguments in [&["index"][..], &["status"], &["watch"]] {
        desk.run(arguments)
            .error("settings.toml: hiden: there is no such setting");
    }
    // Search goes on: it reads no files.
    desk.run(&["search", "elbow height"]).expect(0);
    settings(&desk, "default", "encoder = \"nomodel\"\n");
    let warned = desk.run(&["index"]).expect(0);
    assert!(
        warned.err.contains("askance model use nomodel"),
        "{}",
        warned.err
    );
    desk.run(&["index", "files", "--collection", "@../x"])
        .error("is no name of a collection");
}
