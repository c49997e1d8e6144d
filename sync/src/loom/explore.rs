//! Exhausting a model.
//!
//! 1. The search ends when every execution within the bound on preemptions was seen, or at the cap.
//! 2. A loop that waits for another thread must give way (`hint::spin_loop`); one that does not runs
//!    into the limit on branches, which fails the model.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Bounds, Explored};

/// Steps of one execution at which loom gives up, unless `LOOM_MAX_BRANCHES` says another number.
const BRANCHES_MAX: usize = 10_000;

/// Executions between two looks at the cap.
const INTERVAL: usize = 1_000;

pub(crate) fn explore(bounds: &Bounds, model: impl Fn() + Send + Sync + 'static) -> Explored {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bounds.preemptions;
    if std::env::var_os("LOOM_MAX_BRANCHES").is_none() {
        builder.max_branches = BRANCHES_MAX;
    }
    // loom looks at its cap before an execution, and only once in an interval.
    let cap = usize::try_from(bounds.executions)
        .unwrap_or(usize::MAX)
        .saturating_add(1);
    builder.max_permutations = Some(cap);
    builder.checkpoint_interval = cap.min(INTERVAL);
    let runs = StdArc::new(AtomicU64::new(0));
    let counted = StdArc::clone(&runs);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    Explored {
        runs,
        all: runs < bounds.executions,
    }
}
