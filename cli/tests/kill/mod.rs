//! Does the real binary survive being killed at any moment?
//!
//! `ASKANCE_KILLS` sets how many times (default 24), `ASKANCE_SEED` which moments.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Desk, Outcome};

/// File name and the version its text tells.
type State = BTreeMap<String, String>;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

/// A desk whose files are known, and what of them is in the collection.
struct Bench {
    desk: Desk,
    files: State,
    version: u64,
    dice: Dice,
    /// What each kind of run takes undisturbed.
    usual: Duration,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let desk = Desk::new();
        for name in ["desk.md", "plain.txt", "page.html", "sub/retry.rs"] {
            fs::remove_file(desk.files().join(name)).expect("a removal");
        }
        let mut bench = Self {
            desk,
            files: State::new(),
            version: 0,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            usual: Duration::ZERO,
        };
        for n in 0..40 {
            bench.write(&format!("{n}.txt"));
        }
        let started = Instant::now();
        bench.desk.run(&["index", "files"]).expect(0);
        bench.usual = started.elapsed();
        bench
    }

    fn write(&mut self, name: &str) {
        self.version += 1;
        let version = format!("version{}", self.version);
        let text = format!(
            "{version} of the cormorant log. {}\n",
            "Wind and tide. ".repeat(20)
        );
        self.desk.write(name, &text);
        self.files.insert(name.to_owned(), version);
    }

    /// Changes, adds and removes some files.
    fn edit(&mut self) {
        for _ in 0..3 {
            let n = self.dice.below(60);
            self.write(&format!("{n}.txt"));
        }
        let n = self.dice.below(60);
        let name = format!("{n}.txt");
        if self.files.len() > 30 && self.files.remove(&name).is_some() {
            fs::remove_file(self.desk.files().join(name)).expect("a removal");
        }
    }

    /// What the collection answers, as the binary says it.
    fn found(&self) -> State {
        let search = ["search", "cormorant", "--limit", "1000", "--json"];
        let answer = self.desk.run(&search).expect(0).json();
        let hits = answer["hits"].as_array().expect("hits");
        let entry = |hit: &serde_json::Value| {
            let text = |key: &str| hit[key].as_str().expect("text").to_owned();
            let name = text("path").rsplit('/').next().expect("a name").to_owned();
            let version = text("snippet")
                .split(' ')
                .next()
                .expect("a word")
                .to_owned();
            (name, version)
        };
        let state: State = hits.iter().map(entry).collect();
        assert_eq!(
            state.len(),
            hits.len(),
            "a document is found twice: {answer}"
        );
        state
    }

    /// Starts `arguments` and kills the process after a random while; true if it was still running.
    fn killed(&mut self, arguments: &[&str]) -> bool {
        let mut child = self
            .desk
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let micros = (self.usual.as_micros() as u64).max(1000) * 8 / 5;
        sleep(Duration::from_micros(self.dice.below(micros)));
        let running = child.try_wait().expect("a status").is_none();
        // SIGKILL: nothing in the process gets to run any more.
        child.kill().expect("a kill");
        child.wait().expect("an end");
        running
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_the_old_state_or_the_new() {
    let (kills, seed) = (number("ASKANCE_KILLS", 24), number("ASKANCE_SEED", 1));
    let mut bench = Bench::new(seed);
    let mut committed = bench.found();
    assert_eq!(committed, bench.files);
    let (mut done, mut running, mut new) = (0, 0, 0);
    while done < kills {
        let kind = ["index", "remove", "compact"][bench.dice.below(3) as usize];
        let goal = match kind {
            "index" => {
                bench.edit();
                bench.files.clone()
            }
            "remove" => State::from_iter(
                committed
                    .clone()
                    .into_iter()
                    .filter(|(name, _)| !name.starts_with('1')),
            ),
            _ => committed.clone(),
        };
        let names: Vec<String> = committed
            .keys()
            .filter(|name| name.starts_with('1'))
            .map(|name| format!("files/{name}"))
            .collect();
        let mut arguments = vec![kind];
        match kind {
            "index" => arguments.push("files"),
            "remove" if names.is_empty() => continue,
            "remove" => arguments.extend(names.iter().map(String::as_str)),
            _ => {}
        }
        running += u64::from(bench.killed(&arguments));
        done += 1;
        let found = bench.found();
        assert!(
            found == committed || found == goal,
            "kill {done} during {kind} (seed {seed}): {found:?} is neither {committed:?} nor {goal:?}"
        );
        new += u64::from(found == goal && goal != committed);
        committed = found;
        if done % 10 == 0 || done == kills {
            check(&mut bench);
            committed = bench.found();
        }
    }
    let line = format!(
        "{kills} kills, {running} of a running process, {new} left the new state, 0 documents lost\n"
    );
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
}

/// The next whole run ends where it should, and the check-up finds nothing.
fn check(bench: &mut Bench) {
    let indexed = bench.desk.run(&["index", "files"]);
    let said = indexed.err.clone();
    indexed.expect(0);
    assert_eq!(bench.found(), bench.files, "{said}");
    let report: Outcome = bench.desk.run(&["doctor"]);
    report.expect(0);
}
