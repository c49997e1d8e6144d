//! The database: opening, tables, indexes, transactions.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use vellum_txn::{Durability, Isolation};

use crate::error::{Error, Result};
use crate::handle::CommitHandle;
use crate::index::{IndexInfo, NewIndex};
use crate::load::BulkLoad;
use crate::options::Options;
use crate::read::ReadTransaction;
use crate::schema;
use crate::shared::{Handle, Shared};
use crate::stats::Stats;
use crate::table::Table;
use crate::table_options::TableOptions;
use crate::transaction::Transaction;

/// An open database. Clone it to share it; it may be used from any number of threads.
///
/// Each clone has a reference of its own to what all share, which its transactions count. So give
/// each thread that begins many short transactions a clone of its own, rather than a reference to
/// one: threads then do not contend for one counter.
///
/// The database closes when [`Database::close`] is called, or else when the last clone and the last
/// transaction are dropped; that way, errors of the closing are not reported. Commits that were
/// acknowledged are safe in any case.
pub struct Database {
    handle: Arc<Handle>,
}

impl Clone for Database {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.fork(),
        }
    }
}

impl Database {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            handle: Handle::new(Arc::new(shared)),
        }
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn shared(&self) -> &Shared {
        self.handle.shared()
    }

    /// Opens the database in the directory at `path`, and creates it (and the directory, not its
    /// parents) where there is none. What was committed is replayed from the log.
    ///
    /// # Errors
    /// At once, and with nothing changed on the disk: [`Error::AlreadyOpen`],
    /// [`Error::NotADirectory`], [`Error::PermissionDenied`], [`Error::NotFound`] (the parent),
    /// [`Error::Foreign`], [`Error::NewerFormat`], [`Error::Corrupt`]; further
    /// [`Error::DiskFull`], [`Error::OutOfMemory`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }

    /// A new database in memory, which ends with its last clone. Everything works as with files,
    /// except that nothing outlives it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn in_memory() -> Result<Self> {
        Options::new().in_memory()
    }

    /// Begins a read-only transaction on everything that is settled: every commit that was
    /// acknowledged before this call, and nothing that a crash could take back by less than its
    /// author accepted. Never waits.
    ///
    /// # Errors
    /// [`Error::Closed`].
    #[inline]
    pub fn begin_read(&self) -> Result<ReadTransaction> {
        self.shared().check_open()?;
        Ok(ReadTransaction::begin(self.handle.clone()))
    }

    /// Begins a read-only transaction that sees `commit`; waits until that is settled.
    ///
    /// # Errors
    /// [`Error::Closed`]; what [`CommitHandle::wait`] reports; a handle of another database.
    pub fn begin_read_after(&self, commit: &CommitHandle) -> Result<ReadTransaction> {
        self.shared().check_open()?;
        self.shared().check_origin(commit.origin())?;
        commit.wait()?;
        self.begin_read()
    }

    /// Begins a read-write transaction on everything that is committed, settled or not, with
    /// [`Isolation::Snapshot`].
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::ReadOnly`].
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(Isolation::Snapshot)
    }

    /// Begins a read-write transaction on everything that is committed, settled or not.
    ///
    /// With [`Isolation::Serializable`] its commit succeeds only if it could have read the same just
    /// then, keys without a record and ranges included: all such transactions, with the read-only ones
    /// ([`Database::begin_read`]), are as if they had run one after the other, in the order of their
    /// commits. Nothing waits; the commit may return [`Error::ReadConflict`].
    ///
    /// ```
    /// # use vellum::{Database, Error, Isolation};
    /// # let db = Database::in_memory()?;
    /// # let shifts = db.table("shifts")?;
    /// # let mut txn = db.begin()?;
    /// # for name in ["ann", "bob"] { txn.insert(&shifts, name, "on call")?; }
    /// # txn.commit()?;
    /// let mut ann = db.begin_with(Isolation::Serializable)?;
    /// let mut bob = db.begin_with(Isolation::Serializable)?;
    /// // Each leaves, since it sees that the other one stays.
    /// assert_eq!(ann.iter(&shifts)?.count(), 2);
    /// assert_eq!(bob.iter(&shifts)?.count(), 2);
    /// ann.remove(&shifts, "ann")?;
    /// bob.remove(&shifts, "bob")?;
    /// ann.commit()?;
    /// assert!(matches!(bob.commit(), Err(Error::ReadConflict { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::ReadOnly`].
    pub fn begin_with(&self, isolation: Isolation) -> Result<Transaction> {
        self.shared().check_writable()?;
        Ok(Transaction::begin(self.handle.clone(), isolation))
    }

    /// Does `work` in a read-write transaction and commits it with the database's durability; on a
    /// conflict begins anew, so `work` may run several times and must not do what cannot be done
    /// twice. Between attempts it sleeps, randomly and longer each time. After eight conflicts, or one
    /// of an attempt that had locked something, it first locks the keys that it wrote (and those that it
    /// read, as far as commits check them), waits its turn for that, and then begins: an attempt that
    /// has to do with the same keys no longer loses, so everybody's turn comes, unless it takes so long that it is
    /// too old in the end ([`Error::SnapshotTooOld`]). (Up to 16,384 keys; ranges are not locked.) After 1,000 attempts it returns the last one's error, still retryable.
    ///
    /// An error that `work` returns rolls back and is returned, unless [`Error::is_retryable`] says
    /// that it is to be tried again; errors of the application's own go through
    /// [`Error::application`]. Either way this returns only when everything that `work` can have
    /// read is settled.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// # let counters = db.table("counters")?;
    /// let next = db.transact(|txn| {
    ///     let count = txn.get(&counters, "visits")?.map_or(0, |value| value[0]);
    ///     txn.insert(&counters, "visits", [count + 1])?;
    ///     Ok(count + 1)
    /// })?;
    /// assert_eq!(next, 1);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `work` returns; what [`Transaction::commit`] returns.
    pub fn transact<T>(&self, work: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        self.transact_with(self.shared().durability, work)
    }

    /// [`Database::transact`] with a durability of its own.
    ///
    /// # Errors
    /// As there.
    pub fn transact_with<T>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        self.transact_isolated(Isolation::Snapshot, durability, work)
    }

    /// [`Database::transact`] with an isolation and a durability of its own.
    ///
    /// # Errors
    /// As there.
    pub fn transact_isolated<T>(
        &self,
        isolation: Isolation,
        durability: Durability,
        work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        crate::transact::transact(self, isolation, durability, work)
    }

    /// The table of this name; made, in a commit of its own, if there is none. Names have 1 to 255
    /// bytes and no control characters. Transactions that began before the table was made do not
    /// see it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], [`Error::TableLoading`], [`Error::Closed`]; where it had to be made,
    /// [`Error::ReadOnly`] and what [`Transaction::commit`] returns.
    pub fn table(&self, name: &str) -> Result<Table> {
        schema::table(&self.handle, name, TableOptions::new())
    }

    /// [`Database::table`], with options where it is made. One that stands keeps its own.
    ///
    /// # Errors
    /// As there.
    pub fn table_with(&self, name: &str, options: TableOptions) -> Result<Table> {
        schema::table(&self.handle, name, options)
    }

    /// What is chosen for a table.
    ///
    /// # Errors
    /// [`Error::TableDropped`], [`Error::Closed`].
    pub fn table_options(&self, table: &Table) -> Result<TableOptions> {
        schema::options(&self.handle, table)
    }

    /// Chooses anew for a table, in a commit of its own. What is written from then on is kept so; what
    /// stands stays as it is until it is written again.
    ///
    /// # Errors
    /// [`Error::TableDropped`], [`Error::ReadOnly`], [`Error::Closed`]; what
    /// [`Transaction::commit`] returns.
    pub fn set_table_options(&self, table: &Table, options: TableOptions) -> Result<()> {
        schema::set_options(&self.handle, table, options)
    }

    /// Begins to load a new table of this name: by far the fastest way to bring many records in, sorted or
    /// not. See [`BulkLoad`].
    ///
    /// # Errors
    /// [`Error::TableExists`], [`Error::TableLoading`], [`Error::InvalidArgument`],
    /// [`Error::OutOfMemory`], [`Error::ReadOnly`], [`Error::Closed`]; what
    /// [`Transaction::commit`] returns.
    pub fn bulk_load(&self, name: &str) -> Result<BulkLoad> {
        BulkLoad::begin(&self.handle, name, TableOptions::new())
    }

    /// [`Database::bulk_load`], of a table with options.
    ///
    /// # Errors
    /// As there.
    pub fn bulk_load_with(&self, name: &str, options: TableOptions) -> Result<BulkLoad> {
        BulkLoad::begin(&self.handle, name, options)
    }

    /// The table of this name. Never makes one.
    ///
    /// # Errors
    /// [`Error::UnknownTable`], [`Error::InvalidArgument`], [`Error::Closed`].
    pub fn open_table(&self, name: &str) -> Result<Table> {
        schema::open_table(&self.handle, name)
    }

    /// Drops a table with all its records and indexes, in a commit of its own. Snapshots that began
    /// before go on seeing it; for everybody else its handles are [`Error::TableDropped`], also when
    /// another table of its name is made. The space of its records is free for others once a
    /// checkpoint was made and no older snapshot is left.
    ///
    /// # Errors
    /// [`Error::TableDropped`], [`Error::ReadOnly`], [`Error::Closed`]; what
    /// [`Transaction::commit`] returns.
    pub fn drop_table(&self, table: &Table) -> Result<()> {
        schema::drop_table(&self.handle, table)
    }

    /// The names of all tables, in ascending order.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn list_tables(&self) -> Result<Vec<String>> {
        Ok(self.begin_read()?.list_tables())
    }

    /// Makes an index on the vectors of this name, with the rows that stand, in a commit of its own.
    /// `column` is also the index's name. Records need not have the vector; those that have it must
    /// have its dimension. Commits go on while it is filled. Vectors of another dimension that they
    /// bring are refused from then on, also if the index is not made in the end, for want of memory,
    /// say.
    ///
    /// Where the column has an index of the same definition, this returns when that one is settled,
    /// and changes nothing: so a program may make its indexes whenever it starts, and from several
    /// threads.
    ///
    /// ```
    /// # use vellum::{Database, Error, Exact, Metric};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// db.create_index(&items, "meaning", Exact::new(3, Metric::Cosine))?;
    /// db.create_index(&items, "meaning", Exact::new(3, Metric::Cosine))?;
    /// let other = db.create_index(&items, "meaning", Exact::new(3, Metric::L2));
    /// assert!(matches!(other, Err(Error::IndexExists { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IndexExists`]: the column has an index of another plugin, dimension or metric;
    /// [`Error::InvalidArgument`]: what the plugin refuses, or a standing vector of another
    /// dimension, with its key (nothing is made then); [`Error::TableDropped`], [`Error::Closed`];
    /// where it had to be made, [`Error::ReadOnly`] and what [`Transaction::commit`] returns.
    pub fn create_index(
        &self,
        table: &Table,
        column: &str,
        index: impl Into<NewIndex>,
    ) -> Result<()> {
        schema::create_index(&self.handle, table, column, index.into())
    }

    /// Drops the index on `column`, in a commit of its own. The vectors stay in their records.
    ///
    /// # Errors
    /// [`Error::UnknownIndex`], [`Error::TableDropped`], [`Error::ReadOnly`], [`Error::Closed`];
    /// what [`Transaction::commit`] returns.
    pub fn drop_index(&self, table: &Table, column: &str) -> Result<()> {
        schema::drop_index(&self.handle, table, column)
    }

    /// The indexes of a table, in the order of their making.
    ///
    /// # Errors
    /// [`Error::TableDropped`], [`Error::Closed`].
    pub fn list_indexes(&self, table: &Table) -> Result<Vec<IndexInfo>> {
        self.begin_read()?.list_indexes(table)
    }

    /// Makes every commit that was made so far durable against a power cut, whatever its author
    /// asked for. Does nothing in memory.
    ///
    /// # Errors
    /// [`Error::Poisoned`], [`Error::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.shared().log.sync().map_err(Error::from_log)
    }

    /// Moves everything that was committed so far from the log and from memory into pages, durably,
    /// so that the next opening has nothing of it to replay. The database does so by itself now and
    /// then ([`crate::Options::background`]); commits and readers go on meanwhile. In memory it gives
    /// back what old versions take.
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::OutOfMemory`], [`Error::Io`]: nothing is lost, try again;
    /// [`Error::Poisoned`], [`Error::Corrupt`], [`Error::ReadOnly`], [`Error::Closed`].
    pub fn checkpoint(&self) -> Result<()> {
        self.shared().check_writable()?;
        self.shared().merger.checkpoint().map(drop)
    }

    /// Figures of the database, gathered without stopping anybody, so not all of one moment.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn stats(&self) -> Result<Stats> {
        self.shared().check_open()?;
        Ok(Stats::gather(self.begin_read()?, self.shared()))
    }

    /// Closes the database for all its clones: makes everything durable and marks the log as
    /// closed. From then on every call on a clone, and every commit of an open transaction, returns
    /// [`Error::Closed`]; open transactions can still read. Bulk loads that are not finished come to nothing.
    ///
    /// The directory stays locked until the last clone, transaction, bulk load and commit handle is dropped.
    ///
    /// # Errors
    /// [`Error::Closed`] if it was closed before. What was acknowledged is safe whatever this
    /// returns.
    pub fn close(self) -> Result<()> {
        self.shared().store.backlog().end();
        self.shared().log.close().map_err(Error::from_log)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.shared().origin.path)
            .finish_non_exhaustive()
    }
}
