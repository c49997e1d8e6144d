//! Why a commit, a schema change or a replay was refused. The engine turns these into its public
//! errors, with names in place of numbers.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{DecodeError, TableId, Timestamp};
use vellum_latch::LatchMode;

use crate::log::LogError;
use crate::validation::ReadKind;
use crate::view::Forgotten;

/// Why a transaction did not commit; nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// Another transaction committed the key since this one's snapshot, or is about to. Retry.
    Conflict {
        /// The key's table.
        table: TableId,
        /// The key.
        key: Vec<u8>,
        /// The winner's timestamp; `None` if it was still committing.
        winner: Option<Timestamp>,
    },
    /// Another transaction committed a key that this one read since its snapshot. Retry.
    Read {
        /// The key's table.
        table: TableId,
        /// The key.
        key: Vec<u8>,
        /// When it was committed.
        winner: Timestamp,
        /// How it was read.
        read: ReadKind,
    },
    /// Another transaction holds a lock on a key that this one wrote. Retry.
    Locked {
        /// The key's table.
        table: TableId,
        /// The key.
        key: Vec<u8>,
    },
    /// The table was dropped since this transaction's snapshot.
    TableDropped(TableId),
    /// The schema has changed so that this transaction's snapshot is too old to write to the table
    /// ([`crate::Schema::writable_since`]). Retry.
    Outdated(TableId),
    /// A vector has not the dimension of an index that was created meanwhile.
    Dimension {
        /// The vector column.
        column: String,
        /// The index's dimension.
        expected: usize,
        /// The vector's.
        found: usize,
    },
    /// While the transaction was open, more was committed than is kept for checking it (`trail`, rule 2).
    /// Retry.
    SnapshotTooOld,
    /// More than one commit may hold.
    TooLarge {
        /// Bytes of the commit.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// More memory than the writes of open transactions may take together.
    WriteMemory {
        /// Bytes that this transaction's writes would take.
        bytes: usize,
        /// Bytes that those of others take, small ones apart.
        others: usize,
        /// What they may take together.
        limit: usize,
    },
    /// A merge operator refused.
    Merge {
        /// The key's table.
        table: TableId,
        /// The key.
        key: Vec<u8>,
        /// The operator's name.
        operator: String,
        /// What it said.
        why: String,
    },
    /// The record that is merged into cannot be read, or the generations that this would have to wait for
    /// cannot be merged.
    Base(BaseError),
    /// The log refused.
    Log(LogError),
    /// The system gave no memory for a generation.
    Memory(String),
}

impl CommitError {
    /// Whether another transaction is in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. } | Self::Read { .. } | Self::Locked { .. }
        )
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict {
                table,
                winner: Some(at),
                ..
            } => {
                write!(
                    f,
                    "a key of table {table} was committed at {at}, after the snapshot"
                )
            }
            Self::Conflict {
                table,
                winner: None,
                ..
            } => {
                write!(
                    f,
                    "a key of table {table} is being committed by another transaction"
                )
            }
            Self::Read { table, winner, .. } => {
                write!(
                    f,
                    "a key of table {table} that was read was committed at {winner}, after the snapshot"
                )
            }
            Self::Locked { table, .. } => {
                write!(f, "a key of table {table} is locked by another transaction")
            }
            Self::TableDropped(table) => write!(f, "table {table} was dropped"),
            Self::Outdated(table) => {
                write!(f, "table {table} was changed after the snapshot")
            }
            Self::Dimension {
                column,
                expected,
                found,
            } => {
                write!(
                    f,
                    "column {column}: {found} dimensions where the index has {expected}"
                )
            }
            Self::SnapshotTooOld => {
                write!(f, "more was committed after the snapshot than is kept")
            }
            Self::TooLarge { bytes, limit } => {
                write!(f, "a commit of {bytes} bytes; the limit is {limit}")
            }
            Self::WriteMemory {
                bytes,
                others,
                limit,
            } => {
                write!(
                    f,
                    "writes of {bytes} bytes, beside {others} of others; the limit is {limit}"
                )
            }
            Self::Merge {
                table,
                operator,
                why,
                ..
            } => {
                write!(
                    f,
                    "merging by {operator} into a key of table {table}: {why}"
                )
            }
            Self::Base(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Memory(what) => write!(f, "no memory for the version store: {what}"),
        }
    }
}

impl Error for CommitError {}

/// What went wrong in the base; who made it knows what it is.
#[derive(Clone, Debug)]
pub struct BaseError(Arc<dyn Error + Send + Sync>);

impl BaseError {
    /// Hands it through the version store.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// What was given to [`BaseError::new`], if it was of this type.
    #[must_use]
    pub fn get<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

/// The very same, not its like.
impl PartialEq for BaseError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BaseError {}

impl fmt::Display for BaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BaseError {}

impl From<Forgotten> for CommitError {
    fn from(Forgotten: Forgotten) -> Self {
        Self::SnapshotTooOld
    }
}

impl From<LogError> for CommitError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Why a transaction did not get a lock, or not in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockError {
    /// The snapshot is older than the key's newest version. Retry.
    Refused(CommitError),
    /// Waiting would never end: transactions wait for each other, and this is the youngest. End it,
    /// and begin again.
    Deadlock {
        /// Who waits for what; each for the next one, the last for the first.
        waits: Vec<LockWait>,
    },
    /// The lock was not released in time.
    Timeout {
        /// The key's table.
        table: TableId,
        /// The key.
        key: Box<[u8]>,
        /// How long the transaction was willing to wait.
        waited: Duration,
    },
}

/// One transaction of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Its number among those that lock.
    pub transaction: u64,
    /// The table of the key that it waits for.
    pub table: TableId,
    /// The key; `None` if it has ended its wait in the meantime.
    pub key: Option<Box<[u8]>>,
    /// The key's hash.
    pub hash: u64,
    /// How it wants to lock it.
    pub mode: LatchMode,
    /// The transaction that has it, or is before it in the queue.
    pub next: u64,
}

/// Why a schema change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaError<E> {
    /// The change itself refused.
    Refused(E),
    /// The store could not commit it.
    Commit(CommitError),
}

/// Why a record of the log could not be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError<E> {
    /// The payload is not what commits write.
    Decode(DecodeError),
    /// The schema change in it was refused.
    Schema(E),
    /// It was merged by an operator that is not there.
    Operator(String),
    /// The store had no room.
    Commit(CommitError),
}
