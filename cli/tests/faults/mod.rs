//! Does the real binary survive a full disk, a read-only one, too few file handles and a clock that jumps?

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::{Desk, Outcome};

fn say(line: &str) {
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
}

/// A small file system in memory, gone with the test. Only where this process may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(parent: &Path, size: &str) -> Option<Self> {
        let at = parent.join("small-disk");
        fs::create_dir(&at).expect("a folder");
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            _ => {
                say("no small disk to test with: mounting one takes root\n");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(done.expect("mount runs").success(), "{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A leftover mount goes with the machine; a test that failed must still say why.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run_in(desk: &Desk, collection: &Path, arguments: &[&str]) -> Outcome {
    let mut command = desk.command(arguments);
    command.env("ASKANCE_COLLECTION", collection);
    Outcome::of(command.output().expect("the binary starts"))
}

#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    let desk = Desk::new();
    let Some(disk) = SmallDisk::new(desk.dir.path(), "64m") else {
        return;
    };
    let collection = disk.0.join("collection");
    let run = |arguments: &[&str]| run_in(&desk, &collection, arguments);
    run(&["index", "files"]).expect(0);
    desk.write("more.txt", "A second heron joined the first.\n");
    let used = || {
        let output = Command::new("df")
            .args(["--output=avail", "-k"])
            .arg(&disk.0)
            .output();
        let text = String::from_utf8(output.expect("df runs").stdout).expect("text");
        text.lines()
            .nth(1)
            .and_then(|n| n.trim().parse::<u64>().ok())
            .expect("a number")
    };
    // From no room at all to room enough.
    let mut failures = 0;
    for left in [0, 4, 16, 64, 256, 1024, 4096] {
        let _ = fs::remove_file(disk.0.join("filler"));
        let filler = vec![1u8; (used().saturating_sub(left) as usize) << 10];
        let _ = fs::write(disk.0.join("filler"), filler);
        let outcome = run(&["index", "files"]);
        match outcome.code {
            Some(0) => break,
            Some(2) => assert!(outcome.err.contains("error: "), "{}", outcome.err),
            other => panic!("{left} KiB left: {other:?} {}", outcome.err),
        }
        failures += 1;
        let found = run(&["search", "heron"]).expect(0);
        assert!(
            found.out.contains("plain.txt"),
            "{left} KiB left: {}",
            found.out
        );
    }
    assert!(failures > 0, "the disk was never full");
    fs::remove_file(disk.0.join("filler")).expect("a removal");
    run(&["index", "files"]).expect(0);
    let found = run(&["search", "second heron"]).expect(0);
    assert!(found.out.contains("more.txt"), "{}", found.out);
    run(&["doctor"]).expect(0);
    say(&format!(
        "{failures} runs on a full disk, 0 documents lost\n"
    ));
}

