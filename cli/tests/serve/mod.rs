//! Does `askance serve` behave as a process, and does its page behave in a browser?

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout};

use super::*;

/// A server that runs until the test ends.
struct Serving {
    child: Child,
    /// Kept open: a closed stdout would be another test.
    _out: BufReader<ChildStdout>,
    /// "127.0.0.1:PORT"
    host: String,
}

impl Serving {
    fn start(desk: &Desk, arguments: &[&str]) -> Self {
        let mut command = desk.command(&["serve", "--port", "0"]);
        let command = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        out.read_line(&mut line).expect("an address");
        let host = line
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        Self {
            host: host.to_owned(),
            child,
            _out: out,
        }
    }

    fn get(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        let host = &self.host;
        write!(
            stream,
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_says_where_it_is_and_answers() {
    let desk = Desk::indexed();
    let serving = Serving::start(&desk, &[]);
    assert!(serving.get("/").contains("<title>askance</title>"));
    assert!(
        serving
            .get("/api/v1/search?q=elbow%20height")
            .contains("desk.md")
    );
}

#[cfg(unix)]
#[test]
fn a_server_ends_well_when_it_is_told_to() {
    let desk = Desk::indexed();
    let mut serving = Serving::start(&desk, &[]);
    let told = Command::new("kill")
        .arg(serving.child.id().to_string())
        .status();
    assert!(told.expect("kill starts").success());
    let code = serving.child.wait().expect("it ends").code();
    assert_eq!(code, Some(0));
}

#[test]
fn a_port_in_use_is_one_sentence() {
    let desk = Desk::indexed();
    let serving = Serving::start(&desk, &[]);
    let port = serving.host.rsplit(':').next().unwrap_or_default();
    desk.run(&["serve", "--port", port]).error("is in use");
}

#[test]
fn others_are_let_in_only_with_a_token() {
    let desk = Desk::new();
    let refused = |arguments: &[&str], part: &str| {
        let arguments = [&["serve", "--port", "0"], arguments].concat();
        desk.run(&arguments).error(part);
    };
    refused(&["--host", "0.0.0.0"], "needs a token");
    refused(&["--host", "0.0.0.0", "--token", "short"], "at least 16");
    refused(&["--token-file", "nowhere"], "cannot read nowhere");
    let serving = Serving::start(&desk, &["--token", "0123456789abcdef"]);
    assert!(serving.get("/").starts_with("HTTP/1.1 401"));
    assert!(
        serving
            .get("/?token=0123456789abcdef")
            .starts_with("HTTP/1.1 303")
    );
}

/// The page in a real browser, where there is one: `tests/browser/page.py` says so with 77 where there is none.
#[test]
fn the_page_works_in_a_browser() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/browser/page.py");
    let run = Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_askance"))
        .output();
    // Without python3 there is nothing to drive a browser with.
    let Ok(run) = run else { return };
    let code = run.status.code();
    assert!(
        matches!(code, Some(0 | 77)),
        "{}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}
