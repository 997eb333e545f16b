//! How long does a person wait for an answer from this collection?
//!
//! `latency COLLECTION MODEL_DIR PRECISION QUERIES.txt` asks every line of the file in each mode, one after the other, query
//! encoding and snippets included, and prints a line of JSON a mode: milliseconds once everything is open (after one round
//! that is not counted), the parts of them in the mean, and milliseconds of a first answer where collection and model are
//! opened anew for each of the first twenty lines.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use engine::Engine;
use engine::encoder::{Encoder, LoadOptions, Precision, load};
use engine::report::SearchResponse;
use engine::request::{Mode, SearchRequest};
use serde_json::{Value, json};

/// Lines that everything is opened anew for.
const ANEW: usize = 20;

struct Desk<'a> {
    collection: &'a Path,
    model: &'a Path,
    options: LoadOptions,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [collection, model, precision, queries] = arguments.as_slice() else {
        return Err("usage: latency COLLECTION MODEL_DIR f32|bf16|int8 QUERIES.txt".into());
    };
    let precision: Precision = serde_json::from_value(json!(precision))?;
    let desk = Desk {
        collection: Path::new(collection),
        model: Path::new(model),
        options: LoadOptions {
            precision,
            ..LoadOptions::default()
        },
    };
    let text = std::fs::read_to_string(queries)?;
    let queries: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let (engine, _) = desk.open()?;
    let mut out = std::io::stdout();
    for mode in [Mode::Bm25, Mode::Dense, Mode::Hybrid] {
        let found = desk.measure(&engine, mode, &queries)?;
        writeln!(out, "{found}")?;
    }
    Ok(())
}

impl Desk<'_> {
    fn open(&self) -> Result<(Engine, Arc<dyn Encoder>), Box<dyn Error>> {
        let engine = Engine::open(self.collection)?;
        let encoder = load(self.model, &self.options)?;
        engine.set_encoder(encoder.clone())?;
        Ok((engine, encoder))
    }

    fn measure(
        &self,
        engine: &Engine,
        mode: Mode,
        queries: &[&str],
    ) -> Result<Value, Box<dyn Error>> {
        let ask = |engine: &Engine, query: &str| {
            let mut request = SearchRequest::new(query);
            request.mode = mode;
            engine.search(&request)
        };
        for query in queries {
            ask(engine, query)?;
        }
        let (mut warm, mut parts) = (Vec::new(), BTreeMap::new());
        let mut how = None;
        for query in queries {
            let started = Instant::now();
            let response = ask(engine, query)?;
            warm.push(started.elapsed().as_secs_f64() * 1e3);
            add_parts(&response, &mut parts);
            how = response.dense_search;
        }
        let mut anew = Vec::new();
        for query in queries.iter().take(ANEW) {
            let started = Instant::now();
            let (engine, _encoder) = self.open()?;
            ask(&engine, query)?;
            anew.push(started.elapsed().as_secs_f64() * 1e3);
        }
        parts
            .values_mut()
            .for_each(|part| *part /= queries.len() as f64);
        Ok(json!({
            "mode": mode, "queries": queries.len(), "dense_search": how,
            "warm_ms": shares(warm), "parts_ms": parts, "opened_anew_ms": shares(anew),
        }))
    }
}

fn add_parts(response: &SearchResponse, parts: &mut BTreeMap<&'static str, f64>) {
    for (part, milliseconds) in &response.timings_ms {
        *parts.entry(part).or_default() += milliseconds;
    }
}

/// Median, 99th percentile and worst.
fn shares(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share).round() as usize);
    json!({"p50": at(0.5), "p99": at(0.99), "worst": times.last()})
}
