//! How does an assistant reach the tools over HTTP?
//!
//! On loopback only. Requests with a foreign `Host` (DNS rebinding) or from a web page of another origin are refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::server::Assistant;
use crate::session::Session;

/// Longest request in bytes.
const LONGEST_REQUEST: usize = 1 << 20;
/// Time between two looks at the flag that Ctrl-C raises.
const TICK: Duration = Duration::from_millis(100);

/// Serves `/mcp` on `port` of 127.0.0.1 until Ctrl-C.
///
/// # Errors
/// A port that is in use.
pub fn http(assistant: Assistant, port: u16, session: &Session) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the threads that answer")?;
    let outcome = session.interrupt().during(|stop| {
        runtime.block_on(async {
            let listener = bind(port).await?;
            let address = listener.local_addr().context("cannot tell the port")?;
            let url = format!("http://{address}/mcp");
            session
                .talk
                .note(&format!("tools for assistants at {url}; Ctrl-C ends"));
            serve(assistant, listener, address.port(), stop).await
        })
    });
    // Streams that clients hold open do not hold the process.
    runtime.shutdown_background();
    outcome
}

async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} is in use; choose another with `--http`, or 0 for a free one")
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

async fn serve(
    assistant: Assistant,
    listener: TcpListener,
    port: u16,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}")))
        .with_allowed_origins(
            ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{port}")),
        )
        .with_max_request_body_bytes(LONGEST_REQUEST);
    let ended = config.cancellation_token.clone();
    let sessions = Arc::new(LocalSessionManager::default());
    let tools = StreamableHttpService::new(move || Ok(assistant.clone()), sessions, config);
    let router = axum::Router::new().nest_service("/mcp", tools);
    let server = axum::serve(listener, router).with_graceful_shutdown({
        let ended = ended.clone();
        async move { ended.cancelled_owned().await }
    });
    let watch = async {
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(TICK).await;
        }
        ended.cancel();
        // Clients that hold a stream open get this long to notice.
        tokio::time::sleep(10 * TICK).await;
    };
    tokio::select! {
        served = server.into_future() => served.context("the server stopped"),
        () = watch => Ok(()),
    }
}
