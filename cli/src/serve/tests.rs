use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::encoder::testing::HashingEncoder;
use engine::request::{IndexRequest, ReadOptions};
use serde_json::Value;
use storage::Task;
use tempfile::TempDir;

use super::state::Loaded;
use super::*;

mod answers;
mod described;
mod hostile;
mod live;

/// A folder of files, their collection, and a server that answers on a port of its own until the test ends.
struct Desk {
    dir: TempDir,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

/// How a desk differs from the usual one.
struct Plan {
    settings: Settings,
    encoder: bool,
    opener: state::Opener,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            encoder: false,
            opener: Box::new(|path| panic!("nobody asked to open {}", path.display())),
        }
    }
}

impl Desk {
    fn new() -> Self {
        Self::with(Plan::default())
    }

    fn limited(limits: Limits) -> Self {
        Self::with(Plan {
            settings: Settings {
                limits,
                ..Settings::default()
            },
            ..Plan::default()
        })
    }

    fn with(plan: Plan) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(dir.path().join("files/sub")).expect("a folder");
        let encoder = plan.encoder.then(|| Arc::new(HashingEncoder::new(32)));
        let mut desk = Self {
            dir,
            address: plan.settings.address,
            stop: Arc::default(),
            thread: None,
        };
        desk.write("heron.md", "# Heron\n\nA heron stands in the reeds and waits for fish.\n\n<script>alert(1)</script>\n");
        desk.write(
            "egret.md",
            "# Egret\n\nAn egret waits for fish where the reeds are low.\n",
        );
        desk.write("sub/desk.txt", "Set the standing desk to elbow height.\n");
        desk.index(encoder.clone());
        let engine = Engine::open(&desk.collection()).expect("a collection");
        if let Some(encoder) = &encoder {
            engine
                .set_encoder(encoder.clone())
                .expect("the same encoder");
        }
        let models = ModelStore::new(desk.dir.path().join("models"));
        let mut server = Server::bind(engine, models, plan.settings).expect("a free port");
        let app = Arc::get_mut(&mut server.app).expect("not shared yet");
        app.opener = plan.opener;
        if let Some(encoder) = encoder {
            app.set_encoder(Loaded::Ready(encoder));
        }
        desk.address = server.listener.local_addr().expect("an address");
        desk.address.set_ip(Ipv4Addr::LOCALHOST.into());
        let stop = desk.stop.clone();
        desk.thread = Some(std::thread::spawn(move || server.run(&stop)));
        desk
    }

    fn collection(&self) -> PathBuf {
        self.dir.path().join("collection")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a file is written");
    }

    /// Indexes the folder as another process would.
    fn index(&self, encoder: Option<Arc<HashingEncoder>>) {
        let engine = Engine::open(&self.collection()).expect("a collection");
        let request = IndexRequest {
            paths: vec![self.dir.path().join("files")],
            options: ReadOptions::default(),
            encoder: encoder.map(|encoder| encoder as _),
        };
        engine.index(&request, Task::silent()).expect("indexes");
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        let time = Some(Duration::from_secs(20));
        stream.set_read_timeout(time).expect("a timeout");
        stream
    }

    /// Sends bytes and reads until the server closes.
    fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect();
        // The server may refuse and close before it has read everything.
        let _ = stream.write_all(request);
        Reply::read(stream)
    }

    fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        let host = if headers.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let length = body.len();
        self.raw(format!("{method} {target} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").as_bytes())
    }

    fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "", "")
    }

    fn post(&self, target: &str, body: &str) -> Reply {
        self.send("POST", target, "Content-Type: application/json\r\n", body)
    }

    /// The passage that answers `query` best.
    fn passage(&self, query: &str) -> u64 {
        let found = self
            .get(&format!("/api/v1/search?q={query}&mode=bm25"))
            .json(200);
        found["hits"][0]["passage"].as_u64().expect("a hit")
    }

    /// The generation that the server answers with. Right after its start it may not have looked yet.
    fn generation(&self) -> Value {
        self.wait_beyond(&Value::Null);
        self.get("/api/v1/status").json(200)["live"]["generation"].clone()
    }

    /// Waits until the server answers with a generation after `generation`.
    fn wait_beyond(&self, generation: &Value) {
        let begun = Instant::now();
        while self.get("/api/v1/status").json(200)["live"]["generation"] == *generation {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no newer generation"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
        }
    }
}

/// What the server answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    /// Status line and headers.
    head: String,
    body: String,
}

impl Reply {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A refused request may end in a reset after the answer.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or(0),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        assert!(
            self.head.contains("content-type: application/json"),
            "{}",
            self.head
        );
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The word for programs of a refusal.
    fn refusal(&self, status: u16) -> String {
        let body = self.json(status);
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|m| !m.is_empty()),
            "{body}"
        );
        body["error"]["code"].as_str().expect("a code").to_owned()
    }
}
