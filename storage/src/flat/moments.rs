//! What are the mean and the deviation of very many scores?

/// Count, mean and sum of squared deviations, joined pairwise: Chan, Golub and LeVeque, "Updating
/// formulae and a pairwise algorithm for computing sample variances", 1979, equations 1.5.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    /// Σ (x - mean)².
    squares: f64,
}

impl Moments {
    /// The moments of `scores`, in two passes.
    pub(super) fn of(scores: &[f32]) -> Self {
        if scores.is_empty() {
            return Self::default();
        }
        let mean = scores.iter().map(|&x| f64::from(x)).sum::<f64>() / scores.len() as f64;
        let squares = scores.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
        Self {
            count: scores.len() as u64,
            mean,
            squares,
        }
    }

    /// Adds the numbers that `other` stands for.
    pub(super) fn join(&mut self, other: &Moments) {
        let count = self.count + other.count;
        if count == 0 {
            return;
        }
        let share = other.count as f64 / count as f64;
        let apart = other.mean - self.mean;
        self.squares += other.squares + apart * apart * self.count as f64 * share;
        self.mean += apart * share;
        self.count = count;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation with divisor n.
    pub(super) fn deviation(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        (self.squares / self.count as f64).sqrt()
    }
}
