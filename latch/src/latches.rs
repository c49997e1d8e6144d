//! Latches: who may change a thing now, for things that several threads change together.
//!
//! A [`Unit`] of work is begun at the [`Latches`] of a database, takes latches on [`Resource`]s,
//! shared or exclusive, and gives them back at its end. Any number of threads; one unit belongs to
//! one thread at a time. Readers of published pages take no latch. Nobody may hold a mutex of any
//! other module while he waits here.
//!
//! # Rules
//!
//! 1. **Exclusion.** A resource is held by one exclusive unit, or by any number of shared ones. What
//!    was done under a latch happens before whatever is done under a later one that excludes it.
//! 2. **Rank.** Resources are ordered: catalog, structures, pages by structure and number, records
//!    by table and key. [`Unit::acquire`] blocks *inside* this order only: the resource is greater
//!    than all that the unit holds. Units that do nothing else never make a cycle. Anything else,
//!    the raising of a held latch from shared to exclusive included, is for
//!    [`Unit::acquire_any`]. Where debug assertions are on, breaking this panics and names both
//!    places; where they are off, it is detected like any other wait.
//! 3. **First come, first served.** Whoever cannot have a latch queues for it, and is served when
//!    neither a holder nor anyone before him in the queue excludes him. Whoever comes finds a queue
//!    and joins it, even if the holders would not exclude him; a try fails then. Only a raise goes
//!    to the front: those before it wait for the very unit that asks.
//! 4. **Hand-over.** Whoever releases makes the next ones holders himself, under the mutexes, then
//!    wakes just those. So nobody gets in between, nobody is woken in vain, and no wake-up is lost:
//!    the sleeper looks at the verdict under its own mutex before it sleeps.
//! 5. **Deadlocks.** All that wait are in one graph, whether they wait inside the order or against
//!    it, behind holders, shared ones too, or behind others in the queue. Edges come into being with
//!    a wait only: a unit that does not wait gives nobody a new one, since rule 3 lets nobody
//!    overtake. So a cycle is closed by a wait that begins, passes through it, and is looked for
//!    there, before that unit sleeps. Nothing else ever makes one, and nothing can undo one in
//!    between: the graph is looked at under the mutex under which all its edges change.
//! 6. **The victim** is the youngest unit of a cycle: its wait ends with [`LatchError::Deadlock`],
//!    asleep or not, and leaves the queue at once. It keeps what it holds, since only its owner knows
//!    how to undo what was done under it; it must then release everything ([`Unit::release_all`]),
//!    and begin again with its old age. A unit that latches all before it changes anything has
//!    nothing to undo, and has published nothing too early [13]. The oldest of all units is never a
//!    victim, and everyone who keeps his age becomes the oldest: everyone finishes. If several
//!    cycles close at once, each has a victim.
//! 7. **Time-out**, the last resort, against latches that are never released. It withdraws the
//!    unit from the queue, as if it had never asked; that may let others in.
//!
//! # Where the state of a latch is
//!
//! A table in shards by the resource's hash has the latches that are held, and only those. While
//! somebody waits for one, all about it is in the graph, and the shard only says so. Mutexes are
//! taken in the order shard, graph, sleeper; never two of a kind.
//!
//! | | changed under |
//! |---|---|
//! | holders of a latch that nobody waits for | its shard |
//! | holders and queue of one with a queue, growing by those that queue, or being served | the graph |
//! | the same, being released, or going from the one place to the other | its shard, then the graph |
//!
//! Without a queue a latch costs one mutex of a shard to take and one to give back, and no
//! allocation but for the second and further ones that share. The queue's last waiter may be
//! withdrawn without the shard's mutex: the latch then stays in the graph until somebody asks for
//! it or releases it.
//!
//! [13]: crate#hazards

use std::time::Duration;

use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Mutex, scaled};

use super::graph::Graph;
use super::resource::{Age, Resource};
use super::stats::{LatchStats, Waits};
use super::table::{Latch, Table};
use super::unit::Unit;

/// What can be chosen about latches.
#[derive(Clone, Copy, Debug)]
pub struct LatchOptions {
    /// Into how many parts the table is divided; rounded up to a power of two.
    pub shards: usize,
    /// How long one wait lasts at most; `None` for as long as need be.
    pub timeout: Option<Duration>,
}

impl Default for LatchOptions {
    fn default() -> Self {
        Self {
            shards: scaled(64, 2),
            timeout: Some(Duration::from_secs(10)),
        }
    }
}

/// All latches of a database.
pub struct Latches {
    pub(super) table: Table,
    pub(super) graph: Mutex<Graph>,
    pub(super) waits: Waits,
    next: AtomicU64,
    pub(super) timeout: Option<Duration>,
}

impl Latches {
    /// Latches that nobody holds.
    #[must_use]
    pub fn new(options: LatchOptions) -> Self {
        Self {
            table: Table::new(options.shards),
            graph: Mutex::default(),
            waits: Waits::new(),
            next: AtomicU64::new(0),
            timeout: options.timeout,
        }
    }

    /// Begins a unit of work: the youngest. [`Unit::begin`] does the same for an owned handle.
    pub fn begin(&self) -> Unit<&Self> {
        Unit::begin(self)
    }

    /// Does `work` as a unit, again and with its old age for as long as it is the victim of a
    /// deadlock. `work` must have undone everything when it returns an error; then its latches are
    /// released, in any case.
    ///
    /// # Errors
    /// With `work`, unless its unit is a victim.
    pub fn run<T, E>(
        &self,
        mut work: impl FnMut(&mut Unit<&Self>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut unit = self.begin();
        loop {
            match work(&mut unit) {
                Err(_) if unit.is_victim() => unit.release_all(),
                outcome => return outcome,
            }
        }
    }

    /// Whether somebody else than `own` holds `resource`, in either mode. What was done before this
    /// returned `false` happens before whatever is done under a latch that is acquired later.
    #[must_use]
    pub fn is_held_by_other(&self, resource: Resource, own: Option<Age>) -> bool {
        let shard = self.table.lock(resource);
        match shard.holders(resource) {
            None => false,
            Some(Latch::Held(holders)) => holders.are_others(own),
            Some(Latch::Queued) => self.graph.lock().is_held_by_other(resource, own),
        }
    }

    /// What was counted, by class.
    #[must_use]
    pub fn stats(&self) -> LatchStats {
        let mut stats = LatchStats::default();
        self.table.count(&mut stats);
        self.graph.lock().count(&mut stats);
        self.waits.count(&mut stats);
        stats
    }

    /// Ages differ; nothing else is read out of their order.
    pub(super) fn next_age(&self) -> Age {
        Age(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

impl Default for Latches {
    fn default() -> Self {
        Self::new(LatchOptions::default())
    }
}

impl std::fmt::Debug for Latches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Latches").finish_non_exhaustive()
    }
}
