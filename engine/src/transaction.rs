//! Read-write transactions: a snapshot, own writes over it, and a commit that takes all or none.

mod delete_range;
mod savepoint;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_txn::{CommitError, Durability, Isolation, LockSet, Schema};

use crate::argument::{InvalidArgument, check_name, check_value, check_vector, check_vectors_len};
use crate::bytes::{Key, Value, Versioned};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::handle::CommitHandle;
use crate::quoted::QuotedKey;
use crate::range::{Bounds, Range};
use crate::reading::Reading;
use crate::record::{Record, StoredRecord};
use crate::search::Search;
use crate::shared::Handle;
use crate::table::Table;

/// A read-write transaction, from [`crate::Database::begin`].
///
/// It reads the database as it was when it began, with its own writes over it, and keeps its writes
/// to itself until [`Transaction::commit`]. Of two transactions that overlap in time and write the
/// same key, the first to commit wins, and the other gets [`Error::Conflict`] from its commit. That
/// is snapshot isolation. With [`Isolation::Serializable`] what it read is checked as well: if
/// another commit wrote a key that it read, or one in a range that it read, as far as it went through
/// it, it gets [`Error::ReadConflict`]. A search reads its whole table, unless it is told its keys.
/// Nothing waits for anything before the commit, but who asks for a lock
/// ([`Transaction::get_for_update`], [`Transaction::get_for_share`]) while others hold it.
///
/// What was read takes up to 16 MiB ([`crate::READS_BYTES_MAX`]) of memory beside the budget; beyond
/// that the table that most was read of counts as read whole, but for keys that were unmarked, as long
/// as those are few. A transaction that wrote nothing
/// commits in either isolation: it is at its snapshot in the order of commits.
///
/// The snapshot includes commits that are visible and not yet settled; this transaction's own
/// commit follows theirs in the log, so once it is durable, so are they.
///
/// Dropping it, also in a panic, rolls it back. It may be sent to another thread. It outlives
/// [`crate::Database::close`], but can then no longer be committed.
pub struct Transaction {
    inner: Inner,
}

/// The store's part of a transaction.
pub(crate) type Inner = vellum_txn::Transaction<Catalog, Arc<Handle>>;

impl Transaction {
    pub(crate) fn begin(handle: Arc<Handle>, isolation: Isolation) -> Self {
        Self {
            inner: Inner::begin_with(handle, isolation),
        }
    }

