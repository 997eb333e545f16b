//! What did a check-up find?

use std::io::{self, Write};

use engine::report::DoctorReport;
use serde_json::{Value, json};

use crate::output::text::escape;
use crate::output::{Page, Report, style};

/// What the check-up found.
pub struct CheckedUp {
    /// The first pass: what was looked at, what was wrong, what was repaired.
    pub report: DoctorReport,
    /// Problems a second pass still found after repairing.
    pub remaining: Vec<String>,
    /// Whether repair was asked for.
    pub repair: bool,
}

impl CheckedUp {
    /// Whether the collection is sound now.
    pub fn is_sound(&self) -> bool {
        self.remaining.is_empty()
    }
}

impl Report for CheckedUp {
    fn json(&self) -> Value {
        json!({
            "sound": self.is_sound(),
            "checks": self.report.checks,
            "planned": self.report.planned,
            "repaired": self.report.repaired,
            "remaining": self.remaining,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let (good, bad) = (style::GOOD, style::ERROR);
        for check in &self.report.checks {
            if check.problems.is_empty() {
                writeln!(page, "{good}sound{good:#}    {}", check.name)?;
            }
            for problem in &check.problems {
                writeln!(
                    page,
                    "{bad}damaged{bad:#}  {}: {}",
                    check.name,
                    escape(problem)
                )?;
            }
        }
        for repaired in &self.report.repaired {
            writeln!(page, "{good}repaired{good:#} {}", escape(repaired))?;
        }
        match (self.is_sound(), self.repair) {
            (true, _) => Ok(()),
            (false, false) => {
                for planned in &self.report.planned {
                    writeln!(page, "to repair {}", escape(planned))?;
                }
                writeln!(
                    page,
                    "run `askance doctor --repair`; your own files are never touched"
                )
            }
            (false, true) => self
                .remaining
                .iter()
                .try_for_each(|problem| writeln!(page, "{bad}remains{bad:#}  {}", escape(problem))),
        }
    }
}
