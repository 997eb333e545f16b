//! What does `askance bench ann` do?
//!
//! Builds the index of one .npy file, asks it the queries of another, and holds the answers against exact search.
//! Queries are asked one at a time. Rates are by the clock; with one thread also by the time that thread spent on a CPU,
//! which other work on the machine disturbs less.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::json;
use storage::flat::{self, FlatHits};
use storage::ivfpq::{Answer, BuildParams, Index, Mode, SearchParams, build};
use storage::matrix::{Matrix, MatrixWriter};
use storage::npy::NpyReader;
use storage::{PassageId, PassageSet, StorageError, Task};

use crate::Exit;
use crate::args::AnnArgs;
use crate::output::bench::{Curve, Rate, RatedPoint};
use crate::session::Session;

/// Rows read at a time.
const ROWS: usize = 4096;
/// Queries that exact search is timed with: it is slow and steady.
const EXACT_QUERIES: usize = 64;
/// Times the index file is opened.
const OPENED: usize = 5;
/// Recall below which a setting of the index's own choice is of no interest.
const LEAST_RECALL: f32 = 0.8;
/// Settings measured at most, where none are given.
const SETTINGS: usize = 16;

/// Measures and shows.
pub fn run(args: &AnnArgs, session: &mut Session) -> anyhow::Result<Exit> {
    let queries = NpyReader::open(&args.queries)?;
    let base = NpyReader::open(&args.base)?;
    if queries.columns() != base.columns() {
        bail!(
            "{} has vectors of {} numbers, {} of {}; they come from different encoders",
            args.queries.display(),
            queries.columns(),
            args.base.display(),
            base.columns()
        );
    }
    let scratch = Scratch::new(args, session)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads.into())
        .build()
        .context("cannot start the threads")?;
    let curve = session.long(|task| -> anyhow::Result<Curve> {
        let (index, build_s) = built(args, base, &scratch, task)?;
        let bench = Bench::new(args, &index, queries, task)?;
        pool.install(|| bench.curve(build_s, task))
    });
    session.screen.show(&curve?)?;
    Ok(Exit::Done)
}

/// The folder that matrix and index lie in, removed at the end unless a person named it.
struct Scratch {
    dir: std::path::PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(args: &AnnArgs, session: &Session) -> anyhow::Result<Self> {
        let (dir, keep) = match &args.work {
            Some(dir) => (dir.clone(), true),
            None => {
                let name = format!("bench-{}", std::process::id());
                (session.places.cache.join(name), false)
            }
        };
        storage::disk::create_private_dir(&dir)?;
        Ok(Self { dir, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed lies in the cache folder.
            let _ = storage::disk::remove_tree(&self.dir);
        }
    }
}

/// The index, and the seconds it took to build (when it was built).
fn built(
    args: &AnnArgs,
    base: NpyReader,
    scratch: &Scratch,
    task: Task<'_>,
) -> anyhow::Result<(Index, f64)> {
    let name = name(args)?;
    let matrix = matrix(base, &scratch.dir, &name, task)?;
    let params = BuildParams {
        metric: args.metric.into(),
        lists: args.lists,
        width: args.code_bits.into(),
        subspaces: args.subspaces,
        list_subspaces: args.list_subspaces,
        copies: args.copies,
        seed: args.seed,
        queries: sample(args)?,
        ..BuildParams::default()
    };
    let path = scratch.dir.join(format!("{name}.ivf"));
    let took = scratch.dir.join(format!("{name}.seconds"));
    let known = fs::read_to_string(&took)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    if let Some(seconds) = known {
        return Ok((Index::open(&path, matrix)?, seconds));
    }
    storage::disk::remove_file(&path)?;
    let start = Instant::now();
    build(&path, &matrix, None, &params, task)?;
    let seconds = start.elapsed().as_secs_f64();
    // Written last: without it the index is taken for unfinished.
    fs::write(&took, seconds.to_string()).map_err(StorageError::io("write", &took))?;
    Ok((Index::open(&path, matrix)?, seconds))
}

fn sample(args: &AnnArgs) -> anyhow::Result<Option<Vec<f32>>> {
    let Some(path) = &args.sample else {
        return Ok(None);
    };
    Ok(Some(NpyReader::open(path)?.read_all()?))
}

/// A name for what base and parameters decide.
fn name(args: &AnnArgs) -> anyhow::Result<String> {
    let mut hash = blake3::Hasher::new();
    for path in std::iter::once(&args.base).chain(&args.sample) {
        let file = fs::File::open(path).map_err(StorageError::io("open", path))?;
        hash.update_reader(file)
            .map_err(StorageError::io("read", path))?;
    }
    let parameters = json!([
        format!("{:?}", args.metric),
        format!("{:?}", args.code_bits),
        args.lists,
        args.subspaces,
        args.list_subspaces,
        args.copies,
        args.seed
    ]);
    hash.update(parameters.to_string().as_bytes());
    Ok(hash.finalize().to_hex()[..16].to_owned())
}

fn matrix(mut base: NpyReader, dir: &Path, name: &str, task: Task<'_>) -> anyhow::Result<Matrix> {
    let file = format!("{name}.emb");
    let (path, columns, total) = (dir.join(&file), base.columns(), base.rows() as u64);
    let complete = || Matrix::open(dir, [file.as_str()], columns);
    if let Ok(matrix) = complete()
        && matrix.len() as u64 == total
    {
        return Ok(matrix);
    }
    storage::disk::remove_file(&path)?;
    // Rows are kept as the file has them, so that exact search is exact.
    let mut writer = MatrixWriter::create(&path, columns, base.dtype())?;
    let mut id = 0;
    loop {
        task.check()?;
        let rows = base.read(ROWS)?;
        if rows.is_empty() {
            break;
        }
        for row in rows.chunks_exact(columns) {
            writer.push(PassageId(id), row)?;
            id += 1;
        }
        task.report("copying vectors", id.into(), total);
    }
    writer.finish(false)?;
    Ok(complete()?)
}

/// Queries, their true neighbours, and the rows that count.
struct Bench<'a> {
    args: &'a AnnArgs,
    index: &'a Index,
    queries: Vec<f32>,
    keep: Option<PassageSet>,
    truth: Vec<HashSet<PassageId>>,
}

