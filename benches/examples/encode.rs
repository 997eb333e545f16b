//! How fast does askance encode the texts that `benches/peers/encode.py` gives its peers?
//!
//! `encode MODEL_DIR PRECISION THREADS TEXTS.json` opens the model and obeys lines on stdin, so that the script can let
//! systems take turns: `passages SET` encodes the texts of a set in one call, `queries SET` one by one, `vectors SET` prints
//! them, `peak` measures what the CPU could do in registers with one thread. TEXTS.json holds an object of lists of texts. Each answer is one line of JSON: seconds, or vectors.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use engine::encoder::{Encoder, LoadOptions, Precision, Role, load};
use storage::Task;

type Sets = BTreeMap<String, Vec<String>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, precision, threads, texts] = arguments.as_slice() else {
        return Err("usage: encode MODEL_DIR f32|bf16|int8 THREADS TEXTS.json".into());
    };
    let options = LoadOptions {
        precision: precision_named(precision)?,
        threads: Some(threads.parse()?),
        ..LoadOptions::default()
    };
    let sets: Sets = serde_json::from_slice(&std::fs::read(texts)?)?;
    let encoder = load(Path::new(dir), &options)?;
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let answer = obey(&*encoder, &sets, &line?)?;
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn precision_named(name: &str) -> Result<Precision, Box<dyn Error>> {
    Ok(serde_json::from_value(serde_json::Value::String(
        name.to_owned(),
    ))?)
}

fn obey(encoder: &dyn Encoder, sets: &Sets, line: &str) -> Result<String, Box<dyn Error>> {
    if line == "peak" {
        let peaks = Precision::available().into_iter().map(Precision::peak);
        return Ok(serde_json::to_string(&peaks.collect::<Vec<_>>())?);
    }
    let (verb, set) = line.split_once(' ').ok_or("a verb and a set")?;
    let texts: Vec<&str> = sets
        .get(set)
        .ok_or("no such set")?
        .iter()
        .map(String::as_str)
        .collect();
    let encode = |texts: &[&str], role| encoder.encode(texts, role, Task::silent());
    match verb {
        "passages" => {
            let start = Instant::now();
            encode(&texts, Role::Passage)?;
            Ok(start.elapsed().as_secs_f64().to_string())
        }
        "queries" => {
            let mut seconds = Vec::with_capacity(texts.len());
            for text in &texts {
                let start = Instant::now();
                encode(&[text], Role::Query)?;
                seconds.push(start.elapsed().as_secs_f64());
            }
            Ok(serde_json::to_string(&seconds)?)
        }
        "vectors" => {
            let vectors = encode(&texts, Role::Passage)?;
            let rows: Vec<&[f32]> = vectors.rows().collect();
            Ok(serde_json::to_string(&rows)?)
        }
        other => Err(format!("unknown verb {other}").into()),
    }
}
