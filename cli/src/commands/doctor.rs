//! What does `askance doctor` do?

use engine::Engine;
use engine::report::DoctorReport;
use engine::request::ReadOptions;

use super::encoders::{self, Chosen};
use crate::Exit;
use crate::args::{DoctorArgs, ReadArgs};
use crate::output::collection::CheckedUp;
use crate::resolve::read_options;
use crate::session::Session;

/// Checks the collection; repairs it where asked to, and then checks again, so that "repaired" is known and not hoped.
pub fn run(args: &DoctorArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let found = examine(None, None, session)?;
    let broken = problems(&found);
    let (report, remaining) = if args.repair && !broken.is_empty() {
        let options = read_options(&ReadArgs::default())?;
        let repaired = examine(encoder(session)?, Some(&options), session)?;
        let remaining = problems(&examine(None, None, session)?);
        (
            DoctorReport {
                checks: found.checks,
                planned: Vec::new(),
                repaired: repaired.repaired,
            },
            remaining,
        )
    } else {
        (found, broken)
    };
    let checked = CheckedUp {
        report,
        remaining,
        repair: args.repair,
    };
    session.screen.show(&checked)?;
    Ok(if checked.is_sound() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn examine(
    encoder: Chosen,
    repair: Option<&ReadOptions>,
    session: &Session,
) -> anyhow::Result<DoctorReport> {
    Ok(session.long(|task| Engine::doctor(&session.places.collection, encoder, repair, task))?)
}

/// The collection's encoder where it can still be told, else the default one.
fn encoder(session: &Session) -> anyhow::Result<Chosen> {
    let models = session.models();
    let engine = Engine::open(&session.places.collection).ok();
    match engine.and_then(|engine| engine.identity()) {
        Some(identity) => encoders::with_identity(&identity, &models).map(Some),
        None => encoders::default(&models),
    }
}

fn problems(report: &DoctorReport) -> Vec<String> {
    report
        .checks
        .iter()
        .flat_map(|check| check.problems.iter().cloned())
        .collect()
}
