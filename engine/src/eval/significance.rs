//! Is the difference between two systems more than chance?
//!
//! The paired randomisation test, two-sided (Fisher; Smucker, Allan and Carterette, CIKM 2007): if both systems were
//! the same, which of a query's two values belongs to which system would be a coin flip. p is the share of flips
//! whose mean difference is at least as far from zero as the one observed.

use super::Scores;

/// Flips drawn where there are too many to try them all.
pub const FLIPS: u64 = 10_000;

/// Two systems over the same queries; differences are the second less the first.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Comparison {
    /// Queries both were measured on.
    pub queries: usize,
    /// Mean of the differences.
    pub mean_difference: f64,
    /// Queries on which the second is better.
    pub wins: usize,
    /// Queries on which the second is worse.
    pub losses: usize,
    /// Queries on which the two are equal.
    pub ties: usize,
    /// Probability of a mean difference this large if the systems were the same; 1 if they never differ.
    pub p: f64,
    /// Whether every flip was tried. Otherwise p is estimated from [`FLIPS`] draws as (at least as large + 1) /
    /// (draws + 1), which is never 0.
    pub exact: bool,
}

/// Two score lists cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The metrics differ.
    #[error("cannot compare {0} with {1}; measure both systems by one metric")]
    Metrics(String, String),
    /// The queries differ, so the judgements did.
    #[error(
        "the two systems were measured on different queries ({0:?} stands in one only); use the same judgements for both"
    )]
    Queries(String),
}

/// Compares `first` with `second`, query by query. The same `seed` gives the same p.
///
/// # Errors
/// The two were not measured by one metric on one set of judgements.
pub fn compare(first: &Scores, second: &Scores, seed: u64) -> Result<Comparison, CompareError> {
    if first.metric != second.metric {
        return Err(CompareError::Metrics(
            first.metric.to_string(),
            second.metric.to_string(),
        ));
    }
    if let Some(query) = unmatched(first, second) {
        return Err(CompareError::Queries(query));
    }
    let pairs = first.per_query.iter().zip(&second.per_query);
    let differences: Vec<f64> = pairs.map(|((_, a), (_, b))| b - a).collect();
    Ok(paired_randomisation(&differences, seed))
}

/// A query that only one of the two has. Both are in ascending order of id.
fn unmatched(first: &Scores, second: &Scores) -> Option<String> {
    let (a, b) = (&first.per_query, &second.per_query);
    let differing = a
        .iter()
        .zip(b)
        .find(|((a, _), (b, _))| a != b)
        .map(|((a, _), (b, _))| a.min(b));
    let surplus = || {
        let longer = if a.len() > b.len() { a } else { b };
        longer.get(a.len().min(b.len())).map(|(id, _)| id)
    };
    differing.or_else(surplus).cloned()
}

/// The test on the differences of the pairs, which have to be finite.
pub fn paired_randomisation(differences: &[f64], seed: u64) -> Comparison {
    let count = |sign: fn(&f64) -> bool| differences.iter().filter(|d| sign(d)).count();
    let (wins, losses) = (count(|d| *d > 0.0), count(|d| *d < 0.0));
    // A pair without a difference is the same under every flip.
    let moving: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let (p, exact) = p_value(&moving, seed);
    Comparison {
        queries: differences.len(),
        mean_difference: differences.iter().sum::<f64>() / differences.len().max(1) as f64,
        wins,
        losses,
        ties: differences.len() - wins - losses,
        p,
        exact,
    }
}

fn p_value(moving: &[f64], seed: u64) -> (f64, bool) {
    // The same sum in another order differs by rounding; such flips are as large as the one observed.
    let slack = 1e-12 * moving.iter().map(|d| d.abs()).sum::<f64>();
    let observed = moving.iter().sum::<f64>().abs() - slack;
    let as_large = |signs: &mut dyn FnMut(usize) -> bool| {
        let flipped = moving
            .iter()
            .enumerate()
            .map(|(i, d)| if signs(i) { -d } else { *d });
        flipped.sum::<f64>().abs() >= observed
    };
    if moving.len() < 64 && 1 << moving.len() <= FLIPS {
        let all = 1u64 << moving.len();
        let hits = (0..all)
            .filter(|flip| as_large(&mut |i| flip >> i & 1 == 1))
            .count();
        return (hits as f64 / all as f64, true);
    }
    let mut coin = Coin::new(seed);
    let hits = (0..FLIPS)
        .filter(|_| as_large(&mut |_| coin.flip()))
        .count();
    ((hits + 1) as f64 / (FLIPS + 1) as f64, false)
}

/// Fair coin flips from SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), 64 at a time.
struct Coin {
    state: u64,
    bits: u64,
    left: u32,
}

impl Coin {
    fn new(seed: u64) -> Self {
        Self {
            state: seed,
            bits: 0,
            left: 0,
        }
    }

    fn flip(&mut self) -> bool {
        if self.left == 0 {
            (self.bits, self.left) = (self.draw(), 64);
        }
        let heads = self.bits & 1 == 1;
        (self.bits, self.left) = (self.bits >> 1, self.left - 1);
        heads
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
