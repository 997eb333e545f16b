//! How do a browser and other programs search this collection?
//!
//! One process, one collection, one port: the page, an HTTP API with JSON, and events as they happen. It reads
//! generations and never takes the writer's lock; searches run on a few threads of their own. A request passes `listen`
//! (connections), `guard` (who may ask), `routes` (where it goes) and a handler.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use engine::Engine;
use engine::models::ModelStore;

mod documents;
mod embeddings;
mod error;
mod events;
mod follow;
mod guard;
mod limits;
mod listen;
mod markdown;
mod openapi;
mod page;
mod params;
mod routes;
mod search;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use guard::fresh_token;
pub use limits::Limits;
use state::App;

/// Time that open requests have to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two looks at the flag that stops the server.
const TICK: Duration = Duration::from_millis(50);

/// Where to listen, and who may ask.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Names that browsers may call this server by, beside localhost and addresses.
    pub names: Vec<String>,
    /// Secret that every request has to bring.
    pub token: Option<String>,
    /// Sizes, counts and times.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            names: Vec::new(),
            token: None,
            limits: Limits::default(),
        }
    }
}

/// A server that listens already and answers once it runs.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// The port is in use, or the address is not this computer's.
    pub fn bind(engine: Engine, models: ModelStore, settings: Settings) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(settings.address).map_err(|e| refused(settings.address, e))?;
        let address = listener.local_addr().context("cannot tell the port")?;
        let app = App::new(engine, models, settings, address);
        Ok(Self {
            listener,
            app: Arc::new(app),
        })
    }

    /// Where the page is, without the token.
    pub fn url(&self) -> String {
        self.app.guard.url()
    }

    /// Where the page is, with the token if there is one: for the person's own browser.
    pub fn private_url(&self) -> String {
        self.app.guard.private_url()
    }

    /// Answers until `stop` turns true, then lets open requests end.
    ///
    /// # Errors
    /// Threads or the listener cannot be set up.
    pub fn run(self, stop: &AtomicBool) -> anyhow::Result<()> {
        let Self { listener, app } = self;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        let follower = follow::start(&app).context("cannot start a thread")?;
        let outcome = runtime.block_on(serve(listener, app.clone(), stop));
        app.stop();
        runtime.shutdown_timeout(GRACE);
        // It looks at the flag several times a second.
        let _ = follower.join();
        outcome
    }
}

async fn serve(listener: TcpListener, app: Arc<App>, stop: &AtomicBool) -> anyhow::Result<()> {
    let gate = listen::Gate::new(listener, &app.limits).context("cannot listen")?;
    let service = routes::router(app.clone());
    let service = service.into_make_service_with_connect_info::<listen::Connection>();
    let stopping = app.clone();
    let server =
        axum::serve(gate, service).with_graceful_shutdown(async move { stopping.stopped().await });
    let server = tokio::spawn(async move { server.await });
    while !stop.load(Ordering::Relaxed) && !server.is_finished() {
        tokio::time::sleep(TICK).await;
    }
    app.stop();
    match tokio::time::timeout(GRACE, server).await {
        // Requests that do not end in time are cut off with the runtime.
        Err(_) => Ok(()),
        Ok(Ok(outcome)) => outcome.context("the server failed"),
        Ok(Err(panic)) => Err(panic).context("the server failed"),
    }
}

fn refused(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    use std::io::ErrorKind;
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {port} is in use, perhaps by another `askance serve`; choose one with `--port`, or any free one with `--port 0`"
        ),
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "port {port} needs more rights than you have; choose one above 1023 with `--port`"
            )
        }
        ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!(
                "{} is not an address of this computer; see `--host`",
                address.ip()
            )
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    }
}
