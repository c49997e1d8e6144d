//! Record locks: a transaction's right to be the next that writes a key, or to see that nobody
//! writes it. Optimistic commits take none; they only ask whether others have.
//!
//! A lock is a latch on (table, hash of the key): keys that share a hash share a lock. It queues
//! fairly, and a cycle of those who wait ends with a victim (`vellum-latch`).
//!
//! # Rules
//! 1. **While somebody holds a lock on a key, in either mode, nobody else's write of it is stamped.**
//!    Whoever holds it exclusively is alone in holding it.
//! 2. A commit looks for locks behind installing. How many lock is counted; that count it looks at
//!    where it is stamped, in the log's mutex: one load, and if it is zero, that was all. If not, it
//!    leaves the mutex and asks whether others have locked what it has installed. If so, it takes
//!    back, leaves the gate, and fails ([`CommitError::Locked`]): nobody waits for a lock
//!    inside [18]. If not, it is stamped without a further look, in this passage through the gate.
//! 3. A locker was counted before it asked. Once it has its lock it waits, outside the gate, until
//!    nobody's version is pending at the key, and then passes through the log's mutex. So whoever did
//!    not see the lock has come to his end: who asked for it too early had installed before, since
//!    asking and locking have one mutex, that of the latch's shard, and was waited out; who found the
//!    count zero was in the log's mutex before. Those inside wait for nothing (`gate`, rule 2), so
//!    waiting them out ends.
//! 4. **A snapshot that is taken after that has every commit of the locked keys, and none of them is
//!    committed by others while the locks are held** [18]: what was stamped is also visible once the
//!    mutex was passed. A snapshot that is older than its lock is told at once if the key was
//!    committed since ([`LockError::Refused`]).
//! 5. What a locker meets pending at a key that it holds is of somebody who will be refused: it
//!    leaves the gate and comes again, and after some such passages it commits alone
//!    (`validation`, rule 5).
//! 6. Locks are released when the commit is visible: whoever is given one then sees it. A
//!    transaction that is given up releases them as well.
//! 7. Several locks are taken in one order where they are known beforehand; those that come
//!    singly are taken in any order, and may make a cycle. The victim keeps what it holds, and has not
//!    got what it asked for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Deref;
use std::time::Duration;

use vellum_base::{TableId, Timestamp};
use vellum_latch::{LatchClass, LatchError, LatchMode, LatchOptions, Latches, Resource, Unit};
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Arc, Mutex, hint, thread};

use crate::error::{CommitError, LockError, LockWait};
use crate::generation::HashedKey;
use crate::registry::Purpose;
use crate::schema::Schema;
use crate::store::Store;

/// Keys that one transaction wants from what it learnt of earlier attempts.
pub const LEARNT_MAX: usize = 16 * 1024;

/// Looks at a pending version before the processor is given away between them.
const SPINS: u32 = 64;

#[derive(Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

/// Keys, and how many wait for each.
type Awaited = BTreeMap<Resource, (Box<[u8]>, usize)>;

/// The locks of a store.
pub struct Locks {
    /// Rule 2.
    lockers: Padded,
    latches: Latches,
    /// What is waited for: for who must spell out a cycle.
    awaited: Mutex<Awaited>,
    escalations: AtomicU64,
    refusals: AtomicU64,
}

/// Figures of the locks of records since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStats {
    /// Transactions that hold locks now, or wait for their first one.
    pub open: u64,
    /// Locks that were acquired, at once or after a wait.
    pub acquired: u64,
    /// Waits for a lock, with success or not.
    pub waits: u64,
    /// How long all of them took together.
    pub waited: Duration,
    /// What half of the waits did not exceed, rounded up to a power of two of nanoseconds; `None`
    /// without waits.
    pub wait_median: Option<Duration>,
    /// What all but a hundredth of the waits did not exceed, rounded up in the same way.
    pub wait_p99: Option<Duration>,
    /// Waits that ended since the transaction was the youngest of a cycle.
    pub deadlocks: u64,
    /// Waits that took too long.
    pub timeouts: u64,
    /// Commits that were refused since somebody else had locked a key that they wrote.
    pub refusals: u64,
    /// Attempts that locked first, since earlier ones had lost.
    pub escalations: u64,
}

