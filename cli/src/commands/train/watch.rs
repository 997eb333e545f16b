//! How does a run of training look while it goes on?

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use trainer::gate::Decision;
use trainer::log::{self, Config, Eval, Event, Refresh, Step};

use crate::output::text::duration;
use crate::progress::Meter;

/// Follows the events of a run.
pub(super) struct Watch<'a> {
    meter: &'a Meter<'a>,
    seen: Mutex<Seen>,
}

/// What the status line needs of what went before.
#[derive(Default)]
struct Seen {
    steps: u64,
    refresh_every: u64,
    ndcg: Option<f64>,
    /// Step and time of the last step, and seconds a step takes of late.
    last: Option<Instant>,
    step_seconds: f64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(meter: &'a Meter<'a>) -> Self {
        Self {
            meter,
            seen: Mutex::default(),
        }
    }

    /// Shows one event.
    pub(super) fn event(&self, event: &Event) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Config(config) => {
                seen.begin(config);
                self.configuration(config);
            }
            Event::Step(step) => {
                seen.advance();
                self.meter.status(&seen.status(step));
            }
            Event::Refresh(refresh) => self.meter.note(&renewed(refresh)),
            Event::Eval(eval) => {
                seen.ndcg = Some(eval.ndcg);
                // Encoding and measuring are no part of a step.
                seen.last = None;
                self.meter.note(&measured(eval));
            }
            Event::Note { text, .. } => self.meter.note(text),
            Event::Verdict(verdict) => {
                let word = match verdict.decision {
                    Decision::Adopted => "adopted",
                    Decision::Kept => "not adopted",
                };
                self.meter
                    .note(&format!("{word}: {}", verdict.reasons.join("; ")));
            }
            Event::Diagnostics(_) => {}
        }
    }

    fn configuration(&self, config: &Config) {
        let rows = log::rows(&config.settings);
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        self.meter
            .note(&format!("training for {} steps with", config.steps));
        for (name, value) in rows {
            self.meter.note(&format!("{name:.<width$} {value}"));
        }
    }
}

impl Seen {
    fn begin(&mut self, config: &Config) {
        self.steps = config.steps;
        self.refresh_every = config.settings["refresh_every"].as_u64().unwrap_or(0);
    }

    /// Takes the time since the last step into the mean.
    fn advance(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            let took = (now - last).as_secs_f64();
            let known = self.step_seconds > 0.0;
            self.step_seconds = if known {
                0.9 * self.step_seconds + 0.1 * took
            } else {
                took
            };
        }
    }

    /// "step 120 of 400 · loss 0.312 · nDCG@10 0.7213 · 912 texts/s · corpus encoded anew in 30 steps (12 s)"
    fn status(&self, step: &Step) -> String {
        let done = step.step + 1;
        let mut parts = vec![
            format!("step {done} of {}", self.steps),
            format!("loss {:.3}", step.loss),
        ];
        parts.extend(self.ndcg.map(|ndcg| format!("nDCG@10 {ndcg:.4}")));
        parts.push(format!("{:.0} texts/s", step.sequences_per_second));
        if self.refresh_every > 0 && done < self.steps {
            let left = (self.refresh_every - done % self.refresh_every).min(self.steps - done);
            let time = duration(left as f64 * self.step_seconds);
            parts.push(format!("corpus encoded anew in {left} steps ({time})"));
        }
        parts.join(" · ")
    }
}

/// "step 100: 1,600 candidates by ance (exact) from the encoder of step 100; refused 12 labelled, ..."
fn renewed(refresh: &Refresh) -> String {
    let guards = &refresh.guards;
    let refused = [
        (guards.labelled, "labelled"),
        (guards.same_document, "of the same document"),
        (guards.near_duplicate, "near-duplicate"),
    ];
    let refused: Vec<String> = refused
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let mut text = format!(
        "step {}: negatives from {} ({}), {} behind",
        refresh.step,
        refresh.source.name(),
        refresh.index,
        steps(refresh.staleness())
    );
    if let Some(recall) = refresh.miner_recall {
        text.push_str(&format!(", recall {recall:.3}"));
    }
    if !refused.is_empty() {
        text.push_str(&format!("; refused {}", refused.join(", ")));
    }
    if guards.pairs > 0 {
        let share = 100.0 * guards.margin as f64 / guards.pairs as f64;
        text.push_str(&format!("; {share:.1} % too close to their positive"));
    }
    let seconds = refresh.encode_seconds + refresh.index_seconds + refresh.mine_seconds;
    format!("{text} [{}]", duration(seconds))
}

fn measured(eval: &Eval) -> String {
    format!(
        "step {}: nDCG@10 {:.4}, MRR@10 {:.4} on {} dev queries",
        eval.step, eval.ndcg, eval.mrr, eval.queries
    )
}

fn steps(count: u64) -> String {
    if count == 1 {
        "1 step".to_owned()
    } else {
        format!("{count} steps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_how_far_it_is() {
        let mut seen = Seen {
            steps: 400,
            refresh_every: 100,
            step_seconds: 0.5,
            ..Seen::default()
        };
        let step = |step| Step {
            step,
            loss: 0.25,
            sequences_per_second: 912.4,
            ..Step::default()
        };
        assert_eq!(
            seen.status(&step(119)),
            "step 120 of 400 · loss 0.250 · 912 texts/s · corpus encoded anew in 80 steps (40 s)"
        );
        seen.ndcg = Some(0.7213);
        assert_eq!(
            seen.status(&step(399)),
            "step 400 of 400 · loss 0.250 · nDCG@10 0.7213 · 912 texts/s"
        );
    }
}
