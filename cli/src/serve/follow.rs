//! What changed on the disk since the last look: the generation, the encoder, the work another process does?

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::events::{EncoderState, LiveJson};
use super::state::{App, Loaded};
use crate::live;
use crate::warn::Warning;

/// Time between two looks. Reading one small file costs microseconds.
const PAUSE: Duration = Duration::from_millis(300);
/// Time between two looks for an encoder that is missing.
const RETRY: Duration = Duration::from_secs(5);

/// Follows until the server stops, on a thread of its own: opening a generation or an encoder may take a while, and
/// searches go on meanwhile.
pub fn start(app: &Arc<App>) -> io::Result<JoinHandle<()>> {
    let app = app.clone();
    let follow = move || {
        let mut follower = Follower {
            app: &app,
            tried: None,
            trouble: None,
        };
        while !app.is_stopping() {
            follower.look();
            std::thread::sleep(PAUSE);
        }
    };
    std::thread::Builder::new()
        .name("follower".into())
        .spawn(follow)
}

struct Follower<'a> {
    app: &'a App,
    /// When the encoder was last looked for.
    tried: Option<Instant>,
    /// Why the newest generation cannot be opened.
    trouble: Option<String>,
}

impl Follower<'_> {
    fn look(&mut self) {
        // What was open stays open.
        self.trouble = self
            .app
            .engine
            .refresh()
            .err()
            .map(|error| error.to_string());
        if self.wants_encoder() {
            self.tried = Some(Instant::now());
            self.load_encoder();
        }
        self.tell();
    }

    fn wants_encoder(&self) -> bool {
        let wanted = self.app.engine.identity().map(|identity| identity.hash);
        match self.app.encoder() {
            Loaded::Ready(encoder) => wanted.as_ref() != Some(&encoder.identity().hash),
            Loaded::Loading(_) => true,
            Loaded::Lacking(_) => self.tried.is_none_or(|at| at.elapsed() > RETRY),
        }
    }

    fn load_encoder(&self) {
        let app = self.app;
        let loaded = match app.engine.identity() {
            None => Loaded::without_vectors(&app.models),
            Some(identity) => {
                if !matches!(app.encoder(), Loaded::Lacking(_)) {
                    app.set_encoder(Loaded::Loading(identity.name.clone()));
                    self.tell();
                }
                match app.models.with_hash(&identity.hash) {
                    Ok(Some(entry)) => self.open(&entry.identity.name),
                    Ok(None) => {
                        let name = identity.name;
                        Loaded::Lacking(Warning::EncoderMissing { name }.to_string())
                    }
                    Err(error) => Loaded::Lacking(error.to_string()),
                }
            }
        };
        app.set_encoder(loaded);
    }

    fn open(&self, name: &str) -> Loaded {
        let encoder = match self.app.models.open(name) {
            Ok(encoder) => encoder,
            Err(error) => return Loaded::Lacking(error.to_string()),
        };
        match self.app.engine.set_encoder(encoder.clone()) {
            Ok(()) => Loaded::Ready(encoder),
            Err(error) => Loaded::Lacking(error.to_string()),
        }
    }

    fn tell(&self) {
        let app = self.app;
        app.tell(LiveJson {
            generation: app.engine.generation(),
            encoder: EncoderState::from(&app.encoder()),
            progress: live::read(app.engine.dir()),
            trouble: self.trouble.clone(),
        });
    }
}
