//! The checker's condvar, lending guards instead of taking them.
//!
//! 1. Where the mode has randomness, a wait ends at random without a notification.
//! 2. There, a wait with a time-out never blocks: it opens the mutex for a moment, then says at
//!    random that the time ran out or nothing at all. So it always ends, as the face promises.
//! 3. Where the mode has none, a time-out never comes.

use std::sync::PoisonError;
use std::time::Duration;

use super::mutex::MutexGuard;
use crate::mode::{self, native};

pub(crate) struct Condvar(native::Condvar);

pub(crate) struct WaitResult(bool);

impl WaitResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(native::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if mode::wakes_spuriously() {
            return guard.reopen();
        }
        guard.lend(|native| self.0.wait(native).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _: Duration) -> WaitResult {
        let Some(timed_out) = mode::times_out() else {
            self.wait(guard);
            return WaitResult(false);
        };
        guard.reopen();
        WaitResult(timed_out)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