impl<'a> Bench<'a> {
    fn new(
        args: &'a AnnArgs,
        index: &'a Index,
        mut queries: NpyReader,
        task: Task<'_>,
    ) -> anyhow::Result<Self> {
        if queries.rows() == 0 {
            bail!("{} holds no queries", args.queries.display());
        }
        let queries = queries.read_all()?;
        let keep = args
            .filter
            .map(|share| share_of(index.matrix().len(), share));
        let k = args.k as usize;
        let (matrix, metric) = (index.matrix(), index.metric());
        let truth = flat::search_batch(matrix, &queries, k, metric, keep.as_ref(), task)?;
        Ok(Self {
            args,
            index,
            queries,
            keep,
            truth: truth.into_iter().map(ids).collect(),
        })
    }

    fn curve(&self, build_s: f64, task: Task<'_>) -> anyhow::Result<Curve> {
        let mut points = Vec::new();
        let settings = self.settings();
        for (done, params) in settings.iter().enumerate() {
            task.check()?;
            task.report("measuring", done as u64, settings.len() as u64);
            points.push(self.point(params)?);
        }
        Ok(Curve {
            vectors: self.index.vectors() as u64,
            dimension: self.index.matrix().dimension(),
            metric: format!("{:?}", self.args.metric).to_lowercase(),
            k: self.args.k,
            threads: self.args.threads,
            lists: self.index.lists(),
            build_s,
            open_ms: self.open_ms()?,
            bytes_per_vector: self.index.bytes() as f64 / self.index.vectors().max(1) as f64,
            exact: self.exact()?,
            points,
        })
    }

    /// Milliseconds it takes to open the index file, the least of a few times.
    fn open_ms(&self) -> anyhow::Result<f64> {
        let mut least = f64::INFINITY;
        for _ in 0..OPENED {
            let matrix = self.index.matrix().clone();
            let start = Instant::now();
            let opened = Index::open(self.index.path(), matrix)?;
            least = least.min(start.elapsed().as_secs_f64() * 1e3);
            drop(opened);
        }
        Ok(least)
    }

    /// What to measure: the settings asked for, else the best ones by the index's own measure.
    fn settings(&self) -> Vec<SearchParams> {
        let params = |nprobe, rescore| SearchParams {
            k: self.args.k as usize,
            nprobe: Some(nprobe),
            rescore: Some(rescore),
            ..SearchParams::default()
        };
        let targets = self.args.targets.iter().map(|&target_recall| SearchParams {
            k: self.args.k as usize,
            target_recall,
            always_probe: true,
            ..SearchParams::default()
        });
        let asked = self.args.settings.iter();
        let asked = asked.map(|s| params(s.nprobe, s.rescore)).chain(targets);
        let asked: Vec<SearchParams> = asked.collect();
        if !asked.is_empty() {
            return asked;
        }
        let points = self.index.measured().0;
        let good: Vec<_> = points.iter().filter(|p| p.recall >= LEAST_RECALL).collect();
        let step = good.len().div_ceil(SETTINGS).max(1);
        let chosen = good.into_iter().step_by(step);
        chosen
            .map(|p| params(p.nprobe as usize, p.rescore as usize))
            .collect()
    }

