//! How large is the learning rate at this step?

use serde::{Deserialize, Serialize};

/// Linear warm-up to the peak, then linear decay to 0 at the last step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warm_up: u64,
    /// Steps in all.
    pub total: u64,
}

impl Schedule {
    /// The rate of step `step`, counted from 0, as `get_linear_schedule_with_warmup` of transformers has it.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warm_up {
            return self.peak * step as f64 / self.warm_up as f64;
        }
        let left = self.total.saturating_sub(step) as f64;
        let decay = self.total.saturating_sub(self.warm_up).max(1) as f64;
        self.peak * (left / decay).min(1.0)
    }
}
