//! Group commit: writing groups, and waiting for them.
//!
//! Called from any thread; the mutex is not held during a write.
//!
//! 1. A flush seals the open group, so its last block is never written again; the next record goes
//!    to the next block [6].
//! 2. Several groups may be under way at once. Only a prefix of groups without a gap is durable,
//!    and only then is anyone told [6].
//! 3. Whoever waits for a group that nobody writes writes it himself (a lone committer syncs for
//!    himself); older groups first. If as many are under way as may be, he sleeps; whoever ends a
//!    write wakes one of those whose group is next, so that a free place is never forgotten.
//! 4. Who is about to write the open group lets those commit again first whom the last write has
//!    woken: it opens the mutex and yields until the group has as many records as are expected, or
//!    stops growing, or as long as the last write took. One thread gathers at a time; others who
//!    wait for that group sleep. A lone committer expects nobody. Having gathered, it looks at
//!    everything again.
//! 5. The mark is moved under the mutex, then the mutex is opened, then sleepers are woken; they
//!    look again. A sleeper sleeps at its own group's condvar, so that a flush wakes only its own.
//! 6. A failed write poisons the log for ever. It is not repeated.

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_sync::thread::yield_now;
use vellum_sync::{MutexGuard, clock, scaled};

use crate::error::{Failure, WalError};
use crate::geometry::block_ceil;
use crate::group::{Group, Progress};
use crate::names;
use crate::state::{Shared, State, Wake};

/// After so many yields in which the open group did not grow it is written.
const IDLE_YIELDS: usize = 32;

impl Shared {
    /// Waits until everything up to `at` has the durability that its author asked for.
    pub(crate) fn wait_settled(&self, at: Timestamp) -> Result<(), WalError> {
        if self.words.settled() >= at {
            return Ok(());
        }
        let state = self.state.lock();
        match state.group_settling(at) {
            None => Ok(()),
            Some(group) => self.wait_group(state, group),
        }
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&self) -> Result<(), WalError> {
        let state = self.state.lock();
        let last = state
            .open
            .as_ref()
            .or(state.sealed.back())
            .map(|group| group.id);
        match last {
            None => state
                .failed
                .as_ref()
                .map_or(Ok(()), |f| Err(WalError::Poisoned(Arc::clone(f)))),
            Some(group) => self.wait_group(state, group),
        }
    }

