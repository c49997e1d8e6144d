//! Running a scenario under many schedules.
//!
//! 1. Half of the schedules choose uniformly at each step; the other half follow PCT (Burckhardt et
//!    al., ASPLOS 2010), which finds what takes few but well-placed preemptions in long runs.
//! 2. The seed is the same in each run, so that what a run found the next one finds;
//!    `SHUTTLE_RANDOM_SEED` sets another. A failure prints its schedule and its seed.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, Runner};

use crate::model::{Bounds, Explored};

const SEED: u64 = 0x5EED_0F5C_4ED0_1E55;
/// Preemptions that PCT places, plus one.
const PCT_DEPTH: usize = 3;
/// Shuttle's own 60 KiB are too few for a whole engine.
const STACK_BYTES: usize = 1 << 20;

pub(crate) fn explore(bounds: &Bounds, model: impl Fn() + Send + Sync + 'static) -> Explored {
    let model = StdArc::new(model);
    if let Some(file) = &bounds.replay {
        return match ReplayScheduler::new_from_file(file) {
            Ok(scheduler) => run(scheduler, &model),
            Err(error) => unreachable!("no schedule to replay in {}: {error}", file.display()),
        };
    }
    let schedules = bounds.schedules.max(1);
    let mut explored = run(
        RandomScheduler::new_from_seed(SEED, schedules.div_ceil(2)),
        &model,
    );
    if has_choices(&model) && schedules > 1 {
        let pct = PctScheduler::new_from_seed(SEED, PCT_DEPTH, schedules / 2);
        explored.runs += run(pct, &model).runs;
    }
    explored
}

/// Whether PCT's first execution, which lets the oldest task run, meets a choice between tasks. If
/// not, PCT takes its second for a mistake and panics.
fn has_choices<M: Fn() + Send + Sync + 'static>(model: &StdArc<M>) -> bool {
    let chosen = StdArc::new(AtomicBool::new(false));
    let first = PctScheduler::new_from_seed(SEED, PCT_DEPTH, 1);
    run(
        Watched {
            scheduler: first,
            chosen: StdArc::clone(&chosen),
        },
        model,
    );
    chosen.load(Ordering::Relaxed)
}

fn run<M: Fn() + Send + Sync + 'static>(
    scheduler: impl Scheduler + 'static,
    model: &StdArc<M>,
) -> Explored {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.silence_warnings = true;
    let model = StdArc::clone(model);
    let runs = Runner::new(scheduler, config).run(move || model());
    Explored {
        runs: runs as u64,
        all: false,
    }
}

/// Notes whether there was ever a choice between tasks.
struct Watched<S> {
    scheduler: S,
    chosen: StdArc<AtomicBool>,
}

impl<S: Scheduler> Scheduler for Watched<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.scheduler.new_execution()
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        if runnable.len() > 1 {
            self.chosen.store(true, Ordering::Relaxed);
        }
        self.scheduler.next_task(runnable, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.scheduler.next_u64()
    }
}
