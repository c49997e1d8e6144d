//! Threads that share a merge.
//!
//! 1. They are there for one batch of updates, and only where the tree finds enough of them for
//!    several: small merges start none.
//! 2. The calling thread is one of them, and does all that no other comes to: a system that has no more
//!    threads makes a merge slower, nothing else.

use vellum_sync::thread;

use super::Work;
use crate::PageError;
use crate::tally::Tally;
use crate::tree::node::Update;
use crate::tree::{Crew, Merged, Root, Tree};

/// More would gain little beside those who commit and read at the same time.
const WORKERS_MAX: usize = 4;

/// See the module's rules.
pub(super) struct Workers {
    count: usize,
    /// Merges that more than one worked on.
    pub(super) shared: Tally,
}

impl Workers {
    /// As many as may run at the same time.
    pub(super) fn new() -> Self {
        Self {
            count: thread::parallelism().min(WORKERS_MAX),
            shared: Tally::default(),
        }
    }
}

impl Crew for Workers {
    fn workers(&self) -> usize {
        self.count
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        let calls = thread::together("vellum-merge", self.count.saturating_sub(1), work);
        self.shared.add(u64::from(calls > 1));
    }
}

impl Work<'_> {
    /// [`Tree::merge`] into this epoch, by several threads where it is large.
    ///
    /// # Errors
    /// As [`Tree::merge`].
    pub fn merge(
        &self,
        tree: &Tree,
        root: &Root,
        updates: &[Update<'_>],
    ) -> Result<(Root, Merged), PageError> {
        tree.merge_with(root, updates, self, &self.base.workers)
    }
}
