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
    /// Bytes of memory of versions that are in pages by now and are kept since read-write transactions are open
    /// that began before, beside those that they see: see [`crate::Error::SnapshotTooOld`].
    pub trail_bytes: usize,
    /// Transactions that are open, this call's own not counted.
    pub transactions_open: usize,
    /// Bytes of memory that their writes have, but for the first 64 KiB of each.
    pub write_set_bytes: usize,
    /// What these may take together: see [`crate::Error::WriteMemory`].
    pub write_set_budget_bytes: usize,
    /// Locks of records.
    pub locks: vellum_txn::LockStats,
    /// Pages: the records that were merged, in memory and in the file.
    pub pages: PageStats,
    /// The log on the disk; `None` for a database in memory or opened for reading only.
    pub log: Option<LogStats>,
}

/// Of fewer pages that were read nothing is said.
const THRASHING_MISSES: u64 = 100;

/// Figures of the pages.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PageStats {
    /// Up to this commit they hold everything; what came later is in memory and in the log.
    pub merged: Timestamp,
    /// Number of the last durable checkpoint.
    pub checkpoint: u64,
    /// Checkpoints made since the database was opened.
    pub checkpoints: u64,
    /// Merges made since then.
    pub merges: u64,
    /// Batches of these, of some hundred records or more each, that several threads shared; none on a
    /// machine with one processor.
    pub merges_shared: u64,
    /// Generations that wait for their merge.
    pub generations_waiting: usize,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of it that are in use, also by old snapshots.
    pub used_bytes: u64,
    /// Pages that are replaced and that old snapshots, or the last checkpoint, still hold.
    pub held_pages: usize,
    /// Bytes of pages written since the database was opened.
    pub written_bytes: u64,
    /// The pool's share of the memory budget.
    pub pool_budget_bytes: usize,
    /// Bytes of pages in memory.
    pub pool_bytes: usize,
    /// Bytes of them that are not in the file yet.
    pub pool_dirty_bytes: usize,
    /// Pages that were found in memory.
    pub pool_hits: u64,
    /// Pages that were read from the file.
    pub pool_misses: u64,
    /// Pages that made room for others.
    pub pool_evictions: u64,
    /// Pages that were read from the file and had made room shortly before: while no more pages made room
    /// than the pool has. See [`PageStats::is_thrashing`].
    pub pool_refaults: u64,
}

impl PageStats {
    /// The share of pages that were found in memory; 1 if none was asked for.
    #[must_use]
    pub fn hit_rate(&self) -> f64 {
        let asked = self.pool_hits + self.pool_misses;
        if asked == 0 {
            return 1.0;
        }
        self.pool_hits as f64 / asked as f64
    }

    /// Whether the pool is too small for what is read: at least a twentieth of the pages that were asked for
    /// had to be read from the file, and most of these had made room shortly before, so that a somewhat
    /// larger [`crate::Options::memory_budget`] would have kept them. Pages that are read once, however
    /// many, are no sign of it. Of all the time since the database was opened.
    #[must_use]
    pub fn is_thrashing(&self) -> bool {
        self.is_thrashing_since(&Self::default())
    }

    /// [`PageStats::is_thrashing`] of the time since an earlier call of [`crate::Database::stats`].
    #[must_use]
    pub fn is_thrashing_since(&self, earlier: &Self) -> bool {
        let misses = self.pool_misses.saturating_sub(earlier.pool_misses);
        let hits = self.pool_hits.saturating_sub(earlier.pool_hits);
        let refaults = self.pool_refaults.saturating_sub(earlier.pool_refaults);
        misses >= THRASHING_MISSES && misses * 19 >= hits && refaults * 2 > misses
    }

    fn gather(shared: &Shared) -> Self {
        let base = shared.store.base();
        let pages = base.pages();
        let (stats, (checkpoint, ..)) = (pages.stats(), pages.store().durable());
        let step = vellum_pages::page::STEP as u64;
        Self {
            merged: base.state().timestamp(),
            checkpoint,
            checkpoints: stats.checkpoints,
            merges: stats.published,
            merges_shared: stats.merges_shared,
            generations_waiting: shared.store.backlog().sealed(),
            file_bytes: stats.store.space.file * step,
            used_bytes: stats.store.space.used * step,
            held_pages: stats.store.waiting,
            written_bytes: stats.written_bytes,
            pool_budget_bytes: stats.pool.budget_bytes,
            pool_bytes: stats.pool.resident_bytes,
            pool_dirty_bytes: stats.pool.dirty_bytes,
            pool_hits: stats.pool.hits,
            pool_misses: stats.pool.misses,
            pool_evictions: stats.pool.evictions,
            pool_refaults: stats.pool.refaults,
        }
    }
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
            trail_bytes: store.trail_bytes,
            transactions_open: store.snapshots_open,
            write_set_bytes: store.write_set_bytes,
            write_set_budget_bytes: shared.store.allowance().limit(),
            locks: shared.store.locks().stats(),
            pages: PageStats::gather(shared),
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
