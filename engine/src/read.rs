//! Read-only transactions: a snapshot, and what can be asked of it.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_txn::Snapshot;

use crate::bytes::{Key, Value, Versioned};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::index::IndexInfo;
use crate::range::{Bounds, Range};
use crate::reading::Reading;
use crate::record::StoredRecord;
use crate::search::Search;
use crate::shared::Handle;
use crate::table::Table;

/// A snapshot of the whole database at one timestamp, from [`crate::Database::begin_read`].
///
/// It never waits, never changes, and never makes a writer wait. It sees what was committed at or
/// before its timestamp, each commit wholly or not at all; all of that is settled, so that no crash
/// takes back what was seen here, unless the commit's author asked for no more than
/// [`crate::Durability::Buffered`]. While it is held, the versions that it sees are kept in memory.
/// It may be sent to and shared by any number of threads. It outlives
/// [`crate::Database::close`].
///
/// What it returns borrows from it.
pub struct ReadTransaction {
    snapshot: Snapshot<Catalog, Arc<Handle>>,
}

impl ReadTransaction {
    #[inline]
    pub(crate) fn begin(handle: Arc<Handle>) -> Self {
        Self {
            snapshot: Snapshot::begin(handle),
        }
    }

    /// The snapshot's timestamp.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.snapshot.at()
    }

    #[inline]
    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading::of_snapshot(self.snapshot.reader())
    }

    #[inline]
    fn catalog(&self) -> &Catalog {
        self.snapshot.reader().schema()
    }

    /// The value of `key`, or `None` if there is no such record.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database; a key that no record can have.
    pub fn get(&self, table: &Table, key: impl AsRef<[u8]>) -> Result<Option<Value<'_>>> {
        let found = self.reading().get(table, key.as_ref())?;
        Ok(found.map(StoredRecord::into_value))
    }

    /// The value of `key` with its version: the timestamp of the commit that wrote it.
    ///
    /// # Errors
    /// As [`ReadTransaction::get`].
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
    /// As [`ReadTransaction::get`].
    pub fn get_record(
        &self,
        table: &Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<StoredRecord<'_>>> {
        self.reading().get(table, key.as_ref())
    }

    /// The values of many keys, in the order of `keys`; faster than as many single gets, since the
    /// look-ups overlap.
    ///
    /// # Errors
    /// As [`ReadTransaction::get`], for any of the keys.
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
    /// As [`ReadTransaction::get`].
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

    /// All records in the order of their keys, bytewise; from both ends.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn iter(&self, table: &Table) -> Result<Range<'_>> {
        self.range::<&[u8]>(table, ..)
    }

    /// The records with keys in `range`, in the order of their keys, bytewise; from both ends. A
    /// range that ends before it begins is empty. Bounds may be anything, also empty or longer than
    /// any key.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// # let mut txn = db.begin()?;
    /// # for key in ["ink", "pad", "pen", "quill"] { txn.insert(&items, key, "")?; }
    /// # txn.commit()?;
    /// let read = db.begin_read()?;
    /// let mut found = read.range(&items, "p".."q")?.map(|entry| entry.map(|(key, _)| key));
    /// assert_eq!(found.next().unwrap()?, "pad");
    /// assert_eq!(found.next_back().unwrap()?, "pen");
    /// assert!(found.next().is_none());
    /// # Ok::<(), vellum::Error>(())
    /// ```
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

    /// The records whose keys begin with `prefix`, in the order of their keys; from both ends.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn prefix(&self, table: &Table, prefix: impl AsRef<[u8]>) -> Result<Range<'_>> {
        self.reading().prefix(table, prefix.as_ref())
    }

    /// A search of the index on `column` for the vectors nearest to `query`; see [`Search`].
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

    /// How many tables and indexes there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let catalog = self.catalog();
        let indexes = catalog.live_indexes().count() + catalog.ordered_count();
        (catalog.table_count(), indexes)
    }

    /// The tables of this snapshot, by name.
    #[must_use]
    pub fn list_tables(&self) -> Vec<String> {
        self.catalog().names_at(self.timestamp())
    }

    /// The indexes of a table of this snapshot, in the order of their making.
    ///
    /// # Errors
    /// The table is not in this snapshot, or of another database.
    pub fn list_indexes(&self, table: &Table) -> Result<Vec<IndexInfo>> {
        let indexes = self.catalog().indexes(table, self.timestamp())?;
        Ok(indexes.into_iter().map(IndexInfo::of).collect())
    }
}

impl fmt::Debug for ReadTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadTransaction")
            .field("at", &self.timestamp())
            .finish_non_exhaustive()
    }
}
