//! Whether what many threads saw is snapshot isolation: a check by timestamps, sound and complete
//! where the engine tells each transaction's snapshot and commit timestamps, in `O(n log n)`.
//!
//! 1. A read of a key returns what the newest commit at or before the reader's snapshot wrote, or
//!    what the reader itself wrote before; a range returns exactly the keys for which that is
//!    something, in order; an ordered index has exactly these records, in the order of their index keys.
//! 2. Of two committed transactions that wrote the same key, the later one's snapshot has the
//!    earlier one's commit: first committer wins. Unless the later one only merged into it: what is merged
//!    comes to the newest value, in the order of commits, and nothing of it is lost.
//! 3. Commit timestamps are unique and later than the snapshot they rest on.
//! 4. Real time: a snapshot has every commit that had returned when the transaction began.
//!
//! Whether it is serializable besides, is what [`check_serial`] tells, by a replay in the order of
//! commits.
//!
//! Values tell versions apart: a workload writes each value once, else an anomaly may be named
//! wrongly, though not missed unless the values are equal.

mod check;
mod indexed;
mod own;
mod recorder;
mod serial;

pub use check::{Anomaly, Kind, Summary, check};
pub use indexed::{Extract, Indexed, Lookup};
pub use recorder::{Recorder, Recording};
pub use serial::check_serial;

pub use crate::lists::Isolation;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key was read.
    Read {
        /// The key.
        key: Vec<u8>,
        /// What was there.
        value: Option<Vec<u8>>,
    },
    /// A range was read: from the first key on, up to and without the second.
    Range {
        /// The first key that may be in it.
        from: Vec<u8>,
        /// The first key beyond it; none if it has no end.
        to: Option<Vec<u8>>,
        /// The keys and values that were there, in order.
        found: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// An ordered index was read.
    Index {
        /// What was asked of it.
        lookup: Lookup,
        /// The entries that were there, in order.
        found: Vec<Indexed>,
    },
    /// A key was written, or removed.
    Write {
        /// The key.
        key: Vec<u8>,
        /// What was written.
        value: Option<Vec<u8>>,
    },
    /// An operand was merged into a key: the commit appends it to the value.
    Merge {
        /// The key.
        key: Vec<u8>,
        /// What is appended; it is told apart from every other.
        operand: Vec<u8>,
    },
    /// The writes since a savepoint were taken back; reads stay reads.
    RollBack {
        /// How many steps there were when it was made.
        to: usize,
    },
    /// A key was read of which the engine promises, in either isolation, that others do not change it before
    /// the commit: it was marked or locked.
    Standing {
        /// The key.
        key: Vec<u8>,
        /// What was there in the snapshot, own writes aside.
        value: Option<Vec<u8>>,
    },
}

impl Step {
    /// Whether it writes.
    #[must_use]
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Merge { .. })
    }
}

/// One transaction that has ended. What became of one that was cut off by a crash is to be found
/// out first, by reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The timestamp of its snapshot.
    pub snapshot: u64,
    /// The timestamp of its commit; none if it was rolled back, failed, or wrote nothing.
    pub commit: Option<u64>,
    /// When it was asked to begin, in ticks of one counter.
    pub began: u64,
    /// When its commit returned, in the same ticks.
    pub ended: u64,
    /// What it asked for.
    pub isolation: Isolation,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

#[cfg(test)]
mod planted_tests;
#[cfg(test)]
mod serial_tests;
#[cfg(test)]
mod tests;
