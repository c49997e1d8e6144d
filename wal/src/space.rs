//! Reserving space before a commit enters, so that nothing inside has to wait.
//!
//! Called from any thread, outside all locks.
//!
//! 1. A claim covers the worst case of its record, so that an append never fails for lack of
//!    space; what was not needed is given back at the append.
//! 2. Whoever finds no space makes some: writes the oldest groups, or prepares a segment. It
//!    sleeps only while others hold all there is, in flight or claimed.
//! 3. A full disk is an error of this call alone; nothing is poisoned by it.

use vellum_sync::MutexGuard;

use crate::error::WalError;
use crate::state::{Shared, State};

impl Shared {
    /// Claims `claim` bytes; waits outside all locks until there are as many (rule 2).
    pub(crate) fn reserve(&self, claim: u64) -> Result<(), WalError> {
        if self.words.try_claim(claim, self.geometry.slack_bytes()) {
            return Ok(());
        }
        self.reserve_slowly(claim)
    }

    fn reserve_slowly(&self, claim: u64) -> Result<(), WalError> {
        let slack = self.geometry.slack_bytes();
        loop {
            let state = self.state.lock();
            state.check()?;
            if self.words.try_claim(claim, slack) {
                return Ok(());
            }
            let target = self.words.claimed() + claim + slack;
            if target > state.prepared.0 {
                drop(state);
                self.prepare_to(target)?;
                continue;
            }
            if let Some(state) = self.write_something(state)? {
                self.sleep_for_space(state, claim, slack);
            }
        }
    }

    /// Writes the oldest group, if there is one to be written; gives the guard back if not.
    fn write_something<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<Option<MutexGuard<'a, State>>, WalError> {
        if state.in_flight >= self.in_flight_max {
            return Ok(Some(state));
        }
        if state.next_unwritten().is_none() && state.in_flight == 0 {
            state.seal();
        }
        if state.next_unwritten().is_none() {
            return Ok(Some(state));
        }
        self.write_next(state).map(|_| None)
    }

    fn sleep_for_space(&self, mut state: MutexGuard<'_, State>, claim: u64, slack: u64) {
        self.words.await_space();
        // The last look, see `Words::await_space`; what it claims is claimed again by the caller.
        if self.words.try_claim(claim, slack) {
            self.words.convert_claim(claim, 0);
        } else {
            state.stats.space_waits += 1;
            self.space.wait(&mut state);
        }
        self.words.awaited_space();
    }

    /// Gives a claim back.
    pub(crate) fn cancel(&self, claim: u64) {
        self.words.convert_claim(claim, 0);
        if self.words.space_is_awaited() {
            // Under the mutex, so that a sleeper between its last look and its sleep is not missed.
            drop(self.state.lock());
            self.space.notify_all();
        }
    }
}
