//! What happened in this run, on one page?
//!
//! One HTML file with everything in it, made from the log alone: no scripts, no fonts, nothing is fetched.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use storage::{StorageError, disk};

use crate::gate::{Decision, Verdict};
use crate::guards::GuardCounts;
use crate::log::{self, Line, LogError, Refresh};

mod figures;
mod svg;
#[cfg(test)]
mod tests;

use figures::{Run, source_name};
use svg::{escape, number};

/// Name of the page in the run's folder.
pub const FILE: &str = "report.html";

/// The page could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The page itself.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The folder holds no run.
    #[error("{} holds no {}; give the --out folder of `askance train`", path.display(), log::FILE)]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The log has no line yet.
    #[error("{} holds a log without a line; the run was stopped before its first step", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Renders the log in `dir` to `report.html` beside it, and gives its path.
///
/// # Errors
/// No log, a broken log, a full disk.
pub fn write(dir: &Path) -> Result<PathBuf, ReportError> {
    let path = dir.to_path_buf();
    if !dir.join(log::FILE).is_file() {
        return Err(ReportError::NoRun { path });
    }
    let lines = log::read(dir)?;
    if lines.is_empty() {
        return Err(ReportError::Empty { path });
    }
    let name = dir.canonicalize().unwrap_or(path);
    let name = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let page = dir.join(FILE);
    disk::replace_atomically(&page, render(&name, &lines).as_bytes())?;
    Ok(page)
}

/// The page for the run called `name`.
pub fn render(name: &str, lines: &[Line]) -> String {
    let run = Run::new(lines);
    let mut body = String::new();
    head(&mut body, name, &run);
    section(
        &mut body,
        "Learning",
        "",
        &[run.loss(), run.scores(), run.rate(), run.speed()],
    );
    section(
        &mut body,
        "Gradients",
        "Easy negatives give gradients near zero; the negatives of the index in force should give the largest (figure 4 of the ANCE paper).",
        &[run.layers(), run.source_norms(), run.proxies()],
    );
    section(
        &mut body,
        "Negatives",
        "",
        &[
            run.mixture(),
            run.overlap(),
            run.staleness(),
            run.recall(),
            run.times(),
        ],
    );
    run.guards(&mut body);
    section(
        &mut body,
        "The encoder's view",
        "",
        &[run.hits(), run.curves(), run.spread(), run.map()],
    );
    run.notes(&mut body);
    run.settings(&mut body);
    page(&format!("{name}: training report"), &body)
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{}</style></head><body><main>{body}</main></body></html>\n",
        escape(title),
        include_str!("report/style.css")
    )
}

/// Figures under one heading; without figures no heading.
fn section(body: &mut String, title: &str, text: &str, figures: &[Option<String>]) {
    let figures: Vec<&String> = figures.iter().flatten().collect();
    if figures.is_empty() {
        return;
    }
    let _ = write!(body, "<h2>{}</h2>", escape(title));
    if !text.is_empty() {
        let _ = write!(body, "<p class=\"soft\">{}</p>", escape(text));
    }
    body.push_str("<div class=\"grid\">");
    figures.into_iter().for_each(|figure| body.push_str(figure));
    body.push_str("</div>");
}

impl Run<'_> {
    /// What the guards refused at each refresh.
    fn guards(&self, body: &mut String) {
        if self.refreshes.is_empty() {
            return;
        }
        body.push_str(
            "<h2>Guards</h2><p class=\"soft\">What was refused as a negative, because it is or may be an answer. \
             “Margin” counts pairs of a candidate and a positive that score too close; “starved” are queries for which \
             random passages fill up.</p><div class=\"scroll\"><table><tr><th>step</th><th>source</th><th>index</th>\
             <th>candidates</th><th>labelled</th><th>same document</th><th>near-duplicate</th><th>same again</th>\
             <th>margin</th><th>starved queries</th></tr>",
        );
        for refresh in &self.refreshes {
            guard_row(body, refresh);
        }
        body.push_str("</table></div>");
    }

    fn notes(&self, body: &mut String) {
        if self.notes.is_empty() {
            return;
        }
        body.push_str("<h2>Notes</h2><ul>");
        for (step, text) in &self.notes {
            let _ = write!(body, "<li>step {step}: {}</li>", escape(text));
        }
        body.push_str("</ul>");
    }

    fn settings(&self, body: &mut String) {
        let Some(config) = self.configs.last() else {
            return;
        };
        body.push_str("<h2>Configuration</h2><div class=\"scroll\"><table>");
        for (name, value) in log::rows(&config.settings) {
            let _ = write!(
                body,
                "<tr><td>{}</td><td class=\"text\">{}</td></tr>",
                escape(&name),
                escape(&value)
            );
        }
        body.push_str("</table></div>");
    }
}

