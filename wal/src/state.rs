//! What the sequencer's mutex protects, and the words beside it that are read without it.
//!
//! Used by `append`, `flush`, `space`, `prepare` and `background`; nobody outside this crate.
//!
//! 1. Everything in [`State`] is touched under the mutex only, and the mutex is never held during
//!    a write of a file or a sync.
//! 2. `settled` is stored under the mutex, after the commits it covers were stamped and only as
//!    far as each has the durability its author asked for [16]; it never falls.
//! 3. `durable` moves over groups in order only: a group that is written before an older one
//!    counts when the older one is written, too [6].
//! 4. `claimed` is the end of the last record plus all outstanding claims, `limit` how far it may
//!    go: a byte of the tail is written again only when its predecessor is durable in a segment,
//!    and only prepared segments are written at all.
//! 5. `failed`, once set, stays: appends are refused, waits end with the error, no sync is
//!    repeated.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{Disk, File, Mapped};
use vellum_sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use vellum_sync::{Condvar, Mutex, MutexGuard, scaled};

use crate::error::{Failure, WalError};
use crate::geometry::{Geometry, block_ceil};
use crate::group::{Group, Progress};
use crate::large::LargeFiles;
use crate::prepare::Preparer;
use crate::stats::Stats;

/// Condvars for the waiters of groups. More than there can be unwritten groups with waiters:
/// the open one, eight in flight, and the full chunks of the tail.
const GROUP_CONDVARS: usize = 16;

/// Under the mutex.
pub(crate) struct State {
    /// Behind the last record.
    pub(crate) end: Lsn,
    pub(crate) chain: u64,
    pub(crate) last: Timestamp,
    pub(crate) open: Option<Group>,
    /// Sealed groups that are not durable, oldest first.
    pub(crate) sealed: VecDeque<Group>,
    pub(crate) next_id: u64,
    /// The last durable group.
    pub(crate) durable_id: u64,
    /// Behind the last durable record.
    pub(crate) durable: Lsn,
    /// Groups that are not durable and hold a commit that wants to be.
    pub(crate) outstanding: usize,
    pub(crate) in_flight: usize,
    /// The open group while somebody waits for it to grow.
    pub(crate) gathering: Option<u64>,
    /// Records that the open group will soon have, if those come back whom the last write woke.
    pub(crate) expected: u32,
    /// How long the last write took.
    pub(crate) write_time: Duration,
    /// Up to where segments are ready to be written.
    pub(crate) prepared: Lsn,
    /// Open segments, oldest first.
    pub(crate) files: VecDeque<(u64, Arc<dyn File>)>,
    pub(crate) failed: Option<Arc<Failure>>,
    pub(crate) closed: bool,
    /// The log's own threads are to end.
    pub(crate) stopping: bool,
    /// Record bytes put together before they are stored.
    pub(crate) scratch: Vec<u8>,
    /// Mean bytes of the recent groups, smoothed.
    pub(crate) group_bytes_mean: u64,
    pub(crate) stats: Stats,
}

impl State {
    /// The first error that stands in the way of an append.
    pub(crate) fn check(&self) -> Result<(), WalError> {
        if let Some(failure) = &self.failed {
            return Err(WalError::Poisoned(Arc::clone(failure)));
        }
        if self.closed {
            Err(WalError::Closed)
        } else {
            Ok(())
        }
    }

    /// Ends the open group, so that it can be written; the next record begins another.
    pub(crate) fn seal(&mut self) {
        if let Some(group) = self.open.take() {
            self.sealed.push_back(group);
        }
    }

    /// The oldest group that nobody writes yet.
    pub(crate) fn next_unwritten(&mut self) -> Option<&mut Group> {
        self.sealed
            .iter_mut()
            .find(|group| group.progress == Progress::Waiting)
    }

    /// Takes the oldest group away if it is written (rule 3).
    pub(crate) fn pop_written(&mut self) -> Option<Group> {
        let written = self
            .sealed
            .front()
            .is_some_and(|group| group.progress == Progress::Written);
        if written {
            self.sealed.pop_front()
        } else {
            None
        }
    }

    /// The last commit of the longest prefix in which every commit has its durability (rule 2).
    pub(crate) fn settled_now(&self) -> Timestamp {
        if self.outstanding == 0 {
            return self.last;
        }
        let first = self
            .sealed
            .iter()
            .chain(&self.open)
            .find_map(|group| group.first_sync);
        first.map_or(self.last, |first| Timestamp(first.0 - 1))
    }

