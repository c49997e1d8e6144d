//! The modes in which tests are built and run, with their flags, features, bounds and time limits.
//!
//! 1. Flags select a checker (`--cfg vellum_loom`), features only bring its dependency; both are set
//!    here and nowhere else.
//! 2. A model bounds itself so that it ends within seconds; only a long run sets other bounds.
//! 3. A bound that the environment sets already is left alone, so that one model can be pushed
//!    further by hand.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// How a test is built and run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// As users build it, unoptimised.
    Std,
    /// Under loom: weak memory, exhaustive up to bounds.
    Loom,
    /// Under shuttle: random schedules, sequentially consistent.
    Shuttle,
    /// As users build it, optimised with assertions: crash sweeps.
    Crash,
    /// The same build: histories of random transactions.
    History,
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A quick look, for a mutant that is to be caught.
    Brief,
    /// Minutes in all: before every commit.
    Bounded,
    /// Hours.
    Long,
}

impl Effort {
    /// The effort that a `--long` switch asks for.
    #[must_use]
    pub fn from_long(long: bool) -> Self {
        if long { Self::Long } else { Self::Bounded }
    }
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Std,
        Self::Loom,
        Self::Shuttle,
        Self::Crash,
        Self::History,
    ];

    /// The mode that a mutant's header names.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Its name in headers and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
            Self::Crash => "crash",
            Self::History => "history",
        }
    }

    /// The cfg that selects the checker, if there is one.
    #[must_use]
    pub fn checker_cfg(self) -> Option<&'static str> {
        match self {
            Self::Loom => Some("vellum_loom"),
            Self::Shuttle => Some("vellum_shuttle"),
            Self::Std | Self::Crash | Self::History => None,
        }
    }

    /// The target directory below `target`.
    #[must_use]
    pub fn target(self, target: &Path) -> PathBuf {
        match self {
            Self::Std | Self::Crash | Self::History => target.to_path_buf(),
            Self::Loom | Self::Shuttle => target.join("model").join(self.name()),
        }
    }

    /// Adds profile, features and flags to a cargo command for `package`.
    pub fn configure(self, command: &mut Command, package: &str) {
        if self != Self::Std {
            command.args(["--profile", "model"]);
        }
        if let Some(cfg) = self.checker_cfg() {
            command
                .arg("--features")
                .arg(format!("{package}/{}", self.name()));
            let given = env::var("RUSTFLAGS").unwrap_or_default();
            command.env("RUSTFLAGS", format!("{given} --cfg {cfg}").trim());
        }
    }

    /// The environment that bounds a test's work.
    #[must_use]
    pub fn bounds(self, effort: Effort) -> Vec<(&'static str, &'static str)> {
        let long = effort == Effort::Long;
        match self {
            Self::Loom if long => {
                vec![
                    ("VELLUM_LOOM_PREEMPTIONS", "none"),
                    ("VELLUM_LOOM_EXECUTIONS", "1000000"),
                ]
            }
            Self::Shuttle if long => vec![("VELLUM_SHUTTLE_TIMES", "30")],
            Self::Loom | Self::Shuttle => Vec::new(),
            Self::Crash => vec![(
                "VELLUM_CRASH_STATES",
                match effort {
                    Effort::Brief => "4000",
                    Effort::Bounded => "8000",
                    Effort::Long => "200000",
                },
            )],
            Self::History => vec![(
                "VELLUM_HISTORY_TRANSACTIONS",
                match effort {
                    Effort::Brief => "60000",
                    Effort::Bounded => "1000000",
                    Effort::Long => "10000000",
                },
            )],
            Self::Std => vec![("PROPTEST_CASES", if long { "4096" } else { "256" })],
        }
    }

    /// How long one test may take before it counts as hung.
    #[must_use]
    pub fn limit(self, effort: Effort) -> Duration {
        let minutes = match (self, effort) {
            (_, Effort::Brief) => 3,
            (Self::Std, Effort::Bounded) => 8,
            (Self::Loom, Effort::Bounded) => 3,
            (Self::Shuttle, Effort::Bounded) => 4,
            (Self::Crash | Self::History, Effort::Bounded) => 10,
            (_, Effort::Long) => 180,
        };
        Duration::from_secs(minutes * 60)
    }

    /// How many tests run at a time. Those of histories have threads of their own, which are to run at once.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::History => 1,
            _ => thread::available_parallelism().map_or(2, std::num::NonZero::get),
        }
    }

    /// Sets the bounds that the environment does not set already.
    pub fn bound(self, command: &mut Command, effort: Effort) {
        for (name, value) in self.bounds(effort) {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(mode: Mode) -> (Vec<String>, Option<String>) {
        let mut command = Command::new("cargo");
        mode.configure(&mut command, "vellum-x");
        let arguments = command
            .get_args()
            .map(|one| one.to_string_lossy().into_owned())
            .collect();
        let flags = command.get_envs().find(|(name, _)| *name == "RUSTFLAGS");
        (
            arguments,
            flags.and_then(|(_, value)| Some(value?.to_string_lossy().into_owned())),
        )
    }

    #[test]
    fn names_round_trip() {
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(mode.name()), Some(mode));
        }
        assert_eq!(Mode::parse("miri"), None);
    }

    #[test]
    fn a_checker_brings_flag_feature_profile_and_a_directory_of_its_own() {
        let (arguments, flags) = arguments(Mode::Loom);
        assert_eq!(
            arguments,
            ["--profile", "model", "--features", "vellum-x/loom"]
        );
        assert!(flags.is_some_and(|flags| flags.ends_with("--cfg vellum_loom")));
        let target = Path::new("t");
        assert_ne!(Mode::Loom.target(target), Mode::Std.target(target));
        assert_ne!(Mode::Loom.target(target), Mode::Shuttle.target(target));
    }

    #[test]
    fn the_ordinary_build_gets_no_flags() {
        assert_eq!(arguments(Mode::Std), (Vec::new(), None));
        assert_eq!(arguments(Mode::Crash).1, None);
        assert_eq!(arguments(Mode::History), arguments(Mode::Crash));
    }

    #[test]
    fn models_bound_themselves_but_for_long_runs() {
        for mode in [Mode::Loom, Mode::Shuttle] {
            assert!(mode.bounds(Effort::Bounded).is_empty());
            assert!(mode.bounds(Effort::Brief).is_empty());
            assert!(!mode.bounds(Effort::Long).is_empty());
        }
    }

    #[test]
    fn more_effort_means_more_states_and_more_time() {
        let efforts = [Effort::Brief, Effort::Bounded, Effort::Long];
        for mode in [Mode::Crash, Mode::History] {
            let bounds = efforts.map(|effort| mode.bounds(effort)[0].1.parse::<u64>().unwrap());
            assert!(bounds.is_sorted_by(|a, b| a < b));
            assert!(efforts.map(|effort| mode.limit(effort)).is_sorted());
        }
    }
}
