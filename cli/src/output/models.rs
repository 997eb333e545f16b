//! What do the encoders on this computer look like?

use std::io::{self, Write};

use engine::encoder::{COSINE_BOUND, PrecisionReport};
use engine::models::{ModelEntry, PrecisionChoice};
use engine::report::IndexReport;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::collection::short;
use super::text::{duration, escape};
use super::{Page, Report, json, style};

/// An encoder and how it runs here.
pub struct Model {
    /// What it is.
    pub entry: ModelEntry,
    /// What it runs in.
    pub precision: PrecisionChoice,
}

/// The encoders, and which is the default.
pub struct Models {
    /// By name.
    pub models: Vec<Model>,
    /// Default of new collections.
    pub default: Option<String>,
}

impl Report for Models {
    fn json(&self) -> Value {
        let default = self.default.as_deref();
        json!({
            "models": self.models.iter().map(|m| entry_json(m, default)).collect::<Value>(),
            "default": self.default,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        if self.models.is_empty() {
            return writeln!(
                page,
                "no encoders yet; add one with `askance model add FOLDER`"
            );
        }
        let width = self
            .models
            .iter()
            .map(|m| m.entry.identity.name.chars().count())
            .max()
            .unwrap_or(0);
        for model in &self.models {
            let i = &model.entry.identity;
            let is_default = self.default.as_ref() == Some(&i.name);
            let mark = if is_default { "*" } else { " " };
            let title = if is_default {
                style::TITLE
            } else {
                anstyle::Style::new()
            };
            writeln!(
                page,
                "{mark} {title}{:<width$}{title:#}  {:<6}  {:>5} dimensions  {:>4} tokens  {:>10}  {}{}",
                escape(&i.name),
                escape(&i.family),
                i.dimension,
                i.max_tokens,
                HumanBytes(model.entry.bytes).to_string(),
                short(&i.hash),
                if model.entry.is_builtin {
                    "  built in"
                } else {
                    ""
                }
            )?;
            precisions(&model.precision, page)?;
        }
        Ok(())
    }
}

/// One line for each precision that was measured.
fn precisions(choice: &PrecisionChoice, page: &mut Page<'_>) -> io::Result<()> {
    let dim = style::DIM;
    for report in &choice.measured {
        let line = precision_line(choice, report);
        writeln!(page, "    {dim}{line}{dim:#}")?;
    }
    Ok(())
}

/// "bf16  1,234 texts/s  cosine to f32 .99998, at least .99991  in use".
fn precision_line(choice: &PrecisionChoice, report: &PrecisionReport) -> String {
    let is_chosen = choice.chosen == Some(report.precision);
    let is_pinned = choice.pinned == Some(report.precision);
    let note = match (is_chosen, is_pinned, report.within_bound) {
        (_, _, false) => format!("  not used: below {COSINE_BOUND}"),
        (true, true, _) => "  in use, as asked for".to_owned(),
        (true, false, _) => "  in use".to_owned(),
        (false, _, _) => String::new(),
    };
    format!(
        "{:<4} {:>7} texts/s  cosine to f32 {:.5}, at least {:.5}{note}",
        report.precision.name(),
        HumanCount(report.texts_per_second.round() as u64).to_string(),
        report.mean_cosine,
        report.least_cosine
    )
}

/// An encoder that was just added.
pub struct Added(pub Model);

impl Report for Added {
    fn json(&self) -> Value {
        entry_json(&self.0, None)
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let i = &self.0.entry.identity;
        let size = HumanBytes(self.0.entry.bytes);
        writeln!(
            page,
            "added {} ({}, {} dimensions, {size})",
            escape(&i.name),
            escape(&i.family),
            i.dimension
        )?;
        precisions(&self.0.precision, page)
    }
}

/// A collection whose vectors were made anew, or dropped.
pub struct Switched {
    /// The encoder in use from now on; none for words only.
    pub name: Option<String>,
    /// The engine's account.
    pub report: IndexReport,
}

impl Report for Switched {
    fn json(&self) -> Value {
        json!({
            "default": self.name,
            "collection_fits": true,
            "encoded": self.report.encoded,
            "seconds": self.report.seconds,
            "generation": self.report.generation,
            "warnings": self.report.warnings,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let (time, generation) = (duration(self.report.seconds), self.report.generation);
        match &self.name {
            Some(name) => {
                let (encoded, name) = (HumanCount(self.report.encoded), escape(name));
                writeln!(
                    page,
                    "{encoded} passages encoded by {name} in {time}, generation {generation}"
                )
            }
            None => writeln!(
                page,
                "vectors dropped, search is by words, generation {generation}"
            ),
        }
    }
}

/// One sentence about what was done to an encoder or a default.
pub struct Done {
    /// For people.
    pub sentence: String,
    /// For programs.
    pub json: Value,
}

impl Report for Done {
    fn json(&self) -> Value {
        self.json.clone()
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(page, "{}", escape(&self.sentence))
    }
}

fn entry_json(model: &Model, default: Option<&str>) -> Value {
    let Model { entry, precision } = model;
    let i = &entry.identity;
    json!({
        "name": i.name,
        "family": i.family,
        "dimension": i.dimension,
        "max_tokens": i.max_tokens,
        "bytes": entry.bytes,
        "hash": i.hash,
        "path": (!entry.is_builtin).then(|| json::path(&entry.path)),
        "builtin": entry.is_builtin,
        "precision": precision,
        "default": default == Some(i.name.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: Option<&str>) -> String {
        let report = IndexReport {
            encoded: 1200,
            seconds: 3.4,
            generation: 3,
            ..IndexReport::default()
        };
        let name = name.map(str::to_owned);
        let mut bytes = Vec::new();
        let mut page = Page {
            stream: &mut bytes,
            columns: 0,
        };
        Switched { name, report }
            .human(&mut page)
            .expect("memory takes everything");
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_switch_says_what_became_of_the_vectors() {
        assert_eq!(
            text(Some("minilm")),
            "1,200 passages encoded by minilm in 3.4 s, generation 3\n"
        );
        assert_eq!(
            text(None),
            "vectors dropped, search is by words, generation 3\n"
        );
    }
}