impl Locks {
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        let options = LatchOptions {
            timeout,
            ..LatchOptions::default()
        };
        Self {
            lockers: Padded::default(),
            latches: Latches::new(options),
            awaited: Mutex::new(Awaited::new()),
            escalations: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
        }
    }

    /// Rule 2, in the log's mutex, which orders it: whoever is not seen there passes it later.
    #[inline]
    pub(crate) fn is_anybody(&self) -> bool {
        self.lockers.0.load(Ordering::Relaxed) != 0
    }

    /// Whether somebody else than `own` has locked the key.
    pub(crate) fn is_locked(&self, key: HashedKey<'_>, own: Option<&LockSet>) -> bool {
        let own = own.map(|own| own.unit.age());
        self.latches.is_held_by_other(resource(key), own)
    }

    /// Counts a commit that was refused for a lock.
    pub(crate) fn count_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> LockStats {
        let latches = self.latches.stats();
        let records = latches.class(LatchClass::Record);
        LockStats {
            acquired: records.acquisitions,
            waits: records.contended,
            deadlocks: records.deadlocks,
            timeouts: records.timeouts,
            waited: records.waited,
            wait_median: records.wait_quantile(0.5),
            wait_p99: records.wait_quantile(0.99),
            open: self.lockers.0.load(Ordering::Relaxed),
            escalations: self.escalations.load(Ordering::Relaxed),
            refusals: self.refusals.load(Ordering::Relaxed),
        }
    }

    fn begin_wait(&self, resource: Resource, key: &[u8]) {
        let mut awaited = self.awaited.lock();
        awaited.entry(resource).or_insert_with(|| (key.into(), 0)).1 += 1;
    }

    fn end_wait(&self, resource: Resource) {
        let mut awaited = self.awaited.lock();
        if let Some((_, count)) = awaited.get_mut(&resource) {
            *count -= 1;
            if *count == 0 {
                awaited.remove(&resource);
            }
        }
    }

    /// A failed wait, with the keys of those that wait.
    fn spell_out(&self, error: LatchError, key: HashedKey<'_>) -> LockError {
        let cycle = match error {
            LatchError::Deadlock { cycle } => cycle,
            LatchError::Timeout { waited, .. } => {
                let (table, key) = (key.table, key.key.into());
                return LockError::Timeout { table, key, waited };
            }
            // What other reasons there may be one day end the wait as these do.
            _ => return LockError::Deadlock { waits: Vec::new() },
        };
        let awaited = self.awaited.lock();
        let waits = cycle.edges().filter_map(|(link, next)| {
            let Resource::Record(table, hash) = link.waits_for else {
                return None;
            };
            Some(LockWait {
                transaction: link.unit.number(),
                table,
                key: awaited.get(&link.waits_for).map(|(key, _)| key.clone()),
                hash,
                mode: link.mode,
                next: next.number(),
            })
        });
        LockError::Deadlock {
            waits: waits.collect(),
        }
    }
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").finish_non_exhaustive()
    }
}

/// A locker's own reference to the locks.
#[derive(Clone)]
struct Shared(Arc<Locks>);

impl Deref for Shared {
    type Target = Latches;

    fn deref(&self) -> &Latches {
        &self.0.latches
    }
}

/// The locks of one transaction, or of one attempt after the other at the same work: what it wants
/// locked, and what of that it has locked. Keeps its age until it is dropped.
pub struct LockSet {
    locks: Shared,
    unit: Unit<Shared>,
    is_counted: bool,
    /// In the order of locks.
    wanted: BTreeMap<(Resource, Box<[u8]>), LatchMode>,
}

impl LockSet {
    /// Wants and has nothing; the youngest.
    pub(crate) fn new(locks: &Arc<Locks>) -> Self {
        let locks = Shared(Arc::clone(locks));
        Self {
            unit: Unit::begin(locks.clone()),
            locks,
            is_counted: false,
            wanted: BTreeMap::new(),
        }
    }

    /// Whether the key is locked, in either mode.
    pub(crate) fn has(&self, key: HashedKey<'_>) -> bool {
        self.unit.holds(resource(key)).is_some()
    }

    /// Whether the key itself was locked so.
    pub(crate) fn has_got(&self, key: HashedKey<'_>, mode: LatchMode) -> bool {
        let wanted = self.wanted.get(&(resource(key), key.key.into()));
        wanted >= Some(&mode) && self.unit.holds(resource(key)) >= Some(mode)
    }

    /// Wants a key that an earlier attempt had to do with. Beyond so many keys there are no new ones; the mode
    /// of one that is wanted rises all the same.
    pub(crate) fn learn(&mut self, key: HashedKey<'_>, mode: LatchMode) {
        self.want_within(LEARNT_MAX, key, mode);
    }

    fn want(&mut self, key: HashedKey<'_>, mode: LatchMode) {
        self.want_within(usize::MAX, key, mode);
    }

    fn want_within(&mut self, most: usize, key: HashedKey<'_>, mode: LatchMode) {
        let is_full = self.wanted.len() >= most;
        match self.wanted.entry((resource(key), key.key.into())) {
            Entry::Occupied(mut wanted) => *wanted.get_mut() = mode.max(*wanted.get()),
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(place) => drop(place.insert(mode)),
        }
    }

