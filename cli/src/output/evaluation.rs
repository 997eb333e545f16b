//! What do scores look like?

use std::io::{self, Write};

use engine::eval::Metric;
use engine::eval::significance::Comparison;
use engine::request::Mode;
use serde_json::{Map, Value, json};

use super::text::escape;
use super::{Page, Report, json, style};
use crate::warn::Warning;

/// Scores of one set.
#[derive(Debug, Clone, PartialEq)]
pub struct SetScores {
    /// Name of its folder.
    pub set: String,
    /// Measure and mean over the queries, 0 to 1, in the order they are shown.
    pub metrics: Vec<(String, f64)>,
    /// Queries the means are over.
    pub queries: usize,
    /// How vectors were compared, and for how many queries, most first.
    pub dense_search: Vec<(String, usize)>,
    /// Milliseconds a query: "p50", "p99", "mean".
    pub latency_ms: Vec<(&'static str, f64)>,
}

/// Scores of one or more sets, all made the same way.
pub struct Scored {
    /// In the order they were named.
    pub sets: Vec<SetScores>,
    /// What was scored.
    pub mode: Mode,
    /// Encoder of the dense leg.
    pub encoder: Option<String>,
    /// Numbers it multiplied.
    pub precision: Option<&'static str>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Report for Scored {
    /// One set: its keys at the top. Several: a list of such objects under `sets`.
    fn json(&self) -> Value {
        let warnings = json::warnings(&self.warnings);
        match self.sets.as_slice() {
            [one] => {
                let mut object = self.set_json(one);
                object.insert("warnings".into(), warnings);
                Value::Object(object)
            }
            sets => {
                let sets: Value = sets
                    .iter()
                    .map(|set| Value::Object(self.set_json(set)))
                    .collect();
                json!({"sets": sets, "warnings": warnings})
            }
        }
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let Some(first) = self.sets.first() else {
            return Ok(());
        };
        let width = self
            .sets
            .iter()
            .map(|set| set.set.chars().count())
            .max()
            .unwrap_or(0)
            .max("set".len());
        let (dim, title) = (style::DIM, style::TITLE);
        write!(page, "{dim}{:<width$}  {:>7}", "set", "queries")?;
        first
            .metrics
            .iter()
            .try_for_each(|(name, _)| write!(page, "  {name:>11}"))?;
        first
            .latency_ms
            .iter()
            .try_for_each(|(name, _)| write!(page, "  {:>9}", format!("{name} ms")))?;
        writeln!(page, "{dim:#}")?;
        for set in &self.sets {
            write!(
                page,
                "{title}{:<width$}{title:#}  {:>7}",
                escape(&set.set),
                set.queries
            )?;
            set.metrics
                .iter()
                .try_for_each(|(_, value)| write!(page, "  {value:>11.4}"))?;
            set.latency_ms
                .iter()
                .try_for_each(|(_, ms)| write!(page, "  {ms:>9.2}"))?;
            let how = set.dense_search.first().map(|(how, _)| how.as_str());
            match how.filter(|how| *how != "exact") {
                Some(how) => writeln!(page, "  {how}")?,
                None => writeln!(page)?,
            }
        }
        Ok(())
    }
}

impl Scored {
    fn set_json(&self, set: &SetScores) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("set".into(), json!(set.set));
        object.insert("mode".into(), json!(self.mode));
        object.insert("encoder".into(), json!(self.encoder));
        object.insert("precision".into(), json!(self.precision));
        object.extend(
            set.metrics
                .iter()
                .map(|(name, value)| (name.clone(), json!(value))),
        );
        object.insert("queries".into(), json!(set.queries));
        object.insert("dense_search".into(), json::object(&set.dense_search));
        object.insert("latency_ms".into(), json::object(&set.latency_ms));
        object
    }
}

/// One query on which two runs differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Its id.
    pub query: String,
    /// The first run's value.
    pub a: f64,
    /// The second run's value.
    pub b: f64,
}

/// Two runs over the same judgements.
pub struct Compared {
    /// What was measured.
    pub metric: Metric,
    /// Files of the first and the second run.
    pub names: [String; 2],
    /// Means of the first and the second run.
    pub means: [f64; 2],
    /// The test; differences are the second less the first.
    pub comparison: Comparison,
    /// Queries that differ most, most first.
    pub differ_most: Vec<Difference>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

impl Report for Compared {
    fn json(&self) -> Value {
        let c = &self.comparison;
        let [a, b] = &self.names;
        json!({
            "metric": self.metric.to_string(),
            "queries": c.queries,
            "a": {"run": a, "mean": self.means[0]},
            "b": {"run": b, "mean": self.means[1]},
            "difference": c.mean_difference,
            "p": c.p,
            "exact": c.exact,
            "wins": c.wins,
            "losses": c.losses,
            "ties": c.ties,
            "differ_most": self.differ_most.iter()
                .map(|d| json!({"query": d.query, "a": d.a, "b": d.b, "difference": d.b - d.a})).collect::<Value>(),
            "warnings": json::warnings(&self.warnings),
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let c = &self.comparison;
        let [a, b] = self.names.each_ref().map(|name| escape(name));
        let width = a.chars().count().max(b.chars().count());
        let title = style::TITLE;
        writeln!(
            page,
            "{title}{}{title:#} over {} queries",
            self.metric, c.queries
        )?;
        writeln!(page, "  A  {a:<width$}  {:.4}", self.means[0])?;
        writeln!(
            page,
            "  B  {b:<width$}  {:.4}  {:+.4}, p = {}",
            self.means[1],
            c.mean_difference,
            probability(c)
        )?;
        writeln!(
            page,
            "  B is better on {} queries, worse on {}, equal on {}",
            c.wins, c.losses, c.ties
        )?;
        if !self.differ_most.is_empty() {
            writeln!(page, "\nwhere they differ most (A, B, difference)")?;
        }
        let width = self
            .differ_most
            .iter()
            .map(|d| d.query.chars().count())
            .max()
            .unwrap_or(0);
        self.differ_most.iter().try_for_each(|d| {
            writeln!(
                page,
                "  {:<width$}  {:.4}  {:.4}  {:+.4}",
                escape(&d.query),
                d.a,
                d.b,
                d.b - d.a
            )
        })
    }
}

/// Three figures are more than the test can tell apart; an estimate of nothing is below its resolution.
fn probability(comparison: &Comparison) -> String {
    match comparison.p {
        p if p < 0.0005 && !comparison.exact => format!("{p:.1e}"),
        p => format!("{p:.3}"),
    }
}
