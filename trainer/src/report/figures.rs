//! Which figures does a run give?

use std::collections::{BTreeMap, BTreeSet};

use super::svg::{self, Chart, Series, Stroke};
use crate::diagnostics::{Diagnostics, Kind};
use crate::gate::Verdict;
use crate::log::{Config, Eval, Event, Line, Refresh, Step};
use crate::negatives::Source;

mod diagnosis;

/// The events of a run by kind, in order.
#[derive(Default)]
pub(super) struct Run<'a> {
    pub(super) seconds: f64,
    pub(super) configs: Vec<&'a Config>,
    pub(super) steps: Vec<&'a Step>,
    pub(super) refreshes: Vec<&'a Refresh>,
    pub(super) evals: Vec<&'a Eval>,
    pub(super) diagnostics: Vec<&'a Diagnostics>,
    pub(super) verdict: Option<&'a Verdict>,
    pub(super) notes: Vec<(u64, &'a str)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(lines: &'a [Line]) -> Self {
        let mut run = Self::default();
        for line in lines {
            run.seconds = line.seconds;
            match &line.event {
                Event::Config(event) => run.configs.push(event),
                Event::Step(event) => run.steps.push(event),
                Event::Refresh(event) => run.refreshes.push(event),
                Event::Eval(event) => run.evals.push(event),
                Event::Diagnostics(event) => run.diagnostics.push(event),
                Event::Verdict(event) => run.verdict = Some(event),
                Event::Note { step, text } => run.notes.push((*step, text)),
            }
        }
        run
    }

    fn by_step(&self, value: impl Fn(&Step) -> f64) -> Vec<(f64, f64)> {
        self.steps
            .iter()
            .map(|step| (step.step as f64, value(step)))
            .collect()
    }

    /// A line for each source that ever has a value.
    fn by_source(&self, values: impl Fn(&Step) -> &BTreeMap<Source, f64>) -> Vec<Series> {
        let sources = Source::ALL.into_iter().map(|source| {
            let of = |step: &&Step| Some((step.step as f64, *values(step).get(&source)?));
            let points: Vec<_> = self.steps.iter().filter_map(of).collect();
            source_line(source, svg::smoothed(&points))
        });
        sources.filter(|series| !series.points.is_empty()).collect()
    }

    /// A line for each source that the figures of some step name.
    fn measured_by_source(
        &self,
        value: impl Fn(&Diagnostics, Source) -> Option<f64>,
    ) -> Vec<Series> {
        let sources = Source::ALL.into_iter().map(|source| {
            let of = |d: &&Diagnostics| Some((d.step as f64, value(d, source)?));
            source_line(source, self.diagnostics.iter().filter_map(of).collect())
        });
        sources.filter(|series| !series.points.is_empty()).collect()
    }

    /// Steps at which negatives of the index were renewed.
    fn renewals(&self) -> Vec<f64> {
        let own = self
            .refreshes
            .iter()
            .filter(|refresh| refresh.source == Source::Ance);
        own.map(|refresh| refresh.step as f64).collect()
    }

    pub(super) fn loss(&self) -> Option<String> {
        let raw = self.by_step(|step| step.loss);
        let mean = svg::smoothed(&raw);
        let behind = Series {
            name: String::new(),
            points: raw,
            colour: 0,
            stroke: Stroke::Faint,
        };
        Chart {
            title: "Training loss".into(),
            caption: self.mark_caption("Each step, and its running mean."),
            series: vec![behind, line("loss", mean, 0)],
            marks: self.renewals(),
            ..steps_chart()
        }
        .html()
    }

    fn mark_caption(&self, text: &str) -> String {
        match self.renewals().is_empty() {
            true => text.to_owned(),
            false => format!(
                "{text} Dotted: negatives mined anew, so that the loss starts higher again."
            ),
        }
    }

    pub(super) fn scores(&self) -> Option<String> {
        let of = |value: fn(&Eval) -> f64| {
            self.evals
                .iter()
                .map(|eval| (eval.step as f64, value(eval)))
                .collect()
        };
        let queries = self.evals.last()?.queries;
        Chart {
            title: "Dev queries".into(),
            caption: format!(
                "Means over {queries} queries that are not trained on. Step 0 is the start."
            ),
            series: vec![
                line("nDCG@10", of(|e| e.ndcg), 0),
                line("MRR@10", of(|e| e.mrr), 1),
            ],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn rate(&self) -> Option<String> {
        Chart {
            title: "Learning rate".into(),
            series: vec![line("learning rate", self.by_step(|step| step.lr), 0)],
            include: vec![0.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn speed(&self) -> Option<String> {
        let raw = self.by_step(|step| step.sequences_per_second);
        Chart {
            title: "Texts a second".into(),
            caption: "Texts that went forward and back through the encoder.".into(),
            series: vec![line("texts a second", svg::smoothed(&raw), 0)],
            include: vec![0.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn layers(&self) -> Option<String> {
        let keys: BTreeSet<&str> = self
            .steps
            .iter()
            .flat_map(|s| s.grad_norm_by_layers.keys().map(String::as_str))
            .collect();
        let mut series = vec![line(
            "all",
            svg::smoothed(&self.by_step(|step| step.grad_norm)),
            0,
        )];
        series.extend(keys.iter().zip(1..).map(|(key, colour)| {
            let points: Vec<(f64, f64)> = self
                .steps
                .iter()
                .filter_map(|step| Some((step.step as f64, *step.grad_norm_by_layers.get(*key)?)))
                .collect();
            line(key, svg::smoothed(&points), colour)
        }));
        Chart {
            title: "Gradient norm by layers".into(),
            caption: "Before clipping, running means.".into(),
            series,
            log: true,
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn source_norms(&self) -> Option<String> {
        Chart {
            title: "Gradient norm by source of the negatives".into(),
            caption: "The gradient that the negatives of one source give alone, running means."
                .into(),
            series: self.by_source(|step| &step.grad_norm_by_source),
            log: true,
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn proxies(&self) -> Option<String> {
        Chart {
            title: "How informative negatives are".into(),
            caption:
                "σ(s⁻ − s⁺), the last layer's factor of the gradient, by source; running means."
                    .into(),
            series: self.by_source(|step| &step.proxy_by_source),
            include: vec![0.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn mixture(&self) -> Option<String> {
        let sources: BTreeSet<Source> = self
            .steps
            .iter()
            .flat_map(|step| step.negatives.keys().copied())
            .collect();
        let series = sources.iter().map(|source| {
            let share = |step: &Step| {
                let all: u64 = step.negatives.values().sum();
                step.negatives.get(source).copied().unwrap_or(0) as f64 / all.max(1) as f64
            };
            source_line(*source, svg::smoothed(&self.by_step(share)))
        });
        Chart {
            title: "Where negatives came from".into(),
            caption:
                "Share of each source; random passages stand in where a pool has nothing left."
                    .into(),
            series: series.collect(),
            include: vec![0.0, 1.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn overlap(&self) -> Option<String> {
        let depth = self.diagnostics.last()?.top;
        let series = self.measured_by_source(|d, source| d.overlap_with_top.get(&source).copied());
        Chart {
            title: "Training negatives among the best at test time".into(),
            caption: format!(
                "Share of the negatives of each source that the encoder of that step ranks among its {depth} best wrong passages."
            ),
            series,
            include: vec![0.0, 1.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn staleness(&self) -> Option<String> {
        self.refreshes.first()?;
        Chart {
            title: "Staleness".into(),
            caption: "Steps between the encoder that negatives were mined with and the one being trained.".into(),
            series: vec![line("steps behind", self.by_step(|step| step.staleness as f64), 0)],
            include: vec![0.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn recall(&self) -> Option<String> {
        let measured = self
            .refreshes
            .iter()
            .filter_map(|r| Some((r.step as f64, r.miner_recall?)));
        Chart {
            title: "Recall of the miner".into(),
            caption: "Share of the exact answer that mining found in the index, on a sample."
                .into(),
            series: vec![line("recall", measured.collect(), 0)],
            include: vec![1.0],
            ..steps_chart()
        }
        .html()
    }

    pub(super) fn times(&self) -> Option<String> {
        let of = |value: fn(&Refresh) -> f64| {
            let own = self
                .refreshes
                .iter()
                .filter(|refresh| refresh.source == Source::Ance);
            own.map(|refresh| (refresh.step as f64, value(refresh)))
                .collect()
        };
        Chart {
            title: "Seconds a refresh".into(),
            caption: "Encoding the corpus and the queries, building the index, mining.".into(),
            series: vec![
                line("encode", of(|r| r.encode_seconds), 0),
                line("index", of(|r| r.index_seconds), 1),
                line("mine", of(|r| r.mine_seconds), 2),
            ],
            include: vec![0.0],
            ..steps_chart()
        }
        .html()
    }
}

fn steps_chart() -> Chart {
    Chart {
        x: "step".into(),
        ..Chart::default()
    }
}

fn line(name: &str, points: Vec<(f64, f64)>, colour: usize) -> Series {
    Series {
        name: name.to_owned(),
        points,
        colour,
        stroke: Stroke::Full,
    }
}

fn source_line(source: Source, points: Vec<(f64, f64)>) -> Series {
    let kind = match source {
        Source::Random => Kind::Random,
        Source::Bm25 => Kind::Bm25,
        Source::Ance => Kind::Ance,
    };
    line(source_name(source), points, kind_colour(kind))
}

/// A source as people call it.
pub(super) fn source_name(source: Source) -> &'static str {
    match source {
        Source::Random => "random",
        Source::Bm25 => "BM25",
        Source::Ance => "index (ANCE)",
    }
}

fn kind_colour(kind: Kind) -> usize {
    match kind {
        Kind::Query => 1,
        Kind::Relevant => 2,
        Kind::Ance => 0,
        Kind::Bm25 => 3,
        Kind::Random => 4,
    }
}
