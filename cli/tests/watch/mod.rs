//! Does `askance watch` keep a collection in line with its files?

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Desk;

/// An event that does not come for this long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// A watch at work, ended with the test.
struct Watch {
    child: Child,
    events: Receiver<Value>,
}

impl Watch {
    /// Watches `files` from the first comparison on.
    fn start(desk: &Desk, more: &[&str]) -> Self {
        let mut arguments = vec!["watch", "files", "--json", "--always"];
        arguments.extend(more);
        let mut child = desk
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("each line is JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let watch = Self { child, events };
        watch.expect("watching");
        watch
    }

    /// The next event of this name; others are passed over.
    fn expect(&self, name: &str) -> Value {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|e| panic!("no event {name}: {e}"));
            if event["event"] == name {
                return event;
            }
        }
    }

    /// Asks again until the answer is yes, while updates come in.
    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "it never came to this: {what}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Paths a search finds.
fn found(desk: &Desk, query: &str) -> BTreeSet<String> {
    let found = desk
        .run(&[
            "search", "--json", "--limit", "1000", "--mode", "bm25", query,
        ])
        .json();
    let hits = found["hits"].as_array().expect("hits").iter();
    hits.map(|hit| hit["path"].as_str().expect("a path").to_owned())
        .collect()
}

/// What a collection holds, apart from how it came to it.
fn held(desk: &Desk, collection: &[&str]) -> Value {
    let mut arguments = vec!["status", "--json"];
    arguments.extend(collection);
    let mut status = desk.run(&arguments).expect(0).json();
    let keep = [
        "documents",
        "passages",
        "text_bytes",
        "extensions",
        "failures",
    ];
    keep.iter().map(|key| status[*key].take()).collect()
}

/// The watched collection holds what a fresh index of the same files holds.
fn equals_a_fresh_index(desk: &Desk, watch: &Watch) {
    desk.run(&["index", "files", "--collection", "fresh"])
        .expect(0);
    let fresh = held(desk, &["--collection", "fresh"]);
    watch.until("the same as a fresh index", || held(desk, &[]) == fresh);
}

#[test]
fn files_are_followed_as_they_come_change_move_and_go() {
    let desk = Desk::new();
    let watch = Watch::start(&desk, &[]);
    assert_eq!(watch.expect("updated")["added"], 4);

    desk.write("sub/new.md", "# Tern\n\nA tern dives.\n");
    assert_eq!(watch.expect("updated")["added"], 1);
    assert_eq!(found(&desk, "tern").len(), 1);

    desk.write("sub/new.md", "# Puffin\n\nA puffin digs.\n");
    assert_eq!(watch.expect("updated")["changed"], 1);
    assert_eq!(
        (found(&desk, "tern").len(), found(&desk, "puffin").len()),
        (0, 1)
    );

    fs::rename(desk.files().join("sub"), desk.files().join("moved")).expect("renamed");
    watch.expect("updated");
    watch.until("found below its new folder", || {
        let paths = found(&desk, "puffin");
        paths.len() == 1 && paths.iter().all(|path| path.contains("/moved/"))
    });

    fs::remove_file(desk.files().join("moved/new.md")).expect("removed");
    watch.until("gone", || found(&desk, "puffin").is_empty());

    // Nothing the rules leave out is read, and rules that change are followed.
    desk.write("skua.md", "A skua steals.\n");
    watch.until("found", || found(&desk, "skua").len() == 1);
    desk.write(".ignore", "skua.md\n");
    watch.until("left out", || found(&desk, "skua").is_empty());
    equals_a_fresh_index(&desk, &watch);
}

#[test]
fn nothing_of_a_bulk_copy_is_missed() {
    let desk = Desk::new();
    let source = desk.dir.path().join("source");
    for i in 0..2000 {
        let folder = source.join(format!("{}/{}", i % 7, i % 61));
        fs::create_dir_all(&folder).expect("made");
        fs::write(
            folder.join(format!("{i}.txt")),
            format!("Note {i} on tide {}.\n", i % 13),
        )
        .expect("written");
    }
    let watch = Watch::start(&desk, &[]);
    watch.expect("updated");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&source)
        .arg(desk.files().join("copy"))
        .status();
    assert!(copied.expect("cp runs").success());
    watch.until("all of it is there", || held(&desk, &[])[0] == 2004);
    equals_a_fresh_index(&desk, &watch);
    fs::remove_dir_all(desk.files().join("copy")).expect("removed");
    watch.until("all of it is gone", || held(&desk, &[])[0] == 4);
}

#[test]
fn a_folder_that_vanishes_keeps_its_documents_and_is_followed_when_it_returns() {
    let desk = Desk::new();
    let watch = Watch::start(&desk, &[]);
    watch.expect("updated");
    let away = desk.dir.path().join("away");
    fs::rename(desk.files(), &away).expect("pulled out");
    watch.expect("gone");
    assert_eq!(found(&desk, "elbow height").len(), 1);
    fs::write(away.join("later.md"), "A gannet dives.\n").expect("written");
    fs::rename(&away, desk.files()).expect("put back");
    watch.expect("returned");
    watch.until("what changed meanwhile is found", || {
        found(&desk, "gannet").len() == 1
    });
    desk.write("after.md", "A fulmar glides.\n");
    watch.until("and what changes now", || found(&desk, "fulmar").len() == 1);
}

#[test]
fn a_drive_that_reports_nothing_is_polled() {
    let desk = Desk::new();
    let watch = Watch::start(&desk, &["--poll=1"]);
    watch.expect("updated");
    desk.write("new.md", "A dunlin runs.\n");
    watch.until("found", || found(&desk, "dunlin").len() == 1);
}

#[test]
fn another_writer_is_waited_for_and_named() {
    let desk = Desk::new();
    let watch = Watch::start(&desk, &[]);
    watch.expect("updated");
    let dir = desk.home().join("data/collections/default");
    let collection = storage::generation::Collection::create_or_open(&dir).expect("opens");
    let lock = collection.lock().expect("nobody writes now");
    desk.write("new.md", "A turnstone turns stones.\n");
    let waiting = watch.expect("waiting");
    let holder = waiting["holder"].as_str().expect("a name");
    assert!(
        holder.contains(&format!("process {}", std::process::id())),
        "{holder}"
    );
    drop(lock);
    watch.until("found", || found(&desk, "turnstone").len() == 1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_well() {
    let desk = Desk::new();
    let mut watch = Watch::start(&desk, &[]);
    watch.expect("updated");
    let pid = watch.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .expect("kill runs")
            .success()
    );
    assert!(watch.child.wait().expect("it ends").success());
    desk.run(&["doctor"]).expect(0);
}

#[test]
fn what_cannot_be_followed_is_said_at_once() {
    let desk = Desk::new();
    desk.run(&["watch", "nowhere"])
        .error("there is no file or folder nowhere");
    desk.run(&["watch"]).error("no folders yet");
}
