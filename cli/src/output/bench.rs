//! What do measurements look like?

use std::io::{self, Write};
use std::path::PathBuf;

use indicatif::HumanCount;
use serde_json::{Value, json};

use super::text::escape;
use super::{Page, Report, json, style};

/// Queries a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// By the clock.
    pub qps: f64,
    /// By the time the one searching thread spent on a CPU; absent with several, or where the system does not tell.
    pub qps_cpu: Option<f64>,
}

/// One setting of the index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatedPoint {
    /// Recall the index was asked for, if it was left to choose.
    pub target: Option<f32>,
    /// Lists read at most; on average where the index chose.
    pub nprobe: usize,
    /// Codes looked up; rows, on average, where the index chose.
    pub rescore: usize,
    /// Share of the true neighbours found, 0 to 1.
    pub recall: f64,
    /// Queries one at a time.
    pub rate: Rate,
    /// All queries handed over at once.
    pub batch: Rate,
}

/// What `askance bench ann` measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Vectors in the index.
    pub vectors: u64,
    /// Numbers of a vector.
    pub dimension: usize,
    /// "ip", "cosine" or "l2".
    pub metric: String,
    /// Neighbours wanted.
    pub k: u32,
    /// Threads that searched.
    pub threads: u16,
    /// Lists of the index.
    pub lists: usize,
    /// Seconds the build took, on all cores.
    pub build_s: f64,
    /// Milliseconds to open the file again.
    pub open_ms: f64,
    /// Size of the index file over its vectors; the matrix of the vectors themselves is not in it.
    pub bytes_per_vector: f64,
    /// Every vector compared.
    pub exact: Rate,
    /// The settings.
    pub points: Vec<RatedPoint>,
}

impl Report for Curve {
    fn json(&self) -> Value {
        json!({
            "vectors": self.vectors,
            "dimension": self.dimension,
            "metric": self.metric,
            "k": self.k,
            "threads": self.threads,
            "lists": self.lists,
            "build_s": self.build_s,
            "open_ms": self.open_ms,
            "bytes_per_vector": self.bytes_per_vector,
            "exact_qps": self.exact.qps,
            "exact_qps_cpu": self.exact.qps_cpu,
            "points": self.points.iter().map(|p| json!({
                "target": p.target,
                "nprobe": p.nprobe,
                "rescore": p.rescore,
                "recall": p.recall,
                "qps": p.rate.qps,
                "qps_cpu": p.rate.qps_cpu,
                "batch_qps": p.batch.qps,
                "batch_qps_cpu": p.batch.qps_cpu,
            })).collect::<Value>(),
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        let (dim, threads) = (style::DIM, self.threads);
        writeln!(
            page,
            "{} vectors of {} numbers in {} lists, built in {:.1} s, opened in {:.1} ms, {:.1} bytes a vector",
            HumanCount(self.vectors),
            self.dimension,
            HumanCount(self.lists as u64),
            self.build_s,
            self.open_ms,
            self.bytes_per_vector
        )?;
        let many = if threads == 1 { "thread" } else { "threads" };
        writeln!(
            page,
            "{dim}queries a second, {threads} {many}{dim:#}\n{dim}{:>8} {:>8} {:>8} {:>10} {:>10} {:>10}{dim:#}",
            "nprobe",
            "rescore",
            recall_name(self.k),
            "single",
            "CPU time",
            "batch"
        )?;
        for p in &self.points {
            row(page, (p.nprobe, p.rescore, p.recall), p.rate, Some(p.batch))?;
        }
        write!(page, "{dim}exact{dim:#}   ")?;
        writeln!(
            page,
            "{:>8} {:>9} {:>10} {:>10}",
            "",
            "1.0000",
            rounded(Some(self.exact.qps)),
            rounded(self.exact.qps_cpu)
        )
    }
}

fn row(
    page: &mut Page<'_>,
    (nprobe, rescore, recall): (usize, usize, f64),
    rate: Rate,
    batch: Option<Rate>,
) -> io::Result<()> {
    writeln!(
        page,
        "{nprobe:>8} {rescore:>8} {recall:>8.4} {:>10} {:>10} {:>10}",
        rounded(Some(rate.qps)),
        rounded(rate.qps_cpu),
        rounded(batch.map(|batch| batch.qps))
    )
}

fn recall_name(k: u32) -> String {
    format!("R@{k}")
}

fn rounded(rate: Option<f64>) -> String {
    rate.map_or_else(String::new, |rate| {
        HumanCount(rate.round() as u64).to_string()
    })
}

/// What `askance encode` wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// The file.
    pub file: PathBuf,
    /// Rows in it.
    pub texts: usize,
    /// Numbers of a row.
    pub dimension: usize,
    /// Name of the encoder.
    pub encoder: String,
    /// Seconds it took, opening the encoder left out.
    pub seconds: f64,
}

impl Encoded {
    /// "5,183 passages in 34.5 s, 150 passages/s".
    pub fn rate(&self) -> String {
        format!(
            "{} passages in {:.1} s, {:.0} passages/s",
            HumanCount(self.texts as u64),
            self.seconds,
            self.texts as f64 / self.seconds.max(1e-9)
        )
    }
}

impl Report for Encoded {
    fn json(&self) -> Value {
        json!({
            "out": json::path(&self.file),
            "rows": self.texts,
            "dimension": self.dimension,
            "encoder": self.encoder,
            "seconds": self.seconds,
        })
    }

    fn human(&self, page: &mut Page<'_>) -> io::Result<()> {
        writeln!(
            page,
            "{}: {} vectors of {} numbers by {}",
            escape(&self.file.to_string_lossy()),
            HumanCount(self.texts as u64),
            self.dimension,
            escape(&self.encoder)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_setting_and_one_for_exact_search() {
        let rate = |qps| Rate {
            qps,
            qps_cpu: Some(2.0 * qps),
        };
        let point = RatedPoint {
            target: None,
            nprobe: 150,
            rescore: 64,
            recall: 0.9554,
            rate: rate(15_612.4),
            batch: rate(16_000.0),
        };
        let curve = Curve {
            vectors: 100_000,
            dimension: 384,
            metric: "ip".into(),
            k: 10,
            threads: 1,
            lists: 3168,
            build_s: 31.26,
            open_ms: 2.04,
            bytes_per_vector: 121.6,
            exact: rate(105.0),
            points: vec![point],
        };
        let mut stream = anstream::StripStream::new(Vec::new());
        let mut page = Page {
            stream: &mut stream,
            columns: 0,
        };
        curve.human(&mut page).expect("memory takes everything");
        let text = String::from_utf8(stream.into_inner()).expect("text");
        let expected = "\
100,000 vectors of 384 numbers in 3,168 lists, built in 31.3 s, opened in 2.0 ms, 121.6 bytes a vector
queries a second, 1 thread
  nprobe  rescore     R@10     single   CPU time      batch
     150       64   0.9554     15,612     31,225     16,000
exact               1.0000        105        210
";
        assert_eq!(text, expected);
        assert_eq!(curve.json()["points"][0]["nprobe"], 150);
        assert_eq!(curve.json()["exact_qps"], 105.0);
    }
}
