//! Reading: what read-only and read-write transactions have in common.
//!
//! Both kinds of transaction, and searches, go through here; it is made anew for each call. Rules:
//!
//! 1. Own writes come before the snapshot's versions, and an own deletion hides them. A transaction
//!    that wrote nothing is read like a snapshot.
//! 2. The table is judged first, then the keys, at the snapshot's timestamp.

use std::ops::Bound;

use vellum_base::TableId;
use vellum_txn::Reader;

use crate::argument::check_key;
use crate::bytes::Value;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::range::{Bounds, Range, prefix_end};
use crate::record::StoredRecord;
use crate::table::Table;
use crate::transaction::Inner;

/// A snapshot, perhaps with own writes over it.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'t> {
    reader: Reader<'t, Catalog>,
    own: Option<&'t Inner>,
}

impl<'t> Reading<'t> {
    #[inline]
    pub(crate) fn of_snapshot(reader: Reader<'t, Catalog>) -> Self {
        Self { reader, own: None }
    }

    #[inline]
    pub(crate) fn of_transaction(inner: &'t Inner) -> Self {
        Self {
            reader: inner.reader(),
            own: (!inner.is_empty()).then_some(inner),
        }
    }

    /// The snapshot, without own writes.
    #[inline]
    pub(crate) fn reader(self) -> Reader<'t, Catalog> {
        self.reader
    }

    /// The transaction whose own writes there are.
    #[inline]
    pub(crate) fn own(self) -> Option<&'t Inner> {
        self.own
    }

    #[inline]
    pub(crate) fn check(self, table: &Table) -> Result<TableId> {
        self.reader.schema().check(table, self.reader.at())
    }

    #[inline]
    pub(crate) fn check_with_key(self, table: &Table, key: &[u8]) -> Result<TableId> {
        let table = self.check(table)?;
        check_key(key)?;
        Ok(table)
    }

    /// What stands under a key that was checked.
    #[inline]
    pub(crate) fn find(self, table: TableId, key: &[u8]) -> Option<StoredRecord<'t>> {
        match self.own {
            Some(own) => own.get(table, key).map(StoredRecord::of_found),
            None => self.reader.get(table, key).map(StoredRecord::of_version),
        }
    }

    #[inline]
    pub(crate) fn get(self, table: &Table, key: &[u8]) -> Result<Option<StoredRecord<'t>>> {
        let table = self.check_with_key(table, key)?;
        Ok(self.find(table, key))
    }

    pub(crate) fn get_many<K: AsRef<[u8]>>(
        self,
        table: &Table,
        keys: &[K],
    ) -> Result<Vec<Option<Value<'t>>>> {
        let table = self.check(table)?;
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        keys.iter().try_for_each(|key| check_key(key))?;
        let found = self.reader.get_many(table, &keys).into_iter();
        let records = found.zip(keys).map(|(version, key)| {
            match self.own.and_then(|own| own.own_write(table, key)) {
                Some(own) => own.map(StoredRecord::of_found),
                None => version.map(StoredRecord::of_version),
            }
        });
        Ok(records
            .map(|record| record.map(|record| record.value()))
            .collect())
    }

    pub(crate) fn range(self, table: &Table, bounds: &Bounds<'_>) -> Result<Range<'t>> {
        let table = self.check(table)?;
        if bounds.is_empty() {
            return Ok(Range::empty());
        }
        let (lower, upper) = (bounds.lower, bounds.upper);
        Ok(match self.own {
            Some(own) => Range::of_transaction(own.range(table, lower, upper)),
            None => Range::of_snapshot(self.reader.range(table, lower, upper)),
        })
    }

    pub(crate) fn prefix(self, table: &Table, prefix: &[u8]) -> Result<Range<'t>> {
        let end = prefix_end(prefix);
        let bounds = Bounds {
            lower: Bound::Included(prefix),
            upper: end.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
        };
        self.range(table, &bounds)
    }
}
