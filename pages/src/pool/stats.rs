//! Figures. Each is right for itself; together they are of no one moment.

use vellum_sync::atomic::Ordering;

use super::Shared;
use crate::tally::Tally;

/// What a pool did since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The budget.
    pub budget_bytes: usize,
    /// Frames in memory: pages, pages that nobody asks for any more, and idle ones.
    pub resident_bytes: usize,
    /// The page table, as far as it was ever used.
    pub table_bytes: usize,
    /// Pages not yet in the file.
    pub dirty_bytes: usize,
    /// Frames that left the table and wait for those who may still read them.
    pub limbo_bytes: usize,
    /// Pages found in memory.
    pub hits: u64,
    /// Pages read from the file; each by two who missed it at once counts twice.
    pub misses: u64,
    /// Pages that made room for others.
    pub evictions: u64,
    /// Those of the misses that had made room shortly before (the module `recent`).
    pub refaults: u64,
    /// Times that no frame was free and room was made.
    pub sweeps: u64,
    /// Times that one waited for guards to go.
    pub waits: u64,
}

/// What is counted away from the hot path; hits are counted in the guards' slots.
#[derive(Default)]
pub(super) struct Tallies {
    pub(super) misses: Tally,
    pub(super) evictions: Tally,
    pub(super) refaults: Tally,
    pub(super) sweeps: Tally,
    pub(super) waits: Tally,
}

impl Shared {
    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            budget_bytes: self.frames.budget(),
            resident_bytes: self.frames.resident(),
            table_bytes: self.table.bytes(),
            dirty_bytes: self.dirty.load(Ordering::Relaxed),
            limbo_bytes: self.room.limbo_bytes(),
            hits: self.epochs.counted(),
            misses: self.tallies.misses.get(),
            evictions: self.tallies.evictions.get(),
            refaults: self.tallies.refaults.get(),
            sweeps: self.tallies.sweeps.get(),
            waits: self.tallies.waits.get(),
        }
    }
}
