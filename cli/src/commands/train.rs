//! What does `askance train` do?

use anyhow::Context;
use serde_json::json;
use trainer::report;

use crate::Exit;
use crate::args::{TrainArgs, TrainCommand, TrainReportArgs};
use crate::output::json;
use crate::output::models::Done;
use crate::session::Session;
use crate::talk::shown;

/// Draws a run.
pub fn run(args: &TrainArgs, session: &mut Session) -> anyhow::Result<Exit> {
    match &args.command {
        TrainCommand::Report(args) => draw(args, session),
    }
}

fn draw(args: &TrainReportArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let page = report::write(&args.run)?;
    session.screen.show(&Done {
        sentence: shown(&page, &session.places.current),
        json: json!({"report": json::path(&page)}),
    })?;
    if args.open {
        open::that_detached(&page).with_context(|| format!("cannot open {}", page.display()))?;
    }
    Ok(Exit::Done)
}
