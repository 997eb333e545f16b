//! How near does the encoder come to what the CPU can multiply?
//!
//! ```text
//! cargo build --workspace --release --examples
//! target/release/examples/roofline MODEL_DIR [THREADS]
//! ```
//!
//! For each precision: multiplications and additions a second of one thread in registers (the roof), then of whole
//! encodings of texts of 128 and of 20 tokens, tokenising and pooling included, and of single queries of 12 tokens. Work
//! is counted from the model's sizes: 2 (4 H² + 2 H F) L a token for the linear layers, 4 t H L for attention over t tokens.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use engine::encoder::{Encoder, LoadOptions, Precision, Role, load};
use storage::Task;

/// Sizes, from config.json.
struct Config {
    hidden_size: f64,
    intermediate_size: f64,
    num_hidden_layers: f64,
}

impl Config {
    fn read(dir: &Path) -> Result<Self, Box<dyn Error>> {
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("config.json"))?)?;
        let number = |name: &str| {
            json[name]
                .as_f64()
                .ok_or(format!("no {name} in config.json"))
        };
        Ok(Self {
            hidden_size: number("hidden_size")?,
            intermediate_size: number("intermediate_size")?,
            num_hidden_layers: number("num_hidden_layers")?,
        })
    }

    /// Operations of one text of `tokens` tokens.
    fn work(&self, tokens: f64) -> f64 {
        let (h, f) = (self.hidden_size, self.intermediate_size);
        let linear = 2.0 * (4.0 * h * h + 2.0 * h * f);
        tokens * self.num_hidden_layers * (linear + 4.0 * tokens * h)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = arguments
        .first()
        .ok_or("usage: roofline MODEL_DIR [THREADS]")?;
    let cores = std::thread::available_parallelism()?.get();
    let threads = arguments.get(1).map_or(Ok(cores), |n| n.parse())?;
    let config = Config::read(Path::new(dir))?;
    let mut out = stdout();
    writeln!(
        out,
        "| precision | roof of {threads} threads, GFLOP/s | 128 tokens | of the roof | 20 tokens | of the roof | one query of 12 tokens, one thread | of the roof |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for precision in Precision::available() {
        let Some(roof) = precision.peak() else {
            writeln!(out, "| {precision} | not measured here |")?;
            continue;
        };
        let options = LoadOptions {
            precision,
            threads: Some(threads),
            ..LoadOptions::default()
        };
        let encoder = load(Path::new(dir), &options)?;
        let run = |tokens: usize, count: usize| -> Result<f64, Box<dyn Error>> {
            let seconds = best(&*encoder, tokens, count)?;
            Ok(count as f64 * config.work(tokens as f64) / seconds)
        };
        let (long, short, query) = (run(128, 128)?, run(20, 1024)?, run(12, 1)?);
        let all = roof * threads as f64;
        let cells = [(long, all), (short, all), (query, roof)]
            .map(|(rate, roof)| format!("{:.0} | {:.0} %", rate / 1e9, 100.0 * rate / roof));
        writeln!(
            out,
            "| {precision} | {:.0} | {} |",
            all / 1e9,
            cells.join(" | ")
        )?;
    }
    Ok(())
}

/// Seconds of the fastest of a few encodings of `count` texts of `tokens` tokens each.
fn best(encoder: &dyn Encoder, tokens: usize, count: usize) -> Result<f64, Box<dyn Error>> {
    // One token a word, and two special ones around them.
    let text = vec!["river"; tokens - 2].join(" ");
    assert_eq!(
        encoder.count_tokens(&text) + 2,
        tokens,
        "a vocabulary with the word river"
    );
    let (texts, role) = (vec![text.as_str(); count], Role::Query);
    let mut best = f64::INFINITY;
    for _ in 0..if count == 1 { 500 } else { 8 } {
        let start = Instant::now();
        encoder.encode(&texts, role, Task::silent())?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
