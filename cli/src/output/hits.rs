//! What does a search look like?

use std::io::{self, Write};
use std::path::PathBuf;

use engine::report::{Explanation, Hit, LegScore, SearchResponse};
use engine::request::Mode;
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::text::{Run, duration, wrap, wrap_plain};
use super::{Page, Report, style};
use crate::answer::{AnswerJson, HitJson, mode_name};
use crate::talk::shown;
use crate::warn::{Warning, texts};

/// Columns left of a hit's text.
const INDENT: usize = 4;
/// Snippets are easier to read in lines no longer than this.
const WIDEST: usize = 100;

/// A search and its answer.
pub struct Found {
    /// As typed.
    pub query: String,
    /// What the engine answered.
    pub response: SearchResponse,
    /// What a person should know, the engine's own warnings included.
    pub warnings: Vec<Warning>,
    /// Whether scores are explained.
    pub explain: bool,
    /// Paths below it are shown without it.
    pub current: PathBuf,
}

impl Report for Found {
    fn json(&self) -> Value {
        json!(AnswerJson::new(
            &self.query,
            &self.response,
            texts(&self.warnings)
        ))
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        for (i, hit) in self.response.hits.iter().enumerate() {
            if i > 0 {
                writeln!(page)?;
            }
            self.hit(hit, page)?;
        }
        Ok(())
    }
}

impl Found {
    /// Mode, encoder, generation and time in one line.
    pub fn footer(&self) -> String {
        let response = &self.response;
        let mut parts = vec![mode_name(response.mode).to_owned()];
        if let Some(encoder) = &response.encoder {
            let device = response
                .device
                .as_ref()
                .map(|d| format!(" on {d}"))
                .unwrap_or_default();
            let precision = response
                .precision
                .map(|p| format!(" in {p}"))
                .unwrap_or_default();
            parts.push(format!("{}{device}{precision}", encoder.name));
        }
        parts.extend(response.dense_search.clone());
        parts.push(format!("{} passages", HumanCount(response.eligible)));
        parts.push(format!("generation {}", response.generation));
        let milliseconds: f64 = response.timings_ms.iter().map(|(_, ms)| ms).sum();
        parts.push(duration(milliseconds / 1e3));
        parts.join(" · ")
    }

    fn hit(&self, hit: &Hit, page: &mut Page<'_>) -> io::Result<()> {
        let (title, place) = (style::TITLE, style::PLACE);
        let width = page.columns.min(WIDEST).saturating_sub(INDENT);
        let lines = wrap_plain(&headline(hit), width).join("\n    ");
        writeln!(page, "{:>2}  {title}{lines}{title:#}", hit.rank)?;
        let path = shown(&hit.path, &self.current);
        writeln!(page, "    {place}{path}{}{place:#}", anchor(hit))?;
        for line in wrap(&hit.snippet, width) {
            write!(page, "    ")?;
            line.iter().try_for_each(|run| write_run(run, page))?;
            writeln!(page)?;
        }
        if self.explain {
            self.explanation(hit, page)
        } else {
            Ok(())
        }
    }

    /// The legs that ran, and how they sum up.
    fn explanation(&self, hit: &Hit, page: &mut Page<'_>) -> io::Result<()> {
        let Explanation {
            bm25,
            dense,
            dense_weight,
        } = &hit.explain;
        let (dim, mode) = (style::DIM, self.response.mode);
        writeln!(page, "    {dim}score {:.4}{dim:#}", hit.score)?;
        if mode != Mode::Dense {
            leg("bm25", bm25.as_ref(), dense_weight.map(|w| 1.0 - w), page)?;
        }
        if mode != Mode::Bm25 {
            leg("dense", dense.as_ref(), *dense_weight, page)?;
        }
        Ok(())
    }
}

fn write_run((text, hot): &Run, page: &mut Page<'_>) -> io::Result<()> {
    let word = if *hot {
        style::MATCH
    } else {
        anstyle::Style::new()
    };
    write!(page, "{word}{text}{word:#}")
}

/// One hit for programs.
pub fn hit_json(hit: &Hit) -> Value {
    json!(HitJson::from(hit))
}

/// "Title › Heading › Subheading"; a title that is the first heading too is said once.
fn headline(hit: &Hit) -> String {
    match hit.heading.split(" › ").next() {
        None | Some("") => hit.title.clone(),
        Some(first) if first == hit.title => hit.heading.clone(),
        Some(_) => format!("{} › {}", hit.title, hit.heading),
    }
}

/// ":12" behind a path, as editors and terminals understand it, or ", page 3".
fn anchor(hit: &Hit) -> String {
    match (hit.page, hit.line) {
        (0, 0) => String::new(),
        (0, line) => format!(":{line}"),
        (page, _) => format!(", page {page}"),
    }
}

fn leg(
    name: &str,
    leg: Option<&LegScore>,
    weight: Option<f32>,
    page: &mut Page<'_>,
) -> io::Result<()> {
    let dim = style::DIM;
    let Some(LegScore {
        score,
        standardised,
        rank,
    }) = leg
    else {
        return writeln!(page, "    {dim}{name:<5} did not find it{dim:#}");
    };
    let rank = rank.map_or_else(
        || "below the candidates".to_owned(),
        |rank| format!("rank {rank}"),
    );
    let weight = weight
        .map(|w| format!(", weight {w:.2}"))
        .unwrap_or_default();
    writeln!(
        page,
        "    {dim}{name:<5} {rank}, score {score:.4}, standardised {standardised:+.3}{weight}{dim:#}"
    )
}

#[cfg(test)]
mod tests;
