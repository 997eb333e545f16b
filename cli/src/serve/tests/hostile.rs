use super::*;

const SECRET: &str = "the secret of the cormorant";

fn brief() -> Limits {
    Limits {
        request: Duration::from_secs(2),
        idle: Duration::from_secs(1),
        ..Limits::default()
    }
}

#[test]
fn other_sites_are_kept_out() {
    let desk = Desk::new();
    let own = desk.address.to_string();
    let send = |headers: &str| desk.send("GET", "/api/v1/status", headers, "");
    let refused =
        |headers: &str, code: &str| assert_eq!(send(headers).refusal(403), code, "{headers}");
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "10.0.0.1",
    ] {
        refused(&format!("Host: {host}\r\n"), "host");
    }
    for origin in [
        "http://evil.example",
        "null",
        "https://127.0.0.1",
        &format!("http://{own}.evil.example"),
        &format!("ftp://{own}"),
    ] {
        refused(&format!("Origin: {origin}\r\n"), "origin");
    }
    refused("Sec-Fetch-Site: cross-site\r\n", "origin");
    refused("Sec-Fetch-Site: same-site\r\n", "origin");
    for good in [
        format!("Origin: http://{own}\r\n"),
        "Sec-Fetch-Site: same-origin\r\n".into(),
        "Sec-Fetch-Site: none\r\n".into(),
    ] {
        assert_eq!(send(&good).status, 200, "{good}");
    }
    let port = desk.address.port();
    let local = format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n");
    assert_eq!(send(&local).status, 200);
    let absolute = desk.send("GET", "http://evil.example/api/v1/status", "", "");
    assert_eq!(absolute.refusal(403), "host");
    let nameless = desk.raw(b"GET /api/v1/status HTTP/1.0\r\n\r\n");
    assert_eq!(nameless.refusal(403), "host");
    // The page may be linked to; what it asks for may not.
    assert_eq!(
        desk.send("GET", "/", "Sec-Fetch-Site: cross-site\r\n", "")
            .status,
        200
    );
}

#[test]
fn forms_of_other_sites_are_no_json() {
    let desk = Desk::new();
    let form = desk.send(
        "POST",
        "/api/v1/search",
        "Content-Type: text/plain\r\n",
        r#"{"q": "heron"}"#,
    );
    assert_eq!(form.refusal(415), "media_type");
}

#[test]
fn a_token_is_wanted_of_everybody() {
    let token = "0123456789abcdef";
    let desk = Desk::with(Plan {
        settings: Settings {
            address: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            token: Some(token.into()),
            ..Settings::default()
        },
        ..Plan::default()
    });
    let status = |target: &str, headers: &str| desk.send("GET", target, headers, "").status;
    for path in ["/", "/app.js", "/api/v1/status", "/v1/models", "/nothing"] {
        assert_eq!(status(path, ""), 401, "{path}");
        assert_eq!(
            status(path, "Authorization: Bearer 0123456789abcdeX\r\n"),
            401,
            "{path}"
        );
    }
    assert_eq!(
        status(
            "/api/v1/status",
            "Authorization: Bearer 0123456789abcdef\r\n"
        ),
        200
    );
    assert_eq!(status("/?token=wrong", ""), 401);
    assert_eq!(status("/api/v1/status?token=0123456789abcdef", ""), 401);
    let admitted = desk.get(&format!("/?token={token}"));
    assert_eq!(admitted.status, 303);
    let cookie = admitted
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.expect("a cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap_or_default();
    assert_eq!(
        status("/api/v1/status", &format!("Cookie: other=1; {pair}\r\n")),
        200
    );
    let passage = "/api/v1/documents/0/open";
    let headers = "Content-Type: application/json\r\nAuthorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(
        desk.send("POST", passage, headers, "{}").refusal(403),
        "not_local"
    );
}