    /// The group that must be durable before `at` is settled.
    pub(crate) fn group_settling(&self, at: Timestamp) -> Option<u64> {
        let groups = self.sealed.iter().chain(&self.open).rev();
        let waits = |group: &&Group| group.first_sync.is_some_and(|first| first <= at);
        groups.into_iter().find(waits).map(|group| group.id)
    }

    /// Whether another thread lets this group grow, and will write it then.
    pub(crate) fn gathers_for(&self, group: u64) -> bool {
        self.gathering == Some(group)
    }

    /// Whether the group is open and has fewer records than expected.
    pub(crate) fn expects_more(&self, group: u64) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.id == group && open.records < self.expected)
    }

    pub(crate) fn group_mut(&mut self, id: u64) -> Option<&mut Group> {
        self.sealed
            .iter_mut()
            .chain(&mut self.open)
            .find(|group| group.id == id)
    }
}

/// What the mutex's holder found to be done for others; done after unlocking.
#[derive(Default)]
#[must_use = "whoever waits is not woken"]
pub(crate) struct Wake {
    /// Condvars of groups, all of whose waiters are to look again.
    pub(crate) groups: u32,
    /// A group one of whose waiters may begin to write.
    pub(crate) leader: Option<u64>,
    pub(crate) space: bool,
    pub(crate) flusher: bool,
    pub(crate) preparer: bool,
}

/// Everything that the log's users and threads share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) geometry: Geometry,
    pub(crate) in_flight_max: usize,
    pub(crate) background: bool,
    pub(crate) uuid: u128,
    pub(crate) salt: u64,
    pub(crate) tail: Arc<dyn Mapped>,
    pub(crate) state: Mutex<State>,
    pub(crate) preparer: Mutex<Preparer>,
    pub(crate) large: LargeFiles,
    pub(crate) words: Words,
    groups: Vec<Condvar>,
    pub(crate) space: Condvar,
    pub(crate) flusher: Condvar,
    pub(crate) preparing: Condvar,
}

/// What is read without the mutex. Each access has its reason here.
pub(crate) struct Words {
    settled: AtomicU64,
    claimed: AtomicU64,
    limit: AtomicU64,
    space_waiters: AtomicUsize,
    flush_wanted: AtomicBool,
}

impl Words {
    pub(crate) fn new(settled: Timestamp, claimed: Lsn) -> Self {
        Self {
            settled: AtomicU64::new(settled.0),
            claimed: AtomicU64::new(claimed.0),
            limit: AtomicU64::new(claimed.0),
            space_waiters: AtomicUsize::new(0),
            flush_wanted: AtomicBool::new(false),
        }
    }

    /// Acquire: whoever sees a commit settled sees what its stamping wrote.
    pub(crate) fn settled(&self) -> Timestamp {
        Timestamp(self.settled.load(Ordering::Acquire))
    }

    /// Under the mutex, hence never backwards. Release: see [`Words::settled`].
    pub(crate) fn publish_settled(&self, at: Timestamp) {
        self.settled.store(at.0, Ordering::Release);
    }

    /// Claims `bytes`, if `claimed` stays `slack` below the limit. Relaxed: the claim is a count;
    /// the bytes themselves are touched under the mutex, where the limit was raised.
    pub(crate) fn try_claim(&self, bytes: u64, slack: u64) -> bool {
        let mut claimed = self.claimed.load(Ordering::Relaxed);
        loop {
            if claimed + bytes + slack > self.limit.load(Ordering::Relaxed) {
                return false;
            }
            let next = claimed + bytes;
            match self.claimed.compare_exchange_weak(
                claimed,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => claimed = now,
            }
        }
    }

    /// Replaces a claim by what was taken. Relaxed, as above.
    pub(crate) fn convert_claim(&self, claimed: u64, taken: u64) {
        if taken > claimed {
            self.claimed.fetch_add(taken - claimed, Ordering::Relaxed);
        } else {
            self.claimed.fetch_sub(claimed - taken, Ordering::Relaxed);
        }
    }

    pub(crate) fn claimed(&self) -> u64 {
        self.claimed.load(Ordering::Relaxed)
    }

    /// Under the mutex.
    pub(crate) fn raise_limit(&self, to: Lsn) {
        self.limit.store(to.0, Ordering::Relaxed);
    }

