use std::sync::Mutex;

use super::*;

fn names(answer: &Value) -> Vec<String> {
    let hits = answer["hits"].as_array().expect("hits");
    let name = |hit: &Value| {
        let path = hit["path"].as_str().expect("a path");
        path.rsplit('/').next().unwrap_or_default().to_owned()
    };
    hits.iter().map(name).collect()
}

#[test]
fn a_search_answers_the_same_by_get_and_post() {
    let desk = Desk::new();
    let got = desk
        .get("/api/v1/search?q=heron%20reeds&type=md,txt&limit=5")
        .json(200);
    let body = r#"{"q": "heron reeds", "type": ["md", "txt"], "limit": 5}"#;
    let mut posted = desk.post("/api/v1/search", body).json(200);
    posted["timings_ms"] = got["timings_ms"].clone();
    assert_eq!(got, posted);
    assert_eq!(names(&got), ["heron.md", "egret.md"]);
    assert_eq!(got["mode"], "bm25");
    assert!(
        got["warnings"][0]
            .as_str()
            .is_some_and(|w| w.contains("by words only")),
        "{got}"
    );
}

#[test]
fn filters_and_limits_are_kept() {
    let desk = Desk::new();
    let count = |rest: &str| {
        names(
            &desk
                .get(&format!("/api/v1/search?q=standing%20fish{rest}"))
                .json(200),
        )
        .len()
    };
    assert_eq!(count(""), 3);
    assert_eq!(count("&limit=1"), 1);
    assert_eq!(count("&type=md"), 2);
    assert_eq!(count("&path=sub"), 1);
    assert_eq!(count("&after=2000-01-01"), 3);
    assert_eq!(count("&before=2000-01-01"), 0);
}

#[test]
fn what_makes_no_sense_is_named() {
    let desk = Desk::new();
    let check = |query: &str, part: &str| {
        let reply = desk.get(&format!("/api/v1/search?{query}"));
        let body = reply.json(400);
        let message = body["error"]["message"].as_str().expect("a sentence");
        assert!(message.contains(part), "{query}: {message}");
    };
    check("q=a&limit=0", "limit");
    check("q=a&limit=9999", "limit");
    check("q=a&limit=ten", "invalid type");
    check("q=a&mode=magic", "magic");
    check("q=a&fusion=2", "fusion");
    check("q=a&after=soon", "after");
    check("q=a&path=%5B", "pattern");
    check("q=a&colour=blue", "colour");
    check("q=a&q=b", "twice");
    check("q=a&passage=1", "similar");
    assert_eq!(
        desk.get("/api/v1/search?q=a&mode=dense").refusal(409),
        "no_encoder"
    );
}

#[test]
fn a_passage_is_shown_in_its_document() {
    let desk = Desk::new();
    let passage = desk.passage("heron");
    let view = desk
        .get(&format!("/api/v1/documents/{passage}?q=reeds"))
        .json(200);
    assert_eq!(view["kind"], "markdown");
    assert_eq!((&view["total"], &view["first"]), (&1.into(), &0.into()));
    let text = view["passages"][0]["text"].as_str().expect("text");
    let mark = &view["passages"][0]["highlights"][0];
    let range = |i: usize| mark[i].as_u64().expect("a byte") as usize;
    assert_eq!(&text[range(0)..range(1)], "reeds");
    let rendered = desk
        .get(&format!("/api/v1/documents/{passage}/markdown"))
        .json(200);
    assert_eq!(rendered["nodes"][0]["tag"], "h1");
    let plain = desk.passage("elbow");
    assert_eq!(
        desk.get(&format!("/api/v1/documents/{plain}/markdown"))
            .refusal(409),
        "not_markdown"
    );
}

#[test]
fn documents_are_listed_in_parts() {
    let desk = Desk::new();
    let list = desk.get("/api/v1/documents?limit=2").json(200);
    assert_eq!(list["total"], 3);
    assert_eq!(list["documents"].as_array().map(Vec::len), Some(2));
    let rest = desk.get("/api/v1/documents?skip=2&type=md,txt").json(200);
    let title = rest["documents"][0]["title"].as_str().expect("a title");
    assert!(title.ends_with("/desk.txt"), "{title}");
    assert_eq!(rest["documents"].as_array().map(Vec::len), Some(1));
}

#[test]
fn more_like_this_and_why() {
    let desk = Desk::with(Plan {
        encoder: true,
        ..Plan::default()
    });
    let passage = desk.passage("heron");
    let like = desk
        .get(&format!("/api/v1/similar?passage={passage}"))
        .json(200);
    assert_eq!(names(&like)[0], "egret.md");
    assert_eq!(like["mode"], "hybrid");
    assert_eq!(desk.get("/api/v1/similar").refusal(400), "bad_request");
    let why = desk
        .get(&format!("/api/v1/explain?q=heron%20desk&passage={passage}"))
        .json(200);
    assert_eq!(why["terms"][0]["term"], "heron");
    assert_eq!(why["terms"][1]["score"], 0.0);
    assert_eq!(
        desk.get("/api/v1/explain?q=heron&passage=999999")
            .refusal(404),
        "gone"
    );
}

