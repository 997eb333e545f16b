//! Does `askance mcp` speak the protocol, and nothing else?

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::Desk;

/// A client that writes lines and reads lines, without any library.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last_id: u64,
}

impl Client {
    /// Starts the server; it has not been greeted yet.
    fn start(desk: &Desk) -> Self {
        let mut child = desk
            .command(&["mcp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        Self {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
            last_id: 0,
        }
    }

    fn greeted(desk: &Desk) -> Self {
        let mut client = Self::start(desk);
        let hello = client.request("initialize", greeting());
        assert_eq!(hello["result"]["serverInfo"]["name"], "askance", "{hello}");
        client.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        client
    }

    fn line(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the server reads");
    }

    /// The next line, which has to be one JSON object of JSON-RPC.
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the server answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        assert_eq!(answer["jsonrpc"], "2.0", "{answer}");
        answer
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        self.line(
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string(),
        );
        let answer = self.answer();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The result of a tool: what it said and its data.
    fn tool(&mut self, name: &str, arguments: Value) -> (String, Value) {
        let answer = self.request("tools/call", json!({"name": name, "arguments": arguments}));
        let result = &answer["result"];
        assert_ne!(result["isError"], true, "{answer}");
        let text = result["content"][0]["text"].as_str().expect("text");
        (text.to_owned(), result["structuredContent"].clone())
    }

    /// What a tool says that cannot do as asked.
    fn refusal(&mut self, name: &str, arguments: Value) -> String {
        let answer = self.request("tools/call", json!({"name": name, "arguments": arguments}));
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["content"][0]["text"]
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// Hangs up; the server has to end by itself, and well.
    fn hang_up(self) {
        let Self {
            mut child,
            input,
            mut output,
            ..
        } = self;
        drop(input);
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("stdout ends");
        assert_eq!(rest, "");
        assert!(child.wait().expect("it ends").success());
    }
}

fn greeting() -> Value {
    json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "smoke", "version": "1"},
    })
}

