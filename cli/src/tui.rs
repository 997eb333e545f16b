//! How does a person search while typing, in a terminal?
//!
//! `app` holds what is on the screen and what a key does to it, `worker` searches beside it, `view` draws, `launch` opens
//! hits elsewhere. Everything from files passes `output::text::escape` before it is drawn.

mod app;
mod filters;
mod launch;
mod line;
mod preview;
mod view;
mod worker;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyEventKind,
};
use ratatui::crossterm::execute;

use crate::session::Session;
use crate::shelf::Shelf;

use app::{App, Effect};
use view::Theme;
use worker::{Answer, Ask, Worker};

/// Time between two looks at what the worker found while no key is pressed.
const TICK: Duration = Duration::from_millis(40);
/// ... and while it has nothing to do.
const IDLE: Duration = Duration::from_millis(400);

/// Whether there is a terminal to type in and to draw on.
pub fn is_possible(session: &Session) -> bool {
    session.is_terminal && io::stdin().is_terminal()
}

/// Runs until the person leaves.
///
/// # Errors
/// A collection that cannot be opened, or a terminal that cannot be drawn on.
pub fn run(session: &Session) -> anyhow::Result<()> {
    let shelf = Shelf::new(&session.places);
    let engine = shelf.open(None)?;
    let mut app = App::new(
        &engine.status()?,
        session.now.clone(),
        &session.places.current,
    );
    let (asks, inbox) = channel();
    let (outbox, answers) = channel();
    let mut worker = Worker::new(shelf, engine, inbox, outbox);
    std::thread::spawn(move || worker.run());
    let screen = Restored::take().context("cannot draw on this terminal")?;
    let outcome = session.interrupt().during(|stop| {
        let mut desk = Desk {
            terminal: screen.terminal,
            theme: Theme::new(session.colour),
            stop,
        };
        desk.run(&mut app, &asks, &answers)
    });
    // The terminal is given back before an error is printed.
    drop(screen.guard);
    outcome
}

/// The terminal, given back whatever happens.
struct Restored {
    terminal: DefaultTerminal,
    guard: Guard,
}

struct Guard;

impl Restored {
    fn take() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        // A terminal without this pastes key by key, which works too.
        let _ = execute!(io::stdout(), EnableBracketedPaste);
        Ok(Self {
            terminal,
            guard: Guard,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        ratatui::restore();
    }
}

struct Desk<'s> {
    terminal: DefaultTerminal,
    theme: Theme,
    stop: &'s AtomicBool,
}

impl Desk<'_> {
    fn run(
        &mut self,
        app: &mut App,
        asks: &Sender<Ask>,
        answers: &Receiver<Answer>,
    ) -> anyhow::Result<()> {
        let mut effects = Vec::new();
        loop {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Ask(ask) => {
                        asks.send(ask).context("the search stopped unexpectedly")?;
                    }
                    Effect::Open(path) => app.say(launch::open(&path)),
                    Effect::Edit(path, line) => self.edit(app, &path, line)?,
                }
            }
            self.terminal
                .draw(|frame| view::draw(frame, app, &self.theme))?;
            effects.extend(self.next(app, answers)?);
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    /// What the next key or answer makes to be done.
    fn next(&self, app: &mut App, answers: &Receiver<Answer>) -> anyhow::Result<Vec<Effect>> {
        let wait = if app.is_waiting() { TICK } else { IDLE };
        let mut effects = Vec::new();
        if event::poll(wait)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    effects.extend(app.key(key))
                }
                Event::Paste(text) => effects.extend(app.paste(&text)),
                _ => {}
            }
        }
        while let Ok(answer) = answers.try_recv() {
            effects.extend(app.answer(answer));
        }
        Ok(effects)
    }

    /// Lends the terminal to the person's editor.
    fn edit(&mut self, app: &mut App, path: &Path, line: u32) -> anyhow::Result<()> {
        drop(Guard);
        let said = launch::edit(path, line);
        self.terminal = ratatui::try_init()?;
        let _ = execute!(io::stdout(), EnableBracketedPaste);
        self.terminal.clear()?;
        app.say(said);
        Ok(())
    }
}
