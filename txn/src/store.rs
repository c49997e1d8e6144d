//! The store: generations behind one view, the gate, the watermarks, the log.
//!
//! # Rules
//! 1. A seal or a schema change: close the gate, drain, end the present view at the last visible
//!    timestamp, publish the next view, open [1] [4]. A schema change's own timestamp comes after
//!    that end, so no snapshot of the old view reaches it.
//! 2. A generation without room is sealed by whoever finds it so; the others who found the same
//!    see that it was done. A write set larger than a generation gets one of its own size [4].
//! 3. Replay happens before anybody else has the store.
//! 4. Sealed generations are merged by somebody outside (`merging`), and come back as a base.

mod replay;

use std::sync::Arc;
use std::time::Duration;

use vellum_base::Timestamp;
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};

use crate::allowance::Allowance;
use crate::backlog::Backlog;
use crate::error::{CommitError, SchemaError};
use crate::gate::Gate;
use crate::generation::{Generation, GenerationOptions};
use crate::locks::Locks;
use crate::log::{Appended, Claimed, CommitLog, Durability, LogError, Prepared, Sequenced};
use crate::merge::Operators;
use crate::merging::Merging;
use crate::recent::Recent;
use crate::redo::Payload;
use crate::registry::{Purpose, Registry};
use crate::schema::Schema;
use crate::scratch::Kept;
use crate::snapshot::Reader;
use crate::trail::Trail;
use crate::view::{Sealed, View};

pub use replay::{OnSchema, Replay};

/// How large generations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of one generation; default 512 MiB of address space, of which memory is taken as it
    /// is used.
    pub generation_bytes: usize,
    /// Bytes of generation for each bucket of its hash index; default 128.
    pub bytes_per_bucket: usize,
    /// Seed of the hash; from the system's randomness by default.
    pub seed: u64,
    /// Bytes of memory of merged generations that are kept for open read-write transactions at most, beside what
    /// their own views have; default: no limit.
    pub trail_bytes: usize,
    /// How long a transaction waits for a lock at most; `None` for as long as need be. Default: 10 s.
    pub lock_timeout: Option<Duration>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            generation_bytes: 512 << 20,
            bytes_per_bucket: 128,
            seed: vellum_sync::random_u64(),
            trail_bytes: usize::MAX,
            lock_timeout: Some(Duration::from_secs(10)),
        }
    }
}

/// Counters of a store; gathered without stopping anybody, so not of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Transactions committed with writes.
    pub commits: u64,
    /// Commits refused, most of them for conflicts.
    pub conflicts: u64,
    /// Generations that are not merged, the active one included.
    pub generations: usize,
    /// Bytes of keys and versions in all generations.
    pub version_bytes: usize,
    /// Bytes of merged generations that are kept for open read-write transactions.
    pub trail_bytes: usize,
    /// Bytes granted for the writes of open transactions.
    pub write_set_bytes: usize,
    /// Sorted runs in all generations.
    pub runs: usize,
    /// Keys not yet in order, in all generations.
    pub backlog: u64,
    /// Snapshots and transactions open now.
    pub snapshots_open: usize,
    /// The oldest of their timestamps.
    pub snapshot_oldest: Option<Timestamp>,
    /// The last visible timestamp.
    pub visible: Timestamp,
    /// The last settled timestamp.
    pub settled: Timestamp,
}

/// Something cheap to clone that keeps a store alive; transactions hold one.
pub trait Owner<S: Schema>: Clone {
    /// The store.
    fn store(&self) -> &Store<S>;
}

impl<S: Schema> Owner<S> for vellum_sync::Arc<Store<S>> {
    fn store(&self) -> &Store<S> {
        self
    }
}

#[repr(align(128))]
struct Padded(AtomicU64);

