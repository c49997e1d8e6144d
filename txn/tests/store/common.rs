//! A store without a log, with tables of any number and columns given by the test.

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_txn::{
    Column, CommitError, Durability, NoLog, Schema, Snapshot, Store, StoreOptions, Transaction,
};

pub(crate) const TABLE: TableId = TableId(1);

/// Table 1 has the columns, all tables but number 9 are open.
#[derive(Default)]
pub(crate) struct Columns(pub(crate) Vec<Arc<Column>>);

impl Schema for Columns {
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
        ..StoreOptions::default()
    };
    let log = Arc::new(NoLog::new(Timestamp::ZERO));
    Arc::new(Store::new(log, Columns::default(), Timestamp::ZERO, options).unwrap())
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
