//! loom's threads.

use std::time::Duration;

pub(crate) use loom::thread::{Builder, JoinHandle, spawn, yield_now};

/// There is no time to sleep through.
pub(crate) fn sleep(_: Duration) {
    yield_now();
}

/// There are no threads that borrow.
pub(crate) fn together(_: &str, helpers: usize, work: &(dyn Fn() + Sync)) -> usize {
    (0..=helpers).for_each(|_| work());
    helpers + 1
}

pub(crate) fn parallelism() -> usize {
    1
}

/// loom numbers the threads of an execution, and shows the number in `ThreadId(3)` only.
pub(crate) fn hint() -> usize {
    let id = format!("{:?}", loom::thread::current().id());
    id.bytes()
        .filter(u8::is_ascii_digit)
        .fold(0, |n, digit| n * 10 + usize::from(digit - b'0'))
}