    /// Locks a key, and waits for that (rule 3); what comes of it is in snapshots from then on.
    pub(crate) fn lock<S: Schema>(
        &mut self,
        store: &Store<S>,
        key: HashedKey<'_>,
        mode: LatchMode,
    ) -> Result<(), LockError> {
        self.want(key, mode);
        self.acquire(key, mode)?;
        wait_out(store, std::iter::once(key));
        Ok(())
    }

    /// Locks all that is wanted (rule 7), for a snapshot that is taken next (rule 4).
    ///
    /// # Errors
    /// [`LockError::Deadlock`], [`LockError::Timeout`]; what it has by then, it keeps.
    pub fn lock_wanted<S: Schema>(&mut self, store: &Store<S>) -> Result<(), LockError> {
        self.locks.0.escalations.fetch_add(1, Ordering::Relaxed);
        let wanted = std::mem::take(&mut self.wanted);
        let mut keys = wanted.iter().filter_map(hashed);
        let locked = keys.try_for_each(|(key, mode)| self.acquire(key, mode));
        self.wanted = wanted;
        locked?;
        let keys = self.wanted.iter().filter_map(hashed);
        wait_out(store, keys.map(|(key, _)| key));
        Ok(())
    }

    /// Releases all, and goes on wanting it.
    pub fn release(&mut self) {
        self.unit.release_all();
        if std::mem::take(&mut self.is_counted) {
            self.locks.0.lockers.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn acquire(&mut self, key: HashedKey<'_>, mode: LatchMode) -> Result<(), LockError> {
        let resource = resource(key);
        if !std::mem::replace(&mut self.is_counted, true) {
            // Relaxed: the log's mutex, passed later, orders it (rule 3).
            self.locks.0.lockers.0.fetch_add(1, Ordering::Relaxed);
        }
        if self.unit.try_acquire(resource, mode) {
            return Ok(());
        }
        let locks = &self.locks.0;
        locks.begin_wait(resource, key.key);
        let acquired = self.unit.acquire_any(resource, mode);
        let acquired = acquired.map_err(|error| locks.spell_out(error, key));
        locks.end_wait(resource);
        acquired
    }
}

impl Drop for LockSet {
    fn drop(&mut self) {
        self.release();
    }
}

impl std::fmt::Debug for LockSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockSet")
            .field("unit", &self.unit)
            .field("wanted", &self.wanted.len())
            .finish_non_exhaustive()
    }
}

fn resource(key: HashedKey<'_>) -> Resource {
    Resource::Record(key.table, key.hash)
}

/// A key of [`LockSet::wanted`].
fn hashed<'k>(
    ((resource, key), mode): (&'k (Resource, Box<[u8]>), &LatchMode),
) -> Option<(HashedKey<'k>, LatchMode)> {
    match *resource {
        Resource::Record(table, hash) => Some((HashedKey { table, key, hash }, *mode)),
        _ => None,
    }
}

/// Rule 3, of keys that are locked.
fn wait_out<'k, S: Schema>(store: &Store<S>, keys: impl Iterator<Item = HashedKey<'k>>) {
    let registry = store.registry();
    // Who asked for the lock before it was there has installed in this view's active generation.
    let pin = registry.pin(Purpose::Read);
    let active = registry.view(&pin).active();
    for key in keys {
        let mut looks = 0u32;
        while active.is_pending(key) {
            looks += 1;
            if looks < SPINS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
    registry.unpin(pin);
    let _ = store.log().position();
}

/// The newer commit of a key that an older snapshot has locked (rule 4).
pub(crate) fn refused(table: TableId, key: &[u8], winner: Timestamp) -> LockError {
    LockError::Refused(CommitError::Conflict {
        table,
        key: key.into(),
        winner: Some(winner),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learnt_is_bounded_and_its_modes_still_rise() {
        let mut set = LockSet::new(&Arc::new(Locks::new(None)));
        let learn = |set: &mut LockSet, number: usize, mode| {
            let key = number.to_be_bytes();
            set.learn(HashedKey::new(1, TableId(1), &key), mode);
        };
        for number in 0..LEARNT_MAX + 10 {
            learn(&mut set, number, LatchMode::Shared);
        }
        assert_eq!(set.wanted.len(), LEARNT_MAX);
        learn(&mut set, 7, LatchMode::Exclusive);
        let exclusive = set
            .wanted
            .values()
            .filter(|mode| **mode == LatchMode::Exclusive);
        assert_eq!((exclusive.count(), set.wanted.len()), (1, LEARNT_MAX));
    }
}
