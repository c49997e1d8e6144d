//! Shuttle's threads.

pub(crate) use shuttle::thread::{Builder, JoinHandle, sleep, spawn, yield_now};

/// Shuttle's tasks are numbered in the order of their spawning.
pub(crate) fn hint() -> usize {
    usize::from(shuttle::current::me())
}