/// See the module's rules.
pub struct Store<S: Schema> {
    registry: Registry<View<S>, Kept>,
    gate: Gate,
    visible: Padded,
    recent: Recent,
    backlog: Backlog,
    trail: Trail,
    allowance: Allowance,
    operators: Operators,
    merging: Mutex<()>,
    locks: vellum_sync::Arc<Locks>,
    log: Arc<dyn CommitLog>,
    options: StoreOptions,
}

/// A change of the schema that has room in the log. Gives that back when it is dropped.
pub struct PreparedChange<'a> {
    payload: Payload,
    claimed: Claimed<'a>,
}

impl<S: Schema> Store<S> {
    /// A store without versions above `base`; `last` is the greatest timestamp ever used, and `base`
    /// holds all commits up to it.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub fn new(
        log: Arc<dyn CommitLog>,
        schema: S,
        base: S::Base,
        last: Timestamp,
        options: StoreOptions,
    ) -> Result<Self, CommitError> {
        let first = new_generation(1, &options, 0)?;
        Ok(Self {
            registry: Registry::new(View::new(first, Arc::new(schema), base)),
            gate: Gate::default(),
            visible: Padded(AtomicU64::new(last.0)),
            recent: Recent::new(),
            backlog: Backlog::default(),
            trail: Trail::new(options.trail_bytes),
            allowance: Allowance::default(),
            operators: Operators::default(),
            merging: Mutex::new(()),
            locks: vellum_sync::Arc::new(Locks::new(options.lock_timeout)),
            log,
            options,
        })
    }

    pub(crate) fn registry(&self) -> &Registry<View<S>, Kept> {
        &self.registry
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn log(&self) -> &dyn CommitLog {
        &*self.log
    }

    /// The record locks.
    #[must_use]
    pub fn locks(&self) -> &vellum_sync::Arc<Locks> {
        &self.locks
    }

    /// What waits to be merged.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// What read-write transactions are checked against.
    pub(crate) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// [`StoreOptions::trail_bytes`].
    #[must_use]
    pub fn trail_limit(&self) -> usize {
        self.trail.limit()
    }

    /// What the writes of open transactions may take.
    #[must_use]
    pub fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The same store with these merge operators.
    #[must_use]
    pub fn with_operators(mut self, operators: Operators) -> Self {
        self.operators = operators;
        self
    }

    /// The merge operators.
    #[must_use]
    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    pub(crate) fn seed(&self) -> u64 {
        self.options.seed
    }

    /// What was committed last, for those who validate what they read.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    pub(crate) fn visible_word(&self) -> &AtomicU64 {
        &self.visible.0
    }

    /// The last stamped timestamp. Acquire: pairs with the Release in the stamping step, so that
    /// everything up to it is seen.
    #[must_use]
    pub fn visible(&self) -> Timestamp {
        Timestamp(self.visible.0.load(Ordering::Acquire))
    }

    /// The last timestamp up to which every commit has the durability it asked for.
    #[must_use]
    pub fn settled(&self) -> Timestamp {
        self.log.settled()
    }

    /// Seals generation `number`, unless that was done, and opens one with room for `bytes`.
    ///
    /// # Errors
    /// If the system gives no memory; nothing was sealed then.
    pub fn seal(&self, number: u64, bytes: usize) -> Result<(), CommitError> {
        let closed = self.gate.close(self.registry.slots());
        let active = self.registry.with_current(|view| Arc::clone(view.active()));
        if active.number() != number {
            return Ok(());
        }
        let next = new_generation(number + 1, &self.options, bytes)?;
        let last = self.visible();
        let position = self.log.position();
        self.registry.with_current(|view| view.end_at(last));
        self.registry
            .publish(|view| view.sealed_into(next, last, position));
        // Before anybody can list it for a merge, whose end counts it off.
        self.backlog.add(active.bytes_used() as u64);
        drop(closed);
        self.let_go_of_views();
        // The merger does it, where there is one.
        if !self.backlog.is_limited() {
            active.freeze();
        }
        Ok(())
    }

    /// The generation that commits enter, looked at.
    fn with_active<T>(&self, look: impl FnOnce(&Generation) -> T) -> T {
        let pin = self.registry.pin(Purpose::Read);
        let looked = look(self.registry.view(&pin).active());
        self.registry.unpin(pin);
        looked
    }

    /// The number of the generation that commits enter.
    pub(crate) fn active_number(&self) -> u64 {
        self.with_active(Generation::number)
    }

    /// Bytes in the generation that commits enter.
    #[must_use]
    pub fn active_bytes(&self) -> u64 {
        self.with_active(|active| active.bytes_used() as u64)
    }

    /// Seals the active generation, whatever it holds.
    ///
    /// # Errors
    /// If the system gives no memory; nothing was sealed then.
    pub fn seal_active(&self) -> Result<(), CommitError> {
        self.seal(self.active_number(), 0)
    }

    /// The newest sealed generation, if one waits to be merged.
    #[must_use]
    pub fn newest_sealed(&self) -> Option<Sealed<S>> {
        let pin = self.registry.pin(Purpose::Read);
        let newest = self.registry.view(&pin).sealed().first().cloned();
        self.registry.unpin(pin);
        newest
    }

    /// The present base.
    #[must_use]
    pub fn base(&self) -> S::Base {
        let pin = self.registry.pin(Purpose::Read);
        let base = self.registry.view(&pin).base().clone();
        self.registry.unpin(pin);
        base
    }

    /// Lets go of views, and of the bases that they have, whose last snapshot ended, and of what no
    /// open read-write transaction needs. Seals, merges and changes of the schema do so as well.
    pub fn let_go_of_views(&self) {
        self.registry.collect();
        let active = |view: &View<S>| view.active().number();
        self.trail.trim(self.registry.oldest_of_writers(active));
    }

    /// Whoever merges takes this first; waits for another one.
    pub fn merging(&self) -> Merging<'_, S> {
        Merging {
            store: self,
            _turn: self.merging.lock(),
        }
    }

    /// Changes the schema without a commit: the log holds nothing of it, and no snapshot's contents
    /// change. For what committers are to do from now on. Returns the last timestamp of a commit
    /// under the old schema; all later ones are made under the new one.
    ///
    /// # Errors
    /// What `make` refuses with; nothing was changed.
    pub fn amend_schema<E>(&self, make: impl FnOnce(&S) -> Result<S, E>) -> Result<Timestamp, E> {
        let closed = self.gate.close(self.registry.slots());
        let last = self.visible();
        let schema = Arc::new(self.registry.with_current(|view| make(view.schema()))?);
        self.registry.with_current(|view| view.end_at(last));
        self.registry.publish(|view| view.with_schema(schema));
        drop(closed);
        self.let_go_of_views();
        Ok(last)
    }

    /// Changes the schema in a commit of its own, which the log holds as `change`.
    ///
    /// While `make` runs nobody commits; it gets a reader at the last commit, and a timestamp that
    /// is later than that and no later than the change's own. Returns when the change is settled.
    ///
    /// # Errors
    /// What `make` refuses with, or why the change could not be committed; nothing was changed.
    pub fn change_schema<E>(
        &self,
        change: &[u8],
        durability: Durability,
        make: impl FnOnce(Reader<'_, S>, Timestamp) -> Result<S, E>,
    ) -> Result<Timestamp, SchemaError<E>> {
        let prepared = self.prepare_change(change);
        let prepared = prepared.map_err(|error| SchemaError::Commit(CommitError::Log(error)))?;
        self.commit_change(prepared, durability, make)
    }

    /// Takes room in the log for a change of the schema.
    ///
    /// # Errors
    /// Any [`LogError`].
    pub fn prepare_change(&self, change: &[u8]) -> Result<PreparedChange<'_>, LogError> {
        let mut payload = Payload::default();
        payload.schema(change);
        let claimed = payload.with_pieces(|pieces| Claimed::prepare(&*self.log, pieces))?;
        Ok(PreparedChange { payload, claimed })
    }

    /// [`Store::change_schema`], with room that was taken before.
    ///
    /// # Errors
    /// As that.
    pub fn commit_change<E>(
        &self,
        change: PreparedChange<'_>,
        durability: Durability,
        make: impl FnOnce(Reader<'_, S>, Timestamp) -> Result<S, E>,
    ) -> Result<Timestamp, SchemaError<E>> {
        let PreparedChange { payload, claimed } = change;
        let closed = self.gate.close(self.registry.slots());
        let last = self.visible();
        let made = self
            .registry
            .with_current(|view| make(Reader::new(view, self.options.seed, last), last.next()));
        let schema = match made {
            Ok(schema) => Arc::new(schema),
            Err(error) => {
                drop(closed);
                return Err(SchemaError::Refused(error));
            }
        };
        // Before the change is visible: rule 1.
        self.registry.with_current(|view| view.end_at(last));
        let appended = self.append_change(&payload, claimed.keep(), durability);
        if let Ok(at) = &appended {
            schema.committed(*at);
        }
        self.registry.publish(|view| match &appended {
            Ok(_) => view.with_schema(schema),
            Err(_) => view.with_schema(Arc::clone(view.schema())),
        });
        drop(closed);
        self.let_go_of_views();
        let at = appended.map_err(SchemaError::Commit)?;
        let settled = self.log.wait_settled(at);
        settled.map_err(|error| SchemaError::Commit(CommitError::Log(error)))?;
        Ok(at)
    }

    fn append_change(
        &self,
        payload: &Payload,
        prepared: Prepared,
        durability: Durability,
    ) -> Result<Timestamp, CommitError> {
        struct Visible<'a>(&'a AtomicU64);
        impl Sequenced for Visible<'_> {
            fn validate(&mut self) -> bool {
                true
            }
            fn stamp(&mut self, at: Timestamp) {
                // Release: as for any commit.
                self.0.store(at.0, Ordering::Release);
            }
        }
        let mut steps = Visible(&self.visible.0);
        let appended = payload
            .with_pieces(|pieces| self.log.append(prepared, pieces, durability, &mut steps))?;
        match appended {
            Appended::At(at) => Ok(at),
            Appended::Refused(_) => unreachable!("this change validates"),
        }
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let (snapshots_open, oldest) = self.registry.open();
        let mut stats = StoreStats {
            snapshots_open,
            snapshot_oldest: oldest.map(Timestamp),
            visible: self.visible(),
            settled: self.settled(),
            write_set_bytes: self.allowance.granted(),
            trail_bytes: self.trail.bytes(),
            ..StoreStats::default()
        };
        (stats.commits, stats.conflicts) = self.registry.slots().counts();
        let pin = self.registry.pin(Purpose::Read);
        for generation in self.registry.view(&pin).generations() {
            stats.generations += 1;
            stats.version_bytes += generation.bytes_used();
            stats.runs += generation.order().run_count();
            stats.backlog += generation.order().backlog(generation.arena());
        }
        self.registry.unpin(pin);
        stats
    }
}

fn new_generation(
    number: u64,
    options: &StoreOptions,
    bytes: usize,
) -> Result<Arc<Generation>, CommitError> {
    // Rounds up for what a room and the arena's beginning take beside the writes.
    let bytes = options.generation_bytes.max(bytes + bytes / 16 + 4096);
    let buckets = bytes / options.bytes_per_bucket.max(1);
    let options = GenerationOptions {
        bytes,
        buckets,
        seed: options.seed,
    };
    Generation::new(number, options)
        .map(Arc::new)
        .map_err(memory)
}

fn memory(error: std::io::Error) -> CommitError {
    CommitError::Memory(error.to_string())
}

impl<S: Schema> std::fmt::Debug for Store<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("visible", &self.visible())
            .finish_non_exhaustive()
    }
}
