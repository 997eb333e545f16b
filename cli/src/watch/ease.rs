//! Should the machine be left alone now?
//!
//! Small changes always go through, since they cost next to nothing; whole folders wait for mains power and for a quieter
//! moment.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why large work waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strain {
    /// The computer runs on its battery.
    Battery,
    /// Other programs want the processor.
    Load,
}

impl Strain {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Battery => "on battery",
            Self::Load => "the computer is busy",
        }
    }
}

/// Runnable tasks a core from which the computer counts as busy.
const BUSY_PER_CORE: f64 = 1.5;
/// Large work waits this long for a busy computer, then goes on regardless.
const LONGEST_FOR_LOAD: Duration = Duration::from_secs(600);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks at the power supply and the load from time to time.
#[derive(Debug)]
pub struct Ease {
    power: PathBuf,
    load: PathBuf,
    cores: usize,
    looked: Option<Instant>,
    strain: Option<Strain>,
    busy_since: Option<Instant>,
}

impl Ease {
    /// What this computer says of itself; only Linux says it where askance looks.
    pub fn of_this_computer() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::at(
            Path::new("/sys/class/power_supply"),
            Path::new("/proc/loadavg"),
            cores,
        )
    }

    fn at(power: &Path, load: &Path, cores: usize) -> Self {
        Self {
            power: power.to_owned(),
            load: load.to_owned(),
            cores,
            looked: None,
            strain: None,
            busy_since: None,
        }
    }

    /// Why large work should wait, if it should.
    pub fn strain(&mut self, now: Instant) -> Option<Strain> {
        if self.looked.is_none_or(|looked| now >= looked + LOOK_EVERY) {
            self.looked = Some(now);
            self.strain = self.look(now);
        }
        self.strain
    }

    /// The same while large work runs. Its own load does not count.
    pub fn strain_at_work(&mut self, now: Instant) -> Option<Strain> {
        if self.looked.is_none_or(|looked| now >= looked + LOOK_EVERY) {
            self.looked = Some(now);
            self.strain = on_battery(&self.power).then_some(Strain::Battery);
        }
        self.strain.filter(|strain| *strain == Strain::Battery)
    }

    fn look(&mut self, now: Instant) -> Option<Strain> {
        if on_battery(&self.power) {
            return Some(Strain::Battery);
        }
        if !is_busy(&self.load, self.cores) {
            self.busy_since = None;
            return None;
        }
        let since = *self.busy_since.get_or_insert(now);
        (now < since + LONGEST_FOR_LOAD).then_some(Strain::Load)
    }
}

/// Whether a battery of the computer itself is being used up and no mains supply is connected.
fn on_battery(supplies: &Path) -> bool {
    let read = |dir: &Path, name: &str| {
        let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        text.trim().to_owned()
    };
    let entries = std::fs::read_dir(supplies).into_iter().flatten().flatten();
    let (mut draining, mut mains) = (false, false);
    for dir in entries.map(|entry| entry.path()) {
        match read(&dir, "type").as_str() {
            // A mouse's battery has the scope "Device".
            "Battery" if read(&dir, "scope") != "Device" => {
                draining |= read(&dir, "status") == "Discharging"
            }
            "Mains" | "USB" => mains |= read(&dir, "online") == "1",
            _ => {}
        }
    }
    draining && !mains
}

/// Whether the load of the last minute is high for so many cores.
fn is_busy(loadavg: &Path, cores: usize) -> bool {
    let text = std::fs::read_to_string(loadavg).unwrap_or_default();
    let load = text
        .split(' ')
        .next()
        .and_then(|load| load.parse::<f64>().ok());
    load.is_some_and(|load| load > BUSY_PER_CORE * cores as f64)
}

/// Makes room for everybody else: lowers this process's priority and that of what it starts.
#[cfg(unix)]
pub fn stand_back() {
    // Refused nowhere for a lower priority; and without it the work is the same.
    let _ = rustix::process::nice(10);
}

/// Elsewhere the service's own settings do it; `docs/watch.md` says how.
#[cfg(not(unix))]
pub fn stand_back() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Desk(tempfile::TempDir);

    impl Desk {
        fn new() -> Self {
            let desk = Self(tempfile::tempdir().expect("a folder"));
            desk.load("0.10");
            desk
        }

        fn supply(&self, name: &str, files: &[(&str, &str)]) {
            let dir = self.0.path().join("power").join(name);
            fs::create_dir_all(&dir).expect("made");
            for (file, text) in files {
                fs::write(dir.join(file), format!("{text}\n")).expect("written");
            }
        }

        fn load(&self, load: &str) {
            fs::write(
                self.0.path().join("loadavg"),
                format!("{load} 0.2 0.3 1/100 4242\n"),
            )
            .expect("written");
        }

        fn ease(&self) -> Ease {
            Ease::at(
                &self.0.path().join("power"),
                &self.0.path().join("loadavg"),
                2,
            )
        }

        fn strain(&self) -> Option<Strain> {
            self.ease().strain(Instant::now())
        }
    }

    #[test]
    fn a_desktop_is_never_on_battery() {
        assert_eq!(Desk::new().strain(), None);
    }

    #[test]
    fn a_laptop_is_on_battery_without_its_cable() {
        let desk = Desk::new();
        desk.supply("BAT0", &[("type", "Battery"), ("status", "Discharging")]);
        desk.supply("AC", &[("type", "Mains"), ("online", "0")]);
        assert_eq!(desk.strain(), Some(Strain::Battery));
        desk.supply("AC", &[("online", "1")]);
        assert_eq!(desk.strain(), None);
    }

    #[test]
    fn a_mouse_has_a_battery_too() {
        let desk = Desk::new();
        desk.supply(
            "hid",
            &[
                ("type", "Battery"),
                ("scope", "Device"),
                ("status", "Discharging"),
            ],
        );
        assert_eq!(desk.strain(), None);
    }

    #[test]
    fn a_busy_computer_is_waited_for_but_not_for_ever() {
        let desk = Desk::new();
        desk.load("3.50");
        let (mut ease, start) = (desk.ease(), Instant::now());
        assert_eq!(ease.strain(start), Some(Strain::Load));
        assert_eq!(ease.strain_at_work(start), None);
        assert_eq!(ease.strain(start + LONGEST_FOR_LOAD + LOOK_EVERY), None);
        desk.load("0.30");
        assert_eq!(desk.strain(), None);
    }

    #[test]
    fn work_that_runs_notices_the_cable_being_pulled() {
        let desk = Desk::new();
        let (mut ease, start) = (desk.ease(), Instant::now());
        assert_eq!(ease.strain_at_work(start), None);
        desk.supply("BAT0", &[("type", "Battery"), ("status", "Discharging")]);
        assert_eq!(ease.strain_at_work(start + Duration::from_secs(1)), None);
        assert_eq!(
            ease.strain_at_work(start + LOOK_EVERY),
            Some(Strain::Battery)
        );
    }
}