    /// What its commit promises of what it read.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    /// The snapshot's timestamp: what was committed at or before it is seen.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.inner.at()
    }

    /// Begins with locks that were taken before.
    pub(crate) fn begin_locked(
        handle: Arc<Handle>,
        isolation: Isolation,
        locks: Box<LockSet>,
    ) -> Self {
        Self {
            inner: Inner::begin_locked(handle, isolation, locks),
        }
    }

    pub(crate) fn check_with_key(&self, table: &Table, key: &[u8]) -> Result<TableId> {
        self.reading().check_with_key(table, key)
    }

    #[inline]
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading::of_transaction(&self.inner)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }

    /// Writes a record of this value and no vectors, in place of what stands at `key`.
    ///
    /// The value is copied into the transaction. Keys have 1 to 2,048 bytes, values up to 1 GiB.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]; the table is not in this snapshot; the transaction has become
    /// larger than the memory budget allows ([`Error::WriteMemory`]), or than a commit may be
    /// ([`InvalidArgument::CommitTooLarge`]: [`crate::COMMIT_BYTES_MAX`]).
    pub fn insert(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        let id = self.reading().check_with_key(table, key)?;
        check_value(key, value)?;
        self.keep_indexes(id, key, Some((value, 0)))?;
        self.inner
            .put(id, key, value, &[])
            .map_err(|error| self.commit_error(error))
    }

    /// Writes a whole record, value and vectors, in place of what stands at `key`. Of the old
    /// record nothing is kept.
    ///
    /// # Errors
    /// As [`Transaction::insert`]; a vector that has not the dimension of an index on its column,
    /// or a component that is not finite; two vectors of one name; vectors of more than 1 GiB.
    pub fn insert_record(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
        record: Record<'_>,
    ) -> Result<()> {
        let key = key.as_ref();
        let id = self.reading().check_with_key(table, key)?;
        check_value(key, record.value)?;
        let mut vectors = record.vectors;
        vectors.sort_unstable_by_key(|(column, _)| *column);
        self.check_vectors(id, key, &vectors)?;
        let vectors_len = vellum_txn::vectors_len(&vectors);
        self.keep_indexes(id, key, Some((record.value, vectors_len)))?;
        self.inner
            .put(id, key, record.value, &vectors)
            .map_err(|error| self.commit_error(error))
    }

    /// The writes of ordered indexes that belong to this one of value and vectors, or to a removal; comes
    /// before it, and refuses what it would.
    pub(crate) fn keep_indexes(
        &mut self,
        table: TableId,
        key: &[u8],
        new: Option<(&[u8], usize)>,
    ) -> Result<()> {
        match self.inner.reader().schema().keepers(table) {
            [] => Ok(()),
            _ => crate::ordered::keep(&mut self.inner, table, key, new),
        }
    }

    fn check_vectors(&self, id: TableId, key: &[u8], vectors: &[(&str, &[f32])]) -> Result<()> {
        if let Some(pair) = vectors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(InvalidArgument::ColumnTwice {
                column: pair[0].0.to_owned(),
            }
            .into());
        }
        check_vectors_len(key, vectors)?;
        let indexed = self.inner.reader().schema().columns(id);
        for (name, vector) in vectors {
            check_name(name)?;
            check_vector(name, vector, Some(key))?;
            let column = indexed.iter().find(|column| column.name() == *name);
            let expected = column.map_or(vector.len(), |column| column.rows().dimension());
            if vector.len() != expected {
                let (column, found) = ((*name).to_owned(), vector.len());
                let key = Some(QuotedKey::new(key));
                return Err(InvalidArgument::Dimension {
                    column,
                    expected,
                    found,
                    key,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Removes the record of `key`, if there is one.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn remove(&mut self, table: &Table, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        let id = self.reading().check_with_key(table, key)?;
        self.keep_indexes(id, key, None)?;
        self.inner
            .delete(id, key)
            .map_err(|error| self.commit_error(error))
    }

    /// Writes `value` at `key` if the record there still has the version `expected` (`None`: if
    /// there is no record). Versions come from [`Transaction::get_versioned`] and its like, of this
    /// or of an earlier transaction, or are the timestamps that commits returned.
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let mut txn = db.begin()?;
    /// txn.compare_and_swap(&items, "pen", None, "blue")?;
    /// let first = txn.commit()?;
    ///
    /// let mut txn = db.begin()?;
    /// txn.compare_and_swap(&items, "pen", Some(first), "red")?;
    /// let second = txn.commit()?;
    ///
    /// let mut txn = db.begin()?;
    /// let lost = txn.compare_and_swap(&items, "pen", Some(first), "green").unwrap_err();
    /// assert!(matches!(lost, Error::VersionMismatch { found: Some(found), .. } if found == second));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::VersionMismatch`] if it has another one, or was written by this very transaction
    /// (nothing is written then, and the transaction goes on); as [`Transaction::insert`].
    pub fn compare_and_swap(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
        expected: Option<Timestamp>,
        value: impl AsRef<[u8]>,
    ) -> Result<()> {
        let key = key.as_ref();
        let stands = self.reading().get(table, key)?;
        let is_there = stands.is_some();
        let found = stands.and_then(|record| record.version());
        // An own write stands and has no version: it equals nothing that could be expected.
        if found != expected || (is_there && found.is_none()) {
            let (table, key) = (table.name().to_owned(), QuotedKey::new(key));
            return Err(Error::VersionMismatch {
                table,
                key,
                expected,
                found,
            });
        }
        self.insert(table, key, value)
    }

    /// The value of `key`, or `None` if there is no such record. Own writes come first.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database; a key that no record can have.
    pub fn get(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Value<'_>>> {
        let found = self.reading().get(table, key.as_ref())?;
        Ok(found.map(StoredRecord::into_value))
    }

    /// The value of `key` with its version, which a write of this transaction does not have yet.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn get_versioned(
        &self,
        table: &Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Versioned<'_>>> {
        let found = self.reading().get(table, key.as_ref())?;
        Ok(found.map(StoredRecord::into_versioned))
    }

    /// The whole record of `key`: value, vectors, version.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn get_record(
        &self,
        table: &Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<StoredRecord<'_>>> {
        self.reading().get(table, key.as_ref())
    }

    /// The values of many keys, in the order of `keys`.
    ///
    /// # Errors
    /// As [`Transaction::get`], for any of the keys.
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        table: &Table,
        keys: &[K],
    ) -> Result<Vec<Option<Value<'_>>>> {
        self.reading().get_many(table, keys)
    }

    /// Whether there is a record of `key`.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn contains_key(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<bool> {
        let reading = self.reading();
        let table = reading.check_with_key(table, key.as_ref())?;
        reading.contains(table, key.as_ref())
    }

    /// The record with the least key.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn first(&self, table: &Table) -> Result<Option<(Key<'_>, Value<'_>)>> {
        self.iter(table)?.next().transpose()
    }

    /// The record with the greatest key.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn last(&self, table: &Table) -> Result<Option<(Key<'_>, Value<'_>)>> {
        self.iter(table)?.next_back().transpose()
    }

    /// All records, own writes and snapshot together, in the order of their keys; from both ends.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn iter(&self, table: &Table) -> Result<Range<'_>> {
        self.range::<&[u8]>(table, ..)
    }

    /// The records with keys in `range`, own writes and snapshot together, in the order of their
    /// keys; from both ends. A range that ends before it begins is empty.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn range<K: AsRef<[u8]>>(
        &self,
        table: &Table,
        range: impl RangeBounds<K>,
    ) -> Result<Range<'_>> {
        self.reading().range(table, &Bounds::of(&range))
    }

    /// The records whose keys begin with `prefix`, own writes and snapshot together, in the order
    /// of their keys; from both ends.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> Result<Range<'_>> {
        self.reading().prefix(table, prefix.as_ref())
    }

    /// Has the commit check that nobody else commits a write of `key` meanwhile, be there a record or
    /// not, without writing it: so that in snapshot isolation what depends on the key cannot be
    /// written beside a change of it (write skew).
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let mut txn = db.begin()?;
    /// txn.mark_read(&items, "limit")?;
    /// txn.insert(&items, "total", "7")?;
    /// db.transact(|other| other.insert(&items, "limit", "5"))?;
    /// assert!(matches!(txn.commit(), Err(Error::ReadConflict { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn mark_read(&mut self, table: &Table, key: impl AsRef<[u8]>) -> Result<()> {
        let id = self.reading().check_with_key(table, key.as_ref())?;
        self.inner.mark_read(id, key.as_ref());
        Ok(())
    }

    /// Takes `key` out of what the commit checks of reads, also where a range that was read has it:
    /// for who reads a key and can commit whatever becomes of it. What is read or marked again later is
    /// checked again; what was written is checked in any case.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub fn unmark(&mut self, table: &Table, key: impl AsRef<[u8]>) -> Result<()> {
        let id = self.reading().check_with_key(table, key.as_ref())?;
        self.inner.unmark(id, key.as_ref());
        Ok(())
    }

    /// A search of the index on `column` for the vectors nearest to `query`, own writes included;
    /// see [`Search`].
    ///
    /// # Errors
    /// The table or index is not in this snapshot; a wrong dimension; a component that is not
    /// finite.
    pub fn search<'q>(
        &self,
        table: &Table,
        column: &str,
        query: &'q (impl AsRef<[f32]> + ?Sized),
    ) -> Result<Search<'_, 'q>> {
        Search::new(self.reading(), table, column, query.as_ref())
    }

    /// Commits with the database's durability ([`crate::Options::durability`], by default
    /// [`Durability::Sync`]) and waits until that is reached; returns the commit's timestamp, which
    /// is the version of what was written. Every later transaction sees the commit.
    ///
    /// A transaction that wrote nothing has nothing to commit; it waits until everything that it
    /// can have read is settled, and returns its snapshot's timestamp.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::ReadConflict`], [`Error::Locked`]: retry, or use [`crate::Database::transact`] or its
    /// like. [`Error::DiskFull`],
    /// [`Error::OutOfMemory`], [`Error::TableDropped`], [`Error::Closed`]: nothing was committed; nor with
    /// [`Error::Io`] and [`Error::Corrupt`]: the commit would have to wait for pages to be written, and they cannot
    /// be for that reason. What merges may also be refused with [`Error::Merge`] and [`Error::WriteMemory`].
    /// [`Error::Poisoned`]: the log failed; if that was while waiting, the commit may be durable or
    /// not, which shows when the database is opened again.
    pub fn commit(self) -> Result<Timestamp> {
        let durability = self.inner.owner().shared().durability;
        let (at, handle) = self.sequence(durability, |_, _| {})?;
        // Empty ones too, since they tell their caller what they read [16].
        handle.shared().wait_settled(at)?;
        Ok(at)
    }

    /// Commits with a durability of its own and does not wait for it: the commit is ordered, and
    /// visible to transactions that begin from now on ([`crate::Database::begin`]; read-only ones
    /// see it when it is settled). Any number of handles may be on their way at once.
    ///
    /// ```
    /// # use vellum::{Database, Durability};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let mut txn = db.begin()?;
    /// txn.insert(&items, "pen", "blue")?;
    /// let handle = txn.commit_with(Durability::Buffered)?;
    /// handle.wait()?;
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::commit`], except that waiting for durability is the handle's.
    pub fn commit_with(self, durability: Durability) -> Result<CommitHandle> {
        self.commit_else(durability, |_, _| {})
    }

    /// [`Transaction::commit_with`], which shows the transaction to `refused` if it is refused.
    pub(crate) fn commit_else(
        self,
        durability: Durability,
        refused: impl FnOnce(&mut Inner, &CommitError),
    ) -> Result<CommitHandle> {
        let (at, handle) = self.sequence(durability, refused)?;
        let shared = handle.shared();
        if durability == Durability::Sync {
            shared.log.request_flush();
        }
        Ok(CommitHandle::new(
            at,
            shared.log.clone(),
            shared.origin.clone(),
        ))
    }

    fn sequence(
        self,
        durability: Durability,
        refused: impl FnOnce(&mut Inner, &CommitError),
    ) -> Result<(Timestamp, Arc<Handle>)> {
        let handle = self.inner.owner().clone();
        handle.shared().check_open()?;
        match self.inner.commit_else(durability, refused) {
            Ok(at) => Ok((at, handle)),
            Err(error) => Err(Error::from_commit(error, &handle)),
        }
    }

    /// Gives up; the same as dropping, spelled out.
    pub fn rollback(self) {}

    #[cold]
    fn commit_error(&self, error: CommitError) -> Error {
        Error::from_commit(error, self.inner.owner())
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("at", &self.timestamp())
            .finish_non_exhaustive()
    }
}
