//! What does `askance compare` do?

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use engine::dataset::{Qrels, beir, trec};
use engine::eval::significance::compare;
use engine::eval::{Evaluation, Metric, Scores};

use crate::Exit;
use crate::args::CompareArgs;
use crate::output::evaluation::{Compared, Difference};
use crate::session::Session;
use crate::warn::Warning;

/// Seed of the flips; fixed, so that the same files give the same p.
const SEED: u64 = 0;

/// Compares two runs query by query.
pub fn run(args: &CompareArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let metric: Metric = args.metric.parse()?;
    let qrels = read_qrels(&args.qrels)?;
    let (a, unjudged_a) = scores(&args.a, &qrels, metric)?;
    let (b, unjudged_b) = scores(&args.b, &qrels, metric)?;
    let warnings: Vec<_> = unjudged_a.into_iter().chain(unjudged_b).collect();
    session.warn(&warnings);
    let comparison = compare(&a, &b, SEED)?;
    let differ_most = differ_most(&a, &b, args.show);
    let names = [&args.a, &args.b].map(|path| path.to_string_lossy().into_owned());
    let means = [a.mean(), b.mean()];
    session.screen.show(&Compared {
        metric,
        names,
        means,
        comparison,
        differ_most,
        warnings,
    })?;
    Ok(Exit::Done)
}

fn scores(path: &Path, qrels: &Qrels, metric: Metric) -> anyhow::Result<(Scores, Option<Warning>)> {
    let evaluation = Evaluation::new(qrels, &trec::read_run(path)?);
    let unjudged = evaluation.without_judgement();
    let warning = (unjudged > 0).then(|| Warning::Unjudged {
        run: path.to_owned(),
        queries: unjudged,
    });
    Ok((evaluation.metric(metric), warning))
}

/// TREC judgements have four columns, BEIR's have three and a header.
fn read_qrels(path: &Path) -> anyhow::Result<Qrels> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut first = String::new();
    BufReader::new(file)
        .read_line(&mut first)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let is_beir = first.split_whitespace().count() == 3;
    Ok(if is_beir {
        beir::read_qrels(path)?
    } else {
        trec::read_qrels(path)?
    })
}

/// The queries with the largest differences, largest first; equal ones are no difference.
fn differ_most(a: &Scores, b: &Scores, n: usize) -> Vec<Difference> {
    let pairs = a.per_query.iter().zip(&b.per_query);
    let mut all: Vec<_> = pairs
        .map(|((query, a), (_, b))| Difference {
            query: query.clone(),
            a: *a,
            b: *b,
        })
        .collect();
    all.retain(|d| d.a != d.b);
    all.sort_by(|x, y| (y.b - y.a).abs().total_cmp(&(x.b - x.a).abs()));
    all.truncate(n);
    all
}
