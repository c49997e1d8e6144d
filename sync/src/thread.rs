//! Threads. A model's threads must be spawned here, or the checker does not know them.
//!
//! 1. What was done before `spawn` happens before the thread; the thread happens before `join`
//!    returns.
//! 2. [`hint`] spreads threads over slots; nothing but speed may depend on it. It is the one use of
//!    a thread-local.
//! 3. Who borrows for several threads has them for the length of one call, [`together`]: what was done
//!    before it happens before the calls, and these before it returns. How many calls there are may
//!    change how fast the work is done, and nothing else. loom has no threads that borrow: it
//!    makes the calls one after another, which is one of the orders that there may be.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::mode;

/// A thread that was spawned. Dropping the handle lets the thread run on by itself.
pub struct JoinHandle<T>(mode::thread::JoinHandle<T>);

impl<T> JoinHandle<T> {
    /// Waits for the thread to end.
    ///
    /// # Errors
    /// With the panic that ended it.
    pub fn join(self) -> std::thread::Result<T> {
        self.0.join()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// Runs `body` in a thread of its own.
///
/// # Panics
/// If the system has no more threads; [`Builder::spawn`] returns that as an error.
pub fn spawn<F, T>(body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    JoinHandle(mode::thread::spawn(body))
}

/// A thread in preparation.
#[derive(Debug, Default)]
#[must_use = "nothing runs before `spawn`"]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    /// A thread without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread, for panics and debuggers.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
        }
    }

    /// Runs `body` in a thread of its own.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn spawn<F, T>(self, body: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut builder = mode::thread::Builder::new();
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        builder.spawn(body).map(JoinHandle)
    }
}

/// Has `work` called by this thread and by `helpers` new ones, at the same time; returns when all have,
/// and how many there were: fewer than asked for, if the system has no more threads.
///
/// # Panics
/// If a call did, once all have ended.
pub fn together(name: &str, helpers: usize, work: &(dyn Fn() + Sync)) -> usize {
    mode::thread::together(name, helpers, work)
}

/// How many threads may run at the same time, as far as the system tells. A model's answer is always
/// the same.
#[must_use]
pub fn parallelism() -> usize {
    mode::thread::parallelism()
}

/// Lets another thread run.
#[inline]
pub fn yield_now() {
    mode::thread::yield_now();
}

/// Lets others run for `duration`. The checkers know no time and only let others run.
#[inline]
pub fn sleep(duration: Duration) {
    mode::thread::sleep(duration);
}

/// A small number that stays the same within a thread and mostly differs between threads.
#[inline]
#[must_use]
pub fn hint() -> usize {
    mode::thread::hint()
}
