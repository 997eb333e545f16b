//! How well does this collection's own search answer a data set?
//!
//! The set is indexed in a scratch collection, one passage a document and unsplit, as published figures have it; then
//! every judged query goes through the same legs and the same fusion that a person's search goes through.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use storage::Task;

use super::{Evaluation, Metric};
use crate::bm25::Language;
use crate::collection::{Engine, Open};
use crate::dataset::{Query, Record, Run, beir};
use crate::encoder::Encoder;
use crate::error::EngineError;
use crate::fuse;
use crate::index::{DocumentInput, PassageInput, Session};
use crate::ingest::{FileKind, Source};
use crate::report::IndexReport;
use crate::request::{Fusion, Mode, SearchRequest, VectorSearch};
use crate::search;

/// What to evaluate.
#[derive(Clone)]
pub struct EvalRequest {
    /// Folder in BEIR layout.
    pub beir: PathBuf,
    /// Which judgements: "test", "dev", "train".
    pub split: String,
    /// Which evidence ranks.
    pub mode: Mode,
    /// How legs are joined in hybrid mode.
    pub fusion: Fusion,
    /// Encoder of the dense leg.
    pub encoder: Option<Arc<dyn Encoder>>,
    /// How vectors are compared; the scratch collection gets an index where one is asked for.
    pub vectors: VectorSearch,
    /// See [`SearchRequest::target_recall`].
    pub target_recall: f32,
    /// Folder for scratch collections, kept between runs.
    pub scratch: PathBuf,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct EvalReport {
    /// The rankings.
    pub run: Run,
    /// The rankings held against the judgements.
    pub evaluation: Evaluation,
    /// Milliseconds of each query, ascending; encoding included, snippets not.
    pub latencies_ms: Vec<f64>,
    /// Documents of the set.
    pub documents: u64,
    /// How vectors were compared, and for how many queries, most first; empty without a dense leg.
    pub dense_search: Vec<(String, usize)>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl EvalReport {
    /// Mean of `metric` over the judged queries, 0 to 1.
    pub fn mean(&self, metric: Metric) -> f64 {
        self.evaluation.metric(metric).mean()
    }

    /// The latency that a share of queries, 0 to 1, stay at or under; 0 without queries.
    pub fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        self.latencies_ms
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or(0.0)
    }
}

/// Indexes the set where that has not been done, runs the queries and scores them.
///
/// # Errors
/// A set that cannot be read (file, line and field named), a split that does not exist, dense search without an
/// encoder, another process evaluating the same set, or a failing disk.
pub fn evaluate(request: &EvalRequest, task: Task<'_>) -> Result<EvalReport, EngineError> {
    let folder = beir::Folder::open(&request.beir)?;
    let qrels = folder.qrels(&request.split)?;
    let queries = folder.queries()?;
    let engine = Engine::open(&scratch_collection(request)?)?;
    let mut warnings = index_set(&engine, &folder, request.encoder.clone(), task)?;
    if let Some(encoder) = &request.encoder {
        engine.set_encoder(encoder.clone())?;
        if request.vectors == VectorSearch::Ivfpq {
            warnings.extend(engine.build_index(task)?.warnings);
        }
    }
    let snapshot = engine.snapshot();
    let open = snapshot
        .open
        .as_ref()
        .ok_or_else(|| EngineError::Inconsistent("the data set is empty".into()))?;
    let names = names(open)?;
    let unknown = qrels.unknown_ids(
        |query| queries.iter().any(|q| q.id == query),
        |document| names.contains(document),
    );
    if unknown.any() {
        warnings.push(unknown.to_string());
    }
    let judged: Vec<&Query> = queries
        .iter()
        .filter(|query| qrels.grades(&query.id).is_some())
        .collect();
    let Answers {
        run,
        mut latencies_ms,
        dense_search,
    } = run_queries(open, request, &judged, task)?;
    latencies_ms.sort_by(f64::total_cmp);
    let mut dense_search: Vec<(String, usize)> = dense_search.into_iter().collect();
    dense_search.sort_by_key(|found| std::cmp::Reverse(found.1));
    let evaluation = Evaluation::new(&qrels, &run);
    Ok(EvalReport {
        run,
        evaluation,
        latencies_ms,
        documents: names.len() as u64,
        dense_search,
        warnings,
    })
}

/// One collection for each set, encoder and precision, named by what is in them.
fn scratch_collection(request: &EvalRequest) -> Result<PathBuf, EngineError> {
    let mut hash = blake3::Hasher::new();
    let corpus = request.beir.join("corpus.jsonl");
    let file = std::fs::File::open(&corpus).map_err(EngineError::io("read", &corpus))?;
    hash.update_reader(file)
        .map_err(EngineError::io("read", &corpus))?;
    if let Some(encoder) = &request.encoder {
        hash.update(encoder.identity().hash.as_bytes());
        // Precisions agree within a bound, but comparing them is what scores are for.
        hash.update(encoder.precision().unwrap_or_default().as_bytes());
    }
    let name = request
        .beir
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(request
        .scratch
        .join(format!("{name}-{}", &hash.finalize().to_hex()[..16])))
}

/// Brings the scratch collection up to the set; documents it already has are left alone.
fn index_set(
    engine: &Engine,
    folder: &beir::Folder,
    encoder: Option<Arc<dyn Encoder>>,
    task: Task<'_>,
) -> Result<Vec<String>, EngineError> {
    let mut report = IndexReport::default();
    let complete = folder
        .path()
        .canonicalize()
        .unwrap_or_else(|_| folder.path().to_owned());
    if engine.status()?.roots.contains(&complete) {
        return Ok(Vec::new());
    }
    engine.write(encoder, &mut report, |session, report| {
        for (done, record) in folder.corpus()?.enumerate() {
            task.check()?;
            put(session, record?, report, task)?;
            task.report("documents", done as u64 + 1, 0);
        }
        // The root is the mark of a complete set.
        session.add_roots(&[complete])?;
        session.publish(report, task)
    })?;
    Ok(report.warnings)
}

fn put(
    session: &mut Session<'_>,
    record: Record,
    report: &mut IndexReport,
    task: Task<'_>,
) -> Result<(), EngineError> {
    let content_hash = *blake3::hash(record.full_text().as_bytes()).as_bytes();
    if session
        .document(&record.id)?
        .is_some_and(|known| known.content_hash == content_hash)
    {
        return Ok(());
    }
    let language = Language::detect(&record.text);
    let size = record.text.len() as u64;
    let passage = PassageInput {
        text: record.text,
        headings: Vec::new(),
        start: Source::default(),
        end: Source::default(),
    };
    let input = DocumentInput {
        path: record.id,
        kind: FileKind::JsonLines,
        size,
        mtime_ns: 0,
        content_hash,
        title: record.title,
        language,
        passages: vec![passage],
    };
    session.put(input, report, task)
}

/// The documents of the set, by their ids.
fn names(open: &Open) -> Result<HashSet<String>, EngineError> {
    open.live
        .iter()
        .map(|id| Ok(open.index.path(id)?))
        .collect()
}

/// What the queries gave.
struct Answers {
    run: Run,
    latencies_ms: Vec<f64>,
    /// Queries by how vectors were compared.
    dense_search: BTreeMap<String, usize>,
}

fn run_queries(
    open: &Open,
    request: &EvalRequest,
    queries: &[&Query],
    task: Task<'_>,
) -> Result<Answers, EngineError> {
    let mut answers = Answers {
        run: Run::new(tag(request)),
        latencies_ms: Vec::with_capacity(queries.len()),
        dense_search: BTreeMap::new(),
    };
    for (done, query) in queries.iter().enumerate() {
        task.check()?;
        let search = SearchRequest {
            mode: request.mode,
            fusion: request.fusion,
            vectors: request.vectors,
            target_recall: request.target_recall,
            literal: true,
            ..SearchRequest::new(query.text.clone())
        };
        let started = Instant::now();
        let ranking = search::rank(open, request.encoder.clone(), &search)?;
        answers
            .latencies_ms
            .push(started.elapsed().as_secs_f64() * 1000.0);
        if let Some(how) = ranking.dense_search() {
            *answers.dense_search.entry(how.to_owned()).or_default() += 1;
        }
        for fused in ranking.order.iter().take(fuse::DEPTH) {
            let path = open.index.path(fused.id)?;
            answers.run.push(&query.id, path, fused.score);
        }
        task.report("queries", done as u64 + 1, queries.len() as u64);
    }
    Ok(answers)
}

fn tag(request: &EvalRequest) -> String {
    let mode = match request.mode {
        Mode::Hybrid => "hybrid",
        Mode::Bm25 => "bm25",
        Mode::Dense => "dense",
    };
    let encoder = request
        .encoder
        .as_ref()
        .map_or("none", |encoder| encoder.identity().name.as_str());
    format!(
        "askance-{mode}-{}",
        encoder.replace(char::is_whitespace, "-")
    )
}