    fn point(&self, params: &SearchParams) -> anyhow::Result<RatedPoint> {
        let keep = self.keep.as_ref();
        let (answers, rate) = self.fastest(&self.queries, |query| {
            Ok(self.index.search(query, params, keep)?)
        })?;
        let (_, batch) = self.best_of(self.truth.len(), || {
            let task = Task::silent();
            Ok(self.index.search_batch(&self.queries, params, keep, task)?)
        })?;
        let (nprobe, rescore) = used(&answers);
        Ok(RatedPoint {
            target: params.nprobe.is_none().then_some(params.target_recall),
            nprobe: params.nprobe.unwrap_or(nprobe),
            rescore: params.rescore.unwrap_or(rescore),
            recall: self.recall(&answers),
            rate,
            batch,
        })
    }

    fn exact(&self) -> anyhow::Result<Rate> {
        let d = self.index.matrix().dimension();
        let some = &self.queries[..self.queries.len().min(EXACT_QUERIES * d)];
        let (matrix, metric, k) = (
            self.index.matrix(),
            self.index.metric(),
            self.args.k as usize,
        );
        let keep = self.keep.as_ref();
        let (_, rate) = self.fastest(some, |query| {
            Ok(flat::search(matrix, query, k, metric, keep)?)
        })?;
        Ok(rate)
    }

    /// Asks `queries` one at a time.
    fn fastest<T>(
        &self,
        queries: &[f32],
        search: impl Fn(&[f32]) -> anyhow::Result<T>,
    ) -> anyhow::Result<(Vec<T>, Rate)> {
        let d = self.index.matrix().dimension();
        self.best_of(queries.len() / d, || {
            queries.chunks_exact(d).map(&search).collect()
        })
    }

    /// Runs `work`, which answers `count` queries, as often as asked and takes the fastest.
    fn best_of<T>(
        &self,
        count: usize,
        work: impl Fn() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Rate)> {
        let (mut wall, mut cpu) = (f64::INFINITY, f64::INFINITY);
        let mut last = None;
        for _ in 0..self.args.repeat {
            let (start, spent) = (Instant::now(), seconds_on_cpu());
            last = Some(work()?);
            wall = wall.min(start.elapsed().as_secs_f64());
            let taken = seconds_on_cpu()
                .zip(spent)
                .map(|(after, before)| after - before);
            cpu = cpu.min(taken.unwrap_or(f64::INFINITY));
        }
        let alone = self.args.threads == 1 && cpu.is_finite();
        let rate = Rate {
            qps: count as f64 / wall,
            qps_cpu: alone.then(|| count as f64 / cpu),
        };
        Ok((last.context("--repeat is at least 1")?, rate))
    }

    fn recall(&self, answers: &[Answer]) -> f64 {
        let found = |(answer, truth): (&Answer, &HashSet<PassageId>)| {
            answer
                .hits
                .iter()
                .filter(|(id, _)| truth.contains(id))
                .count()
        };
        let found: usize = answers.iter().zip(&self.truth).map(found).sum();
        let wanted: usize = self.truth.iter().map(HashSet::len).sum();
        found as f64 / wanted.max(1) as f64
    }
}

/// Lists read and rows looked up by a search, on average; 0 where every row was compared.
fn used(answers: &[Answer]) -> (usize, usize) {
    let one = |answer: &Answer| match answer.mode {
        Mode::Lists {
            probed, rescored, ..
        } => (probed, rescored),
        Mode::Exact => (0, 0),
    };
    let sum = answers
        .iter()
        .map(one)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let count = answers.len().max(1);
    (sum.0.div_ceil(count), sum.1.div_ceil(count))
}

fn ids(hits: FlatHits) -> HashSet<PassageId> {
    hits.hits.into_iter().map(|(id, _)| id).collect()
}

/// Evenly spread ids, about `share` of `rows`.
fn share_of(rows: usize, share: f32) -> PassageSet {
    let wanted = (rows as f64 * f64::from(share)).round() as usize;
    PassageSet::from_range(0..rows as u32)
        .spread(wanted)
        .into_iter()
        .collect()
}

/// Time this thread has spent on a CPU, where the system tells.
fn seconds_on_cpu() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
