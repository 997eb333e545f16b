//! Recall against queries a second of the IVF-PQ index, one thread, one query at a time.
//!
//! `ann_curve BASE.npy QUERIES.npy WORK_FOLDER [key=value ...]`; keys: lists, subspaces, list_subspaces,
//! copies, metric (ip, cosine, l2), repeat, settings (nprobe:rescore,...), filter (share of rows kept), k.
//! Prints one JSON object. Matrix and index stay in WORK_FOLDER and are used again.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use half::f16;
use storage::flat::{self, Metric};
use storage::ivfpq::{BuildParams, Index, SearchParams, build};
use storage::matrix::{Dtype, Matrix, MatrixWriter};
use storage::{PassageId, PassageSet, Task};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The numbers of a two-dimensional f16 or f32 .npy file, and its row length.
fn npy(path: &str) -> Outcome<(Vec<f32>, usize)> {
    let bytes = fs::read(path)?;
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + length]).into_owned();
    let shape = header.split("'shape': (").nth(1).ok_or("no shape")?;
    let columns = shape
        .split([',', ')'])
        .nth(1)
        .ok_or("no columns")?
        .trim()
        .parse()?;
    let data = &bytes[10 + length..];
    let numbers = if header.contains("<f2") {
        data.as_chunks()
            .0
            .iter()
            .map(|&b| f16::from_le_bytes(b).to_f32())
            .collect()
    } else if header.contains("<f4") {
        data.as_chunks()
            .0
            .iter()
            .map(|&b| f32::from_le_bytes(b))
            .collect()
    } else {
        return Err("f2 or f4 expected".into());
    };
    Ok((numbers, columns))
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [base, queries, folder, rest @ ..] = args.as_slice() else {
        return Err("ann_curve BASE.npy QUERIES.npy WORK_FOLDER [key=value ...]".into());
    };
    let options: HashMap<&str, &str> = rest
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let number = |key: &str| options.get(key).map(|v| v.parse::<usize>()).transpose();
    let metric = match options.get("metric") {
        Some(&"cosine") => Metric::Cosine,
        Some(&"l2") => Metric::L2,
        _ => Metric::InnerProduct,
    };
    let params = BuildParams {
        metric,
        lists: number("lists")?,
        subspaces: number("subspaces")?,
        list_subspaces: number("list_subspaces")?,
        copies: number("copies")?.unwrap_or(2),
        ..BuildParams::default()
    };
    fs::create_dir_all(folder)?;
    let matrix = matrix(base, Path::new(folder))?;
    let index = Path::new(folder).join(format!(
        "{:?}-{:?}-{:?}-{:?}-{}.ivf",
        metric, params.lists, params.subspaces, params.list_subspaces, params.copies
    ));
    let start = Instant::now();
    if !index.exists() {
        let last = std::sync::Mutex::new("");
        let report = |p: storage::Progress| {
            if let Ok(mut last) = last.lock()
                && *last != p.stage
            {
                eprintln!("{:7.1} s {}", start.elapsed().as_secs_f64(), p.stage);
                *last = p.stage;
            }
        };
        let never = std::sync::atomic::AtomicBool::new(false);
        build(&index, &matrix, None, &params, Task::new(&report, &never))?;
    }
    let build_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let index = Index::open(&index, matrix)?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let (queries, _) = npy(queries)?;
    let bytes = index.bytes() as f64 / index.vectors() as f64;
    println!(
        "{{\"build_s\": {build_s:.1}, \"open_ms\": {open_ms:.2}, \"bytes_per_vector\": {bytes:.1}, \"lists\": {}, \"points\": [",
        index.lists()
    );
    let keep = options.get("filter").map(|share| -> Outcome<PassageSet> {
        let every = (1.0 / share.parse::<f64>()?).round() as u32;
        Ok((0..index.vectors() as u32)
            .filter(|id| id % every == 0)
            .map(PassageId)
            .collect())
    });
    let keep = keep.transpose()?;
    let k = number("k")?.unwrap_or(10);
    curve(&index, &queries, keep.as_ref(), k, &options)?;
    println!("]}}");
    Ok(())
}

/// Time this thread has spent on a CPU: on a busy machine, what the search itself costs. Wall-clock time
/// where the system does not tell.
fn seconds_on_cpu() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told
        .as_deref()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

fn matrix(base: &str, folder: &Path) -> Outcome<Matrix> {
    let path = folder.join("rows.emb");
    let (numbers, dimension) = npy(base)?;
    if !path.exists() {
        let mut writer = MatrixWriter::create(&path, dimension, Dtype::F16)?;
        for (row, id) in numbers.chunks_exact(dimension).zip(0..) {
            writer.push(PassageId(id), row)?;
        }
        writer.finish(false)?;
    }
    Ok(Matrix::open(folder, ["rows.emb"], dimension)?)
}

fn curve(
    index: &Index,
    queries: &[f32],
    keep: Option<&PassageSet>,
    k: usize,
    options: &HashMap<&str, &str>,
) -> Outcome<()> {
    let d = index.matrix().dimension();
    let truth = flat::search_batch(
        index.matrix(),
        queries,
        k,
        index.metric(),
        keep,
        Task::silent(),
    )?;
    let repeat: usize = options.get("repeat").map_or(Ok(5), |r| r.parse())?;
    let targets = [0.9f32, 0.95, 0.98, 0.99].map(|target_recall| SearchParams {
        k,
        target_recall,
        ..SearchParams::default()
    });
    let mut settings: Vec<SearchParams> = targets.to_vec();
    for pair in options
        .get("settings")
        .unwrap_or(&"")
        .split(',')
        .filter(|s| !s.is_empty())
    {
        let (nprobe, rescore) = pair.split_once(':').ok_or("nprobe:rescore")?;
        settings.push(SearchParams {
            k,
            nprobe: Some(nprobe.parse()?),
            rescore: Some(rescore.parse()?),
            ..SearchParams::default()
        });
    }
    for (at, params) in settings.iter().enumerate() {
        let (mut best, mut found, mut mode) = (f64::INFINITY, 0, None);
        for _ in 0..repeat {
            let start = seconds_on_cpu();
            let answers: Vec<_> = queries
                .chunks_exact(d)
                .map(|q| index.search(q, params, keep))
                .collect::<Result<_, _>>()?;
            best = best.min(seconds_on_cpu() - start);
            mode = answers.last().map(|a| a.mode);
            found = answers
                .iter()
                .zip(&truth)
                .map(|(a, t)| {
                    a.hits
                        .iter()
                        .filter(|(id, _)| t.hits.iter().any(|(other, _)| other == id))
                        .count()
                })
                .sum();
        }
        let recall = found as f64 / (truth.len() * k) as f64;
        let comma = if at + 1 == settings.len() { "" } else { "," };
        println!(
            "  {{\"target\": {}, \"nprobe\": {:?}, \"rescore\": {:?}, \"recall\": {recall:.4}, \"qps\": {:.0}, \"mode\": \"{mode:?}\"}}{comma}",
            params.target_recall,
            params.nprobe.unwrap_or(0),
            params.rescore.unwrap_or(0),
            truth.len() as f64 / best
        );
    }
    Ok(())
}