#[test]
fn no_address_leads_out_of_the_index() {
    let desk = Desk::new();
    fs::write(desk.dir.path().join("secret.txt"), SECRET).expect("written");
    let steps = [
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "....//",
        "..%252f",
        "%c0%ae%c0%ae/",
    ];
    let bases = routes::api(&Limits::default())
        .into_iter()
        .map(|(path, _)| path.replace("{passage}", "0"));
    let bases: Vec<String> = bases
        .chain(page::FILES.map(|(path, _)| path.to_owned()))
        .collect();
    for base in &bases {
        for step in steps {
            let up = step.repeat(8);
            for end in ["etc/passwd", "secret.txt"] {
                let target = format!("{}/{up}{end}", base.trim_end_matches('/'));
                let reply = desk.get(&target);
                assert!(
                    (400..500).contains(&reply.status),
                    "{target}: {}",
                    reply.head
                );
                assert!(
                    !reply.body.contains("root:") && !reply.body.contains(SECRET),
                    "{target}"
                );
            }
        }
    }
    for passage in [
        "-1",
        "99999999999",
        "0x1",
        "..",
        "a",
        "0%00",
        "/etc/passwd",
        "%2fetc%2fpasswd",
    ] {
        let reply = desk.get(&format!("/api/v1/documents/{passage}"));
        assert!(
            (400..500).contains(&reply.status),
            "{passage}: {}",
            reply.head
        );
    }
}

#[test]
fn a_file_that_was_swapped_is_not_read_out() {
    let desk = Desk::new();
    let passage = desk.passage("heron");
    let rendered = || desk.get(&format!("/api/v1/documents/{passage}/markdown"));
    rendered().json(200);
    desk.write("heron.md", SECRET);
    assert_eq!(rendered().refusal(409), "changed");
    fs::remove_file(desk.file("heron.md")).expect("removed");
    assert_eq!(rendered().refusal(409), "changed");
    #[cfg(unix)]
    {
        let secret = desk.dir.path().join("secret.txt");
        fs::write(&secret, SECRET).expect("written");
        std::os::unix::fs::symlink(&secret, desk.file("heron.md")).expect("a link");
        let reply = rendered();
        assert!(!reply.body.contains(SECRET));
        assert_eq!(reply.refusal(409), "changed");
    }
    // What was indexed is still shown.
    let view = desk.get(&format!("/api/v1/documents/{passage}")).json(200);
    assert!(
        view["passages"][0]["text"]
            .as_str()
            .is_some_and(|t| t.contains("heron"))
    );
}

#[test]
fn a_document_may_go_between_result_and_preview() {
    let desk = Desk::new();
    let (passage, before) = (desk.passage("heron"), desk.generation());
    fs::remove_file(desk.file("heron.md")).expect("removed");
    desk.index(None);
    desk.wait_beyond(&before);
    for rest in ["", "/markdown"] {
        assert_eq!(
            desk.get(&format!("/api/v1/documents/{passage}{rest}"))
                .refusal(404),
            "gone"
        );
    }
    assert_eq!(
        desk.get(&format!("/api/v1/similar?passage={passage}"))
            .refusal(404),
        "gone"
    );
    assert_eq!(
        desk.post(&format!("/api/v1/documents/{passage}/open"), "{}")
            .refusal(404),
        "gone"
    );
}

#[test]
fn markup_and_escapes_stay_text() {
    let desk = Desk::new();
    let name = "<img src=x onerror=alert(1)>\u{1b}[31m\u{202e}.md";
    desk.write(name, "# <script>alert(2)</script> gannet\n\n<iframe src=javascript:alert(3)></iframe>\n\n[gannet](javascript:alert(4)) \u{1b}]0;title\u{7}\n");
    let before = desk.generation();
    desk.index(None);
    desk.wait_beyond(&before);
    let found = desk.get("/api/v1/search?q=gannet");
    let hit = &found.json(200)["hits"][0];
    assert!(
        hit["path"]
            .as_str()
            .is_some_and(|path| path.ends_with(name)),
        "{hit}"
    );
    // JSON holds no control character as such, and no browser takes it for anything else.
    assert!(!found.body.contains('\u{1b}') && !found.body.contains('\u{7}'));
    assert!(
        found.head.contains("x-content-type-options: nosniff"),
        "{}",
        found.head
    );
    let passage = &hit["passage"];
    let rendered = desk.get(&format!("/api/v1/documents/{passage}/markdown"));
    let nodes = rendered.json(200)["nodes"].to_string();
    for part in ["script", "iframe", "javascript", "onerror"] {
        assert!(!nodes.contains(part), "{part}: {nodes}");
    }
}

