//! A read-write transaction: a snapshot at the visible watermark and a private write set.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_sync::atomic::Ordering;

use crate::allowance::Grant;
use crate::commit::{Commit, check_commit_bytes};
use crate::error::CommitError;
use crate::generation::HashedKey;
use crate::locks::LockSet;
use crate::log::Durability;
use crate::merge::OperatorId;
use crate::node::Body;
use crate::range::{Range, TransactionRange};
use crate::reads::Reads;
use crate::registry::{Pin, Purpose, Widened};
use crate::schema::Schema;
use crate::scratch::Kept;
use crate::snapshot::{Reader, Version};
use crate::store::Owner;
use crate::vectors::{VectorList, vectors_len};
use crate::view::View;
use crate::write_set::{Savepoint, SavepointError, WriteSet, Written};

/// What a read-write transaction finds under a key.
#[derive(Clone, Copy, Debug)]
pub struct Found<'t> {
    at: Option<Timestamp>,
    value: &'t [u8],
    vectors: &'t [u8],
    operator: Option<OperatorId>,
}

impl<'t> Found<'t> {
    pub(crate) fn committed(version: Version<'t>) -> Self {
        Self {
            at: Some(version.at()),
            value: version.value(),
            vectors: version.vectors().bytes(),
            operator: None,
        }
    }

    /// An own write; `None` for a deletion.
    pub(crate) fn own(written: Written<'t>) -> Option<Self> {
        let (value, vectors, operator) = match written {
            Written::Body(Body::Delete) => return None,
            Written::Body(Body::Put { value, vectors }) => (value, vectors, None),
            Written::Body(Body::Large(record)) => (&*record.value, &*record.vectors, None),
            Written::Merge(operand) => (operand.bytes, &[][..], Some(operand.operator)),
        };
        Some(Self {
            at: None,
            value,
            vectors,
            operator,
        })
    }

    /// Of an own write that is merged, operator and operand. What the key has then comes of that and of
    /// the snapshot; value and vectors here are none.
    #[must_use]
    pub fn operand(&self) -> Option<(OperatorId, &'t [u8])> {
        self.operator.map(|operator| (operator, self.value))
    }

    /// When it was committed; `None` for the transaction's own write.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &'t [u8] {
        self.value
    }

    /// The named vectors.
    #[must_use]
    pub fn vectors(&self) -> VectorList<'t> {
        VectorList::new(self.vectors)
    }
}

/// What a read-write transaction's commit promises of what it read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// It read one snapshot, and nobody else wrote meanwhile what it writes.
    #[default]
    Snapshot,
    /// It could have read the same at the moment of its commit: the order of commits is a serial
    /// order.
    Serializable,
}

/// A read-write transaction; dropping it rolls back. May move between threads.
///
/// Its snapshot is the visible watermark: it may build on commits that are not yet as durable as
/// their authors asked, because its own record follows theirs in the log (hazard 16).
pub struct Transaction<S: Schema, O: Owner<S>> {
    owner: O,
    pin: Option<Pin<View<S>>>,
    at: Timestamp,
    isolation: Isolation,
    pub(crate) scratch: Kept,
    /// Released when the transaction has ended.
    pub(crate) locks: Option<Box<LockSet>>,
    grant: Grant,
}

impl<S: Schema, O: Owner<S>> Transaction<S, O> {
    /// Begins at the visible watermark, with snapshot isolation.
    #[must_use]
    pub fn begin(owner: O) -> Self {
        Self::begin_with(owner, Isolation::Snapshot)
    }

    /// Begins at the visible watermark.
    #[must_use]
    pub fn begin_with(owner: O, isolation: Isolation) -> Self {
        let store = owner.store();
        let mut pin = store.registry().pin(Purpose::Write);
        let visible = store.visible();
        let at = visible.min(store.registry().view(&pin).last());
        let mut scratch = store.registry().with_scratch(&mut pin, Kept::take);
        if isolation == Isolation::Serializable {
            scratch.reads = Some(scratch.spare.take().unwrap_or_default());
        }
        let slot = store.registry().slots().slot(store.registry().claim(&pin));
        slot.snapshot.store(at.0, Ordering::Relaxed);
        Self {
            owner,
            pin: Some(pin),
            at,
            isolation,
            scratch,
            grant: Grant::default(),
            locks: None,
        }
    }