/// Title, verdict and the figures a person looks for first.
fn head(body: &mut String, name: &str, run: &Run<'_>) {
    let _ = write!(
        body,
        "<h1>{}</h1><p class=\"soft\">Training report of askance.</p>",
        escape(name)
    );
    if let Some(verdict) = run.verdict {
        show_verdict(body, verdict);
    }
    let mut tiles = Vec::new();
    if let Some(last) = run.steps.last() {
        let planned = run
            .configs
            .last()
            .map_or(last.step + 1, |config| config.steps);
        tiles.push((format!("{} of {planned}", last.step + 1), "steps"));
    }
    if let (Some(first), Some(last)) = (run.evals.first(), run.evals.last()) {
        let best = run
            .evals
            .iter()
            .map(|eval| eval.ndcg)
            .fold(f64::MIN, f64::max);
        tiles.push((
            format!("{:.4}", first.ndcg),
            "nDCG@10 on dev queries at the start",
        ));
        tiles.push((format!("{:.4}", last.ndcg), "at the end"));
        tiles.push((format!("{best:.4}"), "at its best"));
    }
    tiles.push((duration(run.seconds), "of training"));
    body.push_str("<div class=\"tiles\">");
    for (value, what) in tiles {
        let _ = write!(
            body,
            "<div class=\"tile\"><b>{}</b><span>{}</span></div>",
            escape(&value),
            escape(what)
        );
    }
    body.push_str("</div>");
}

fn show_verdict(body: &mut String, verdict: &Verdict) {
    let (class, word) = match verdict.decision {
        Decision::Adopted => ("good", "Adopted: the trained encoder is better."),
        Decision::Kept => ("bad", "Not adopted: the encoder it started from stays."),
    };
    let _ = write!(
        body,
        "<div class=\"verdict {class}\"><strong>{word}</strong><ul>"
    );
    for reason in &verdict.reasons {
        let _ = write!(body, "<li>{}</li>", escape(reason));
    }
    body.push_str("</ul></div><div class=\"scroll\"><table><tr><th>held-out set</th><th>queries</th><th>before</th><th>after</th><th>better on</th><th>worse on</th><th>p</th></tr>");
    for outcome in &verdict.outcomes {
        let _ = write!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{:.4}</td><td>{:.4}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&outcome.set),
            outcome.queries,
            outcome.before,
            outcome.after,
            outcome.wins,
            outcome.losses,
            number(outcome.p)
        );
    }
    body.push_str("</table></div>");
}

fn guard_row(body: &mut String, refresh: &Refresh) {
    let GuardCounts {
        candidates,
        labelled,
        same_document,
        near_duplicate,
        repeated,
        margin,
        pairs,
        queries,
        starved_queries,
    } = refresh.guards;
    let share = |part: u64, whole: u64| match whole {
        0 => "–".to_owned(),
        whole => format!("{part} ({:.1} %)", 100.0 * part as f64 / whole as f64),
    };
    let _ = write!(
        body,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{candidates}</td>",
        refresh.step,
        source_name(refresh.source),
        escape(&refresh.index)
    );
    let cells = [
        share(labelled, candidates),
        share(same_document, candidates),
        share(near_duplicate, candidates),
        share(repeated, candidates),
        share(margin, pairs),
        share(starved_queries, queries),
    ];
    cells.iter().for_each(|cell| {
        let _ = write!(body, "<td>{cell}</td>");
    });
    body.push_str("</tr>");
}

/// "2 h 05 min", "3 min 20 s", "12 s".
fn duration(seconds: f64) -> String {
    let all = seconds.round().max(0.0) as u64;
    match (all / 3600, all / 60 % 60, all % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}
