//! What does a collection look like to a person?

use std::io::{self, Write};
use std::path::PathBuf;

use engine::report::{IndexStatus, Status};
use engine::request::DEFAULT_TARGET_RECALL;
use engine::settings::Settings;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::answer::CollectionJson;
use crate::output::text::escape;
use crate::output::{Page, Report, json, settings, style};
use crate::talk::shown;
use crate::warn::{Warning, texts};

/// What a collection holds.
pub struct Held {
    /// The engine's account.
    pub status: Status,
    /// What its settings file says.
    pub settings: Settings,
    /// The other collections by name: what each holds, or what is wrong with it.
    pub others: Vec<(String, Result<Status, String>)>,
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
        let mut status = json!(CollectionJson::new(
            &self.status,
            self.device,
            self.precision,
            texts(&self.warnings)
        ));
        status["settings"] = settings::json(&self.settings);
        status["others"] = self.others.iter().map(other_json).collect();
        status
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
        self.settings(page)?;
        for (name, status) in &self.others {
            row(page, "other", &format!("@{name}: {}", other_words(status)))?;
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

    /// The file, and each setting it makes.
    fn settings(&self, page: &mut Page<'_>) -> io::Result<()> {
        let s = &self.settings;
        let absent = if s.is_there {
            ""
        } else {
            " (not there: defaults)"
        };
        row(
            page,
            "settings",
            &format!("{}{absent}", shown(&s.path, &self.current)),
        )?;
        for line in settings::words(s) {
            row(page, "", &line)?;
        }
        Ok(())
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

fn other_words(status: &Result<Status, String>) -> String {
    match status {
        Ok(status) => format!(
            "{} documents, generation {}",
            HumanCount(status.documents),
            status.generation
        ),
        Err(error) => error.clone(),
    }
}

fn other_json((name, status): &(String, Result<Status, String>)) -> Value {
    match status {
        Ok(status) => json!({
            "name": name,
            "collection": json::path(&status.collection),
            "documents": status.documents,
            "generation": status.generation,
        }),
        Err(error) => json!({"name": name, "error": error}),
    }
}

/// "3,168 lists of 100,000 vectors, 1,200 newer ones compared exactly; finds 95.1% of the ten nearest with 150 lists".
pub(super) fn index_line(index: &IndexStatus) -> String {
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
