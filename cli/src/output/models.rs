//! What do the encoders on this computer look like?

use std::io::{self, Write};

use engine::models::ModelEntry;
use engine::report::IndexReport;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::collection::short;
use super::text::{duration, escape};
use super::{Page, Report, json, style};

/// The encoders, and which is the default.
pub struct Models {
    /// By name.
    pub models: Vec<ModelEntry>,
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
            .map(|m| m.identity.name.chars().count())
            .max()
            .unwrap_or(0);
        for model in &self.models {
            let i = &model.identity;
            let is_default = self.default.as_ref() == Some(&i.name);
            let mark = if is_default { "*" } else { " " };
            let title = if is_default {
                style::TITLE
            } else {
                anstyle::Style::new()
            };
            writeln!(
                page,
                "{mark} {title}{:<width$}{title:#}  {:<6}  {:>5} dimensions  {:>4} tokens  {:>10}  {}",
                escape(&i.name),
                escape(&i.family),
                i.dimension,
                i.max_tokens,
                HumanBytes(model.bytes).to_string(),
                short(&i.hash)
            )?;
        }
        Ok(())
    }
}

/// An encoder that was just added.
pub struct Added(pub ModelEntry);

impl Report for Added {
    fn json(&self) -> Value {
        entry_json(&self.0, None)
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let i = &self.0.identity;
        let size = HumanBytes(self.0.bytes);
        writeln!(
            page,
            "added {} ({}, {} dimensions, {size})",
            escape(&i.name),
            escape(&i.family),
            i.dimension
        )
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

fn entry_json(model: &ModelEntry, default: Option<&str>) -> Value {
    let i = &model.identity;
    json!({
        "name": i.name,
        "family": i.family,
        "dimension": i.dimension,
        "max_tokens": i.max_tokens,
        "bytes": model.bytes,
        "hash": i.hash,
        "path": json::path(&model.path),
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
