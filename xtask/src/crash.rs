//! `cargo xtask crash`: the crash sweeps and the kills of real processes.
//!
//! 1. A crash test is a file `tests/crash_*.rs`, run as [`sweep`](crate::sweep) says. It takes the number of
//!    states it should reach from `VELLUM_CRASH_STATES` and prints `crash: N states, M violations`; for a
//!    test that kills processes a state is a process that was killed and reopened.

use crate::cli::CrashOptions;
use crate::error::Result;
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::sweep::{Sweep, Way};

const SWEEP: Sweep = Sweep {
    mode: Mode::Crash,
    prefix: "crash_",
    word: "crash",
    noun: "states",
};

/// Runs the command; true when no promise was broken.
///
/// # Errors
///
/// When there is no crash test, or one does not build.
pub fn run(layout: &Layout, options: &CrashOptions) -> Result<bool> {
    let way = Way {
        filter: options.filter.as_deref(),
        effort: Effort::from_long(options.long),
        environment: &[],
    };
    SWEEP.run(layout, way)
}
