//! The multi-version store: private write sets, snapshots, commit by compare-and-swap on version
//! chains, generations. No I/O and no clock; the log is a trait.
//!
//! Start with [`Store`]; [`Snapshot`] and [`Transaction`] are its two kinds of transaction. The
//! commit protocol is in `commit`, what a reader may rely on in `snapshot`, what makes commits
//! serializable in `validation`, what record locks promise in `locks`, reclamation in `registry`.

mod admission;
mod allowance;
mod arena;
mod backlog;
mod commit;
mod error;
mod gate;
mod generation;
mod guard;
mod intervals;
mod locking;
mod locks;
mod log;
mod merge;
mod merging;
mod node;
mod order;
mod range;
mod read_set;
mod reads;
mod recent;
mod redo;
mod registry;
mod rows;
mod run;
mod schema;
mod scratch;
mod slots;
mod snapshot;
mod stamp;
mod store;
mod trail;
mod transaction;
mod validation;
mod vectors;
mod view;
mod write_set;

pub use allowance::{Allowance, Grant};
pub use arena::{At, CellAt, EntryAt, Room, VersionAt};
pub use backlog::{Backlog, Wake};
pub use commit::COMMIT_BYTES_MAX;
pub use error::{BaseError, CommitError, LockError, LockWait, ReplayError, SchemaError};
pub use gate::Gate;
pub use generation::{Generation, GenerationOptions, HashedKey, Install};
pub use locks::{LEARNT_MAX, LockSet, LockStats, Locks};
pub use log::{Appended, CommitLog, Durability, LogError, NoLog, Prepared, Sequenced};
pub use merge::{MergeError, MergeOperator, OperatorId, Operators, Stored};
pub use merging::Merging;
pub use node::{Body, Entry, LargeRecord, VersionHead};
pub use range::{Range, SoughtRange, TransactionRange};
pub use read_set::READS_BYTES_MAX;
pub use reads::{RangeRead, Reads};
pub use registry::{Pin, Purpose, Registry, Widened};
pub use rows::{Column, FilledRows, RowArray};
pub use schema::Schema;
pub use slots::Slots;
pub use snapshot::{Lookup, Reader, Snapshot, Version};
pub use stamp::Stamp;
pub use store::{OnSchema, Owner, PreparedChange, Replay, Store, StoreOptions, StoreStats};
pub use transaction::{Found, Isolation, Transaction};
pub use validation::ReadKind;
pub use vectors::{VectorList, encode_vectors, vectors_len};
pub use vellum_latch::LatchMode as LockMode;
pub use view::{Sealed, View, newest_of, tables_of};
pub use write_set::{Savepoint, SavepointError};
