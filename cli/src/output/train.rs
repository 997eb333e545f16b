//! What does a run of training look like, before and after?

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::HumanBytes;
use serde_json::{Value, json};
use trainer::distil::{self, DistilConfig};
use trainer::examples::Dropped;
use trainer::gate::Decision;
use trainer::log::rows;
use trainer::pairs::PairReport;
use trainer::rounds::{Outcome, Plan};
use trainer::speed::Speed;

use super::text::escape;
use super::{Page, Report, json, style};

/// What a table was made of.
pub struct Distilled {
    /// The trainer's account.
    pub outcome: distil::Outcome,
    /// Every setting.
    pub config: DistilConfig,
}

impl Report for Distilled {
    fn json(&self) -> Value {
        json!({"outcome": self.outcome, "settings": self.config})
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let distil::Outcome {
            model,
            texts,
            pairs,
            tokens,
            last,
        } = &self.outcome;
        writeln!(
            page,
            "{tokens} token vectors of {} numbers from {texts} texts and {pairs} pairs; dev nDCG@10 {:.4}",
            self.config.dimension,
            last.mean()
        )?;
        let model = escape(&model.to_string_lossy()).into_owned();
        writeln!(page, "add it with `askance model add {model} --name NAME`")
    }
}

/// What a run is going to do.
pub struct Planned {
    /// The encoder it starts from.
    pub model: String,
    /// The plan.
    pub plan: Plan,
    /// What the data set held and could not be used.
    pub dropped: Dropped,
    /// Where the texts ask the questions: which ones.
    pub pairs: Option<PairReport>,
}

impl Planned {
    fn memory(&self) -> u64 {
        let memory = &self.plan.memory;
        memory.parameters + memory.activations + memory.vectors
    }
}

impl Report for Planned {
    fn json(&self) -> Value {
        json!({
            "model": self.model,
            "plan": self.plan,
            "memory_bytes": self.memory(),
            "dropped": self.dropped,
            "asked": self.pairs,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Plan {
            settings,
            steps,
            encodings,
            memory,
        } = &self.plan;
        let title = style::TITLE;
        writeln!(
            page,
            "{title}{}{title:#}: {steps} steps; the corpus is encoded {encodings} times",
            escape(&self.model)
        )?;
        writeln!(
            page,
            "  memory about {}: parameters and optimiser {}, a micro-batch {}, vectors {}",
            HumanBytes(self.memory()),
            HumanBytes(memory.parameters),
            HumanBytes(memory.activations),
            HumanBytes(memory.vectors)
        )?;
        if self.dropped.any() {
            writeln!(page, "  left out: {}", self.dropped)?;
        }
        self.pairs.iter().try_for_each(|pairs| asked(pairs, page))?;
        let rows = rows(settings);
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        rows.iter()
            .try_for_each(|(name, value)| writeln!(page, "  {name:<width$}  {}", escape(value)))
    }
}

fn asked(pairs: &PairReport, page: &mut Page<'_>) -> io::Result<()> {
    let kinds: Vec<String> = pairs
        .queries
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    writeln!(
        page,
        "  queries from the texts' own structure: {}; of {} passages {} are junk, {} copies, and {} queries were boilerplate",
        kinds.join(", "),
        pairs.passages,
        pairs.junk,
        pairs.copies,
        pairs.templated
    )
}

/// What became of a run.
pub struct Trained {
    /// The verdict.
    pub outcome: Outcome,
    /// The page that shows it.
    pub page: PathBuf,
    /// Name under which the collection uses the trained encoder now, if it does.
    pub adopted: Option<String>,
    /// The encoder it started from.
    pub started_from: String,
}

impl Report for Trained {
    fn json(&self) -> Value {
        json!({
            "verdict": self.outcome.verdict,
            "model": json::path(&self.outcome.model),
            "best_step": self.outcome.best_step,
            "steps": self.outcome.steps,
            "report": json::path(&self.page),
            "adopted": self.adopted,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let verdict = &self.outcome.verdict;
        let (word, colour) = match verdict.decision {
            Decision::Adopted => ("adopted", style::GOOD),
            Decision::Kept => ("not adopted", style::WARNING),
        };
        writeln!(
            page,
            "{colour}{word}{colour:#}: {}",
            escape(&verdict.reasons.join("; "))
        )?;
        writeln!(
            page,
            "  encoder  {} (step {} of {})",
            escape(&self.outcome.model.to_string_lossy()),
            self.outcome.best_step,
            self.outcome.steps
        )?;
        writeln!(page, "  report   {}", escape(&self.page.to_string_lossy()))?;
        match &self.adopted {
            Some(name) => writeln!(
                page,
                "  the collection is searched with {} now; `askance model use {}` goes back",
                escape(name),
                escape(&self.started_from)
            ),
            None if verdict.decision == Decision::Adopted => {
                writeln!(
                    page,
                    "  use it: askance model add {}",
                    escape(&self.outcome.model.to_string_lossy())
                )
            }
            None => Ok(()),
        }
    }
}

/// How fast a device trains.
pub struct Measured {
    /// What came out.
    pub speed: Speed,
    /// Texts a step.
    pub batch: u32,
    /// Tokens of a text.
    pub length: u32,
}

impl Report for Measured {
    fn json(&self) -> Value {
        let mut json = json!(self.speed);
        json["batch"] = self.batch.into();
        json["length"] = self.length.into();
        json
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Speed {
            device,
            by,
            sequences_per_second,
            first_steps_s,
            ..
        } = &self.speed;
        writeln!(
            page,
            "{}, {by}: {sequences_per_second:.0} texts a second in batches of {} with {} tokens; {first_steps_s:.1} s for the first three steps",
            escape(device),
            self.batch,
            self.length
        )
    }
}
