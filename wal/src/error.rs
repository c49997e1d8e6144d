//! What can go wrong with the log, and what the caller is to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

use vellum_base::{Corruption, Lsn};

/// The write or sync that made the log unusable. Shared by everyone who is told of it.
#[derive(Debug)]
pub struct Failure {
    /// What was being done, and to which file.
    pub what: String,
    /// What the disk said.
    pub source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

/// An error of the log.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// No space on the disk. Nothing was written and nothing is broken: free space, try again.
    #[error("the disk is full: {0}")]
    DiskFull(Arc<Failure>),
    /// A write or a sync failed. What was settled stays settled, nothing more will be; open the
    /// log anew to learn what reached the disk. Never retried here: a second sync would lie.
    #[error("the log stopped after a failed write: {0}")]
    Poisoned(Arc<Failure>),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A payload is longer than a record holds; write it with `write_large`.
    #[error("a payload of {len} bytes is longer than {max}, the most that a record holds")]
    TooLarge {
        /// Bytes given.
        len: usize,
        /// Most that is possible.
        max: usize,
    },
    /// A file could not be opened, read or listed. Nothing was changed.
    #[error("{0}")]
    Io(Arc<Failure>),
    /// Bytes that were durable are no longer readable.
    #[error("the log is damaged: {0}")]
    Corrupt(Corruption),
    /// Written by a newer version of this software.
    #[error("{file} has log format {found}; this version reads up to {known}")]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// A file in the directory bears a name like the log's, but is not the log's.
    #[error("{file} is not a file of this log: {why}")]
    ForeignFile {
        /// The file.
        file: String,
        /// How that was seen.
        why: &'static str,
    },
    /// A file of another database.
    #[error("{file} belongs to database {found:032x}, not to {expected:032x}")]
    ForeignDatabase {
        /// The file.
        file: String,
        /// The database that it names.
        found: u128,
        /// The database that it stands in.
        expected: u128,
    },
    /// The log ends before the position at which reading must begin.
    #[error("the log ends at {end}, before {start}, where reading must begin")]
    EndsBefore {
        /// The end of the log.
        end: Lsn,
        /// Where reading was to begin.
        start: Lsn,
    },
    /// Sizes that do not fit each other.
    #[error("invalid log configuration: {0}")]
    InvalidConfig(&'static str),
}

impl WalError {
    /// An error of reading: nothing is poisoned by it.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        let failure = Arc::new(Failure {
            what: what.into(),
            source,
        });
        if is_full(&failure.source) {
            Self::DiskFull(failure)
        } else {
            Self::Io(failure)
        }
    }

    /// An error of a write whose bytes nobody counts on yet: a full disk may be tried again.
    pub(crate) fn write(what: impl Into<String>, source: io::Error) -> Self {
        let failure = Arc::new(Failure {
            what: what.into(),
            source,
        });
        if is_full(&failure.source) {
            Self::DiskFull(failure)
        } else {
            Self::Poisoned(failure)
        }
    }

    /// An error of a sync, or of a write that must not be repeated.
    pub(crate) fn sync(what: impl Into<String>, source: io::Error) -> Self {
        Self::Poisoned(Arc::new(Failure {
            what: what.into(),
            source,
        }))
    }

    pub(crate) fn corrupt(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt(Corruption::new(file, offset, what))
    }
}

/// Whether the disk refused for lack of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
