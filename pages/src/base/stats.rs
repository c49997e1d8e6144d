//! Figures. Each is right for itself; together they are of no one moment.

use crate::tally::Tally;

use super::Base;
use crate::pool::PoolStats;
use crate::store::StoreStats;

/// What a base did since it was opened, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaseStats {
    /// The pool's.
    pub pool: PoolStats,
    /// The store's.
    pub store: StoreStats,
    /// Pages that are not in the file yet.
    pub unwritten_pages: usize,
    /// Pages written, those of large values among them.
    pub written_pages: u64,
    /// Bytes of their places.
    pub written_bytes: u64,
    /// Times that somebody who placed a page had to write others first.
    pub relieved: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
    /// Epochs that were published.
    pub published: u64,
    /// Merges into a tree that several threads shared.
    pub merges_shared: u64,
    /// Large values made.
    pub large: u64,
    /// Their bytes.
    pub large_bytes: u64,
}

#[derive(Default)]
pub(super) struct Tallies {
    pub(super) written_pages: Tally,
    pub(super) written_bytes: Tally,
    pub(super) relieved: Tally,
    pub(super) checkpoints: Tally,
    pub(super) published: Tally,
    pub(super) large: Tally,
    pub(super) large_bytes: Tally,
}

impl Base {
    /// Figures.
    #[must_use]
    pub fn stats(&self) -> BaseStats {
        BaseStats {
            pool: self.pool.stats(),
            store: self.store.stats(),
            unwritten_pages: self.unwritten.len(),
            written_pages: self.tallies.written_pages.get(),
            written_bytes: self.tallies.written_bytes.get(),
            relieved: self.tallies.relieved.get(),
            checkpoints: self.tallies.checkpoints.get(),
            published: self.tallies.published.get(),
            merges_shared: self.workers.shared.get(),
            large: self.tallies.large.get(),
            large_bytes: self.tallies.large_bytes.get(),
        }
    }
}
