//! Reading an ordered index: rule 5 of [`super`].

use std::borrow::Cow;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use vellum_base::{Corruption, TableId, Timestamp};
use vellum_pages::file::FILE_NAME;
use vellum_pages::tree::End;

use crate::bytes::{Key, Value};
use crate::error::{Error, Result};
use crate::ordered::entries::{EntryBounds, key_of, split};
use crate::range::{Bounds, Range};
use crate::read::ReadTransaction;
use crate::reading::Reading;
use crate::record::StoredRecord;
use crate::table::Table;
use crate::transaction::Transaction;

/// A record as an ordered index finds it, of the transaction that returned it.
pub struct IndexEntry<'t> {
    is_unique: bool,
    entry: Key<'t>,
    key: Key<'t>,
    record: StoredRecord<'t>,
}

impl<'t> IndexEntry<'t> {
    /// The index key.
    #[must_use]
    pub fn index_key(&self) -> Cow<'_, [u8]> {
        let found = split(self.is_unique, &self.entry, self.unique_key());
        found.map(|(index_key, _)| index_key).unwrap_or_default()
    }

    fn unique_key(&self) -> &[u8] {
        match self.is_unique {
            true => &self.key,
            false => &[],
        }
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> &Key<'t> {
        &self.key
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &StoredRecord<'t> {
        &self.record
    }

    /// The record's value.
    #[must_use]
    pub fn value(&self) -> Value<'t> {
        self.record.value()
    }

    pub(crate) fn into_both(self) -> (Key<'t>, Value<'t>) {
        (self.key, self.record.into_value())
    }

    /// The record's version.
    #[must_use]
    pub fn version(&self) -> Option<Timestamp> {
        self.record.version()
    }
}

impl fmt::Debug for IndexEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexEntry")
            .field("entry", &self.entry)
            .field("key", &self.key)
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}

/// Records in the order of their index keys, then of their keys, from both ends; see
/// [`ReadTransaction::range_by_index`].
pub struct IndexRange<'t> {
    entries: Range<'t>,
    reading: Reading<'t>,
    table: TableId,
    is_unique: bool,
}

impl<'t> IndexRange<'t> {
    /// Of index keys within the bounds.
    pub(crate) fn within(
        reading: Reading<'t>,
        table: &Table,
        index: &str,
        bounds: &Bounds<'_>,
    ) -> Result<Self> {
        Self::of(reading, table, index, &EntryBounds::of(bounds))
    }

    /// Of index keys that begin so.
    pub(crate) fn beginning(
        reading: Reading<'t>,
        table: &Table,
        index: &str,
        prefix: &[u8],
    ) -> Result<Self> {
        Self::of(reading, table, index, &EntryBounds::of_prefix(prefix))
    }

    fn of(reading: Reading<'t>, table: &Table, index: &str, bounds: &EntryBounds) -> Result<Self> {
        let (catalog, at) = (reading.reader().schema(), reading.reader().at());
        let (entries, is_unique) = catalog.ordered(table, index, at)?;
        Ok(Self {
            entries: reading.range_of(entries, &bounds.bounds()),
            reading,
            table: table.id(),
            is_unique,
        })
    }

    fn step(&mut self, end: End) -> Option<Result<IndexEntry<'t>>> {
        let entry = self.entries.step(end)?;
        Some(entry.and_then(|(entry, stored)| self.record_of(entry, &stored.into_value())))
    }

    fn record_of(&self, entry: Key<'t>, value: &Value<'t>) -> Result<IndexEntry<'t>> {
        let key = key_of(self.is_unique, &entry, value).ok_or_else(|| self.broken(&entry))?;
        let record = self.reading.find(self.table, &key)?;
        Ok(IndexEntry {
            is_unique: self.is_unique,
            record: record.ok_or_else(|| self.broken(&entry))?,
            entry,
            key,
        })
    }

    #[cold]
    fn broken(&self, entry: &Key<'t>) -> Error {
        let what = format!(
            "an ordered index of table `{}` has an entry for {}, and no such record is there: drop \
             the index, and make it anew",
            self.reading.name_of(self.table),
            crate::ordered::shown(entry)
        );
        Error::Corrupt(Corruption::new(FILE_NAME, 0, what))
    }
}

impl<'t> Iterator for IndexRange<'t> {
    type Item = Result<IndexEntry<'t>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for IndexRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}

impl fmt::Debug for IndexRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexRange")
    }
}

macro_rules! reads {
    ($transaction:ident) => {
        impl $transaction {
            /// The records that the ordered index of this name has under `index_key`; see
            #[doc = concat!("[`", stringify!($transaction), "::range_by_index`].")]
            ///
            /// # Errors
            /// As there.
            pub fn by_index(
                &self,
                table: &Table,
                index: &str,
                index_key: impl AsRef<[u8]>,
            ) -> Result<IndexRange<'_>> {
                let index_key = Bound::Included(index_key.as_ref());
                let bounds = Bounds {
                    lower: index_key,
                    upper: index_key,
                };
                IndexRange::within(self.reading(), table, index, &bounds)
            }

            /// The records with index keys in `range`, in the order of those, then of their keys; from
            /// both ends. In a [`Transaction`] own writes are there, and one that is serializable has read
            /// what was gone through: an index key that somebody else adds there is a conflict.
            ///
            /// ```
            /// # use vellum::plugin::ExtractorFn;
            /// # use vellum::{Database, Options, Ordered};
            /// // The first word of the value.
            /// let colour = ExtractorFn::new("colour", 1, |_, value, keys| {
            ///     keys.add(value.split(|byte| *byte == b' ').next().unwrap_or_default());
            ///     Ok(())
            /// });
            /// let db = Options::new().key_extractor(colour).in_memory()?;
            /// let items = db.table("items")?;
            /// db.create_ordered_index(&items, "by_colour", Ordered::new("colour"))?;
            /// db.transact(|txn| {
            ///     txn.insert(&items, "pen", "blue, thin")?;
            ///     txn.insert(&items, "ink", "black")?;
            ///     txn.insert(&items, "pad", "yellow")
            /// })?;
            /// let read = db.begin_read()?;
            /// let mut found = Vec::new();
            /// for entry in read.range_by_index(&items, "by_colour", "b".."c")? {
            ///     found.push(entry?.key().to_vec());
            /// }
            /// assert_eq!(found, [b"ink", b"pen"]);
            /// # Ok::<(), vellum::Error>(())
            /// ```
            ///
            /// # Errors
            /// The table or the index is not in this snapshot; [`Error::UnknownIndex`].
            pub fn range_by_index<K: AsRef<[u8]>>(
                &self,
                table: &Table,
                index: &str,
                range: impl RangeBounds<K>,
            ) -> Result<IndexRange<'_>> {
                IndexRange::within(self.reading(), table, index, &Bounds::of(&range))
            }

            /// The records whose index keys begin with `prefix`; as
            #[doc = concat!("[`", stringify!($transaction), "::range_by_index`].")]
            ///
            /// # Errors
            /// As there.
            pub fn prefix_by_index(
                &self,
                table: &Table,
                index: &str,
                prefix: impl AsRef<[u8]>,
            ) -> Result<IndexRange<'_>> {
                IndexRange::beginning(self.reading(), table, index, prefix.as_ref())
            }
        }
    };
}

reads!(ReadTransaction);
reads!(Transaction);
