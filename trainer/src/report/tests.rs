use std::collections::BTreeMap;
use std::fs;

use super::svg::{Chart, Series, Stroke};
use super::*;
use crate::diagnostics::{Diagnostics, Dot, Kind, Spread};
use crate::gate::Outcome;
use crate::log::{Config, Eval, Event, Log, Step};
use crate::negatives::Source;

/// A run with everything a log can hold.
fn run() -> Vec<Line> {
    let mut events = vec![Event::Config(Config {
        step: 0,
        steps: 900,
        settings: serde_json::json!({"method": "ance", "optimiser": {"lr": 2e-5}, "model": "<script>alert(1)</script>"}),
    })];
    for at in 0..900u64 {
        let x = at as f64;
        if at % 150 == 0 {
            events.extend(measured(at));
        }
        events.push(Event::Step(Step {
            step: at,
            loss: 0.4 * (-(x % 150.0) / 200.0).exp() + 0.05 * (x * 1.7).sin().abs(),
            lr: 2e-5 * (1.0 - x / 900.0),
            grad_norm: 1.5 + (x / 30.0).sin(),
            grad_norm_by_layers: [
                ("embeddings", 0.2),
                ("layers 1-2", 0.5),
                ("layers 5-6", 1.1),
            ]
            .map(|(name, size)| (name.to_owned(), size * (1.2 + (x / 9.0).sin())))
            .into(),
            proxy_by_source: BTreeMap::from([
                (Source::Ance, 0.2 + 0.1 * (x / 70.0).cos()),
                (Source::Random, 0.01),
            ]),
            grad_norm_by_source: BTreeMap::from([(Source::Ance, 1.0), (Source::Random, 0.003)]),
            negatives: BTreeMap::from([(Source::Ance, 60 + at % 4), (Source::Random, 4 - at % 4)]),
            sequences_per_second: 900.0 + 40.0 * (x / 5.0).sin(),
            staleness: at % 150,
        }));
    }
    events.push(Event::Note {
        step: 300,
        text: "halved the micro-batch to 16 & went on".into(),
    });
    events.push(verdict());
    let line = |(at, event)| Line {
        seconds: at as f64,
        event,
    };
    events.into_iter().enumerate().map(line).collect()
}

fn verdict() -> Event {
    Event::Verdict(Verdict {
        decision: Decision::Adopted,
        reasons: vec!["dev: nDCG@10 rose from 0.6450 to 0.7310".into()],
        outcomes: vec![Outcome {
            set: "dev".into(),
            queries: 81,
            before: 0.645,
            after: 0.731,
            wins: 40,
            losses: 11,
            p: 0.0002,
        }],
    })
}

fn measured(step: u64) -> Vec<Event> {
    let x = step as f64;
    let spread = |mean| Spread {
        mean,
        ..Spread::default()
    };
    let refresh = Refresh {
        step,
        encoder_step: step.saturating_sub(100),
        source: Source::Ance,
        index: "ivfpq".into(),
        encode_seconds: 21.0 + x / 300.0,
        index_seconds: 4.0,
        mine_seconds: 2.0,
        miner_recall: Some(0.95 + x / 40_000.0),
        guards: GuardCounts {
            candidates: 160_000,
            labelled: 900,
            near_duplicate: 12,
            margin: 4_000,
            pairs: 180_000,
            queries: 800,
            starved_queries: 3,
            ..GuardCounts::default()
        },
    };
    let dot = |at: u32| Dot {
        x: (at as f32 * 2.4).cos() * (at % 7) as f32 / 7.0,
        y: (at as f32 * 2.4).sin() * (at % 5) as f32 / 5.0,
        kind: [
            Kind::Query,
            Kind::Relevant,
            Kind::Ance,
            Kind::Bm25,
            Kind::Random,
        ][at as usize % 5],
        query: at as usize % 6,
    };
    let figures = Diagnostics {
        step,
        overlap_with_top: BTreeMap::from([
            (Source::Ance, 0.6 + x / 3000.0),
            (Source::Bm25, 0.2),
            (Source::Random, 0.02),
        ]),
        overlap_with_bm25: Some(0.24),
        top: 100,
        hole_rate: 0.8 - x / 9000.0,
        curves: (0..5)
            .map(|q| {
                (0..100)
                    .map(|r| 0.9 - 0.1 * q as f32 / ((r + 2) as f32).ln())
                    .collect()
            })
            .collect(),
        proxy: BTreeMap::from([
            (Source::Ance, spread(0.2)),
            (Source::Bm25, spread(0.04)),
            (Source::Random, spread(1e-4)),
        ]),
        map: (0..120).map(dot).collect(),
    };
    let eval = Eval {
        step,
        ndcg: 0.645 + 0.09 * x / 900.0,
        mrr: 0.6 + 0.08 * x / 900.0,
        queries: 81,
        took: 2.0,
    };
    vec![
        Event::Refresh(refresh),
        Event::Eval(eval),
        Event::Diagnostics(figures),
    ]
}

