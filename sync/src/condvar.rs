//! Waiting, under a mutex, for what another thread will do. Any thread may call anything.
//!
//! 1. Opening the mutex and beginning to wait are one step: whoever changes the condition under
//!    the mutex and then notifies wakes every thread that had found it wanting.
//! 2. A wait may end without a notification: callers check their condition again, in a loop.
//! 3. One condvar is used with one mutex.
//! 4. `wait_timeout` may say that the time ran out although a notification is on its way. Under
//!    shuttle it does so at random; under loom, which knows no time, never, so that a protocol
//!    that rests on time-outs shows there as a deadlock.

use std::fmt;
use std::time::Duration;

use crate::{MutexGuard, mode};

/// A place to wait at.
pub struct Condvar(mode::Condvar);

impl Condvar {
    /// One that nobody waits at.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self(mode::Condvar::new())
    }

    /// Opens the guard's mutex, waits for a notification, takes the mutex again.
    #[inline]
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        self.0.wait(&mut guard.0);
    }

    /// Like [`wait`](Self::wait), for `timeout` at most. Whether the time ran out.
    #[inline]
    pub fn wait_timeout<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        self.0.wait_for(&mut guard.0, timeout).timed_out()
    }

    /// Wakes one thread of those that wait.
    #[inline]
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    #[inline]
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}
