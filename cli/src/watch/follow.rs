//! How is the collection kept in line with what is reported?

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::models::ModelStore;
use engine::report::IndexReport;
use engine::request::{IndexRequest, ReadOptions};
use engine::settings::Settings;
use engine::{Engine, EngineError};
use storage::{StorageError, Task};

use super::ease::{Ease, Strain};
use super::pending::{Inbox, Work};
use super::roots::{News, Root};
use super::source::{How, POLL_EVERY, Source, Uninteresting, how_for};
use super::told::{Listener, Plan, Told};
use crate::commands::encoders::{self, Chosen};
use crate::warn::Warning;

/// Longest wait between two looks at Ctrl-C.
const TICK: Duration = Duration::from_millis(500);
/// Time between two looks at the roots.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Everything is compared this often, in case the system kept something back.
const COMPARE_EVERY: Duration = Duration::from_secs(3600);
/// More paths than this are large work, which waits while the computer is strained.
const SMALL: usize = 32;
/// After an update nothing is done for this many times as long as it took, so that a file that never rests takes a
/// quarter of one core at most;
const REST: u32 = 3;
/// but never for longer than this.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// Wait for a writer that holds the collection.
const WAIT_FOR_WRITER: Duration = Duration::from_millis(500);
/// Longest wait after trouble; the first is a second, each next one twice as long.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

struct Watched {
    root: Root,
    is_file: bool,
    source: Option<Source>,
}

/// Keeps one collection in line with its files.
pub struct Follower {
    engine: Engine,
    models: ModelStore,
    settings: Settings,
    encoder: Chosen,
    options: ReadOptions,
    poll: Option<Duration>,
    watched: Vec<Watched>,
    inbox: Arc<Inbox>,
    ease: Option<Mutex<Ease>>,
    /// Large work that waits.
    parked: Option<Work>,
    is_paused: bool,
    waits_for: Option<String>,
    troubles: u32,
    not_before: Instant,
    looked: Instant,
    compared: Instant,
}

impl Follower {
    /// A follower of `engine`, and what a person should know about it; nothing is watched yet.
    ///
    /// # Errors
    /// An encoder that cannot be loaded.
    pub fn new(
        engine: Engine,
        models: ModelStore,
        plan: Plan,
    ) -> anyhow::Result<(Self, Option<Warning>)> {
        let now = Instant::now();
        let watched = |path: PathBuf| Watched {
            is_file: path.is_file(),
            root: Root::new(path),
            source: None,
        };
        let (encoder, warning) = encoders::for_indexing(&engine, &models, &plan.settings)?;
        let follower = Self {
            encoder,
            engine,
            models,
            settings: plan.settings,
            options: plan.options,
            poll: plan.poll,
            watched: plan.roots.into_iter().map(watched).collect(),
            inbox: Arc::default(),
            ease: (!plan.always).then(|| Mutex::new(Ease::of_this_computer())),
            parked: None,
            is_paused: false,
            waits_for: None,
            troubles: 0,
            not_before: now,
            looked: now,
            compared: now,
        };
        Ok((follower, warning))
    }

