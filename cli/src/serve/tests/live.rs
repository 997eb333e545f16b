use std::io::{BufRead, BufReader};

use super::*;

/// Opens a stream of events.
fn listen(desk: &Desk) -> BufReader<TcpStream> {
    let mut stream = desk.connect();
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n",
        desk.address
    );
    stream.write_all(request.as_bytes()).expect("written");
    BufReader::new(stream)
}

/// The next event.
fn next(events: &mut impl BufRead) -> Value {
    for line in events.lines() {
        let line = line.expect("a line in time");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("JSON");
        }
    }
    panic!("the stream ended");
}

/// The next event that `wanted` accepts.
fn until(events: &mut impl BufRead, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let event = next(events);
        if wanted(&event) {
            return event;
        }
    }
}

#[test]
fn a_new_generation_is_told_and_answers_without_a_restart() {
    let desk = Desk::new();
    let mut events = listen(&desk);
    let first = until(&mut events, |event| {
        event["generation"] != 0 && event["encoder"]["state"] == "lacking"
    });
    assert!(
        first["encoder"]["reason"]
            .as_str()
            .is_some_and(|r| r.contains("`askance ")),
        "{first}"
    );
    desk.write("gannet.txt", "A gannet dives from thirty metres.\n");
    desk.index(None);
    let second = until(&mut events, |event| {
        event["generation"] != first["generation"]
    });
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    let found = desk.get("/api/v1/search?q=gannet").json(200);
    assert_eq!(found["hits"].as_array().map(Vec::len), Some(1));
}

#[test]
fn work_of_another_process_is_told() {
    let desk = Desk::new();
    let mut events = listen(&desk);
    let beacon = crate::live::Beacon::new(&desk.collection());
    beacon.report(storage::Progress {
        stage: "encoding passages",
        done: 3,
        total: 10,
    });
    let busy = until(&mut events, |event| !event["progress"].is_null());
    assert_eq!(busy["progress"]["stage"], "encoding passages");
    assert_eq!(busy["progress"]["done"], 3);
    drop(beacon);
    until(&mut events, |event| event["progress"].is_null());
}

#[test]
fn serving_does_not_keep_a_writer_out() {
    let desk = Desk::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The status asks who writes; that is no reason for a writer to fail.
        let ask = || {
            while !stop.load(Ordering::Relaxed) {
                desk.get("/api/v1/status").json(200);
            }
        };
        scope.spawn(ask);
        scope.spawn(ask);
        for i in 0..5 {
            desk.write("note.txt", &format!("note {i}\n"));
            desk.index(None);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn streams_are_counted_and_end_with_the_server() {
    let desk = Desk::limited(Limits {
        streams: 1,
        ..Limits::default()
    });
    let mut events = listen(&desk);
    next(&mut events);
    assert_eq!(desk.get("/api/v1/events").refusal(503), "busy");
    let begun = Instant::now();
    drop(desk);
    let mut rest = Vec::new();
    let _ = events.read_to_end(&mut rest);
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let desk = Desk::new();
    let engine = Engine::open(&desk.collection()).expect("a collection");
    let settings = Settings {
        address: desk.address,
        ..Settings::default()
    };
    let models = ModelStore::new(desk.dir.path().join("models"));
    let Err(error) = Server::bind(engine, models, settings) else {
        panic!("the port was taken twice");
    };
    let text = error.to_string();
    assert!(
        text.contains("is in use") && text.contains("--port 0"),
        "{text}"
    );
}

#[test]
fn an_empty_collection_says_how_to_begin() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(&dir.path().join("none")).expect("an empty collection");
    let models = ModelStore::new(dir.path().join("models"));
    let server = Server::bind(engine, models, Settings::default()).expect("a free port");
    let address = server.listener.local_addr().expect("an address");
    let stop = Arc::<AtomicBool>::default();
    let flag = stop.clone();
    let desk = Desk {
        dir,
        address,
        stop,
        thread: Some(std::thread::spawn(move || server.run(&flag))),
    };
    let found = desk.get("/api/v1/search?q=heron").json(200);
    assert_eq!(found["generation"], 0);
    let warnings = found["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.len(), 1, "{found}");
    assert!(
        warnings[0]
            .as_str()
            .is_some_and(|w| w.contains("askance index")),
        "{found}"
    );
    assert_eq!(desk.get("/api/v1/documents").json(200)["total"], 0);
    assert_eq!(desk.get("/api/v1/documents/0").refusal(404), "gone");
    assert_eq!(
        desk.get("/api/v1/status").json(200)["collection"]["generation"],
        0
    );
}
