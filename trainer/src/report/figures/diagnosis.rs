//! Which figures do the diagnostics of a run give?

use std::collections::BTreeSet;

use super::{Run, kind_colour, line, steps_chart};
use crate::diagnostics::{Diagnostics, Kind};
use crate::report::svg::{self, Chart, Dot, Series, Stroke};

impl Run<'_> {
    pub(in crate::report) fn hits(&self) -> Option<String> {
        let of = |value: fn(&Diagnostics) -> Option<f64>| {
            let values = self
                .diagnostics
                .iter()
                .filter_map(|d| Some((d.step as f64, value(d)?)));
            values.collect::<Vec<_>>()
        };
        let depth = self.diagnostics.last()?.top;
        Chart {
            title: "Overlap with BM25, and hits nobody judged".into(),
            caption: format!(
                "Share of the {depth} best that BM25 has too, and share of the ten best without a judgement, on the dev queries."
            ),
            series: vec![
                line("shared with BM25", of(|d| d.overlap_with_bm25), 0),
                line("unjudged", of(|d| Some(d.hole_rate)), 1),
            ],
            include: vec![0.0, 1.0],
            ..steps_chart()
        }
        .html()
    }

    pub(in crate::report) fn curves(&self) -> Option<String> {
        let last = self.diagnostics.last()?;
        let series = last
            .curves
            .iter()
            .enumerate()
            .map(|(colour, curve)| Series {
                name: String::new(),
                points: curve
                    .iter()
                    .zip(1..)
                    .map(|(score, rank)| (f64::from(rank), f64::from(*score)))
                    .collect(),
                colour,
                stroke: Stroke::Thin,
            });
        Chart {
            title: "Scores by rank".into(),
            caption: format!(
                "A line for each of {} dev queries, at step {}.",
                last.curves.len(),
                last.step
            ),
            x: "rank".into(),
            series: series.collect(),
            ..Chart::default()
        }
        .html()
    }

    pub(in crate::report) fn spread(&self) -> Option<String> {
        let series = self.measured_by_source(|d, source| Some(d.proxy.get(&source)?.mean));
        Chart {
            title: "How informative each kind would be".into(),
            caption:
                "σ(s⁻ − s⁺) of negatives drawn from each source, whether training uses it or not."
                    .into(),
            series,
            log: true,
            ..steps_chart()
        }
        .html()
    }

    pub(in crate::report) fn map(&self) -> Option<String> {
        let last = self.diagnostics.last()?;
        let dots: Vec<Dot> = last
            .map
            .iter()
            .map(|dot| Dot {
                place: (f64::from(dot.x), f64::from(dot.y)),
                colour: kind_colour(dot.kind),
                size: if dot.kind == Kind::Query { 7.0 } else { 4.5 },
                label: format!("query {}: {}", dot.query + 1, kind_name(dot.kind)),
            })
            .collect();
        let kinds: BTreeSet<Kind> = last.map.iter().map(|dot| dot.kind).collect();
        let kinds: Vec<(&str, usize)> = kinds
            .into_iter()
            .map(|kind| (kind_name(kind), kind_colour(kind)))
            .collect();
        let caption = format!(
            "t-SNE of some training queries with their relevant passages and negatives, at step {}. Point at a dot for its query.",
            last.step
        );
        svg::map("Around a few queries", &caption, &kinds, &dots)
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Query => "query",
        Kind::Relevant => "relevant",
        Kind::Ance => "near by the index",
        Kind::Bm25 => "near by BM25",
        Kind::Random => "random",
    }
}
