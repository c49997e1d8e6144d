//! Figures of an open database.

use vellum_base::Timestamp;
use vellum_disk::{Batched, DurableWrites, MappedWrites};

use crate::read::ReadTransaction;
use crate::shared::Shared;

/// Figures of an open database since it was opened, from [`crate::Database::stats`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Tables.
    pub tables: usize,
    /// Indexes of all tables.
    pub indexes: usize,
    /// Transactions committed with writes.
    pub commits: u64,
    /// Commits refused, nearly all of them for conflicts.
    pub conflicts: u64,
    /// The last commit that read-write transactions see.
    pub visible: Timestamp,
    /// The last commit that read-only transactions see.
    pub settled: Timestamp,
    /// Bytes of keys and records in memory, all versions.
    pub version_bytes: usize,
    /// Generations of versions in memory.
    pub generations: usize,
    /// Transactions that are open, this call's own not counted.
    pub transactions_open: usize,
    /// The log on the disk; `None` for a database in memory or opened for reading only.
    pub log: Option<LogStats>,
}

/// Figures of the log.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LogStats {
    /// Bytes of commit records.
    pub bytes_appended: u64,
    /// Bytes of durable writes, padding included.
    pub bytes_written: u64,
    /// Durable writes of groups of commits.
    pub groups: u64,
    /// Mean number of commits in a group.
    pub commits_per_group: f64,
    /// Commits too large for the log itself, whose content was written beside it.
    pub large_commits: u64,
    /// Times that a commit slept until its group was durable.
    pub waits: u64,
    /// How durable writes reach this disk, as probed at opening.
    pub durable_writes: Option<DurableWrites>,
    /// How commits survive the end of the process, as probed at opening.
    pub mapped_writes: Option<MappedWrites>,
    /// How the disk reads batches of pages, as probed at opening.
    pub batched: Option<Batched>,
}

impl Stats {
    pub(crate) fn gather(read: ReadTransaction, shared: &Shared) -> Self {
        let (tables, indexes) = read.counts();
        drop(read);
        let store = shared.store.stats();
        Self {
            tables,
            indexes,
            commits: store.commits,
            conflicts: store.conflicts,
            visible: store.visible,
            settled: store.settled,
            version_bytes: store.version_bytes,
            generations: store.generations,
            transactions_open: store.snapshots_open,
            log: shared.log.wal().map(|wal| LogStats::of(&wal.stats())),
        }
    }
}

impl LogStats {
    fn of(stats: &vellum_wal::Stats) -> Self {
        Self {
            bytes_appended: stats.bytes_appended,
            bytes_written: stats.bytes_written,
            groups: stats.groups,
            commits_per_group: stats.records_per_group_mean(),
            large_commits: stats.large_payloads,
            waits: stats.waits,
            durable_writes: stats.durable_writes,
            mapped_writes: stats.mapped_writes,
            batched: stats.batched,
        }
    }
}
