//! Shuttle's threads.

pub(crate) use shuttle::thread::{Builder, JoinHandle, sleep, spawn, yield_now};

pub(crate) fn together(_: &str, helpers: usize, work: &(dyn Fn() + Sync)) -> usize {
    shuttle::thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(work);
        }
        work();
    });
    helpers + 1
}

pub(crate) fn parallelism() -> usize {
    2
}

/// Shuttle's tasks are numbered in the order of their spawning.
pub(crate) fn hint() -> usize {
    usize::from(shuttle::current::me())
}
