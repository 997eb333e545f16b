//! Which precision is the fastest that still gives the model's vectors?
//!
//! Decided by measurement on the CPU at hand: each precision encodes the same probe texts, and its vectors are
//! compared with those of f32. A model whose activations have outliers loses too much in int8 and is then not
//! encoded in it.

use std::path::Path;
use std::time::Instant;

use storage::Task;

use super::cpu::CpuEncoder;
use super::linear::Precision;
use super::load::{LoadOptions, load_cpu};
use super::{EncodeError, Encoder, ModelError, Role};

/// Smallest cosine to f32 that a probe text may have in a precision that is chosen. Int8 with one grid a token took
/// MiniLM's probe texts down to .998 and its nDCG@10 on NFCorpus from .3167 to .3144, more than the .002 that a default
/// may cost. With a grid for each 128 inputs it keeps .9993, and what that costs has not been measured: so the bound lies
/// above it, and far below bf16's .99998.
pub const COSINE_BOUND: f32 = 0.9995;

/// How one precision did on the probe texts.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PrecisionReport {
    /// The precision.
    pub precision: Precision,
    /// Probe texts a second, on all threads of the encoder.
    pub texts_per_second: f64,
    /// Mean cosine to the vectors in f32.
    pub mean_cosine: f32,
    /// Smallest cosine to the vectors in f32.
    pub least_cosine: f32,
    /// Whether `least_cosine` is within the bound asked for.
    pub within_bound: bool,
}

/// Measuring failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A probe text could not be encoded, or the caller asked to stop.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Measures every precision this CPU has on the model in `dir`, the most exact first. Takes a second or so for a model
/// of 20 million weights, and for that long the memory of the model in all precisions.
///
/// # Errors
/// The model cannot be opened; the caller's cancel flag.
pub fn measure_precisions(
    dir: &Path,
    bound: f32,
    task: Task<'_>,
) -> Result<Vec<PrecisionReport>, MeasureError> {
    let texts = probe_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut runs = Vec::new();
    for precision in Precision::available() {
        runs.push(Run::open(dir, precision, &texts, task.quiet())?);
    }
    // The precisions take turns, so that other programs slow down all of them alike.
    for done in 0..PASSES {
        task.report("measuring", done, PASSES);
        for run in &mut runs {
            run.time(&texts, task.quiet())?;
        }
    }
    task.report("measuring", PASSES, PASSES);
    let exact = runs
        .first()
        .map_or_else(Vec::new, |run| run.vectors.clone());
    Ok(runs
        .iter()
        .map(|run| run.report(&exact, texts.len(), bound))
        .collect())
}

/// Passes that are timed; the fastest counts, since nothing but other programs can slow one down.
const PASSES: u64 = 5;

/// One precision being measured.
struct Run {
    precision: Precision,
    encoder: CpuEncoder,
    vectors: Vec<f32>,
    /// Of the fastest pass.
    seconds: f64,
}

impl Run {
    /// Opens the model and encodes `texts` once, which starts threads and fills caches.
    fn open(
        dir: &Path,
        precision: Precision,
        texts: &[&str],
        task: Task<'_>,
    ) -> Result<Self, MeasureError> {
        let options = LoadOptions {
            precision,
            ..LoadOptions::default()
        };
        let encoder = load_cpu(dir, &options)?;
        let vectors = encoder.encode(texts, Role::Passage, task)?.values;
        Ok(Self {
            precision,
            encoder,
            vectors,
            seconds: f64::INFINITY,
        })
    }

    fn time(&mut self, texts: &[&str], task: Task<'_>) -> Result<(), EncodeError> {
        let start = Instant::now();
        self.encoder.encode(texts, Role::Passage, task)?;
        self.seconds = self.seconds.min(start.elapsed().as_secs_f64());
        Ok(())
    }

    fn report(&self, exact: &[f32], texts: usize, bound: f32) -> PrecisionReport {
        let cosines = cosines(exact, &self.vectors, self.encoder.identity().dimension);
        let least_cosine = cosines.iter().copied().fold(1.0, f32::min);
        PrecisionReport {
            precision: self.precision,
            texts_per_second: texts as f64 / self.seconds,
            mean_cosine: cosines.iter().sum::<f32>() / cosines.len() as f32,
            least_cosine,
            within_bound: least_cosine >= bound,
        }
    }
}