#[test]
fn every_answer_carries_the_policy() {
    let desk = Desk::new();
    for target in [
        "/",
        "/app.js",
        "/api/v1/status",
        "/nothing",
        "/api/v1/search?limit=0",
    ] {
        let head = desk.get(target).head;
        let policy = head
            .lines()
            .find_map(|line| line.strip_prefix("content-security-policy: "));
        let policy = policy.unwrap_or_else(|| panic!("{target}: {head}"));
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{policy}"
        );
        for header in [
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(header), "{target}: {head}");
        }
        assert!(!head.contains("access-control-allow"), "{target}: {head}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let desk = Desk::new();
    let long = "heron ".repeat(2000);
    let reply = desk.post(
        "/api/v1/search",
        &serde_json::json!({"q": long}).to_string(),
    );
    assert!(
        reply.json(400)["error"]["message"]
            .as_str()
            .is_some_and(|m| m.contains("12000 bytes"))
    );
    let megabyte = "x".repeat(1 << 20);
    let body = serde_json::json!({"q": megabyte}).to_string();
    assert_eq!(desk.post("/api/v1/search", &body).refusal(413), "too_large");
    let target = format!("/api/v1/search?q={megabyte}");
    assert!(
        matches!(desk.get(&target).status, 414 | 431),
        "{}",
        desk.get(&target).head
    );
    assert_eq!(desk.get("/api/v1/search?q=heron").status, 200);
}

#[test]
fn malformed_json_is_told_where() {
    let desk = Desk::new();
    for (body, status) in [
        ("{", 400),
        ("7", 422),
        ("{\"q\": 7}", 422),
        ("{\"q\": \"a\", \"x\": 1}", 422),
        ("", 400),
        ("\u{0}", 400),
    ] {
        assert_eq!(
            desk.post("/api/v1/search", body).refusal(status),
            "bad_request",
            "{body}"
        );
    }
    let deep = "[".repeat(20_000);
    assert_eq!(
        desk.post("/api/v1/search", &deep).refusal(422),
        "bad_request"
    );
    assert_eq!(
        desk.send("DELETE", "/api/v1/search", "", "").refusal(405),
        "method"
    );
    assert_eq!(desk.get("/api/v2/search").refusal(404), "not_found");
}

#[test]
fn clients_that_hang_are_let_go() {
    let desk = Desk::limited(brief());
    let mut silent = desk.connect();
    let mut half = desk.connect();
    half.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: local")
        .expect("written");
    let begun = Instant::now();
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        // Closed with or without a reset.
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    let host = desk.address;
    let unfinished = format!(
        "POST /api/v1/search HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{\"q\""
    );
    assert_eq!(desk.raw(unfinished.as_bytes()).status, 408);
    assert_eq!(desk.get("/api/v1/status").status, 200);
}

#[test]
fn clients_that_leave_are_forgotten() {
    let desk = Desk::new();
    for _ in 0..50 {
        let mut stream = desk.connect();
        let request = format!(
            "GET /api/v1/search?q=heron HTTP/1.1\r\nHost: {}\r\n\r\n",
            desk.address
        );
        stream.write_all(request.as_bytes()).expect("written");
    }
    assert_eq!(desk.get("/api/v1/search?q=heron").status, 200);
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let desk = Desk::limited(Limits {
        connections: 2,
        idle: Duration::from_millis(300),
        ..Limits::default()
    });
    let held: Vec<_> = (0..4).map(|_| desk.connect()).collect();
    assert_eq!(desk.get("/api/v1/status").status, 200);
    drop(held);
}

#[test]
fn too_many_at_once_are_turned_away() {
    let desk = Desk::limited(Limits {
        waiting: 0,
        ..Limits::default()
    });
    assert_eq!(desk.get("/api/v1/search?q=heron").refusal(503), "busy");
    assert_eq!(desk.get("/").status, 200);
}