#[test]
fn nothing_is_fetched_and_nothing_is_run() {
    let html = render("scifact <ance>", &run());
    for outside in [
        "http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link", "<img",
        "<iframe",
    ] {
        assert!(!html.contains(outside), "the page has {outside}");
    }
    assert!(html.contains("scifact &lt;ance&gt;") && html.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn everything_in_the_log_is_shown() {
    let html = render("run", &run());
    let shown = [
        "Training loss",
        "Dev queries",
        "Learning rate",
        "Texts a second",
        "Gradient norm by layers",
        "layers 5-6",
        "Gradient norm by source",
        "How informative negatives are",
        "Where negatives came from",
        "Training negatives among the best at test time",
        "Staleness",
        "Recall of the miner",
        "Seconds a refresh",
        "<h2>Guards</h2>",
        "900 (0.6 %)",
        "Overlap with BM25",
        "Scores by rank",
        "Around a few queries",
        "halved the micro-batch to 16 &amp; went on",
        "optimiser.lr",
        "Adopted: the trained encoder is better",
        "0.7310",
        "900 of 900",
    ];
    for text in shown {
        assert!(html.contains(text), "the page lacks {text}");
    }
    assert!(!html.contains("NaN") && !html.contains("inf,"));
    assert_eq!(
        html.matches("<figure>").count(),
        html.matches("</figure>").count()
    );
    assert_eq!(html.matches("<svg ").count(), 16);
}

#[test]
fn a_run_that_just_began_has_a_page() {
    let html = render("run", &run()[..1]);
    assert!(html.contains("<h2>Configuration</h2>") && !html.contains("<svg"));
    let html = render("run", &run()[1..5]);
    assert!(html.contains("Training loss"));
}

#[test]
fn the_page_is_written_beside_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(write(dir.path()), Err(ReportError::NoRun { .. })));
    let mut log = Log::create(dir.path()).expect("a log");
    assert!(matches!(write(dir.path()), Err(ReportError::Empty { .. })));
    run()
        .into_iter()
        .for_each(|line| log.write(line.event).expect("written"));
    let page = write(dir.path()).expect("a page");
    let html = fs::read_to_string(&page).expect("text");
    assert!(page.ends_with(FILE) && html.contains("training report"));
    let name = dir.path().file_name().expect("a name").to_string_lossy();
    assert!(html.contains(name.as_ref()));
}

fn chart(points: &[(f64, f64)], log: bool) -> Option<String> {
    Chart {
        series: vec![Series {
            name: "a".into(),
            points: points.to_vec(),
            colour: 0,
            stroke: Stroke::Full,
        }],
        log,
        ..Chart::default()
    }
    .html()
}

#[test]
fn odd_numbers_do_not_break_a_figure() {
    assert_eq!(chart(&[], false), None);
    assert_eq!(chart(&[(1.0, f64::NAN)], false), None);
    assert_eq!(chart(&[(1.0, 0.0), (2.0, -3.0)], true), None);
    for points in [
        vec![(3.0, 2.0)],
        vec![(0.0, 0.0), (1.0, 0.0)],
        vec![(0.0, f64::INFINITY), (1.0, 1e-300), (2.0, 1e30)],
    ] {
        for log in [false, true] {
            if let Some(html) = chart(&points, log) {
                assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            }
        }
    }
    let dense: Vec<(f64, f64)> = (0..10_000).map(|at| (f64::from(at), 1.0)).collect();
    assert!(chart(&dense, false).expect("a figure").len() < 12_000);
}

#[test]
fn numbers_are_short() {
    let cases = [
        (0.0, "0"),
        (0.5, "0.5"),
        (12.34, "12.3"),
        (1234.0, "1234"),
        (2e-5, "2e-5"),
        (1.5e7, "1.5e7"),
        (0.0626, "0.063"),
    ];
    for (value, text) in cases {
        assert_eq!(svg::number(value), text);
    }
}
