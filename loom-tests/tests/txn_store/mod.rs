//! The store that models of snapshots and merges share: small, without a log or vector columns.

use vellum_base::{TableId, Timestamp};
use vellum_sync::Arc;
use vellum_txn::{BaseError, Column, CommitLog, NoLog, Schema, Store, StoreOptions, Stored};

pub(crate) const TABLE: TableId = TableId(1);

/// The base says when the one key of a model that merges was written last; zero: never, or it was
/// deleted.
pub(crate) struct NoColumns;

impl Schema for NoColumns {
    type Base = u64;

    fn stored(base: &u64, _: TableId, _: &[u8]) -> Result<Option<Stored>, BaseError> {
        let found = (*base > 0).then(|| (base.to_be_bytes().to_vec(), Vec::new()));
        Ok(found)
    }

    fn is_open(&self, _: TableId) -> bool {
        true
    }

    fn columns(&self, _: TableId) -> &[std::sync::Arc<Column>] {
        &[]
    }
}

pub(crate) type Db = Arc<Store<NoColumns>>;

pub(crate) fn store() -> Db {
    store_with(std::sync::Arc::new(NoLog::new(Timestamp::ZERO)))
}

pub(crate) fn store_with(log: std::sync::Arc<dyn CommitLog>) -> Db {
    Arc::new(store_of(log))
}

pub(crate) fn store_of(log: std::sync::Arc<dyn CommitLog>) -> Store<NoColumns> {
    let options = StoreOptions {
        generation_bytes: 4096,
        bytes_per_bucket: 2048,
        seed: 7,
        lock_timeout: None,
        ..StoreOptions::default()
    };
    Store::new(log, NoColumns, 0, Timestamp::ZERO, options).unwrap()
}