    /// What its commit promises.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where reads are to be entered before they are made; `None`: they need not be.
    #[inline]
    #[must_use]
    pub fn reads(&self) -> Option<&Reads> {
        match self.isolation {
            Isolation::Snapshot => None,
            Isolation::Serializable => self.scratch.reads.as_deref(),
        }
    }

    /// Has the commit check that nobody else commits the key meanwhile, as if it were read in a
    /// serializable transaction.
    pub fn mark_read(&mut self, table: TableId, key: &[u8]) {
        let key = HashedKey::new(self.owner.store().seed(), table, key);
        let scratch = &mut *self.scratch;
        let spare = &mut scratch.spare;
        let reads = scratch
            .reads
            .get_or_insert_with(|| spare.take().unwrap_or_default());
        reads.set().add_key(key);
    }

    /// Takes a key out of what the commit checks, also where a range that was read has it. What was
    /// written is checked all the same, and what is read again later too.
    pub fn unmark(&mut self, table: TableId, key: &[u8]) {
        let key = HashedKey::new(self.owner.store().seed(), table, key);
        if let Some(reads) = &mut self.scratch.reads {
            reads.set().remove(key);
        }
    }

    /// Its snapshot's timestamp.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What the transaction was begun with.
    #[must_use]
    pub fn owner(&self) -> &O {
        &self.owner
    }

    fn pin(&self) -> &Pin<View<S>> {
        match &self.pin {
            Some(pin) => pin,
            None => unreachable!("only dropping takes the pin"),
        }
    }

