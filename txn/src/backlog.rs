//! Sealed generations that wait for their merge: who merges learns of them here, and committers who
//! would seal one too many wait here.
//!
//! # Rules
//! 1. A committer waits outside the gate and holds nothing that a merge, a seal or the log could wait
//!    for [4]; so a merge always gets on, and with it those who wait for it.
//! 2. At most `limit` generations wait at once, apart from those that were sealed by request. A store
//!    that nobody merges has no limit.
//! 3. Every seal wakes the merger, and every merge, failure and end wakes all committers: each looks
//!    at the count again under the mutex, so no wake-up is lost.
//! 4. While merging fails, committers who would wait get the cause instead, until a merge succeeds or
//!    the merger says that it is well.

use std::time::Duration;

use vellum_sync::{Condvar, Mutex};

use crate::log::LogError;

/// Why the merger was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A generation was sealed.
    Work,
    /// The time is up.
    Time,
    /// The store is being closed.
    End,
}

/// See the module's rules.
#[derive(Default)]
pub struct Backlog {
    state: Mutex<State>,
    room: Condvar,
    work: Condvar,
}

#[derive(Default)]
struct State {
    sealed: usize,
    /// `None`: nobody merges.
    limit: Option<usize>,
    news: bool,
    failed: Option<LogError>,
    ended: bool,
}

impl Backlog {
    /// From now on somebody merges; `limit` generations may wait for it.
    pub fn limit_to(&self, limit: usize) {
        self.state.lock().limit = Some(limit.max(1));
    }

    /// Whether somebody merges.
    pub(crate) fn is_limited(&self) -> bool {
        self.state.lock().limit.is_some()
    }

    /// Generations that wait.
    #[must_use]
    pub fn sealed(&self) -> usize {
        self.state.lock().sealed
    }

    pub(crate) fn add(&self) {
        let mut state = self.state.lock();
        state.sealed += 1;
        state.news = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    pub(crate) fn remove(&self, merged: usize) {
        let mut state = self.state.lock();
        state.sealed = state.sealed.saturating_sub(merged);
        state.failed = None;
        self.room.notify_all();
    }

    /// Merging failed (rule 4).
    pub fn fail(&self, error: LogError) {
        self.state.lock().failed = Some(error);
        self.room.notify_all();
    }

    /// Merging does not fail any more (rule 4).
    pub fn recover(&self) {
        self.state.lock().failed = None;
    }

    /// Nobody merges any more; committers wait no longer.
    pub fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// Returns when one more may be sealed, or `is_full` is true no longer: another sealed.
    pub(crate) fn wait_for_room(&self, is_full: impl Fn() -> bool) -> Result<(), LogError> {
        let mut state = self.state.lock();
        while state.limit.is_some_and(|limit| state.sealed >= limit) && is_full() {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.ended {
                return Err(LogError::Closed);
            }
            self.room.wait(&mut state);
        }
        Ok(())
    }

    /// Returns when there is something to do: for the one who merges.
    pub fn wait_for_work(&self, most: Duration) -> Wake {
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return Wake::End;
            }
            if std::mem::take(&mut state.news) {
                return Wake::Work;
            }
            if self.work.wait_timeout(&mut state, most) {
                return if state.ended { Wake::End } else { Wake::Time };
            }
        }
    }
}

impl std::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backlog")
            .field("sealed", &self.sealed())
            .finish_non_exhaustive()
    }
}
