//! How far is it, and how long will it take?
//!
//! Bars on a terminal, one a stage; elsewhere a line from time to time, so that a log shows that work goes on.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use storage::Progress;

use crate::output::text::duration;
use crate::talk::Talk;

/// Work shorter than this shows no plain line at all.
const FIRST_LINE: Duration = Duration::from_secs(3);
/// Time between two plain lines of a stage.
const NEXT_LINE: Duration = Duration::from_secs(10);

/// Time between two pictures of a bar, so that the time left goes on while one step takes long.
const TICK: Duration = Duration::from_millis(250);

const BAR: &str =
    "{msg:20} {bar:24.cyan/dim} {human_pos:>9} of {human_len:<9} {rate:>9}  {eta} left";
const STATUS: &str = "{msg}";
const COUNT: &str = "{msg:20} {spinner:.cyan} {human_pos:>9} {rate:>9}";

/// Shows the reports of one piece of long work; cleared when dropped.
pub struct Meter<'a> {
    talk: &'a Talk,
    bars: MultiProgress,
    stages: Mutex<Vec<Stage>>,
    status: Mutex<Status>,
}

/// One line that says how things stand, in words.
#[derive(Default)]
struct Status {
    bar: Option<ProgressBar>,
    next_line: Option<Instant>,
}

struct Stage {
    name: &'static str,
    bar: ProgressBar,
    begun: Instant,
    next_line: Instant,
    done: u64,
}

impl<'a> Meter<'a> {
    /// A display with nothing on it yet.
    pub fn new(talk: &'a Talk) -> Self {
        Self {
            talk,
            bars: MultiProgress::new(),
            stages: Mutex::default(),
            status: Mutex::default(),
        }
    }

    /// Says something above the bars.
    pub fn note(&self, text: &str) {
        self.bars.suspend(|| self.talk.note(text));
    }

    /// Shows how things stand: below the bars, or elsewhere as a line from time to time.
    pub fn status(&self, text: &str) {
        if self.talk.is_quiet() {
            return;
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if self.talk.draws_bars() {
            let bar = status.bar.get_or_insert_with(|| {
                let bar = ProgressBar::no_length().with_style(template_style(STATUS));
                self.bars.add(bar)
            });
            bar.set_message(text.to_owned());
        } else if status.next_line.is_none_or(|next| Instant::now() >= next) {
            status.next_line = Some(Instant::now() + NEXT_LINE);
            self.talk.note(text);
        }
    }

    /// Takes one report. Stages may alternate.
    pub fn report(&self, progress: Progress) {
        if self.talk.is_quiet() {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let known = stages.iter().position(|stage| stage.name == progress.stage);
        let index = known.unwrap_or_else(|| {
            stages.push(self.stage(progress.stage));
            stages.len() - 1
        });
        let Some(stage) = stages.get_mut(index) else {
            return;
        };
        if self.talk.draws_bars() {
            stage.draw(progress);
        } else if let Some(line) = stage.line(progress, Instant::now()) {
            self.talk.note(&line);
        }
    }

    fn stage(&self, name: &'static str) -> Stage {
        let begun = Instant::now();
        let mut bar = ProgressBar::hidden();
        if self.talk.draws_bars() {
            bar = self.bars.add(ProgressBar::no_length().with_message(name));
            bar.enable_steady_tick(TICK);
        }
        Stage {
            name,
            bar,
            begun,
            next_line: begun + FIRST_LINE,
            done: 0,
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        // Drawing failed before if it fails here; the work itself does not care.
        let _ = self.bars.clear();
    }
}

impl Stage {
    fn draw(&mut self, progress: Progress) {
        if self.starts_over(progress) {
            self.bar.reset();
        }
        let total = (progress.total > 0).then_some(progress.total);
        if self.bar.length() != total || self.bar.position() == 0 {
            let template = if total.is_some() { BAR } else { COUNT };
            self.bar.set_style(template_style(template));
            match total {
                Some(total) => self.bar.set_length(total),
                None => self.bar.unset_length(),
            }
        }
        self.bar.set_position(progress.done);
    }

    /// Whether the stage began anew and has to be timed anew. Reports of several threads come a little out of order.
    fn starts_over(&mut self, progress: Progress) -> bool {
        let before = std::mem::replace(&mut self.done, progress.done);
        2 * progress.done < before
    }

    /// The line to print now, if it is time for one.
    fn line(&mut self, progress: Progress, now: Instant) -> Option<String> {
        if self.starts_over(progress) {
            (self.begun, self.next_line) = (now, now + FIRST_LINE);
        }
        if now < self.next_line {
            return None;
        }
        self.next_line = now + NEXT_LINE;
        Some(plain(progress, now - self.begun))
    }
}

fn template_style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A rate that cannot be written is no reason to stop.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", rate)
}

/// "reading files: 1,200 of 5,000, 310/s, 12 s left"
fn plain(progress: Progress, elapsed: Duration) -> String {
    let Progress { stage, done, total } = progress;
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    let done_text = HumanCount(done);
    if total == 0 || done == 0 {
        return format!("{stage}: {done_text}, {rate:.0}/s");
    }
    let left = duration(total.saturating_sub(done) as f64 / rate);
    format!(
        "{stage}: {done_text} of {}, {rate:.0}/s, {left} left",
        HumanCount(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: u64, total: u64) -> Progress {
        Progress {
            stage: "reading files",
            done,
            total,
        }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let elapsed = Duration::from_secs(4);
        assert_eq!(
            plain(at(1200, 5000), elapsed),
            "reading files: 1,200 of 5,000, 300/s, 13 s left"
        );
        assert_eq!(plain(at(1200, 0), elapsed), "reading files: 1,200, 300/s");
        assert_eq!(plain(at(0, 10), elapsed), "reading files: 0, 0/s");
    }

    #[test]
    fn lines_come_at_intervals() {
        let begun = Instant::now();
        let mut stage = Stage {
            name: "reading files",
            bar: ProgressBar::hidden(),
            begun,
            next_line: begun + FIRST_LINE,
            done: 0,
        };
        let seconds = (0..30).filter(|s| {
            stage
                .line(at(1, 2), begun + Duration::from_secs(*s))
                .is_some()
        });
        assert_eq!(seconds.collect::<Vec<_>>(), [3, 13, 23]);
    }

    #[test]
    fn a_stage_that_starts_over_is_timed_anew() {
        let begun = Instant::now();
        let mut stage = Stage {
            name: "reading files",
            bar: ProgressBar::hidden(),
            begun,
            next_line: begun,
            done: 0,
        };
        let second = Duration::from_secs(1);
        assert!(stage.line(at(90, 100), begun + second).is_some());
        assert_eq!(stage.line(at(5, 100), begun + 600 * second), None);
        assert_eq!(
            stage.line(at(20, 100), begun + 604 * second).as_deref(),
            Some("reading files: 20 of 100, 5/s, 16 s left")
        );
    }

    #[test]
    fn templates_are_valid() {
        for template in [BAR, COUNT, STATUS] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
