//! `cargo xtask histories`: random transactions, and checkers of what they saw.
//!
//! 1. A test of histories is a file `tests/history_*.rs`, run as [`sweep`](crate::sweep) says. It takes the number
//!    of transactions from `VELLUM_HISTORY_TRANSACTIONS`, or a part of them, and prints `histories: N
//!    transactions, M violations`.
//! 2. With a file for Elle, only the test of lists runs, and not for long: it writes its first history there.

use crate::cli::HistoryOptions;
use crate::error::{Context, Result};
use crate::layout::Layout;
use crate::mode::{Effort, Mode};
use crate::sweep::{Sweep, Way};

const SWEEP: Sweep = Sweep {
    mode: Mode::History,
    prefix: "history_",
    word: "histories",
    noun: "transactions",
};

/// Runs the command; true when no promise was broken.
///
/// # Errors
///
/// When there is no test of histories, or one does not build.
pub fn run(layout: &Layout, options: &HistoryOptions) -> Result<bool> {
    let Some(file) = &options.elle else {
        let way = Way {
            filter: options.filter.as_deref(),
            effort: Effort::from_long(options.long),
            environment: &[],
        };
        return SWEEP.run(layout, way);
    };
    // The test runs in its package's folder.
    let file = std::path::absolute(file).during(|| format!("cannot find {}", file.display()))?;
    let way = Way {
        filter: Some("history_lists"),
        effort: Effort::Brief,
        environment: &[("VELLUM_HISTORY_ELLE", file.clone())],
    };
    let passed = SWEEP.run(layout, way)?;
    let file = file.display();
    println!("elle: {file} is for the model list-append, to be judged as strict-serializable");
    Ok(passed)
}