#[test]
fn a_hybrid_search_says_what_answered() {
    let desk = Desk::with(Plan {
        encoder: true,
        ..Plan::default()
    });
    let found = desk.get("/api/v1/search?q=heron").json(200);
    assert_eq!(found["mode"], "hybrid");
    assert_eq!(found["encoder"]["name"], "hashing-32");
    assert_eq!(found["dense_search"], "exact");
    assert!(
        found["hits"][0]["explain"]["dense"]["rank"].is_u64(),
        "{found}"
    );
    assert_eq!(found["warnings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn embeddings_have_the_shape_clients_expect() {
    let desk = Desk::with(Plan {
        encoder: true,
        ..Plan::default()
    });
    let body = r#"{"input": ["heron", "desk"], "model": "hashing-32", "user": "me"}"#;
    let made = desk.post("/v1/embeddings", body).json(200);
    assert_eq!(made["object"], "list");
    assert_eq!(made["data"][1]["index"], 1);
    let row = made["data"][0]["embedding"].as_array().expect("a vector");
    assert_eq!(row.len(), 32);
    assert_eq!(made["usage"]["total_tokens"], 2);
    let one = desk
        .post(
            "/v1/embeddings",
            r#"{"input": "heron", "encoding_format": "base64"}"#,
        )
        .json(200);
    // 32 numbers of 4 bytes in groups of 3 bytes, 4 letters each.
    assert_eq!(
        one["data"][0]["embedding"].as_str().map(str::len),
        Some(172)
    );
    let refused = |body: &str, status| desk.post("/v1/embeddings", body).refusal(status);
    assert_eq!(
        refused(r#"{"input": "x", "model": "ada"}"#, 404),
        "model_not_found"
    );
    assert_eq!(refused(r#"{"input": []}"#, 400), "bad_request");
    assert_eq!(
        refused(r#"{"input": "x", "dimensions": 7}"#, 400),
        "bad_request"
    );
    assert_eq!(refused(r#"{"input": [[1, 2]]}"#, 422), "bad_request");
    let many = format!("{{\"input\": [{}]}}", vec!["\"x\""; 257].join(","));
    assert_eq!(refused(&many, 400), "bad_request");
    assert_eq!(
        desk.get("/v1/models").json(200)["data"][0]["id"],
        "hashing-32"
    );
}

#[test]
fn without_an_encoder_there_are_no_embeddings() {
    let desk = Desk::new();
    let begun = Instant::now();
    loop {
        let reply = desk.post("/v1/embeddings", r#"{"input": "x"}"#);
        if reply.status != 503 {
            assert_eq!(reply.refusal(409), "no_encoder");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "still loading");
    }
}

#[test]
fn files_are_opened_and_programs_are_not() {
    let opened = Arc::new(Mutex::new(Vec::new()));
    let record = opened.clone();
    let desk = Desk::with(Plan {
        opener: Box::new(move |path| {
            record
                .lock()
                .expect("not poisoned")
                .push(path.to_path_buf());
            Ok(())
        }),
        ..Plan::default()
    });
    desk.write("run.sh", "echo cormorant\n");
    let before = desk.generation();
    desk.index(None);
    desk.wait_beyond(&before);
    let open =
        |passage: u64, body: &str| desk.post(&format!("/api/v1/documents/{passage}/open"), body);
    let heron = desk.passage("heron");
    let folder = desk.file("").canonicalize().expect("there");
    open(heron, "{}").json(200);
    open(heron, r#"{"what": "folder"}"#).json(200);
    open(desk.passage("cormorant"), "{}").json(200);
    assert_eq!(open(999_999, "{}").refusal(404), "gone");
    fs::remove_file(desk.file("heron.md")).expect("removed");
    assert_eq!(open(heron, "{}").refusal(404), "gone");
    let expected = [folder.join("heron.md"), folder.clone(), folder];
    assert_eq!(*opened.lock().expect("not poisoned"), expected);
}

#[test]
fn the_page_is_whole_and_asks_for_nothing_from_elsewhere() {
    let desk = Desk::new();
    for (path, _) in page::FILES {
        let reply = desk.get(path);
        assert_eq!(reply.status, 200, "{path}");
        let tag = reply
            .head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "));
        let again = format!("If-None-Match: {}\r\n", tag.expect("a tag"));
        assert_eq!(desk.send("GET", path, &again, "").status, 304, "{path}");
        let outside = reply.body.replace("http://www.w3.org/2000/svg", "");
        for mark in ["http://", "https://", "url(", "@import"] {
            assert!(!outside.contains(mark), "{path} names {mark}");
        }
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "srcdoc",
            "onclick=\"",
            "style=\"",
        ] {
            assert!(!reply.body.contains(way), "{path} has {way}");
        }
    }
}
