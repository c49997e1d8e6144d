//! Sealed generations that wait for their merge: who merges learns of them here, and committers who
//! are faster than merges wait here.
//!
//! # Rules
//! 1. A committer waits outside the gate and holds nothing that a merge, a seal or the log could wait
//!    for [4]; so a merge always gets on, and with it those who wait for it.
//! 2. At most `limit` generations wait at once, apart from those that were sealed by request. A store
//!    that nobody merges has no limit.
//!    A seal counts before the gate is open again, so no merge ends that was not counted.
//! 3. Every seal wakes the merger, and every merge, failure and end wakes all committers: each looks
//!    at the count again under the mutex, so no wake-up is lost.
//! 4. While merging fails, committers who would wait get the cause instead, until a merge succeeds or
//!    the merger says that it is well.
//! 5. **Pace.** While a merge is due or under way, memory that is not part of it - of the active generation,
//!    and of those sealed meanwhile - grows in step with it: from what there was when the merge before ended up to
//!    `capacity`, by the part of the merge that is done, and a little more. So committers who are faster are
//!    slowed all the time, and none is stopped for as long as a merge takes. Each looks before it does anything
//!    else, at the generation that was active when it began; one load, where it need not wait.

use std::time::Duration;

use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Condvar, Mutex};

use crate::error::{BaseError, CommitError};
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

/// What may be filled beyond the part of a merge that is done: this part of the capacity.
const AHEAD: u64 = 32;

/// See the module's rules.
pub struct Backlog {
    state: Mutex<State>,
    /// How full the active generation may be; all ones: as full as it gets.
    fill: AtomicU64,
    room: Condvar,
    work: Condvar,
}

#[derive(Default)]
struct State {
    sealed: usize,
    /// `None`: nobody merges.
    limit: Option<usize>,
    pace: Pace,
    news: bool,
    failed: Option<BaseError>,
    ended: bool,
}

/// Rule 5, in bytes.
#[derive(Default)]
struct Pace {
    capacity: u64,
    /// What was not part of the merge when it became due.
    from: u64,
    /// What was sealed since it began.
    sealed: u64,
    /// The part of it that is done.
    done: u64,
    of: u64,
}

impl Pace {
    fn fill(&self) -> u64 {
        let more = u128::from(self.capacity.saturating_sub(self.from));
        let done = more * u128::from(self.done) / u128::from(self.of.max(1));
        let ahead = self.capacity / AHEAD;
        let all = self.from.saturating_add(ahead).saturating_add(done as u64);
        all.saturating_sub(self.sealed)
    }
}

impl State {
    fn must_wait(&self) -> Result<(), CommitError> {
        match &self.failed {
            Some(error) => Err(CommitError::Base(error.clone())),
            None if self.ended => Err(LogError::Closed.into()),
            None => Ok(()),
        }
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            fill: AtomicU64::new(u64::MAX),
            room: Condvar::default(),
            work: Condvar::default(),
        }
    }
}

impl Backlog {
    /// From now on somebody merges. `limit` generations may wait for it, those under way included; and what is
    /// not part of a merge may take `capacity` bytes while it goes on.
    pub fn limit_to(&self, limit: usize, capacity: u64) {
        let mut state = self.state.lock();
        state.limit = Some(limit.max(1));
        state.pace.capacity = capacity;
        self.set_fill(&state);
    }

    fn set_fill(&self, state: &State) {
        let is_paced = state.limit.is_some() && state.sealed > 0;
        let fill = if is_paced {
            state.pace.fill()
        } else {
            u64::MAX
        };
        // Relaxed, as its load: a committer that sees an older one looks again under the mutex, or was in time.
        self.fill.store(fill, Ordering::Relaxed);
        self.room.notify_all();
    }

    /// A merge of all that is sealed begins, while so many bytes are in the active generation.
    pub fn begin(&self, active: u64) {
        let mut state = self.state.lock();
        let capacity = state.pace.capacity;
        state.pace = Pace {
            capacity,
            from: active,
            ..Pace::default()
        };
        self.set_fill(&state);
    }

    /// So much of the merge is done.
    pub fn progress(&self, done: u64, of: u64) {
        let mut state = self.state.lock();
        (state.pace.done, state.pace.of) = (done.min(of), of);
        self.set_fill(&state);
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

    /// One of so many bytes was sealed.
    pub(crate) fn add(&self, bytes: u64) {
        let mut state = self.state.lock();
        match state.sealed {
            0 => state.pace.from = 0,
            _ => state.pace.sealed += bytes,
        }
        state.sealed += 1;
        state.news = true;
        self.work.notify_all();
        self.set_fill(&state);
    }

    /// So many were merged, while so many bytes are in the active one.
    pub(crate) fn remove(&self, merged: usize, active: u64) {
        let mut state = self.state.lock();
        debug_assert!(state.sealed >= merged, "what was not counted was merged");
        state.sealed = state.sealed.saturating_sub(merged);
        state.failed = None;
        if merged > 0 {
            let pace = &mut state.pace;
            (pace.from, pace.done) = (active + pace.sealed, 0);
        }
        self.set_fill(&state);
    }

    /// Merging failed (rule 4).
    pub fn fail(&self, error: BaseError) {
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
    pub(crate) fn wait_for_room(&self, is_full: impl Fn() -> bool) -> Result<(), CommitError> {
        let mut state = self.state.lock();
        while state.limit.is_some_and(|limit| state.sealed >= limit) && is_full() {
            state.must_wait()?;
            self.room.wait(&mut state);
        }
        Ok(())
    }

    /// Returns when no more bytes are in the active generation than may be (rule 5). `about`: in what was the
    /// active one when the committer began, which costs less to ask.
    #[inline]
    pub(crate) fn keep_pace(
        &self,
        about: impl Fn() -> u64,
        active: impl Fn() -> u64,
    ) -> Result<(), CommitError> {
        let fill = self.fill.load(Ordering::Relaxed);
        match fill == u64::MAX || about() <= fill {
            true => Ok(()),
            false => self.wait_for_pace(active),
        }
    }

    #[cold]
    fn wait_for_pace(&self, active: impl Fn() -> u64) -> Result<(), CommitError> {
        let mut state = self.state.lock();
        // Stored under the mutex.
        while active() > self.fill.load(Ordering::Relaxed) {
            state.must_wait()?;
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
