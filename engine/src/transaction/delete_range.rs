//! Removing all records of a range.
//!
//! Rules:
//!
//! 1. What is removed is what the transaction sees: snapshot and own writes. Each key is removed by a
//!    write of its own, so everything that holds of removing a key holds here.
//! 2. Keys are gathered some at a time and no value is looked at, so memory is bounded by the write set.
//! 3. All of it or nothing: where it fails, what was removed before is taken back.
//! 4. The range counts as read, whole, where reads are tracked.

use std::ops::{Bound, RangeBounds};

use vellum_base::TableId;

use crate::error::Result;
use crate::range::Bounds;
use crate::table::Table;
use crate::transaction::Transaction;

/// Bytes of keys that are gathered at a time.
const GATHERED_BYTES: usize = 64 * 1024;

/// Keys one after the other, as many as are removed at a time.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= GATHERED_BYTES
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let places: Vec<(usize, usize)> = starts.zip(self.ends.iter().copied()).collect();
        places
            .into_iter()
            .map(|(start, end)| &self.bytes[start..end])
    }
}

impl Transaction {
    /// Removes all records with keys in `range` that this transaction sees, own writes included, and
    /// returns how many these were. Their values are not read, whatever their size, unless the table has an
    /// ordered index, whose entries have to go with them; each key takes a place in the transaction's writes.
    ///
    /// In [`crate::Isolation::Serializable`] the range counts as read: a record that another transaction
    /// inserts there meanwhile makes the commit fail. In snapshot isolation such a record stays, since
    /// this transaction never saw it; that another one changes or removes a record that is removed here
    /// is a conflict in both.
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let mut txn = db.begin()?;
    /// for key in ["ink", "pad", "pen", "quill"] {
    ///     txn.insert(&items, key, "")?;
    /// }
    /// assert_eq!(txn.delete_range(&items, "p".."q")?, 2);
    /// assert!(txn.get(&items, "pen")?.is_none());
    /// assert!(txn.get(&items, "quill")?.is_some());
    /// txn.commit()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Transaction::range`] and [`Transaction::remove`]; nothing was removed then.
    pub fn delete_range<K: AsRef<[u8]>>(
        &mut self,
        table: &Table,
        range: impl RangeBounds<K>,
    ) -> Result<u64> {
        let id = self.reading().check(table)?;
        let before = self.inner.savepoint();
        let removed = self.delete_within(table, id, &Bounds::of(&range));
        if removed.is_err() {
            // Rule 3. It is this transaction's, and nobody has rolled back over it.
            let _ = self.rollback_to(&before);
        }
        removed
    }

    fn delete_within(&mut self, table: &Table, id: TableId, bounds: &Bounds<'_>) -> Result<u64> {
        let (mut removed, mut gathered, mut last) = (0, Keys::default(), None::<Vec<u8>>);
        loop {
            gathered.clear();
            let lower = last.as_deref().map_or(bounds.lower, Bound::Excluded);
            let upper = bounds.upper;
            let mut range = self.reading().range(table, &Bounds { lower, upper })?;
            while !gathered.is_full()
                && let Some(key) = range.next_key()?
            {
                gathered.push(key);
            }
            drop(range);
            for key in gathered.iter() {
                self.keep_indexes(id, key, None)?;
                self.inner
                    .delete(id, key)
                    .map_err(|error| self.commit_error(error))?;
                removed += 1;
            }
            if !gathered.is_full() {
                return Ok(removed);
            }
            last = gathered.iter().next_back().map(<[u8]>::to_vec);
        }
    }
}
