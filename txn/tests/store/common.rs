//! A store without a log, with tables of any number and columns given by the test.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_txn::{
    BaseError, Column, CommitError, CommitLog, Durability, Lookup, MergeOperator, NoLog, Operators,
    Range, Reader, Schema, Snapshot, Store, StoreOptions, Stored, Transaction, Version, newest_of,
};

pub(crate) const TABLE: TableId = TableId(1);

/// What was merged: the newest version of each key of [`TABLE`].
pub(crate) type Base = Arc<BTreeMap<Vec<u8>, (Timestamp, Vec<u8>)>>;

/// Table 1 has the columns, all tables but number 9 are open.
#[derive(Default)]
pub(crate) struct Columns(pub(crate) Vec<Arc<Column>>);

impl Schema for Columns {
    type Base = Base;

    fn stored(base: &Base, _: TableId, key: &[u8]) -> Result<Option<Stored>, BaseError> {
        Ok(base.get(key).map(|(_, value)| (value.clone(), Vec::new())))
    }

    fn is_open(&self, table: TableId) -> bool {
        table != TableId(9)
    }

    fn columns(&self, table: TableId) -> &[Arc<Column>] {
        if table == TABLE { &self.0 } else { &[] }
    }
}

pub(crate) type Db = Arc<Store<Columns>>;
pub(crate) type Txn = Transaction<Columns, Db>;
pub(crate) type Snap = Snapshot<Columns, Db>;

pub(crate) fn store(generation_bytes: usize) -> Db {
    let options = StoreOptions {
        generation_bytes,
        lock_timeout: None,
        ..StoreOptions::default()
    };
    let log = Arc::new(NoLog::new(Timestamp::ZERO));
    let (columns, base) = (Columns::default(), Base::default());
    Arc::new(Store::new(log, columns, base, Timestamp::ZERO, options).unwrap())
}

/// With a merge operator, as `append`.
pub(crate) fn store_merging(
    log: Arc<dyn CommitLog>,
    append: Arc<dyn MergeOperator>,
    (generation_bytes, trail_bytes): (usize, usize),
) -> Db {
    let mut operators = Operators::default();
    operators.add("append", append);
    let options = StoreOptions {
        generation_bytes,
        trail_bytes,
        ..StoreOptions::default()
    };
    let (columns, base) = (Columns::default(), Base::default());
    let store = Store::new(log, columns, base, Timestamp::ZERO, options).unwrap();
    Arc::new(store.with_operators(operators))
}

pub(crate) fn begin(db: &Db) -> Txn {
    Transaction::begin(Arc::clone(db))
}

pub(crate) fn snapshot(db: &Db) -> Snap {
    Snapshot::begin(Arc::clone(db))
}

pub(crate) fn commit(txn: Txn) -> Result<Timestamp, CommitError> {
    txn.commit(Durability::Buffered)
}

/// The keys of a range that were not deleted.
pub(crate) fn live(range: Range<'_>) -> impl DoubleEndedIterator<Item = (&[u8], Version<'_>)> {
    range.filter_map(|(key, version)| Some((key, version?)))
}

/// A key's value, from the generations or else from the base.
pub(crate) fn read(reader: Reader<'_, Columns>, key: &[u8]) -> Option<Vec<u8>> {
    match reader.get(TABLE, key) {
        Lookup::Version(version) => Some(version.value().to_vec()),
        Lookup::Deleted(_) => None,
        Lookup::Below => reader.base().get(key).map(|(_, value)| value.clone()),
    }
}

/// Everything, from the generations and the base.
pub(crate) fn read_all(reader: Reader<'_, Columns>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let base = reader.base().iter();
    let mut all: BTreeMap<_, _> = base
        .map(|(key, (_, value))| (key.clone(), value.clone()))
        .collect();
    for (key, version) in reader.range(TABLE, Bound::Unbounded, Bound::Unbounded) {
        match version {
            Some(version) => all.insert(key.to_vec(), version.value().to_vec()),
            None => all.remove(key),
        };
    }
    all
}

/// Merges what may be merged; returns how many generations that were.
pub(crate) fn merge(db: &Store<Columns>) -> usize {
    let merging = db.merging();
    let sealed = merging.sealed();
    let Some(newest) = sealed.last() else {
        return 0;
    };
    let mut base = (*db.base()).clone();
    for (key, version) in newest_of(&sealed, TABLE) {
        match version {
            Some(version) => base.insert(key.to_vec(), (version.at(), version.value().to_vec())),
            None => base.remove(key),
        };
    }
    merging.rebase(Arc::new(base), newest.generation().number());
    sealed.len()
}
