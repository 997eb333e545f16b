//! How do JSON-RPC messages come in by stdin and go out by stdout, one a line?
//!
//! What is no message is answered as JSON-RPC 2.0 asks (section 5.1), with its id where it has one.

use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage, serve_server};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::server::Assistant;

/// Longest line in bytes; the longest sensible request is a few kilobytes.
const LONGEST_LINE: u64 = 4 << 20;
/// Messages read ahead of the one that is worked on.
const AHEAD: usize = 16;
/// The line is no JSON.
const PARSE_ERROR: i32 = -32700;
/// The JSON is no request.
const INVALID_REQUEST: i32 = -32600;

/// Where messages go; one line at a time.
type Out = Arc<Mutex<Box<dyn Write + Send>>>;

/// Speaks over stdin and stdout until stdin ends.
///
/// # Errors
/// A first message other than the protocol's greeting, or a closed stdout.
pub fn stdio(assistant: Assistant) -> anyhow::Result<()> {
    let input = io::BufReader::new(io::stdin());
    let transport = Lines::new(input, Box::new(io::stdout()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the threads that answer")?;
    let outcome = runtime.block_on(async {
        // A client that leaves before its greeting is no failure.
        let Ok(running) = serve_server(assistant, transport).await else {
            return Ok(());
        };
        running.waiting().await.map(|_| ())
    });
    // A search that nobody waits for any more does not hold the process.
    runtime.shutdown_background();
    outcome.context("the connection ended badly")
}

/// The protocol over two streams.
struct Lines {
    incoming: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    out: Out,
}

impl Lines {
    /// Reads on a thread of its own, since a read from stdin cannot be given up.
    fn new(input: impl BufRead + Send + 'static, out: Box<dyn Write + Send>) -> Self {
        let (sender, incoming) = mpsc::channel(AHEAD);
        let out = Arc::new(Mutex::new(out));
        let answers = out.clone();
        thread::spawn(move || read_all(input, &sender, &answers));
        Self { incoming, out }
    }
}

impl Transport<RoleServer> for Lines {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let out = self.out.clone();
        async move {
            let line = serde_json::to_string(&message)?;
            tokio::task::spawn_blocking(move || write_line(&out, &line)).await?
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(out: &Out, line: &str) -> io::Result<()> {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Hands on every message until the stream ends, the service is gone, or nobody reads the answers.
fn read_all(
    mut input: impl BufRead,
    sender: &mpsc::Sender<RxJsonRpcMessage<RoleServer>>,
    out: &Out,
) {
    let mut line = Vec::new();
    while let Ok(whole) = next_line(&mut input, &mut line) {
        if line.is_empty() && whole {
            return;
        }
        let goes_on = match read(&line, whole) {
            Incoming::Message(message) => sender.blocking_send(*message).is_ok(),
            Incoming::Nothing => true,
            Incoming::Refused(answer) => write_line(out, &answer.to_string()).is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

/// Fills `line` with the next one; false if it was too long and is dropped. Empty at the end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    io::Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', line)?;
    if (line.len() as u64) < LONGEST_LINE || line.ends_with(b"\n") {
        return Ok(true);
    }
    line.clear();
    input.skip_until(b'\n')?;
    Ok(false)
}

/// What a line turns out to be.
enum Incoming {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// An empty line, or a notification that nobody knows: JSON-RPC answers neither.
    Nothing,
    Refused(Value),
}

fn read(line: &[u8], whole: bool) -> Incoming {
    if !whole {
        let text = format!("the line is longer than {LONGEST_LINE} bytes");
        return refused(Value::Null, INVALID_REQUEST, &text);
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Incoming::Nothing;
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return refused(Value::Null, PARSE_ERROR, &format!("no JSON: {error}")),
    };
    let id = value.get("id").cloned();
    let is_notification = id.is_none() && value.get("method").is_some_and(Value::is_string);
    match serde_json::from_value(value) {
        Ok(message) => Incoming::Message(Box::new(message)),
        Err(_) if is_notification => Incoming::Nothing,
        Err(_) => {
            let id = id.filter(|id| id.is_string() || id.is_number());
            let text = "no JSON-RPC 2.0 request of this protocol";
            refused(id.unwrap_or_default(), INVALID_REQUEST, text)
        }
    }
}

fn refused(id: Value, code: i32, message: &str) -> Incoming {
    Incoming::Refused(json!({
        "jsonrpc": "2.0",
        "id": id,
        "error": {"code": code, "message": message},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error code and id that `line` is answered with.
    fn refusal(line: &str) -> (i64, Value) {
        match read(line.as_bytes(), true) {
            Incoming::Refused(answer) => (
                answer["error"]["code"].as_i64().expect("a code"),
                answer["id"].clone(),
            ),
            Incoming::Message(_) => panic!("{line} is taken for a message"),
            Incoming::Nothing => panic!("{line} is not answered"),
        }
    }

    #[test]
    fn what_is_no_message_is_answered() {
        assert_eq!(refusal("{\"jsonrpc\":"), (-32700, Value::Null));
        assert_eq!(refusal("\u{1b}[2J"), (-32700, Value::Null));
        assert_eq!(refusal("[]"), (-32600, Value::Null));
        assert_eq!(refusal("7"), (-32600, Value::Null));
        assert_eq!(refusal("{\"id\":4}"), (-32600, json!(4)));
        assert_eq!(refusal("{\"id\":{\"a\":1}}"), (-32600, Value::Null));
    }

    #[test]
    fn requests_pass_and_unknown_notifications_are_let_go() {
        let ping = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert!(matches!(read(ping, true), Incoming::Message(_)));
        assert!(matches!(read(b"  ", true), Incoming::Nothing));
        let odd = br#"{"jsonrpc":"1.0","method":"what"}"#;
        assert!(matches!(read(odd, true), Incoming::Nothing));
    }

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_one_read() {
        let mut bytes = vec![b'x'; LONGEST_LINE as usize + 10];
        bytes.extend_from_slice(b"\nnext\n");
        let mut input = io::Cursor::new(bytes);
        let mut line = Vec::new();
        assert!(!next_line(&mut input, &mut line).expect("reads"));
        assert!(next_line(&mut input, &mut line).expect("reads"));
        assert_eq!(line, b"next\n");
        assert!(next_line(&mut input, &mut line).expect("reads") && line.is_empty());
    }
}