    /// Rule 3.
    fn wait_group<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        group: u64,
    ) -> Result<(), WalError> {
        let mut gathered = false;
        loop {
            if state.durable_id >= group {
                return Ok(());
            }
            if let Some(failure) = &state.failed {
                return Err(WalError::Poisoned(Arc::clone(failure)));
            }
            if state.in_flight < self.in_flight_max && !state.gathers_for(group) {
                if !gathered && state.expects_more(group) {
                    state = self.gather(state, group);
                    gathered = true;
                    continue;
                }
                if self.claims_write(&mut state, group) {
                    state = self.write_next(state)?;
                    continue;
                }
            }
            if let Some(group) = state.group_mut(group) {
                group.waiters += 1;
            }
            state.stats.waits += 1;
            self.condvar(group).wait(&mut state);
            if let Some(group) = state.group_mut(group) {
                group.waiters -= 1;
            }
        }
    }

    /// Rule 4. The guard comes back locked.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>, group: u64) -> MutexGuard<'a, State> {
        let deadline = clock::now() + state.write_time;
        let mut records = 0;
        let mut idle = 0;
        state.gathering = Some(group);
        while state.expects_more(group) && idle < scaled(IDLE_YIELDS, 1) && clock::now() <= deadline
        {
            let now = state.open.as_ref().map_or(0, |open| open.records);
            idle = if now > records { 0 } else { idle + 1 };
            records = now;
            drop(state);
            yield_now();
            state = self.state.lock();
        }
        state.gathering = None;
        state
    }

    /// Whether there is a group up to `group` that nobody writes yet; seals the open one if it is
    /// that.
    fn claims_write(&self, state: &mut State, group: u64) -> bool {
        if state.open.as_ref().is_some_and(|open| open.id <= group) {
            state.seal();
        }
        state.next_unwritten().is_some_and(|next| next.id <= group)
    }

    /// Writes the oldest group that nobody writes. The guard comes back locked.
    pub(crate) fn write_next<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>, WalError> {
        let Some(next) = state.next_unwritten() else {
            return Ok(state);
        };
        next.progress = Progress::Writing;
        let group = next.clone();
        state.in_flight += 1;
        let sequence = self.geometry.sequence(group.start);
        let file = state
            .files
            .iter()
            .find(|(s, _)| *s == sequence)
            .map(|(_, file)| Arc::clone(file));
        drop(state);
        let begun = clock::now();
        let written = match &file {
            Some(file) => self.write_group(&group, file.as_ref()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        let write_time = clock::now().saturating_sub(begun);
        let mut state = self.state.lock();
        state.in_flight -= 1;
        state.write_time = write_time;
        match written {
            Ok(bytes) => {
                state.stats.group_written(group.records, bytes);
                state.group_bytes_mean = (state.group_bytes_mean * 7 + bytes) / 8;
                let wake = self.advance(&mut state, group.id);
                self.unlock_and_wake(state, &wake);
                Ok(self.state.lock())
            }
            Err(source) => {
                let what = format!("writing {}", names::segment(sequence));
                let failure = Arc::new(Failure { what, source });
                let wake = self.poison_locked(&mut state, &failure);
                self.unlock_and_wake(state, &wake);
                Err(WalError::Poisoned(failure))
            }
        }
    }

    fn write_group(&self, group: &Group, file: &dyn vellum_disk::File) -> std::io::Result<u64> {
        let padding = Self::padding(group) as usize;
        if padding > 0 {
            // Nobody else writes here: the next record goes to the next block.
            let zeroes = [0; crate::geometry::BLOCK as usize];
            self.tail
                .write(&zeroes[..padding], self.geometry.tail_offset(group.end))?;
        }
        let bytes = block_ceil(group.end).0 - group.start.0;
        let place = self.geometry.tail_offset(group.start);
        self.tail.flush_to(
            place..place + bytes,
            file,
            self.geometry.file_offset(group.start),
        )?;
        Ok(bytes)
    }

    /// Group `written` is on the disk: moves the marks over every group without a gap (rule 2).
    fn advance(&self, state: &mut State, written: u64) -> Wake {
        if let Some(group) = state.group_mut(written) {
            group.progress = Progress::Written;
        }
        let mut wake = Wake::default();
        if state.failed.is_some() {
            return wake; // What came after the failure is not counted any more.
        }
        let mut woken = 0;
        while let Some(group) = state.pop_written() {
            state.durable = group.end;
            state.durable_id = group.id;
            state.outstanding -= usize::from(group.first_sync.is_some());
            if group.waiters > 0 {
                wake.groups |= self.bit(group.id);
            }
            woken += group.waiters;
        }
        // Who wrote comes back, too.
        let waiting = state.open.as_ref().map_or(0, |open| open.records);
        state.expected = waiting + woken + 1;
        self.words.publish_settled(state.settled_now());
        self.update_limit(state);
        self.drop_files(state);
        self.wake_next(state, &mut wake);
        wake
    }

    /// A place to write is free: who takes it?
    fn wake_next(&self, state: &State, wake: &mut Wake) {
        let waiting = |group: &&Group| group.progress == Progress::Waiting && group.waiters > 0;
        wake.leader = state
            .sealed
            .iter()
            .chain(&state.open)
            .find(waiting)
            .map(|group| group.id);
        let full_chunk = state
            .sealed
            .iter()
            .any(|group| group.progress == Progress::Waiting);
        wake.flusher = self.background && (full_chunk || self.words.flush_is_wanted());
        wake.space = self.words.space_is_awaited_locked();
    }

    /// Segments that lie wholly before the durable position are not written any more.
    fn drop_files(&self, state: &mut State) {
        let needed = self.geometry.sequence(state.durable);
        while state
            .files
            .front()
            .is_some_and(|(sequence, _)| *sequence < needed)
        {
            state.files.pop_front();
        }
    }

    /// Where reading may begin so that it meets everything appended from now on.
    pub(crate) fn end(&self) -> Lsn {
        self.state.lock().end
    }
}
