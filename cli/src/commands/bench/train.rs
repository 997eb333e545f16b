//! How fast does this device train?

use trainer::speed::{self, Load};

use crate::Exit;
use crate::args::BenchTrainArgs;
use crate::commands::train::start;
use crate::output::train::Measured;
use crate::session::Session;

/// Measures steps on random texts.
pub fn run(args: &BenchTrainArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let (_, model) = start(args.model.as_deref(), session)?;
    let load = Load {
        batch: args.batch as usize,
        length: args.length as usize,
        steps: u64::from(args.steps),
        compute: args.compute,
        device: args.device,
    };
    let speed = session.long_on(|task, _| speed::measure(&model, load, task))?;
    session.screen.show(&Measured {
        speed,
        batch: args.batch,
        length: args.length,
    })?;
    Ok(Exit::Done)
}