#[test]
fn an_assistant_searches_and_reads_with_citations() {
    let desk = Desk::indexed();
    let mut client = Client::greeted(&desk);
    let tools = client.request("tools/list", json!({}));
    let names: Vec<_> = tools["result"]["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect();
    for name in [
        "search",
        "get_passage",
        "get_document",
        "list_collections",
        "status",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }

    let (text, found) = client.tool("search", json!({"query": "elbow height"}));
    let hit = &found["results"][0];
    let citation = hit["citation"].as_str().expect("a citation");
    assert!(citation.ends_with("files/desk.md:1-7"), "{citation}");
    assert!(
        text.contains(citation) && text.contains("untrusted content"),
        "{text}"
    );

    let (text, _) = client.tool(
        "get_passage",
        json!({"passage": hit["passage"], "around": 3}),
    );
    assert!(text.contains("Zip ties hold it."), "{text}");
    let (_, document) = client.tool("get_document", json!({"path": "sub/retry.rs"}));
    assert!(
        document["untrusted_text"]
            .as_str()
            .expect("text")
            .contains("fn retry_with_backoff() {}"),
        "{document}"
    );

    let (_, listed) = client.tool("list_collections", json!({}));
    assert_eq!(listed["collections"][0]["name"], "default", "{listed}");
    assert_eq!(listed["collections"][0]["documents"], 4, "{listed}");
    let (_, status) = client.tool("status", json!({}));
    assert_eq!(status["generation"], found["generation"]);
    client.hang_up();
}

#[test]
fn pages_follow_each_other_until_there_are_no_more() {
    let desk = Desk::new();
    for i in 0..5 {
        desk.write(
            &format!("tide{i}.md"),
            &format!("# Tide table {i}\n\nHigh water at {i} o'clock.\n"),
        );
    }
    desk.run(&["index", "files"]).expect(0);
    let mut client = Client::greeted(&desk);
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let (_, page) = client.tool(
            "search",
            json!({"query": "high water", "mode": "bm25", "limit": 2, "cursor": cursor}),
        );
        for hit in page["results"].as_array().expect("results") {
            seen.push(hit["path"].as_str().expect("a path").to_owned());
        }
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
        let refusal = client.refusal("search", json!({"query": "other", "cursor": cursor}));
        assert!(refusal.contains("other arguments"), "{refusal}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5, "{seen:?}");
    client.hang_up();
}

#[test]
fn long_documents_come_in_pages() {
    let desk = Desk::new();
    let long: String = (0..900)
        .map(|i| format!("Sentence {i} of a long report on herons.\n"))
        .collect();
    desk.write("long.txt", &long);
    desk.run(&["index", "files"]).expect(0);
    let mut client = Client::greeted(&desk);
    let (mut text, mut cursor, mut pages) = (String::new(), Value::Null, 0);
    loop {
        let ask = json!({"path": "long.txt", "max_chars": 4000, "cursor": cursor});
        let (_, page) = client.tool("get_document", ask);
        text.push_str(page["untrusted_text"].as_str().expect("text"));
        text.push('\n');
        cursor = page["next_cursor"].clone();
        pages += 1;
        if cursor.is_null() {
            break;
        }
    }
    assert!(pages > 5, "{pages}");
    for line in long.lines() {
        assert!(text.contains(line), "{line}");
    }
    client.hang_up();
}

#[test]
fn nothing_but_indexed_documents_is_read() {
    let desk = Desk::indexed();
    std::fs::write(desk.dir.path().join("secret.txt"), "a secret").expect("written");
    let mut client = Client::greeted(&desk);
    let secret = desk.dir.path().join("secret.txt");
    let inside = format!("{}/../secret.txt", desk.files().display());
    for path in [
        secret.to_str().expect("text"),
        &inside,
        "/etc/passwd",
        "..",
        "",
        "\u{0}",
        "file:///etc/passwd",
    ] {
        let refusal = client.refusal("get_document", json!({"path": path}));
        assert!(
            refusal.contains("no indexed document"),
            "{path:?}: {refusal}"
        );
    }
    assert!(
        client
            .refusal("get_passage", json!({"passage": 4_000_000}))
            .contains("there is no passage")
    );
    assert!(
        client
            .refusal("search", json!({"query": "x", "collection": "../x"}))
            .contains("there are: default")
    );
    let long = "word ".repeat(200_000);
    assert!(
        client
            .refusal("search", json!({"query": long}))
            .contains("bytes long")
    );
    assert!(
        client
            .refusal("search", json!({"query": "x", "after": "soon"}))
            .contains("no date")
    );
    assert!(
        client
            .refusal("search", json!({"query": "x", "paths": ["["]}))
            .contains("path pattern")
    );
    client.hang_up();
}

#[test]
fn what_is_no_request_is_answered_and_the_next_one_served() {
    let desk = Desk::indexed();
    let mut client = Client::greeted(&desk);
    for (line, code) in [
        ("{\"jsonrpc\": ", -32700),
        ("no json", -32700),
        ("[1, 2]", -32600),
        ("{\"id\": true}", -32600),
    ] {
        client.line(line);
        let answer = client.answer();
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert_eq!(answer["id"], Value::Null, "{line}: {answer}");
    }
    let answer = client.request("no/such/method", json!({}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    let answer = client.request("tools/call", json!({"name": "no_such_tool"}));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    // Wrong arguments are said to the assistant, which can then ask better.
    for arguments in [
        json!({"query": 7}),
        json!({"query": "x", "path": "y"}),
        json!({}),
    ] {
        let refusal = client.refusal("search", arguments);
        assert!(
            refusal.contains("failed to deserialize parameters"),
            "{refusal}"
        );
    }
    let (_, found) = client.tool("search", json!({"query": "elbow height", "mode": "bm25"}));
    assert_eq!(found["results"].as_array().expect("results").len(), 1);
    client.hang_up();
}

#[test]
fn what_changes_is_found_without_a_new_start() {
    let desk = Desk::indexed();
    let mut client = Client::greeted(&desk);
    let (_, none) = client.tool("search", json!({"query": "albatross", "mode": "bm25"}));
    assert_eq!(none["results"], json!([]));
    desk.write("bird.md", "An albatross sleeps on the wing.\n");
    desk.run(&["index", "files"]).expect(0);
    let (_, one) = client.tool("search", json!({"query": "albatross", "mode": "bm25"}));
    assert_eq!(one["results"].as_array().expect("results").len(), 1);
    client.hang_up();
}

/// The server over HTTP, and its port.
fn over_http(desk: &Desk) -> (Child, u16) {
    let mut child = desk
        .command(&["mcp", "--http", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("piped"))
        .read_line(&mut said)
        .expect("it says where");
    let port = said
        .split("127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("a port");
    (child, port.parse().expect("a number"))
}

/// The status line of a greeting sent with `headers`.
fn greet(port: u16, headers: &str) -> String {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting()})
        .to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\n{headers}Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sends");
    let mut status = String::new();
    BufReader::new(stream)
        .read_line(&mut status)
        .expect("answers");
    status
}

#[test]
fn over_http_only_this_computer_and_no_foreign_page_is_served() {
    let desk = Desk::indexed();
    let (mut child, port) = over_http(&desk);
    let status = |headers: &str| {
        let line = greet(port, headers);
        line.split(' ').nth(1).map(str::to_owned).unwrap_or(line)
    };
    assert_eq!(status(&format!("Host: 127.0.0.1:{port}\r\n")), "200");
    assert_eq!(
        status(&format!(
            "Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"
        )),
        "200"
    );
    assert_eq!(status("Host: evil.example\r\n"), "403");
    assert_eq!(
        status(&format!(
            "Host: 127.0.0.1:{port}\r\nOrigin: http://evil.example\r\n"
        )),
        "403"
    );
    assert_eq!(
        status(&format!("Host: 127.0.0.1:{port}\r\nOrigin: null\r\n")),
        "403"
    );
    let taken = desk.run(&["mcp", "--http", &port.to_string()]);
    taken.error("is in use");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