/// A less exact precision has to be this much faster: less than that is chance.
const WORTH_IT: f64 = 1.1;

/// The fastest precision within the bound, `reports` being ordered by exactness; f32 always is.
pub fn fastest(reports: &[PrecisionReport]) -> Precision {
    let within = reports.iter().filter(|r| r.within_bound);
    let better = |best: &&PrecisionReport, next: &&PrecisionReport| {
        next.texts_per_second > WORTH_IT * best.texts_per_second
    };
    within
        .reduce(|best, next| if better(&best, &next) { next } else { best })
        .map_or(Precision::F32, |r| r.precision)
}

/// What decides how fast each precision is here: the instructions that kernels of this crate use, and the threads. A
/// measurement holds where this text is the same.
pub fn cpu_features() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut text = std::env::consts::ARCH.to_owned();
    for (name, is_there) in instructions() {
        if is_there {
            text.push(' ');
            text.push_str(name);
        }
    }
    format!("{text}, {threads} threads")
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> [(&'static str, bool); 5] {
    [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512", is_x86_feature_detected!("avx512bw")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> [(&'static str, bool); 1] {
    [(
        "dotprod",
        std::arch::is_aarch64_feature_detected!("dotprod"),
    )]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> [(&'static str, bool); 0] {
    []
}

/// The cosine of each pair of rows; two zero rows agree.
fn cosines(a: &[f32], b: &[f32], dimension: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    a.chunks_exact(dimension)
        .zip(b.chunks_exact(dimension))
        .map(|(a, b)| {
            let lengths = (dot(a, a) * dot(b, b)).sqrt();
            let cosine = if lengths == 0.0 {
                1.0
            } else {
                dot(a, b) / lengths
            };
            // What is no number agrees with nothing.
            if cosine.is_nan() { -1.0 } else { cosine }
        })
        .collect()
}

/// Sentences of many kinds, alone and joined to longer texts.
fn probe_texts() -> Vec<String> {
    let singles = SENTENCES.iter().map(|s| (*s).to_owned());
    let threes = SENTENCES.windows(3).step_by(2).map(|w| w.join(" "));
    let tens = SENTENCES.windows(10).step_by(4).map(|w| w.join(" "));
    singles.chain(threes).chain(tens).collect()
}

/// Prose, questions, code, numbers and a few languages: what lies on a desktop.
const SENTENCES: [&str; 24] = [
    "The bridge was closed for repairs until the river fell below the second mark.",
    "how do I restore a deleted branch",
    "Patients who received the higher dose reported fewer symptoms after six weeks.",
    "let total: f64 = values.iter().map(|v| v.price * v.count as f64).sum();",
    "Invoice 2024-0117, due in 30 days: 1,284.50 EUR plus VAT.",
    "Heat the butter slowly, add the flour, and stir until it smells of nuts.",
    "Error: connection refused (os error 111) while fetching https://example.org/index.json",
    "Die Sitzung beginnt um neun Uhr im großen Saal; bitte bringen Sie die Unterlagen mit.",
    "best time of year to plant garlic",
    "She had never meant to stay, and yet the house knew her steps by now.",
    "The committee approved the minutes and moved on to the budget for the next year.",
    "Mitochondrial DNA is inherited from the mother in nearly all animals studied so far.",
    "SELECT name, count(*) FROM visits GROUP BY name HAVING count(*) > 3 ORDER BY 2 DESC;",
    "La réunion est reportée à jeudi, même lieu, même heure.",
    "what is the difference between a mutex and a semaphore",
    "Rainfall in the eastern provinces was a third below the average of the last decade.",
    "Dear Anna, thank you for the photographs; the one by the lake is my favourite.",
    "The function returns None if the key is absent and never allocates.",
    "Article 5. The tenant shall keep the premises in good order and report any damage at once.",
    "2. Unscrew the four bolts (M6) and lift the cover; do not pull on the cable.",
    "A proof by induction has two parts: the base case and the step.",
    "meeting notes: roadmap, hiring, the leak in the kitchen",
    "El tren de las ocho llega con veinte minutos de retraso.",
    "Gradient descent with momentum converges faster on ill-conditioned quadratic problems.",
];
