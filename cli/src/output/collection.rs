//! What do indexing, removing, compacting, status and the check-up look like?

use std::io::{self, Write};
use std::path::PathBuf;

use engine::report::{CompactReport, DoctorReport, IndexReport, IndexStatus, RemoveReport, Status};
use engine::request::DEFAULT_TARGET_RECALL;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::text::{duration, escape};
use super::{Page, Report, json, style};
use crate::answer::CollectionJson;
use crate::talk::shown;
use crate::warn::{Warning, texts};

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
fn file_counts(r: &IndexReport) -> String {
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

/// What a collection holds.
pub struct Held {
    /// The engine's account.
    pub status: Status,
    /// Device that encodes.
    pub device: &'static str,
    /// Numbers it multiplies; none where it was not measured yet or has none.
    pub precision: Option<&'static str>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Paths below it are shown without it.
    pub current: PathBuf,
}

impl Report for Held {
    fn json(&self) -> Value {
        json!(CollectionJson::new(
            &self.status,
            self.device,
            self.precision,
            texts(&self.warnings)
        ))
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let s = &self.status;
        row(page, "collection", &s.collection.to_string_lossy())?;
        if s.generation > 0 {
            self.content(page)?;
        }
        if let Some(writer) = &s.writer {
            row(page, "writing now", writer)?;
        }
        self.failures(page)
    }
}

impl Held {
    fn content(&self, page: &mut Page<'_>) -> io::Result<()> {
        let s = &self.status;
        let published = s
            .published
            .as_deref()
            .map(|at| format!(", published {}", local_time(at)));
        row(
            page,
            "generation",
            &format!("{}{}", s.generation, published.unwrap_or_default()),
        )?;
        for root in &s.roots {
            row(page, "folder", &shown(root, &self.current))?;
        }
        row(
            page,
            "documents",
            &format!("{}{}", HumanCount(s.documents), self.kinds()),
        )?;
        let (passages, text) = (HumanCount(s.passages), HumanBytes(s.text_bytes));
        row(page, "passages", &format!("{passages}, {text} of text"))?;
        row(page, "encoder", &self.encoder())?;
        if let Some(index) = &s.index {
            row(page, "index", &index_line(index))?;
        }
        if let Some(damage) = &s.index_damage {
            row(page, "index", damage)?;
        }
        row(page, "on disk", &self.disk())
    }

    fn kinds(&self) -> String {
        let named = self.status.extensions.iter().take(8);
        let kinds: Vec<_> = named
            .map(|(ext, n)| format!("{} {}", HumanCount(*n), extension(ext)))
            .collect();
        if kinds.is_empty() {
            String::new()
        } else {
            format!(" ({})", kinds.join(", "))
        }
    }

    fn encoder(&self) -> String {
        let Some(e) = &self.status.encoder else {
            return "none, search is by words".to_owned();
        };
        let search = self.status.dense_search.as_deref().unwrap_or("exact");
        format!(
            "{} ({}, {} dimensions, {}) on {}{}, {search} search",
            e.name,
            e.family,
            e.dimension,
            &short(&e.hash),
            self.device,
            self.precision
                .map(|p| format!(" in {p}"))
                .unwrap_or_default()
        )
    }

    fn disk(&self) -> String {
        let stores = &self.status.bytes_on_disk;
        let total = stores.iter().map(|(_, bytes)| bytes).sum();
        let parts: Vec<_> = stores
            .iter()
            .map(|(name, bytes)| format!("{name} {}", HumanBytes(*bytes)))
            .collect();
        format!("{} ({})", HumanBytes(total), parts.join(", "))
    }

    fn failures(&self, page: &mut Page<'_>) -> io::Result<()> {
        let failures = &self.status.failures;
        if failures.is_empty() {
            return Ok(());
        }
        let (warning, place) = (style::WARNING, style::PLACE);
        writeln!(
            page,
            "\n{warning}{} files could not be read:{warning:#}",
            HumanCount(failures.len() as u64)
        )?;
        for failure in failures {
            let path = shown(&failure.path, &self.current);
            writeln!(
                page,
                "  {place}{path}{place:#}: {}",
                escape(&failure.reason)
            )?;
        }
        Ok(())
    }
}

/// "3,168 lists of 100,000 vectors, 1,200 newer ones compared exactly; finds 95.1% of the ten nearest with 150 lists".
fn index_line(index: &IndexStatus) -> String {
    let newer = match index.tail {
        0 => String::new(),
        tail => format!(", {} newer ones compared exactly", HumanCount(tail)),
    };
    let target = DEFAULT_TARGET_RECALL;
    let measured = index.measured.iter().find(|point| point.recall >= target);
    let measured = measured.or(index.measured.last()).map(|point| {
        format!(
            "; finds {:.1}% of the ten nearest in {} lists",
            100.0 * point.recall,
            point.nprobe
        )
    });
    format!(
        "{} lists of {} vectors{newer}{}",
        HumanCount(index.lists),
        HumanCount(index.vectors),
        measured.unwrap_or_default()
    )
}

/// The first characters of a hash: enough to tell two apart by eye.
pub fn short(hash: &str) -> String {
    hash.chars().take(8).collect()
}

/// An RFC 3339 time to the second where the person is; anything else as it stands.
fn local_time(text: &str) -> String {
    let local = text
        .parse::<jiff::Timestamp>()
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()));
    local.map_or_else(
        |_| text.to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

fn extension(ext: &str) -> &str {
    if ext.is_empty() {
        "without extension"
    } else {
        ext
    }
}

fn row(page: &mut Page<'_>, name: &str, value: &str) -> io::Result<()> {
    let dim = style::DIM;
    writeln!(page, "{dim}{name:<12}{dim:#}{}", escape(value))
}

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

#[cfg(test)]
mod tests;
