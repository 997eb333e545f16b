//! Who may ask?
//!
//! A page of some web site can make a browser on this computer send requests here. It is kept out by the name it has to
//! call this server by (`Host`, against DNS rebinding), by the site it comes from (`Origin`, `Sec-Fetch-Site`), and by
//! bodies that have to be JSON, which no other site may send unasked. Whoever is not on this computer needs the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::error::ApiError;
use super::listen::Connection;
use super::state::App;

/// What the page may load and do: its own files and this server's answers, nothing inline, nothing from elsewhere.
/// Trusted types refuse every way of turning text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// A random token of 32 letters and digits.
///
/// # Errors
/// The system has no randomness to give.
pub fn fresh_token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).context("cannot make a token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The names this server goes by, and the token.
pub struct Guard {
    address: SocketAddr,
    names: Vec<String>,
    token: Option<String>,
}

impl Guard {
    /// A guard of the server at `address`.
    pub fn new(address: SocketAddr, names: &[String], token: Option<String>) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self {
            address,
            names,
            token,
        }
    }

    /// Whether only this computer can reach the server.
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        let (ip, port) = (self.address.ip(), self.address.port());
        match ip {
            ip if ip.is_unspecified() => format!("http://localhost:{port}/"),
            IpAddr::V4(ip) => format!("http://{ip}:{port}/"),
            IpAddr::V6(ip) => format!("http://[{ip}]:{port}/"),
        }
    }

    /// The same with the token, if there is one.
    pub fn private_url(&self) -> String {
        let token = self.token.as_ref().map(|token| format!("?token={token}"));
        self.url() + &token.unwrap_or_default()
    }

    /// Refuses requests that call this server by a name that is not its own. An address is no name that anybody could
    /// point here, so every address passes.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let named = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let line = uri.authority().map(|authority| authority.as_str());
        let known = |authority: &str| self.is_known(authority);
        if named.is_some_and(known) && line.is_none_or(known) {
            return Ok(());
        }
        let message = format!(
            "this server does not go by the name {:?}; use {}, or allow the name with `--allow-host`",
            line.or(named).unwrap_or(""),
            self.url()
        );
        Err(ApiError::new(StatusCode::FORBIDDEN, "host", message))
    }

    fn is_known(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let by_address = match address.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || !self.is_local(),
            Err(_) => false,
        };
        by_address || host == "localhost" || self.names.contains(&host)
    }

    /// Refuses requests that another site makes a browser send.
    fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name| {
            headers
                .get(name)
                .map(|value: &HeaderValue| value.to_str().unwrap_or("?"))
        };
        let foreign = || {
            let message = "requests from other web sites are refused";
            ApiError::new(StatusCode::FORBIDDEN, "origin", message)
        };
        let host = text(header::HOST).unwrap_or_default();
        let own = |origin: &str| {
            let authority = origin
                .strip_prefix("http://")
                .or(origin.strip_prefix("https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        };
        if text(header::ORIGIN).is_some_and(|origin| !own(origin)) {
            return Err(foreign());
        }
        // The page itself may be linked to from anywhere; what it asks for may not.
        let site = text(HeaderName::from_static("sec-fetch-site"));
        match site {
            Some("cross-site" | "same-site") if uri.path() != "/" => Err(foreign()),
            _ => Ok(()),
        }
    }

    /// Whether the request brings the token: as a bearer, or as the cookie that the page got.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let cookies = cookies.filter_map(|value| value.to_str().ok());
        let name = self.cookie_name();
        let mut cookies = cookies
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(&name)?.strip_prefix('='));
        bearer.is_some_and(|given| same(given, token)) || cookies.any(|given| same(given, token))
    }

    /// Cookies are shared by all ports of a host, so that the port is part of the name.
    fn cookie_name(&self) -> String {
        format!("askance-{}", self.address.port())
    }

    /// The way in for a browser: `/?token=…` is remembered in a cookie that no script sees.
    fn admit(&self, method: &Method, uri: &Uri) -> Option<Response> {
        let given = uri
            .query()?
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="))?;
        let token = self.token.as_ref()?;
        if method != Method::GET || uri.path() != "/" || !same(given, token) {
            return None;
        }
        let cookie = format!(
            "{}={token}; Path=/; HttpOnly; SameSite=Strict",
            self.cookie_name()
        );
        let headers = [
            (header::SET_COOKIE, cookie),
            (header::LOCATION, "/".to_owned()),
        ];
        Some((StatusCode::SEE_OTHER, headers).into_response())
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; nothing of anything else.
fn host_of(authority: &str) -> &str {
    let end = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[end..].split_once(':') {
        Some((before, _)) => &authority[..end + before.len()],
        None => authority,
    }
}

/// Compares in a time that does not tell how much was right.
fn same(given: &str, token: &str) -> bool {
    blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes())
}

/// Lets a request through to its handler, or answers in its place; either answer carries the headers of this server.
pub async fn check(
    State(app): State<Arc<App>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let _at_work = connection.at_work();
    let guard = &app.guard;
    let (uri, headers) = (request.uri(), request.headers());
    let allowed = guard
        .check_host(uri, headers)
        .and_then(|()| guard.check_origin(uri, headers));
    let mut response = match allowed {
        Err(refusal) => refusal.into_response(),
        Ok(()) if guard.has_token(headers) => next.run(request).await,
        Ok(()) => match guard.admit(request.method(), uri) {
            Some(admitted) => admitted,
            None => refuse_stranger(uri),
        },
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let cached = response.headers().contains_key(header::CACHE_CONTROL);
    if !cached {
        let value = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

fn refuse_stranger(uri: &Uri) -> Response {
    let message = "this server wants its token: open the address with ?token=TOKEN behind it, or send the header \
                   'Authorization: Bearer TOKEN'";
    if uri.path() == "/" {
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>askance</title><h1>askance</h1><p>{message}</p>"
        );
        return (StatusCode::UNAUTHORIZED, Html(page)).into_response();
    }
    ApiError::new(StatusCode::UNAUTHORIZED, "token", message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart() {
        let check = |address: &str, host: &str, known: bool| {
            let address = address.parse().expect("an address");
            let guard = Guard::new(address, &["box.local".into()], None);
            assert_eq!(guard.is_known(host), known, "{host} at {address}");
        };
        for good in [
            "localhost:7411",
            "LOCALHOST",
            "127.0.0.1:7411",
            "127.8.9.1",
            "[::1]:7411",
            "box.local:80",
        ] {
            check("127.0.0.1:7411", good, true);
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example:7411",
            "localhost.evil.example",
            "",
            "192.168.0.7",
            "[::1].evil",
        ] {
            check("127.0.0.1:7411", bad, false);
        }
        check("0.0.0.0:7411", "192.168.0.7:7411", true);
        check("0.0.0.0:7411", "evil.example:7411", false);
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (
            fresh_token().expect("a token"),
            fresh_token().expect("a token"),
        );
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
    }
}
