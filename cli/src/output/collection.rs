//! What do indexing, removing and compacting look like? `status` and `checkup` have what changes nothing.

use std::io::{self, Write};
use std::path::PathBuf;

use engine::report::{CompactReport, IndexReport, RemoveReport};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::text::{duration, escape};
use super::{Page, Report, json};
use crate::warn::Warning;

mod checkup;
mod status;

pub use checkup::CheckedUp;
pub use status::{Held, short};

/// What a run of indexing did.
pub struct Indexed {
    /// The collection's folder.
    pub collection: PathBuf,
    /// The engine's account.
    pub report: IndexReport,
    /// Encoder of the passages, if any.
    pub encoder: Option<String>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Report for Indexed {
    fn json(&self) -> Value {
        let r = &self.report;
        json!({
            "collection": json::path(&self.collection),
            "added": r.added,
            "changed": r.changed,
            "moved": r.moved,
            "removed": r.removed,
            "unchanged": r.unchanged,
            "skipped": r.skipped,
            "failed": json::failures(&r.failed),
            "still_failing": r.still_failing,
            "passages": r.passages,
            "encoded": r.encoded,
            "reused": r.reused,
            "bytes": r.bytes,
            "interrupted": r.interrupted,
            "seconds": r.seconds,
            "generation": r.generation,
            "encoder": self.encoder,
            "warnings": json::warnings(&self.warnings),
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let r = &self.report;
        writeln!(page, "{}", file_counts(r))?;
        let encoder = self.encoder.as_ref().map(|name| {
            format!(
                ", {} encoded by {}, {} reused",
                HumanCount(r.encoded),
                escape(name),
                HumanCount(r.reused)
            )
        });
        writeln!(
            page,
            "{} passages written{}, {} read in {}, generation {}",
            HumanCount(r.passages),
            encoder.unwrap_or_default(),
            HumanBytes(r.bytes),
            duration(r.seconds),
            r.generation
        )
    }
}

/// "12 files added, 3 changed, 4,000 unchanged"; counts of zero are left out.
pub(crate) fn file_counts(r: &IndexReport) -> String {
    let counts = [
        (r.added, "added"),
        (r.changed, "changed"),
        (r.moved, "moved"),
        (r.removed, "removed"),
        (r.unchanged, "unchanged"),
        (r.skipped, "without text left out"),
        (r.failed.len() as u64 + r.still_failing, "unreadable"),
    ];
    let said: Vec<_> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", HumanCount(*n)))
        .collect();
    if said.is_empty() {
        "no files found".to_owned()
    } else {
        format!("files: {}", said.join(", "))
    }
}

/// What removing did.
pub struct Removed {
    /// The engine's account.
    pub report: RemoveReport,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Report for Removed {
    fn json(&self) -> Value {
        json!({
            "documents": self.report.documents,
            "passages": self.report.passages,
            "unknown": json::paths(&self.report.unknown),
            "generation": self.report.generation,
            "warnings": json::warnings(&self.warnings),
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let RemoveReport {
            documents,
            passages,
            generation,
            ..
        } = self.report;
        let (documents, passages) = (HumanCount(documents), HumanCount(passages));
        writeln!(
            page,
            "{documents} documents and {passages} passages removed, generation {generation}"
        )
    }
}

/// What compacting did.
pub struct Compacted {
    /// The engine's account.
    pub report: CompactReport,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Report for Compacted {
    fn json(&self) -> Value {
        json!({
            "before": self.report.before,
            "after": self.report.after,
            "generation": self.report.generation,
            "seconds": self.report.seconds,
            "warnings": json::warnings(&self.warnings),
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let CompactReport {
            before,
            after,
            generation,
            ..
        } = self.report;
        if generation == 0 {
            return Ok(());
        }
        let (before, after) = (HumanBytes(before), HumanBytes(after));
        writeln!(
            page,
            "{before} before, {after} now, generation {generation}"
        )
    }
}

#[cfg(test)]
mod tests;
