//! What does every command have at hand?

use anstream::{AutoStream, ColorChoice};
use engine::models::ModelStore;
use storage::Task;

use crate::Exit;
use crate::args::GlobalArgs;
use crate::interrupt::Interrupt;
use crate::io::{Io, sentence};
use crate::live::Beacon;
use crate::output::{Closed, Face, Screen};
use crate::progress::Meter;
use crate::resolve::Places;
use crate::talk::Talk;
use crate::warn::Warning;

/// One run of the program: where things are, where results and talk go, and the flag that stops it.
pub struct Session {
    /// Folders.
    pub places: Places,
    /// Where results go.
    pub screen: Screen,
    /// Where everything else goes.
    pub talk: Talk,
    /// Whether stdout is a terminal that can be drawn on.
    pub is_terminal: bool,
    /// Whether stdout takes colour.
    pub colour: bool,
    /// When the run began, in the person's time zone.
    pub now: jiff::Zoned,
    interrupt: Interrupt,
}

impl Session {
    /// Looks at the environment once.
    ///
    /// # Errors
    /// No home folder, or an unreadable current folder. The streams come back with the error.
    pub fn new(global: &GlobalArgs, io: Io) -> Result<Self, (Io, anyhow::Error)> {
        let places = match Places::resolve(global, &io) {
            Ok(places) => places,
            Err(error) => return Err((io, error)),
        };
        let out_colour = io.colour(global.color, io.out_is_terminal);
        let err_colour = io.colour(global.color, io.err_is_terminal);
        let dumb = io.variable("TERM").is_some_and(|term| term == "dumb");
        let columns = if io.out_is_terminal { io.columns } else { 0 };
        Ok(Self {
            places,
            screen: Screen::new(
                AutoStream::new(io.out, out_colour),
                columns,
                Face::of(global),
            ),
            talk: Talk::new(
                AutoStream::new(io.err, err_colour),
                if io.err_is_terminal { io.columns } else { 0 },
                global.quiet,
            ),
            is_terminal: io.out_is_terminal && !dumb,
            colour: out_colour != ColorChoice::Never,
            now: jiff::Zoned::now(),
            interrupt: io.interrupt,
        })
    }

    /// The encoders on this computer.
    pub fn models(&self) -> ModelStore {
        ModelStore::new(&self.places.models).with_builtin()
    }

    /// Prints warnings.
    pub fn warn(&self, warnings: &[Warning]) {
        warnings.iter().for_each(|warning| self.talk.warn(warning));
    }

    /// Runs long work with a progress display, stopped by Ctrl-C at its next safe point.
    pub fn long<T>(&self, work: impl FnOnce(Task<'_>) -> T) -> T {
        self.long_on(|task, _| work(task))
    }

    /// [`Session::long`] for work that has more to show than how far it is.
    pub fn long_on<T>(&self, work: impl FnOnce(Task<'_>, &Meter<'_>) -> T) -> T {
        let meter = Meter::new(&self.talk);
        self.interrupt
            .during(|flag| work(Task::new(&|progress| meter.report(progress), flag), &meter))
    }

    /// The same for work that writes to the collection: whoever shows the collection meanwhile sees how far it is.
    pub fn writing<T>(&self, work: impl FnOnce(Task<'_>) -> T) -> T {
        let meter = Meter::new(&self.talk);
        let beacon = Beacon::new(&self.places.collection);
        let report = |progress| {
            meter.report(progress);
            beacon.report(progress);
        };
        self.interrupt.during(|flag| work(Task::new(&report, flag)))
    }

    /// What Ctrl-C raises.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_interrupted(&self) -> bool {
        self.interrupt.is_raised()
    }

    /// Says that Ctrl-C ended the run.
    pub fn stopped(&self) -> Exit {
        self.talk
            .error("stopped; nothing is lost, run the command again to go on");
        Exit::Interrupted
    }

    /// Says how the run ended where it did not end well.
    pub fn finish(mut self, outcome: anyhow::Result<Exit>) -> Exit {
        let error = match outcome.and_then(|exit| self.screen.flush().map(|()| exit)) {
            Ok(exit) => return exit,
            Err(error) => error,
        };
        if error.is::<Closed>() {
            return Exit::Done;
        }
        if self.is_interrupted() {
            return self.stopped();
        }
        self.talk.error(&sentence(&error));
        Exit::Failed
    }
}
