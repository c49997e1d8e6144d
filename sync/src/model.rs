//! How models are run. Only tests call this.
//!
//! 1. A model is a closure that builds its state, spawns at most a few threads through
//!    [`thread`](crate::thread), joins them and asserts. It keeps nothing from one run to the next.
//! 2. A model bounds itself, so that it ends within seconds; whoever runs it may set other bounds:
//!
//!    | variable | |
//!    |---|---|
//!    | `VELLUM_LOOM_PREEMPTIONS` | preemptions in an execution under loom, or `none` for all |
//!    | `VELLUM_LOOM_EXECUTIONS` | executions at which loom stops |
//!    | `VELLUM_SHUTTLE_ITERATIONS` | schedules under shuttle |
//!    | `VELLUM_SHUTTLE_TIMES` | times as many schedules as the model's own |
//!    | `VELLUM_SHUTTLE_REPLAY` | a file with the schedule that a failure printed: run just that |
//!    | `SHUTTLE_RANDOM_SEED` | the seed that a failure printed, or any other |
//!    | `VELLUM_STD_RUNS` | runs on real threads |
//!
//! 3. Each model reports its figures on a line `model <name>: …` of the standard output.
//! 4. A deadlock under loom aborts the process: `cargo xtask models` gives each test its own.

use std::path::PathBuf;
use std::str::FromStr;

use crate::mode;

/// The way in which this build explores a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Real threads, a number of times.
    Std,
    /// Every execution, weak memory included.
    Loom,
    /// Random schedules.
    Shuttle,
}

/// The mode of this build.
pub const MODE: Mode = mode::MODE;

/// How far the search goes.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Preemptions of one execution; loom looks at all executions if there is no bound.
    pub(crate) preemptions: Option<usize>,
    /// Executions at which loom stops.
    pub(crate) executions: u64,
    /// Schedules of shuttle.
    pub(crate) schedules: usize,
    /// Runs on real threads.
    pub(crate) runs: usize,
    /// The one schedule to follow.
    pub(crate) replay: Option<PathBuf>,
}

/// How far the search went.
pub(crate) struct Explored {
    pub(crate) runs: u64,
    /// Whether the search ended for want of further executions.
    pub(crate) all: bool,
}

/// A model's name and bounds.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `check`"]
pub struct Model {
    name: String,
    bounds: Bounds,
}

impl Model {
    /// A model that is explored without a bound on preemptions, up to a million executions;
    /// 10,000 schedules; or 200 runs.
    pub fn new(name: impl Into<String>) -> Self {
        let bounds = Bounds {
            preemptions: None,
            executions: 1_000_000,
            schedules: 10_000,
            runs: 200,
            replay: None,
        };
        Self {
            name: name.into(),
            bounds,
        }
    }

    /// Looks only at executions with at most so many preemptions: most bugs take two.
    pub fn preemptions(mut self, max: usize) -> Self {
        self.bounds.preemptions = Some(max);
        self
    }

    /// Stops loom after so many executions.
    pub fn executions(mut self, max: u64) -> Self {
        self.bounds.executions = max;
        self
    }

    /// Runs so many schedules under shuttle.
    pub fn schedules(mut self, count: usize) -> Self {
        self.bounds.schedules = count;
        self
    }

    /// Runs so many times on real threads.
    pub fn runs(mut self, count: usize) -> Self {
        self.bounds.runs = count;
        self
    }

    /// Explores `model` in this build's way.
    ///
    /// # Panics
    /// With the model, in the first execution found in which it does.
    pub fn check(mut self, model: impl Fn() + Send + Sync + 'static) {
        self.bounds.adopt_environment();
        let explored = mode::explore(&self.bounds, model);
        let (runs, what) = match (MODE, explored.all) {
            (Mode::Std, _) => (explored.runs, "runs"),
            (Mode::Shuttle, _) => (explored.runs, "schedules"),
            (Mode::Loom, false) => (explored.runs, "executions, stopped at the cap"),
            (Mode::Loom, true) => (explored.runs, "executions, exhausted"),
        };
        match self.bounds.preemptions {
            Some(max) if MODE == Mode::Loom => {
                println!("model {}: {runs} {what} (preemptions <= {max})", self.name);
            }
            _ => println!("model {}: {runs} {what}", self.name),
        }
    }
}

/// Explores `model` with the bounds of [`Model::new`].
///
/// # Panics
/// With the model.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    let thread = std::thread::current();
    Model::new(thread.name().unwrap_or("unnamed")).check(model);
}

impl Bounds {
    fn adopt_environment(&mut self) {
        match std::env::var("VELLUM_LOOM_PREEMPTIONS").as_deref() {
            Ok("none") => self.preemptions = None,
            Ok(_) => self.preemptions = variable("VELLUM_LOOM_PREEMPTIONS").or(self.preemptions),
            Err(_) => {}
        }
        self.executions = variable("VELLUM_LOOM_EXECUTIONS").unwrap_or(self.executions);
        self.schedules *= variable("VELLUM_SHUTTLE_TIMES").unwrap_or(1);
        self.schedules = variable("VELLUM_SHUTTLE_ITERATIONS").unwrap_or(self.schedules);
        self.runs = variable("VELLUM_STD_RUNS").unwrap_or(self.runs);
        self.replay = variable("VELLUM_SHUTTLE_REPLAY");
    }
}

/// The variable's value.
///
/// # Panics
/// If it is set to what cannot be used: a bound that is silently not kept would prove nothing.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let parsed = value.parse().ok();
    assert!(parsed.is_some(), "{name} cannot be {value:?}");
    parsed
}
