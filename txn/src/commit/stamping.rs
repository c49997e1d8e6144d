//! What a commit does in the log's mutex (`commit`, rule 5).

use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicU64, Ordering};

use crate::arena::{CellAt, VersionAt};
use crate::generation::Generation;
use crate::guard::Guard;
use crate::log::Sequenced;
use crate::read_set::ReadSet;
use crate::recent::Recent;
use crate::write_set::WriteSet;

/// The two steps in the log's mutex.
pub(super) struct Stamping<'a> {
    pub(super) generation: &'a Generation,
    pub(super) cell: Option<CellAt>,
    pub(super) only: VersionAt,
    pub(super) visible: &'a AtomicU64,
    pub(super) recent: &'a Recent,
    pub(super) writes: &'a WriteSet,
    /// What was read, and up to where it is valid.
    pub(super) reads: Option<(&'a ReadSet, Timestamp)>,
    pub(super) guard: &'a Guard<'a>,
    pub(super) locks_met: bool,
}

impl Sequenced for Stamping<'_> {
    /// Snapshot isolation has nothing to check here but that nobody locks (`locks`, rule 2): the
    /// chains' heads were its validation. For the reads of a transaction: `validation`, rule 3.
    fn validate(&mut self) -> bool {
        if !self.guard.is_clear() {
            self.locks_met = true;
            return false;
        }
        let Some((set, checked)) = self.reads else {
            return true;
        };
        // Relaxed: stamped in this mutex.
        let last = Timestamp(self.visible.load(Ordering::Relaxed));
        self.recent.is_clear(checked, last, set)
    }

    fn stamp(&mut self, at: Timestamp) {
        match self.cell {
            Some(cell) => self.generation.commit_cell(cell, at),
            None => self.generation.commit_version(self.only, at),
        }
        // Release: who starts a snapshot at `at` sees the stamp above, and those before it, which
        // were made in this mutex.
        self.visible.store(at.0, Ordering::Release);
        self.recent.record(at, self.writes);
    }
}
