//! A group: what one flush writes. Plain data, kept under the sequencer's mutex.

use vellum_base::{Lsn, Timestamp};

/// How far a sealed group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nobody writes it yet.
    Waiting,
    /// Somebody writes it.
    Writing,
    /// On the disk; perhaps not all before it.
    Written,
}

/// A run of records between two flushes.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Counts groups; nothing of it is on the disk.
    pub(crate) id: u64,
    /// Its header's place.
    pub(crate) start: Lsn,
    /// Behind its last record.
    pub(crate) end: Lsn,
    /// Timestamp of its last record.
    pub(crate) last: Timestamp,
    /// Its first commit that wants to be durable.
    pub(crate) first_sync: Option<Timestamp>,
    pub(crate) records: u32,
    /// Threads waiting for it.
    pub(crate) waiters: u32,
    pub(crate) progress: Progress,
}

impl Group {
    pub(crate) fn new(id: u64, start: Lsn) -> Self {
        Self {
            id,
            start,
            end: start,
            last: Timestamp::ZERO,
            first_sync: None,
            records: 0,
            waiters: 0,
            progress: Progress::Waiting,
        }
    }
}
