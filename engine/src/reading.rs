//! Reading: what read-only and read-write transactions have in common.
//!
//! Both kinds of transaction, and searches, go through here; it is made anew for each call. Rules:
//!
//! 1. Own writes come before the snapshot's versions, and those before the base; a deletion hides
//!    what comes after it. A transaction that wrote nothing is read like a snapshot.
//! 2. The table is judged first, then the keys, at the snapshot's timestamp.
//! 3. Where reads are tracked, what is read of the snapshot is entered before its result is given out;
//!    of an own write nothing is entered, since the commit checks that anyhow.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_pages::pool::Hint;
use vellum_pages::tree::End;
use vellum_txn::{Found, Lookup, OperatorId, Reader, Reads};

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
    reads: Option<&'t Reads>,
}

impl<'t> Reading<'t> {
    #[inline]
    pub(crate) fn of_snapshot(reader: Reader<'t, Catalog>) -> Self {
        Self {
            reader,
            own: None,
            reads: None,
        }
    }

    #[inline]
    pub(crate) fn of_transaction(inner: &'t Inner) -> Self {
        Self {
            reader: inner.reader(),
            own: (!inner.is_empty()).then_some(inner),
            reads: inner.reads(),
        }
    }

    /// The snapshot, without own writes.
    #[inline]
    pub(crate) fn reader(self) -> Reader<'t, Catalog> {
        self.reader
    }

    /// For who reads the table as a whole, however it goes about it (rule 3).
    pub(crate) fn of_whole(mut self, table: TableId) -> Self {
        if let Some(reads) = self.reads.take() {
            reads.table(table);
        }
        self
    }

    /// For what need not be checked when the transaction commits.
    pub(crate) fn untracked(mut self) -> Self {
        self.reads = None;
        self
    }

    /// The transaction whose own writes there are.
    #[inline]
    pub(crate) fn own(self) -> Option<&'t Inner> {
        self.own
    }

    /// The table's name, for messages.
    pub(crate) fn name_of(self, table: TableId) -> &'t str {
        self.reader.schema().name(table)
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
    pub(crate) fn find(self, table: TableId, key: &[u8]) -> Result<Option<StoredRecord<'t>>> {
        if let Some(own) = self.own.and_then(|own| own.own_write(table, key)) {
            return own.map(|own| self.own_record(table, key, own)).transpose();
        }
        self.find_below(table, key)
    }

    /// What stands under a key in the snapshot.
    #[inline]
    fn find_below(self, table: TableId, key: &[u8]) -> Result<Option<StoredRecord<'t>>> {
        // Nobody needs the key's hash where there is nothing to look it up in.
        let needed = self.reads.is_some() || !self.reader.is_base_alone();
        let sought = needed.then(|| self.reader.seek(table, key));
        if let (Some(reads), Some(sought)) = (self.reads, sought) {
            reads.key(sought);
        }
        let above = || match self.reader.lookup(sought?) {
            Lookup::Version(version) => Some(Some(StoredRecord::of_version(version))),
            Lookup::Deleted(_) => Some(None),
            Lookup::Below => None,
        };
        self.reader.base().get_below(table, key, above)
    }

    /// The record that an own write makes. One that is merged is so into the snapshot's, which is read.
    #[inline]
    pub(crate) fn own_record(
        self,
        table: TableId,
        key: &[u8],
        own: Found<'t>,
    ) -> Result<StoredRecord<'t>> {
        match own.operand() {
            None => Ok(StoredRecord::of_own(own)),
            Some((operator, operand)) => self.fold(table, key, operator, operand),
        }
    }

    #[cold]
    fn fold(
        self,
        table: TableId,
        key: &[u8],
        operator: OperatorId,
        operand: &[u8],
    ) -> Result<StoredRecord<'t>> {
        let below = self.find_below(table, key)?;
        let existing = below.as_ref().map(StoredRecord::value);
        let Some(own) = self.own else {
            unreachable!("operands are own writes")
        };
        let folded = crate::merge::fold(own, (table, key), operator, existing.as_deref(), operand)?;
        let vectors = below.map_or_else(Vec::new, |below| below.vector_list().bytes().to_vec());
        Ok(StoredRecord::of_folded((folded, vectors)))
    }

    /// What stands in the snapshot, own writes apart.
    pub(crate) fn committed(self, table: TableId, key: &[u8]) -> Result<Option<StoredRecord<'t>>> {
        Self::of_snapshot(self.reader).find(table, key)
    }

    /// Whether there is a record of a key that was checked.
    pub(crate) fn contains(self, table: TableId, key: &[u8]) -> Result<bool> {
        match self.own.and_then(|own| own.own_write(table, key)) {
            Some(own) => Ok(own.is_some()),
            None if self.reads.is_some() => Ok(self.find(table, key)?.is_some()),
            None => Ok(self.committed_at(table, key)?.is_some()),
        }
    }

    /// When the snapshot's record of a key was committed, own writes apart.
    pub(crate) fn committed_at(self, table: TableId, key: &[u8]) -> Result<Option<Timestamp>> {
        match self.reader.get(table, key) {
            Lookup::Version(version) => Ok(Some(version.at())),
            Lookup::Deleted(_) => Ok(None),
            Lookup::Below => self.reader.base().get_at(table, key),
        }
    }

    #[inline]
    pub(crate) fn get(self, table: &Table, key: &[u8]) -> Result<Option<StoredRecord<'t>>> {
        let table = self.check_with_key(table, key)?;
        self.find(table, key)
    }

    pub(crate) fn get_many<K: AsRef<[u8]>>(
        self,
        table: &Table,
        keys: &[K],
    ) -> Result<Vec<Option<Value<'t>>>> {
        self.find_many(self.check(table)?, keys, |_, record| record.into_value())
    }

    /// What `make` makes of the records of many keys, each with the place of its key, in a table that was
    /// checked.
    pub(crate) fn find_many<K: AsRef<[u8]>, T>(
        self,
        table: TableId,
        keys: &[K],
        make: impl Fn(usize, StoredRecord<'t>) -> T,
    ) -> Result<Vec<Option<T>>> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        keys.iter().try_for_each(|key| check_key(key))?;
        let base = self.reader.base();
        let mut records = Vec::new();
        records.resize_with(keys.len(), || None);
        if self.own.is_none() && self.reads.is_none() && self.reader.is_base_alone() {
            let take = |place: usize, record| records[place] = Some(make(place, record));
            base.get_many(table, &keys, take)?;
            return Ok(records);
        }
        let found = self.reader.get_many(table, &keys).into_iter();
        let mut below = Vec::new();
        for (place, (found, key)) in found.zip(&keys).enumerate() {
            let record = match self.own.and_then(|own| own.own_write(table, key)) {
                Some(own) => own
                    .map(|own| self.own_record(table, key, own))
                    .transpose()?,
                None => {
                    // The snapshot does not change: that it was looked up before is no matter.
                    if let Some(reads) = self.reads {
                        reads.key(self.reader.seek(table, key));
                    }
                    if matches!(found, Lookup::Below) {
                        below.push(place);
                    }
                    found.version().map(StoredRecord::of_version)
                }
            };
            records[place] = record.map(|record| make(place, record));
        }
        let keys: Vec<&[u8]> = below.iter().map(|place| keys[*place]).collect();
        let take = |number: usize, record| {
            let place = below[number];
            records[place] = Some(make(place, record));
        };
        base.get_many(table, &keys, take)?;
        Ok(records)
    }

    pub(crate) fn range(self, table: &Table, bounds: &Bounds<'_>) -> Result<Range<'t>> {
        Ok(self.range_of(self.check(table)?, bounds))
    }

    /// A range of a table that was checked.
    pub(crate) fn range_of(self, table: TableId, bounds: &Bounds<'_>) -> Range<'t> {
        if bounds.is_empty() {
            return Range::empty();
        }
        let (lower, upper) = (bounds.lower, bounds.upper);
        let base = self.reader.base();
        let mut below = base.range(table, (lower, upper), Hint::Normal);
        let read = self.reads.map(|reads| reads.range(table, lower, upper));
        let sought = self.reader.seek_range(table, lower, upper);
        if let Some(below) = below.as_mut().filter(|_| !sought.is_empty()) {
            // Most ranges are read from the front.
            below.seek(End::Front);
        }
        let above = sought.settle(lower, upper);
        let below = below.map(|range| (range, base));
        let range = match self.own {
            Some(own) => {
                let range = own.range_over(above, table, lower, upper);
                Range::of_transaction(range, below, (self, table))
            }
            None => Range::of_snapshot(above, below),
        };
        range.tracked(read)
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