    /// Follows until `stop` is raised. Watches first and compares everything then, so that nothing falls in between.
    ///
    /// # Errors
    /// The listener's. Whatever else goes wrong is told and tried again.
    pub fn run(&mut self, stop: &AtomicBool, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        self.begin(tell)?;
        self.attempt(Work::All, stop, tell)?;
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now < self.not_before {
                std::thread::sleep((self.not_before - now).min(TICK / 5));
                continue;
            }
            self.inbox.wait(TICK);
            self.look_around(tell)?;
            if let Some(work) = self.next() {
                self.attempt(work, stop, tell)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        for index in 0..self.watched.len() {
            // What cannot be told is taken for the careful answer.
            let known = self.engine.holds(self.watched[index].root.path());
            if self.watched[index].root.begin(known.unwrap_or(true)) {
                self.watch(index, tell)?;
            } else {
                tell(Told::Gone(self.watched[index].root.path()))?;
            }
        }
        let how = |watched: &Watched| {
            let source = watched.source.as_ref()?;
            Some((watched.root.path().to_owned(), source.how))
        };
        tell(Told::Watching(
            self.watched.iter().filter_map(how).collect(),
        ))
    }

    /// Asks the system for reports on a root; polls it where the system cannot.
    fn watch(&mut self, index: usize, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        let dull = Uninteresting {
            collection: self.engine.dir().to_owned(),
            hidden: self.options.hidden,
        };
        let watched = &mut self.watched[index];
        // Two watchers of one root would report everything twice.
        watched.source = None;
        let path = watched.root.path().to_owned();
        let start = |how| Source::watch(&path, how, dull.clone(), self.inbox.clone());
        let how = how_for(&path, self.poll);
        watched.source = match (start(how), how) {
            (Ok(source), _) => Some(source),
            (Err(error), How::Told) if path.exists() => {
                tell(Told::Polling(&path, why(&error)))?;
                start(How::Polled(POLL_EVERY)).ok()
            }
            // Gone again; the next look says so.
            (Err(_), _) => None,
        };
        Ok(())
    }

    /// Roots that went or came, reports that were lost, and the hour.
    fn look_around(&mut self, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.inbox.with(|pending| pending.take_overflow()) {
            // New folders may be unwatched: their reports were lost too.
            for index in 0..self.watched.len() {
                if self.watched[index].root.is_there() {
                    self.watch(index, tell)?;
                }
            }
            self.inbox.with(|pending| pending.add_all(now));
        }
        if now >= self.compared + COMPARE_EVERY {
            self.compared = now;
            self.inbox.with(|pending| pending.add_all(now));
        }
        if now >= self.looked + LOOK_EVERY {
            self.looked = now;
            self.look_at_roots(tell)?;
        }
        Ok(())
    }

    fn look_at_roots(&mut self, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        for index in 0..self.watched.len() {
            match self.watched[index].root.look() {
                News::Same => {}
                News::Gone => self.root_went(index, tell)?,
                News::Returned => {
                    self.watch(index, tell)?;
                    self.inbox.with(|pending| pending.add_all(Instant::now()));
                    tell(Told::Returned(self.watched[index].root.path()))?;
                }
            }
        }
        Ok(())
    }

    /// A folder may be a drive that comes back. A file whose folder is there was deleted.
    fn root_went(&mut self, index: usize, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        let watched = &mut self.watched[index];
        let path = watched.root.path().to_owned();
        if watched.is_file && path.parent().is_some_and(Path::exists) {
            if let Err(error) = self
                .engine
                .remove(std::slice::from_ref(&path), Task::silent())
            {
                tell(Told::Trouble(error.to_string()))?;
            }
        } else {
            watched.source = None;
        }
        tell(Told::Gone(&path))
    }

    /// What is due, with what waited if nothing holds it back any more.
    fn next(&mut self) -> Option<Work> {
        let fresh = self.inbox.with(|pending| pending.take(Instant::now()));
        if self.parked.is_some() && self.strain().is_none() {
            return Work::join(self.parked.take(), fresh);
        }
        fresh
    }

    fn strain(&self) -> Option<Strain> {
        let ease = self.ease.as_ref()?;
        ease.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .strain(Instant::now())
    }

    /// Does the work, or puts it off; says which.
    fn attempt(
        &mut self,
        work: Work,
        stop: &AtomicBool,
        tell: &mut Listener<'_>,
    ) -> anyhow::Result<()> {
        let is_large = work.count().is_none_or(|paths| paths > SMALL);
        if is_large && let Some(strain) = self.strain() {
            return self.park(work, strain, tell);
        }
        if is_large && std::mem::take(&mut self.is_paused) {
            tell(Told::Resumed)?;
        }
        let started = Instant::now();
        match self.update(&work, is_large, stop) {
            Ok(report) => self.finished(report, stop, tell)?,
            Err(error) => return self.failed(work, &error, tell),
        }
        self.not_before = Instant::now() + (started.elapsed() * REST).min(LONGEST_REST);
        Ok(())
    }

    fn park(&mut self, work: Work, strain: Strain, tell: &mut Listener<'_>) -> anyhow::Result<()> {
        self.parked = Work::join(self.parked.take(), Some(work));
        match std::mem::replace(&mut self.is_paused, true) {
            true => Ok(()),
            false => tell(Told::Paused(strain)),
        }
    }

    fn finished(
        &mut self,
        report: Option<IndexReport>,
        stop: &AtomicBool,
        tell: &mut Listener<'_>,
    ) -> anyhow::Result<()> {
        self.troubles = 0;
        self.waits_for = None;
        let Some(report) = report else {
            return Ok(());
        };
        if report.interrupted && !stop.load(Ordering::Relaxed) {
            // The cable was pulled while it ran.
            self.parked = Some(Work::All);
        }
        let changes = report.added + report.changed + report.moved + report.removed;
        match changes > 0 || !report.failed.is_empty() {
            true => tell(Told::Updated(&report)),
            false => Ok(()),
        }
    }

    /// Says what went wrong, once, and puts the work back.
    fn failed(
        &mut self,
        work: Work,
        error: &anyhow::Error,
        tell: &mut Listener<'_>,
    ) -> anyhow::Result<()> {
        let now = Instant::now();
        self.inbox.with(|pending| pending.put_back(work, now));
        if let Some(holder) = holder_of(error) {
            self.not_before = now + WAIT_FOR_WRITER;
            if self.waits_for.is_none() {
                tell(Told::Waiting(&holder))?;
                self.waits_for = Some(holder);
            }
            return Ok(());
        }
        let backoff = Duration::from_secs(1 << self.troubles.min(6));
        self.not_before = now + backoff.min(LONGEST_BACKOFF);
        self.troubles += 1;
        tell(Told::Trouble(crate::io::sentence(error)))
    }

    /// Brings the collection up to date; nothing if the changes do not concern it.
    fn update(
        &mut self,
        work: &Work,
        is_large: bool,
        stop: &AtomicBool,
    ) -> anyhow::Result<Option<IndexReport>> {
        let there = self.watched.iter().map(|watched| &watched.root);
        let paths: Vec<_> = there
            .filter(|root| root.is_there())
            .map(|root| root.path().to_owned())
            .collect();
        if paths.is_empty() {
            return Ok(None);
        }
        self.keep_encoder()?;
        let request = IndexRequest {
            paths,
            options: self.options.clone(),
            encoder: self.encoder.clone(),
        };
        let ease = self.ease.as_ref();
        let halt = AtomicBool::new(false);
        let look = |_| {
            if stop.load(Ordering::Relaxed) || (is_large && is_strained_at_work(ease)) {
                halt.store(true, Ordering::Relaxed);
            }
        };
        let task = Task::new(&look, &halt);
        match work {
            Work::All => Ok(Some(self.engine.index(&request, task)?)),
            Work::Some(changed) if !self.engine.concerns(&request, changed)? => Ok(None),
            Work::Some(changed) => Ok(Some(self.engine.update(&request, changed, task)?)),
        }
    }

    /// Somebody may have given the collection another encoder since.
    fn keep_encoder(&mut self) -> anyhow::Result<()> {
        self.engine.refresh()?;
        let wanted = self.engine.identity().map(|identity| identity.hash);
        let held = self
            .encoder
            .as_ref()
            .map(|encoder| encoder.identity().hash.clone());
        if wanted != held && self.engine.status()?.passages > 0 {
            self.encoder = encoders::for_indexing(&self.engine, &self.models, &self.settings)?.0;
        }
        Ok(())
    }
}

/// Whether work that runs should stop.
fn is_strained_at_work(ease: Option<&Mutex<Ease>>) -> bool {
    ease.is_some_and(|ease| {
        let mut ease = ease.lock().unwrap_or_else(PoisonError::into_inner);
        ease.strain_at_work(Instant::now()).is_some()
    })
}

/// Who holds the collection, if that is what went wrong.
fn holder_of(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref::<EngineError>()? {
        EngineError::Storage(StorageError::Locked { holder, .. }) => Some(holder.clone()),
        _ => None,
    }
}

/// Why the system does not report, and what helps.
fn why(error: &notify::Error) -> String {
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "it holds more folders than the system watches; raise fs.inotify.max_user_watches"
                .to_owned()
        }
        _ => error.to_string(),
    }
}