    /// Announces a thread that is about to sleep for space. The fence pairs with that of
    /// [`Words::space_is_awaited`]: either the sleeper's next look finds the claim given back, or
    /// the giver finds the sleeper.
    pub(crate) fn await_space(&self) {
        self.space_waiters.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn awaited_space(&self) {
        self.space_waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether somebody sleeps for space; called after giving a claim back.
    pub(crate) fn space_is_awaited(&self) -> bool {
        fence(Ordering::SeqCst);
        self.space_waiters.load(Ordering::Relaxed) > 0
    }

    /// A hint, for the mutex's holder: sleepers announce themselves under the mutex.
    pub(crate) fn space_is_awaited_locked(&self) -> bool {
        self.space_waiters.load(Ordering::Relaxed) > 0
    }

    /// Whether this is the first request since the flusher last looked. Relaxed: the request is
    /// handed over under the mutex.
    pub(crate) fn want_flush(&self) -> bool {
        !self.flush_wanted.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn take_flush_wanted(&self) -> bool {
        self.flush_wanted.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn flush_is_wanted(&self) -> bool {
        self.flush_wanted.load(Ordering::Relaxed)
    }
}

impl Shared {
    pub(crate) fn condvars() -> Vec<Condvar> {
        (0..scaled(GROUP_CONDVARS, 8))
            .map(|_| Condvar::new())
            .collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by recovery, with what it found"
    )]
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        geometry: Geometry,
        (in_flight_max, background): (usize, bool),
        (uuid, salt): (u128, u64),
        tail: Arc<dyn Mapped>,
        state: State,
        preparer: Preparer,
        large: LargeFiles,
    ) -> Self {
        let words = Words::new(state.last, state.end);
        let shared = Self {
            disk,
            geometry,
            in_flight_max,
            background,
            uuid,
            salt,
            tail,
            words,
            state: Mutex::new(state),
            preparer: Mutex::new(preparer),
            large,
            groups: Self::condvars(),
            space: Condvar::new(),
            flusher: Condvar::new(),
            preparing: Condvar::new(),
        };
        shared.update_limit(&shared.state.lock());
        shared
    }

    /// Rule 4.
    pub(crate) fn update_limit(&self, state: &State) {
        let reusable = Lsn(state.durable.0 + self.geometry.tail_bytes());
        self.words.raise_limit(reusable.min(state.prepared));
    }

    pub(crate) fn condvar(&self, group: u64) -> &Condvar {
        &self.groups[group as usize % self.groups.len()]
    }

    pub(crate) fn bit(&self, group: u64) -> u32 {
        1 << (group as usize % self.groups.len())
    }

    /// Unlocks, then wakes: a thread that is woken finds the mutex open, and looks again.
    pub(crate) fn unlock_and_wake(&self, state: MutexGuard<'_, State>, wake: &Wake) {
        drop(state);
        for (index, condvar) in self.groups.iter().enumerate() {
            if wake.groups & 1 << index != 0 {
                condvar.notify_all();
            }
        }
        if let Some(group) = wake.leader {
            self.condvar(group).notify_one();
        }
        if wake.space {
            self.space.notify_all();
        }
        if wake.flusher {
            self.flusher.notify_one();
        }
        if wake.preparer {
            self.preparing.notify_one();
        }
    }

    /// Rule 5: nothing is appended any more, everyone who waits is told.
    pub(crate) fn poison(&self, failure: &Arc<Failure>) {
        let mut state = self.state.lock();
        let wake = self.poison_locked(&mut state, failure);
        self.unlock_and_wake(state, &wake);
    }

    pub(crate) fn poison_locked(&self, state: &mut State, failure: &Arc<Failure>) -> Wake {
        if state.failed.is_none() {
            state.failed = Some(Arc::clone(failure));
        }
        Wake {
            groups: u32::MAX,
            leader: None,
            space: true,
            flusher: true,
            preparer: true,
        }
    }

    /// Poisons the log if `result` says that it must be.
    pub(crate) fn guard<T>(&self, result: Result<T, WalError>) -> Result<T, WalError> {
        if let Err(WalError::Poisoned(failure)) = &result {
            self.poison(failure);
        }
        result
    }

    /// The bytes between the end of a group's last record and the end of its last block.
    pub(crate) fn padding(group: &Group) -> u64 {
        block_ceil(group.end).0 - group.end.0
    }
}
