//! What can go wrong, said so that the caller knows what to do.
//!
//! Anybody may match on these types. Rules:
//!
//! 1. Each error has one [`Remedy`]; `docs/errors.md` is the same list in prose.
//! 2. An error names what it is about: table, key, column, file and offset, limit. Keys are printed
//!    escaped and cut, so that a message is one line of text whatever the key holds. Values and
//!    vectors never appear.
//! 3. An operation that returned an error changed nothing, with one exception: a commit whose *wait*
//!    failed is in an unknown state until the database was opened again, and says so
//!    ([`Error::Poisoned`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{Corruption, Timestamp};
use vellum_txn::{LogError, ReadKind};

use crate::argument::InvalidArgument;
use crate::deadlock::Deadlock;
use crate::quoted::QuotedKey;

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Begin another transaction and do the work again; [`crate::Database::transact`] does that.
    Retry,
    /// The call cannot succeed as it was made: change the arguments, or what the call is about.
    FixTheCall,
    /// Free or add disk space. What was committed is safe.
    FreeSpace,
    /// Free or add memory. What was committed is safe.
    FreeMemory,
    /// Open the database again.
    Reopen,
    /// Bytes are damaged: restore the database from a copy.
    Restore,
    /// The path, its permissions or its files are not what they should be.
    FixThePath,
    /// Ask the system what is wrong with the device or the file system.
    CheckTheSystem,
    /// The error is the application's own, passed through by [`crate::Database::transact`].
    Application,
}