    /// The view that is current now.
    pub(crate) fn latest_view(&mut self) -> Widened<'_, View<S>> {
        match &mut self.pin {
            Some(pin) => self.owner.store().registry().widen(pin),
            None => unreachable!("only dropping takes the pin"),
        }
    }

    /// Reads the snapshot, without own writes.
    #[must_use]
    pub fn reader(&self) -> Reader<'_, S> {
        let store = self.owner.store();
        Reader::new(store.registry().view(self.pin()), store.seed(), self.at)
    }

    /// The own write to the key, if there is one; `Some(None)`: a deletion.
    #[must_use]
    pub fn own_write(&self, table: TableId, key: &[u8]) -> Option<Option<Found<'_>>> {
        self.scratch.writes.get(table, key).map(Found::own)
    }

    /// The own writes to a table in key order; `None`: a deletion.
    pub fn own_writes(
        &self,
        table: TableId,
    ) -> impl DoubleEndedIterator<Item = (&[u8], Option<Found<'_>>)> {
        let writes = self
            .scratch
            .writes
            .range(table, Bound::Unbounded, Bound::Unbounded);
        writes.map(|(key, written)| (key.key, Found::own(written)))
    }

    /// The table's keys within the bounds, own writes over `snapshot`, from both ends. That is the
    /// snapshot's range of the same table and bounds ([`Reader::seek_range`]).
    #[must_use]
    pub fn range_over<'t>(
        &'t self,
        snapshot: Range<'t>,
        table: TableId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> TransactionRange<'t> {
        TransactionRange::new(snapshot, self.scratch.writes.range(table, lower, upper))
    }

    /// Writes a record: a value and its named vectors, sorted by name, in place of what stands.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`], [`CommitError::WriteMemory`]; the transaction is as it was.
    pub fn put(
        &mut self,
        table: TableId,
        key: &[u8],
        value: &[u8],
        vectors: &[(&str, &[f32])],
    ) -> Result<(), CommitError> {
        let vectors_len = vectors_len(vectors);
        self.check_size(WriteSet::write_bytes(key, value.len() + vectors_len))?;
        let key = self.hashed(table, key);
        self.scratch.writes.put(key, value, vectors, vectors_len);
        Ok(())
    }

    /// The same with vectors that were read.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`], [`CommitError::WriteMemory`]; the transaction is as it was.
    pub fn put_encoded(
        &mut self,
        table: TableId,
        key: &[u8],
        value: &[u8],
        vectors: VectorList<'_>,
    ) -> Result<(), CommitError> {
        self.check_size(WriteSet::write_bytes(
            key,
            value.len() + vectors.bytes().len(),
        ))?;
        let key = self.hashed(table, key);
        self.scratch.writes.put_encoded(key, value, vectors.bytes());
        Ok(())
    }

    /// Writes an operand, in place of what is written to the key (see `merge`, rule 5).
    ///
    /// # Errors
    /// [`CommitError::TooLarge`], [`CommitError::WriteMemory`]; the transaction is as it was.
    pub fn merge(
        &mut self,
        table: TableId,
        key: &[u8],
        operator: OperatorId,
        operand: &[u8],
    ) -> Result<(), CommitError> {
        self.check_size(WriteSet::write_bytes(key, operand.len()))?;
        let key = self.hashed(table, key);
        self.scratch.writes.merge(key, operator, operand);
        Ok(())
    }

    /// Writes a deletion.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`], [`CommitError::WriteMemory`]; the transaction is as it was.
    pub fn delete(&mut self, table: TableId, key: &[u8]) -> Result<(), CommitError> {
        self.check_size(WriteSet::write_bytes(key, 0))?;
        let key = self.hashed(table, key);
        self.scratch.writes.delete(key);
        Ok(())
    }

    /// The key with its hash, whose bucket the commit will want.
    fn hashed<'k>(&self, table: TableId, key: &'k [u8]) -> HashedKey<'k> {
        let store = self.owner.store();
        let key = HashedKey::new(store.seed(), table, key);
        store
            .registry()
            .view(self.pin())
            .active()
            .prefetch_bucket(key.hash);
        key
    }

    /// Whether there is room for so many writes, whose keys and records have so many bytes together.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`].
    pub fn check_room(&mut self, writes: usize, bytes: usize) -> Result<(), CommitError> {
        self.check_size(writes * WriteSet::write_bytes(&[], 0) + bytes)
    }

    fn check_size(&mut self, more: usize) -> Result<(), CommitError> {
        let writes = &mut self.scratch.writes;
        check_commit_bytes(writes.total_bytes() + more)?;
        let allowance = self.owner.store().allowance();
        if self.grant.cover(writes.memory() + more, allowance).is_ok() {
            return Ok(());
        }
        // What was kept for savepoints that are gone is nobody's.
        writes.release();
        self.grant.cover(writes.memory() + more, allowance)
    }

    /// Bytes of what was written so far, about.
    #[must_use]
    pub fn write_bytes(&self) -> usize {
        self.scratch.writes.total_bytes()
    }

    /// A place in the writes to roll back to.
    pub fn savepoint(&mut self) -> Savepoint {
        self.scratch.writes.savepoint()
    }

    /// Takes back what was written since the savepoint was made, which stays. What was read stays read:
    /// the program knows it, and may go on from it.
    ///
    /// # Errors
    /// If the savepoint was made after one that was rolled back to since, or is another transaction's.
    pub fn roll_back_to(&mut self, savepoint: &Savepoint) -> Result<(), SavepointError> {
        self.scratch.writes.roll_back_to(savepoint)?;
        let memory = self.scratch.writes.memory();
        self.grant.shrink(memory, self.owner.store().allowance());
        Ok(())
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scratch.writes.is_empty()
    }

    /// Commits: stamped and visible when this returns, not yet settled; the caller waits for that
    /// as it likes. An empty transaction returns its snapshot's timestamp.
    ///
    /// # Errors
    /// Any [`CommitError`]; nothing was written then.
    pub fn commit(self, durability: Durability) -> Result<Timestamp, CommitError> {
        self.commit_else(durability, |_, _| {})
    }

    /// [`Transaction::commit`], which shows the transaction to `refused` before it ends, if it is
    /// refused: to learn for the next attempt.
    ///
    /// # Errors
    /// As there.
    pub fn commit_else(
        mut self,
        durability: Durability,
        refused: impl FnOnce(&mut Self, &CommitError),
    ) -> Result<Timestamp, CommitError> {
        if self.scratch.writes.is_empty() {
            return Ok(self.at);
        }
        let Some(pin) = &mut self.pin else {
            unreachable!("only dropping takes the pin")
        };
        let (store, own) = (self.owner.store(), self.locks.as_deref());
        let commit = Commit::new(store, pin, self.at, own, &mut self.scratch, &mut self.grant);
        let committed = commit.run(durability);
        if let Err(error) = &committed {
            refused(&mut self, error);
        }
        committed
    }
}

impl<S: Schema, O: Owner<S>> Drop for Transaction<S, O> {
    fn drop(&mut self) {
        if let Some(mut pin) = self.pin.take() {
            let registry = self.owner.store().registry();
            self.scratch.recycle();
            self.grant.shrink(0, self.owner.store().allowance());
            let scratch = std::mem::take(&mut self.scratch);
            registry.with_scratch(&mut pin, |place| *place = scratch);
            registry.unpin(pin);
        }
    }
}