#[test]
fn a_read_only_disk_can_be_searched_and_not_written() {
    let desk = Desk::new();
    let Some(disk) = SmallDisk::new(desk.dir.path(), "64m") else {
        return;
    };
    let collection = disk.0.join("collection");
    let run = |arguments: &[&str]| run_in(&desk, &collection, arguments);
    run(&["index", "files"]).expect(0);
    disk.remount("ro");
    let found = run(&["search", "heron"]).expect(0);
    assert!(found.out.contains("plain.txt"), "{}", found.out);
    run(&["status"]).expect(0);
    for arguments in [&["index", "files"][..], &["remove", "files"], &["compact"]] {
        run(arguments).error("Read-only file system");
    }
    disk.remount("rw");
    run(&["index", "files"]).expect(0);
    run(&["doctor"]).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn without_file_handles_there_is_an_error_and_nothing_lost() {
    let desk = Desk::indexed();
    let mut failures = 0;
    for handles in [5, 8, 12, 16, 20, 24, 28, 32, 40, 48, 64] {
        desk.write("more.txt", &format!("A heron with {handles} handles.\n"));
        for arguments in [["index", "files"], ["search", "heron"]] {
            let mut limited = Command::new("sh");
            limited.args(["-c", &format!("ulimit -n {handles}; exec \"$0\" \"$@\"")]);
            let inner = desk.command(&arguments);
            limited.arg(inner.get_program()).args(inner.get_args());
            limited
                .current_dir(desk.dir.path())
                .env("ASKANCE_HOME", desk.home());
            let outcome = Outcome::of(limited.output().expect("sh starts"));
            match outcome.code {
                Some(0) => {}
                Some(2) => {
                    failures += 1;
                    assert!(
                        outcome.err.contains("error: "),
                        "{handles}: {}",
                        outcome.err
                    );
                }
                // The system itself could not load the program.
                Some(127) => {}
                other => panic!(
                    "{handles} handles, {arguments:?}: {other:?} {}",
                    outcome.err
                ),
            }
        }
        let found = desk.run(&["search", "reeds"]).expect(0);
        assert!(found.out.contains("plain.txt"), "{handles}: {}", found.out);
    }
    assert!(failures > 0, "there were always enough");
    desk.run(&["index", "files"]).expect(0);
    desk.run(&["doctor"]).expect(0);
    say(&format!(
        "{failures} runs without file handles, 0 documents lost\n"
    ));
}

/// Stamps from before 1970 to the far future: what changed is read, what did not is not, and filters still work.
#[test]
fn a_clock_that_jumps_hides_no_change() {
    let desk = Desk::indexed();
    let day = Duration::from_secs(86_400);
    let stamps = [
        SystemTime::UNIX_EPOCH - day * 400,
        SystemTime::UNIX_EPOCH,
        SystemTime::now() + day * 365 * 100,
        SystemTime::now() - day * 2,
        SystemTime::now() + Duration::from_millis(1500),
    ];
    for (n, stamp) in stamps.into_iter().enumerate() {
        desk.write("plain.txt", &format!("Heron number {n} in the reeds.\n"));
        let file = fs::File::options()
            .write(true)
            .open(desk.files().join("plain.txt"));
        file.expect("a file").set_modified(stamp).expect("a stamp");
        let indexed = desk.run(&["index", "files", "--json"]).expect(0).json();
        assert_eq!(indexed["changed"], 1, "{n}: {indexed}");
        let found = desk
            .run(&["search", "heron number", "--mode", "bm25", "--json"])
            .expect(0)
            .json();
        let snippet = found["hits"][0]["snippet"]
            .as_str()
            .expect("text")
            .to_owned();
        assert!(snippet.contains(&format!("number {n} ")), "{n}: {snippet}");
        let after = desk.run(&["search", "heron", "--after", "1d", "--mode", "bm25"]);
        let expected = if stamp > SystemTime::now() - day {
            0
        } else {
            1
        };
        after.expect(expected);
        let again = desk.run(&["index", "files", "--json"]).expect(0).json();
        assert_eq!(
            (&again["changed"], &again["passages"]),
            (&0.into(), &0.into()),
            "{n}: {again}"
        );
    }
    desk.run(&["doctor"]).expect(0);
}

/// The binary opens no socket, not even one that stays within the computer. Watched by strace where there is one, else
/// by looking at its handles as it runs.
#[cfg(target_os = "linux")]
#[test]
fn indexing_and_searching_open_no_socket() {
    let desk = Desk::new();
    desk.write("broken.pdf", "%PDF-1.7\nthis is no PDF\n");
    for arguments in [
        &["index", "files"][..],
        &["search", "heron"],
        &["doctor"],
        &["compact"],
    ] {
        let inner = desk.command(arguments);
        let log = desk.dir.path().join("calls");
        let mut traced = Command::new("strace");
        traced
            .args(["-f", "-qq", "-e", "trace=socket,connect,bind,sendto", "-o"])
            .arg(&log);
        traced.arg(inner.get_program()).args(inner.get_args());
        traced
            .current_dir(desk.dir.path())
            .env("ASKANCE_HOME", desk.home());
        match traced.output() {
            Ok(output) => {
                Outcome::of(output).expect(0);
                let calls = fs::read_to_string(&log).expect("a log");
                let calls: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
                assert!(calls.is_empty(), "{arguments:?}: {calls:?}");
            }
            Err(_) => assert_eq!(sockets(desk.command(arguments)), 0, "{arguments:?}"),
        }
    }
}

/// Sockets among the handles of a process, looked at until it ends.
#[cfg(target_os = "linux")]
fn sockets(mut command: Command) -> usize {
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let handles = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let mut found = 0;
    while child.try_wait().expect("a status").is_none() {
        let links = fs::read_dir(&handles).into_iter().flatten().flatten();
        let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
        found += targets
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count();
    }
    found
}
