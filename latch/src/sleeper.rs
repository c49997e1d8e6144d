//! Where one unit sleeps while it waits for a latch.
//!
//! 1. A verdict is given once for each wait, under the graph's mutex, by whoever took the unit out
//!    of its queue; and taken once, by the unit, which then begins no wait before it has it.
//! 2. The verdict is there before the wake-up, and looked for before and after each sleep. A wake-up
//!    that comes late finds the unit gone, or in a later wait, and is no harm.

use std::time::Duration;

use vellum_sync::{Condvar, Mutex, clock};

use super::error::Cycle;

/// How a wait ended.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The unit is a holder.
    Granted,
    /// The unit is a victim.
    Deadlock(Cycle),
}

/// A unit's place to sleep at.
#[derive(Debug, Default)]
pub(super) struct Sleeper {
    verdict: Mutex<Option<Verdict>>,
    woken: Condvar,
}

impl Sleeper {
    /// Ends the wait; [`wake`](Self::wake) must follow.
    pub(super) fn decide(&self, verdict: Verdict) {
        let before = self.verdict.lock().replace(verdict);
        debug_assert!(before.is_none(), "a wait ends once");
    }

    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// The verdict, if there is one.
    pub(super) fn take(&self) -> Option<Verdict> {
        self.verdict.lock().take()
    }

    /// Sleeps until there is a verdict, or for `timeout`.
    pub(super) fn sleep(&self, timeout: Option<Duration>) -> Option<Verdict> {
        let deadline = timeout.map(|timeout| clock::now().saturating_add(timeout));
        let mut verdict = self.verdict.lock();
        loop {
            if let Some(verdict) = verdict.take() {
                return Some(verdict);
            }
            let Some(deadline) = deadline else {
                self.woken.wait(&mut verdict);
                continue;
            };
            let left = deadline.saturating_sub(clock::now());
            if left.is_zero() || self.woken.wait_timeout(&mut verdict, left) {
                return verdict.take();
            }
        }
    }
}

/// Those whose waits have ended, to be woken when the mutexes are open again.
#[derive(Default)]
#[must_use = "they sleep until `wake_all`"]
pub(super) struct Awoken(Vec<vellum_sync::Arc<Sleeper>>);

impl Awoken {
    pub(super) fn add(&mut self, sleeper: vellum_sync::Arc<Sleeper>, verdict: Verdict) {
        sleeper.decide(verdict);
        self.0.push(sleeper);
    }

    pub(super) fn wake_all(self) {
        for sleeper in self.0 {
            sleeper.wake();
        }
    }
}
