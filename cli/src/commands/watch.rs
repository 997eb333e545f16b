//! What does `askance watch` do?

use std::path::PathBuf;
use std::time::Duration;

use engine::Engine;
use serde_json::{Value, json};

use super::index;
use crate::Exit;
use crate::args::WatchArgs;
use crate::output::collection::file_counts;
use crate::output::json;
use crate::output::text::duration;
use crate::resolve::{existing, read_options, settings};
use crate::session::Session;
use crate::talk::shown;
use crate::watch::{Follower, How, Plan, Told, ease};

/// Follows the folders until Ctrl-C.
pub fn run(args: &WatchArgs, session: &mut Session) -> anyhow::Result<Exit> {
    ease::stand_back();
    let engine = Engine::open(&session.places.collection)?;
    let settings = settings(engine.dir())?;
    let plan = Plan {
        roots: match args.paths.is_empty() {
            true => index::roots(&engine, &settings)?,
            false => args
                .paths
                .iter()
                .map(|path| existing(path))
                .collect::<anyhow::Result<_>>()?,
        },
        options: read_options(&args.read, &settings)?,
        settings,
        poll: args.poll.map(|seconds| Duration::from_secs(seconds.into())),
        always: args.always,
    };
    let (mut follower, warning) = Follower::new(engine, session.models(), plan)?;
    session.warn(warning.as_slice());
    let interrupt = session.interrupt().clone();
    let outcome = interrupt.during(|stop| follower.run(stop, &mut |told| tell(&told, session)));
    outcome.map(|()| Exit::Done)
}

/// One line each: a JSON object on stdout, or a note on stderr.
fn tell(told: &Told<'_>, session: &mut Session) -> anyhow::Result<()> {
    if session.screen.is_human() {
        let time = jiff::Zoned::now().strftime("%H:%M:%S");
        session
            .talk
            .note(&format!("{time} {}", words(told, session)));
        return Ok(());
    }
    session.screen.json_line(&event(told))?;
    session.screen.flush()
}

fn words(told: &Told<'_>, session: &Session) -> String {
    let name = |path| shown(path, &session.places.current);
    match told {
        Told::Watching(roots) => {
            let roots: Vec<_> = roots
                .iter()
                .map(|(path, how)| format!("{}{}", name(path), polled(*how)))
                .collect();
            format!("watching {}; Ctrl-C ends", roots.join(", "))
        }
        Told::Updated(report) => format!("{} ({})", file_counts(report), duration(report.seconds)),
        Told::Paused(strain) => format!(
            "many files wait: {} (`--always` does not wait)",
            strain.text()
        ),
        Told::Resumed => "going on".to_owned(),
        Told::Gone(path) => format!(
            "{} is gone; what was indexed of a folder stays until it returns",
            name(path)
        ),
        Told::Returned(path) => format!("{} is back", name(path)),
        Told::Polling(path, why) => format!("{} is looked at every 15 s: {why}", name(path)),
        Told::Waiting(holder) => format!("waiting for {holder}, which writes to this collection"),
        Told::Trouble(error) => format!("will try again: {error}"),
    }
}

fn polled(how: How) -> String {
    match how {
        How::Told => String::new(),
        How::Polled(every) => format!(" (every {})", duration(every.as_secs_f64())),
    }
}

fn event(told: &Told<'_>) -> Value {
    match told {
        Told::Watching(roots) => {
            let root = |(path, how): &(PathBuf, How)| json!({"path": json::path(path), "polled": *how != How::Told});
            json!({"event": "watching", "roots": roots.iter().map(root).collect::<Value>()})
        }
        Told::Updated(report) => json!({
            "event": "updated",
            "added": report.added,
            "changed": report.changed,
            "moved": report.moved,
            "removed": report.removed,
            "failed": json::failures(&report.failed),
            "passages": report.passages,
            "seconds": report.seconds,
            "generation": report.generation,
        }),
        Told::Paused(strain) => json!({"event": "paused", "reason": strain.text()}),
        Told::Resumed => json!({"event": "resumed"}),
        Told::Gone(path) => json!({"event": "gone", "path": json::path(path)}),
        Told::Returned(path) => json!({"event": "returned", "path": json::path(path)}),
        Told::Polling(path, why) => {
            json!({"event": "polling", "path": json::path(path), "reason": why})
        }
        Told::Waiting(holder) => json!({"event": "waiting", "holder": holder}),
        Told::Trouble(error) => json!({"event": "trouble", "error": error}),
    }
}