/// Why an operation failed. Each variant says what to do; [`Error::remedy`] sorts them.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another transaction committed, or is committing, a write of the same key since this
    /// transaction began. Retry.
    #[error("conflict on key {key} of table `{table}`: {}; retry the transaction",
        winner_text(*.winner))]
    Conflict {
        /// The table of the key.
        table: String,
        /// The key that both wrote.
        key: QuotedKey,
        /// The commit that won; `None` if it had no timestamp yet.
        winner: Option<Timestamp>,
    },

    /// Another transaction committed a write of something that this one read since it began, and
    /// whose reading its commit checks: all of it in [`crate::Isolation::Serializable`], else what
    /// was marked ([`crate::Transaction::mark_read`]). Retry.
    #[error("commit {winner} wrote key {key} of table `{table}`, {}; retry the transaction",
        read_text(*.read))]
    ReadConflict {
        /// The table of the key.
        table: String,
        /// The key that was written. There may be others.
        key: QuotedKey,
        /// How this transaction read it.
        read: ReadKind,
        /// The commit that won.
        winner: Timestamp,
    },

    /// Another transaction has locked a key that this one wrote, for update or shared. Retry:
    /// [`crate::Database::transact`] waits its turn in the end.
    #[error("key {key} of table `{table}` is locked by another transaction; retry the transaction")]
    Locked {
        /// The table of the key.
        table: String,
        /// The key.
        key: QuotedKey,
    },

    /// Transactions wait for each other's locks, and this one is the youngest of them. Retry.
    #[error("deadlock: {0}; retry the transaction")]
    Deadlock(Arc<Deadlock>),

    /// A lock was not released in time ([`crate::Options::lock_timeout`]): somebody holds it for long.
    /// Retry, later; [`crate::Database::transact`] does not do so by itself.
    #[error(
        "waited {waited:?} for the lock on key {key} of table `{table}`; retry the transaction"
    )]
    LockTimeout {
        /// The table of the key.
        table: String,
        /// The key.
        key: QuotedKey,
        /// How long this transaction was willing to wait.
        waited: Duration,
    },

    /// The table or index was made after this transaction's snapshot was taken. Retry: a new
    /// transaction sees it.
    #[error("{what} is newer than this transaction's snapshot; begin another")]
    NotInSnapshot {
        /// The table or index, in words.
        what: String,
    },

    /// An ordered index of the table began or was dropped since this transaction's snapshot was taken, so it does
    /// not write what belongs to its records now. Retry.
    #[error("the ordered indexes of table `{table}` were changed meanwhile; retry the transaction")]
    IndexesChanged {
        /// The table.
        table: String,
    },

    /// While this transaction was open, more was committed and merged into pages than is kept for checking
    /// whether others wrote what it wrote or read: three eighths of [`crate::Options::memory_budget`]. Retry,
    /// and end transactions that write soon. Told by the commit, or when a key is locked; reading goes on, and
    /// a transaction that only reads, or has only operands to merge, is never too old.
    #[error(
        "the transaction is too old: while it was open, more was committed and merged than is kept in \
            {limit} bytes; retry the transaction"
    )]
    SnapshotTooOld {
        /// Bytes of memory for what is kept.
        limit: usize,
    },

    /// The arguments are wrong in themselves. Fix the call.
    #[error(transparent)]
    InvalidArgument(#[from] InvalidArgument),

    /// No table has this name. Fix the call: `table` creates, `open_table` does not.
    #[error("there is no table `{name}`")]
    UnknownTable {
        /// The name that was asked for.
        name: String,
    },

    /// The table of this handle was dropped; one of the same name made later is another table.
    /// Fix the call: open the table again.
    #[error("table `{table}` was dropped")]
    TableDropped {
        /// The name that the table had.
        table: String,
    },

    /// A bulk load makes a table, and there is one of this name. Fix the call: choose another name, drop
    /// that table first, or write to it in transactions.
    #[error("there is a table `{table}` already: a bulk load makes a new one")]
    TableExists {
        /// The name that was asked for.
        table: String,
    },

    /// A table of this name is being loaded; it is there when the load was finished. Fix the call: wait
    /// for that, or choose another name.
    #[error("a table `{table}` is being loaded, and not there yet")]
    TableLoading {
        /// The name that was asked for.
        table: String,
    },

    /// The table has no index on this column. Fix the call.
    #[error("table `{table}` has no index on `{column}`")]
    UnknownIndex {
        /// The table.
        table: String,
        /// The column that was asked for.
        column: String,
    },

    /// The table has an index of another definition on this column. Fix the call: drop that one
    /// first.
    #[error("table `{table}` has another index on `{column}` already")]
    IndexExists {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },

    /// A unique index has the index key for another record. Fix the call: the record must not be written so.
    #[error(
        "index `{index}` of table `{table}` is unique and has {index_key} for key {stands}, \
        so it cannot be had for key {key}"
    )]
    NotUnique {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The index key of both.
        index_key: QuotedKey,
        /// The record that was to be written, or to be filled in.
        key: QuotedKey,
        /// The record that has it.
        stands: QuotedKey,
    },

    /// An ordered index needs an extractor that is not registered, or in another version, so the
    /// table cannot be written. Fix the call: open the database with it
    /// ([`crate::Options::key_extractor`]), or drop the index.
    #[error("index `{index}` of table `{table}` needs the extractor `{extractor}`{}: open the \
        database with it, or drop the index", of_version(*.version))]
    NoExtractor {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The extractor's name.
        extractor: String,
        /// Its version; zero, if any would do.
        version: u32,
    },

    /// An ordered index of this name is being made; it is there when that has ended. Fix the call: wait
    /// for that, or choose another name.
    #[error("index `{index}` of table `{table}` is being made, and not there yet")]
    IndexBuilding {
        /// The table.
        table: String,
        /// The index.
        index: String,
    },

    /// A compare-and-swap found another version than the caller's. Fix the call: read the record
    /// again, and decide again.
    #[error("key {key} of table `{table}` has version {}, not {}",
        version_text(*.found), version_text(*.expected))]
    VersionMismatch {
        /// The table of the key.
        table: String,
        /// The key.
        key: QuotedKey,
        /// What the caller expected; `None` for "no record".
        expected: Option<Timestamp>,
        /// What is there; `None` for no record, or one that this transaction wrote itself.
        found: Option<Timestamp>,
    },

    /// The table remembers other types than those that it was asked for with. Fix the call: name its
    /// own, take it as a raw table, or make another one.
    #[error("table `{table}` holds {stored}, not {asked}")]
    TypeMismatch {
        /// The table.
        table: String,
        /// The codecs' names that it remembers.
        stored: String,
        /// Those that were asked for.
        asked: String,
    },

    /// A record's bytes are not of the table's types: they were written to the raw table, or by another
    /// version of the types. Fix the call: read the record raw, and write it anew.
    #[error("the record of key {key} of table `{table}` is not of its types: {why}")]
    Decode {
        /// The table.
        table: String,
        /// The key, as it is stored.
        key: QuotedKey,
        /// What the codec said.
        why: String,
    },

    /// A merge operator refused a value or an operand. Fix the call; from a commit, nothing was
    /// committed.
    #[error("merging by `{operator}` into key {key} of table `{table}`: {why}")]
    Merge {
        /// The table of the key.
        table: String,
        /// The key.
        key: QuotedKey,
        /// The operator's name.
        operator: String,
        /// What it said.
        why: String,
    },

    /// The disk is full. Free space; the commit was not made, what was committed is safe.
    #[error("the disk is full: {0}")]
    DiskFull(String),

    /// The writes of open transactions take all that the memory budget has for them; this write was not
    /// done, and its transaction goes on. Commit in smaller parts, or end other transactions; load a new
    /// table with [`crate::Database::bulk_load`]; or raise [`crate::Options::memory_budget`], of which an
    /// eighth is theirs.
    #[error("this transaction's writes would take {bytes} bytes of memory, beside {others} of other open \
        transactions, and together they may take {limit}, an eighth of the memory budget: commit in \
        smaller parts, or open the database with a memory budget of {} or more", budget_for(*.bytes, *.others))]
    WriteMemory {
        /// Bytes that this transaction's writes would take.
        bytes: usize,
        /// Bytes that those of other transactions take, small ones apart.
        others: usize,
        /// What all of them may take.
        limit: usize,
    },

    /// The system gave no memory. The operation was not done.
    #[error("out of memory: {0}")]
    OutOfMemory(String),

    /// The database was closed. Open it again.
    #[error("the database is closed")]
    Closed,

    /// The database was opened for reading only. Open it for writing.
    #[error("the database was opened read-only")]
    ReadOnly,

    /// A write to the disk failed, so nothing can be promised any more: commits are refused,
    /// reads go on. Whether commits that waited are durable shows when the database is opened
    /// again, once the cause is mended.
    #[error("the database refuses commits since a write to the disk failed: {0}")]
    Poisoned(String),

    /// Bytes on the disk are damaged. Restore from a copy; nothing was changed.
    #[error("the database is damaged: {0}")]
    Corrupt(Corruption),

    /// Another process, or another part of this one, has the database open. Close it there, or
    /// share its [`crate::Database`] by cloning.
    #[error("`{path}` is open elsewhere already")]
    AlreadyOpen {
        /// The directory.
        path: String,
    },

    /// The files were written by a newer version of Vellum. Use that version.
    #[error("the format is newer than this version of Vellum reads: {0}")]
    NewerFormat(String),

    /// The path holds something else than a Vellum database. Fix the path.
    #[error("`{path}` is not a Vellum database: {what}")]
    Foreign {
        /// The path that was to be opened.
        path: String,
        /// What was found there.
        what: String,
    },

    /// The path is a file; a database is a directory. Fix the path.
    #[error("`{path}` is a file, a database is a directory")]
    NotADirectory {
        /// The path that was to be opened.
        path: String,
    },

    /// There is nothing at the path, and the way of opening does not create. Fix the path.
    #[error("there is no database at `{path}`")]
    NotFound {
        /// The path that was to be opened.
        path: String,
    },

    /// A copy is made where nothing is yet, and there is something. Fix the path.
    #[error("`{path}` exists already")]
    Exists {
        /// The path that was to be made.
        path: String,
    },

    /// A backup was being made at the path and was interrupted. Remove it, and make it again.
    #[error("`{path}` is half a backup: its making was interrupted")]
    Unfinished {
        /// The path that was to be opened.
        path: String,
    },

    /// The system forbids it. Fix the permissions or the path.
    #[error("no permission for `{path}`: {source}")]
    PermissionDenied {
        /// The path that was to be opened.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// Any other failure that the system reported.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// An error of the application's own, returned from inside [`crate::Database::transact`].
    #[error(transparent)]
    Application(Arc<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of the application's own, to leave [`crate::Database::transact`] with it.
    /// The transaction is rolled back and not retried.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let outcome = db.transact(|txn| {
    ///     if txn.get(&items, "pen")?.is_none() {
    ///         return Err(vellum::Error::application("no pen"));
    ///     }
    ///     Ok(())
    /// });
    /// assert_eq!(outcome.unwrap_err().to_string(), "no pen");
    /// # Ok::<(), vellum::Error>(())
    /// ```
    pub fn application(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Application(Arc::from(error.into()))
    }

    /// Whether the same work can succeed in a new transaction.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.remedy() == Remedy::Retry
    }

    /// What the caller can do.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Conflict { .. }
            | Self::ReadConflict { .. }
            | Self::NotInSnapshot { .. }
            | Self::IndexesChanged { .. }
            | Self::SnapshotTooOld { .. }
            | Self::Locked { .. }
            | Self::Deadlock(_)
            | Self::LockTimeout { .. } => Remedy::Retry,
            Self::InvalidArgument(_)
            | Self::UnknownTable { .. }
            | Self::TableDropped { .. }
            | Self::TableExists { .. }
            | Self::TableLoading { .. }
            | Self::UnknownIndex { .. }
            | Self::IndexExists { .. }
            | Self::NotUnique { .. }
            | Self::NoExtractor { .. }
            | Self::IndexBuilding { .. }
            | Self::VersionMismatch { .. }
            | Self::TypeMismatch { .. }
            | Self::Decode { .. }
            | Self::Merge { .. }
            | Self::ReadOnly => Remedy::FixTheCall,
            Self::DiskFull(_) => Remedy::FreeSpace,
            Self::OutOfMemory(_) | Self::WriteMemory { .. } => Remedy::FreeMemory,
            Self::Closed | Self::Poisoned(_) => Remedy::Reopen,
            Self::Corrupt(_) => Remedy::Restore,
            Self::AlreadyOpen { .. }
            | Self::NewerFormat(_)
            | Self::Foreign { .. }
            | Self::NotADirectory { .. }
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Unfinished { .. }
            | Self::PermissionDenied { .. } => Remedy::FixThePath,
            Self::Io { .. } => Remedy::CheckTheSystem,
            Self::Application(_) => Remedy::Application,
        }
    }

    /// A refusal of the log.
    pub(crate) fn from_log(error: LogError) -> Self {
        match error {
            LogError::DiskFull(what) => Self::DiskFull(what),
            LogError::Poisoned(what) => Self::Poisoned(what),
            LogError::Closed => Self::Closed,
        }
    }

    /// What the system reported while `what` was being done with `path`.
    pub(crate) fn from_io(path: &str, what: &str, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull(format!("{what} `{path}`: {error}"))
            }
            io::ErrorKind::WouldBlock => Self::AlreadyOpen { path },
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied {
                    path,
                    source: Arc::new(error),
                }
            }
            io::ErrorKind::OutOfMemory => Self::OutOfMemory(format!("{what} `{path}`: {error}")),
            _ => Self::Io {
                what: format!("{what} `{path}`"),
                source: Arc::new(error),
            },
        }
    }
}

fn winner_text(winner: Option<Timestamp>) -> String {
    winner.map_or_else(
        || "another commit is under way".into(),
        |at| format!("commit {at} won"),
    )
}

/// A budget in which writes of so many bytes have their place.
fn budget_for(bytes: usize, others: usize) -> usize {
    bytes
        .saturating_add(others)
        .saturating_mul(crate::recovery::WRITES_PART)
}

fn read_text(read: ReadKind) -> &'static str {
    match read {
        ReadKind::Key => "which this transaction had read",
        ReadKind::Range => "which lies in a range that this transaction had read",
    }
}

fn version_text(version: Option<Timestamp>) -> String {
    version.map_or_else(|| "none".into(), |at| at.to_string())
}

fn of_version(version: u32) -> String {
    match version {
        0 => String::new(),
        version => format!(" in version {version}"),
    }
}
