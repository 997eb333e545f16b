//! What do all requests share?

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use axum::http::StatusCode;
use engine::Engine;
use engine::encoder::Encoder;
use engine::models::ModelStore;
use tokio::sync::{Semaphore, watch};

use super::error::ApiError;
use super::events::LiveJson;
use super::guard::Guard;
use super::{Limits, Settings};
use crate::commands::encoders;

/// How far the encoder is that searches by meaning need.
#[derive(Clone)]
pub enum Loaded {
    /// It is being read; its name, or nothing while that is looked up.
    Loading(String),
    /// It is there.
    Ready(Arc<dyn Encoder>),
    /// Search is by words, and this sentence says why.
    Lacking(String),
}

impl Loaded {
    /// The state of a collection without vectors.
    pub fn without_vectors(models: &ModelStore) -> Self {
        Self::Lacking(match encoders::without_vectors(models) {
            Ok(warning) => warning.to_string(),
            Err(error) => crate::io::sentence(&error),
        })
    }
}

/// Opens a file or folder.
pub type Opener = Box<dyn Fn(&Path) -> std::io::Result<()> + Send + Sync>;

/// One server.
pub struct App {
    /// The collection.
    pub engine: Engine,
    /// The encoders on this computer.
    pub models: ModelStore,
    /// Sizes, counts and times.
    pub limits: Limits,
    /// Who may ask.
    pub guard: Guard,
    /// When it started.
    pub started: Instant,
    /// Opens a file or folder in the system's own program.
    pub opener: Opener,
    /// Streams of events that may be opened yet.
    pub streams: Arc<Semaphore>,
    encoder: RwLock<Loaded>,
    /// Encoder for texts where the collection has none; loaded when first asked for.
    spare: Mutex<Option<Arc<dyn Encoder>>>,
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    live: watch::Sender<LiveJson>,
    stop: watch::Sender<bool>,
}

impl App {
    /// A server of `engine` at `address`.
    pub fn new(
        engine: Engine,
        models: ModelStore,
        settings: Settings,
        address: SocketAddr,
    ) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let limits = settings.limits;
        let encoder = match engine.identity() {
            Some(_) => Loaded::Loading(String::new()),
            None => Loaded::without_vectors(&models),
        };
        Self {
            engine,
            models,
            guard: Guard::new(address, &settings.names, settings.token),
            started: Instant::now(),
            opener: Box::new(|path| open::that_detached(path)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            encoder: RwLock::new(encoder),
            spare: Mutex::default(),
            threads: Arc::new(Semaphore::new(threads)),
            waiting: AtomicUsize::new(0),
            live: watch::Sender::default(),
            stop: watch::Sender::new(false),
            limits,
        }
    }

    /// How far the encoder is.
    pub fn encoder(&self) -> Loaded {
        let loaded = self.encoder.read();
        loaded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says how far the encoder is.
    pub fn set_encoder(&self, loaded: Loaded) {
        *self.encoder.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// The encoder for texts outside the collection, if one was loaded.
    pub fn spare(&self) -> MutexGuard<'_, Option<Arc<dyn Encoder>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes on, and a way to be told when that changes.
    pub fn watch(&self) -> watch::Receiver<LiveJson> {
        self.live.subscribe()
    }

    /// What goes on now.
    pub fn live(&self) -> LiveJson {
        self.live.borrow().clone()
    }

    /// Tells everybody who watches, if there is news.
    pub fn tell(&self, news: LiveJson) {
        self.live.send_if_modified(|live| {
            let is_news = *live != news;
            *live = news;
            is_news
        });
    }

    /// Ends streams and the follower.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether [`App::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for [`App::stop`].
    pub async fn stopped(&self) {
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Runs `work` on a thread where it may take its time. As many run at once as there are cores; a request that waits
    /// and goes away is never begun.
    ///
    /// # Errors
    /// 503 if too many wait already; what `work` says.
    pub async fn run<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&App) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = {
            let _queued = Queued::join(&self)?;
            // Never closed.
            self.threads.clone().acquire_owned().await.ok()
        };
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&self)
        });
        let panicked = |_| {
            ApiError::failed("the request made askance fail; this is a defect, please report it")
        };
        done.await.map_err(panicked)?
    }
}

/// A request that waits for a thread.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn join(app: &'a App) -> Result<Self, ApiError> {
        let queued = Self(&app.waiting);
        if app.waiting.fetch_add(1, Ordering::Relaxed) >= app.limits.waiting {
            let message = "too many requests at once; try again in a moment";
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                message,
            ));
        }
        Ok(queued)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
