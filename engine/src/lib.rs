//! Vellum: an embeddable transactional store for records and vectors.
//!
//! Ordered tables of records, and vector indexes over them, under one begin/commit interface: many
//! writers at once, readers that never wait, searches inside the same snapshot as the rest.
//!
//! Start with [`Database`].
//!
//! | | |
//! |---|---|
//! | [`Database`], [`Options`] | opening, tables, indexes |
//! | [`ReadTransaction`] | a snapshot, and what can be asked of it |
//! | [`Transaction`], [`Savepoint`], [`CommitHandle`], [`Durability`], [`Isolation`] | writing |
//! | [`MergeOperator`], [`AddI64`], [`AddU64`], [`Union`] | changing values without reading them |
//! | [`BulkLoad`] | a whole table at once |
//! | [`Table`], [`TableOptions`], [`Record`], [`Key`], [`Value`] | what is stored |
//! | [`TypedTable`], [`Codec`] | keys and values with types |
//! | [`Ordered`], [`IndexRange`] | ordered indexes: keys derived from records |
//! | [`Search`], [`Exact`], [`Metric`] | vectors |
//! | [`VerifyReport`] | whether what is on the disk is whole |
//! | [`Error`], [`Remedy`] | what can go wrong, and what to do |

#![forbid(unsafe_code)]

mod argument;
mod background;
mod backup;
mod building;
mod bytes;
mod catalog;
mod change;
mod database;
mod deadlock;
mod error;
mod escalation;
mod fill;
mod handle;
mod hit;
mod index;
mod load;
mod locks;
mod log;
mod merge;
mod merging;
mod options;
mod ordered;
mod paged;
mod quoted;
mod range;
mod read;
mod reading;
mod readme;
mod record;
mod recovery;
mod saved;
mod schema;
mod scope;
mod search;
mod shared;
mod stats;
mod table;
mod table_options;
mod transact;
mod transaction;
mod typed;
mod vacuum;
mod verify;

pub use argument::InvalidArgument;
pub use bytes::{Key, Value, Versioned};
pub use database::Database;
pub use deadlock::{Deadlock, DeadlockWait};
pub use error::{Error, Remedy, Result};
pub use handle::CommitHandle;
pub use hit::{Hit, Hits};
pub use index::{Exact, IndexInfo, NewIndex};
pub use load::BulkLoad;
pub use merge::{AddI64, AddU64, Union};
pub use options::Options;
pub use ordered::{IndexEntry, IndexRange, Ordered, OrderedIndexInfo};
pub use quoted::QuotedKey;
pub use range::Range;
pub use read::ReadTransaction;
pub use record::{Record, StoredRecord, Vector};
pub use scope::Row;
pub use search::Search;
pub use stats::{LogStats, PageStats, Stats};
pub use table::Table;
pub use table_options::TableOptions;
pub use transaction::Transaction;
#[cfg(feature = "zerocopy")]
pub use typed::Plain;
#[cfg(feature = "serde")]
pub use typed::Postcard;
pub use typed::{
    Codec, CodecError, EncodeBuffer, KeyCodec, Prefix, Readable, TypedEntry, TypedIndexEntry,
    TypedIndexRange, TypedKeys, TypedRange, TypedTable, TypedValue,
};
pub use vacuum::VacuumReport;
pub use vellum_base::{
    Corruption, KEY_BYTES_MAX, NAME_BYTES_MAX, Timestamp, VALUE_BYTES_MAX, VECTOR_DIMENSION_MAX,
};
/// The disk's contract, for disks of one's own: see [`Options::open_on`].
pub use vellum_disk as disk;
/// The contract of index plugins: see [`Options::index_plugin`].
pub use vellum_index as plugin;
pub use vellum_index::Metric;
pub use vellum_txn::{
    COMMIT_BYTES_MAX, Durability, Isolation, LockStats, MergeError, MergeOperator, READS_BYTES_MAX,
    ReadKind, Savepoint,
};
pub use verify::{LogReport, TableReport, VerifyReport};
