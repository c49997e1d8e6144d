//! The trail of open read-write transactions: merged generations that their commits are checked against.
//!
//! # Rules
//! 1. A merged generation is kept for as long as a read-write transaction is open that needs it: one whose
//!    view's active generation it is, or an older one [5]. It is put here before it leaves the view.
//! 2. Those that are kept take no more memory than the limit, together, and be they nearly empty; after a merge,
//!    until it is trimmed, also what that one brought. What is too much goes, the oldest first, and whoever needs
//!    it is told so ([`CommitError::SnapshotTooOld`](crate::CommitError::SnapshotTooOld)).
//! 3. What a transaction's own view has stays with that, as with a reader's, beside the limit.

use std::collections::VecDeque;
use std::sync::Arc;

use vellum_sync::Mutex;

use crate::generation::Generation;

/// See the module's rules.
pub(crate) struct Trail {
    /// Oldest first.
    generations: Mutex<VecDeque<Arc<Generation>>>,
    limit: usize,
}

impl Trail {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            generations: Mutex::default(),
            limit,
        }
    }

    /// The most bytes that are kept.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        bytes(&self.generations.lock())
    }

    /// Keeps what is about to leave the view, oldest first.
    pub(crate) fn keep(&self, leaving: impl Iterator<Item = Arc<Generation>>) {
        self.generations.lock().extend(leaving);
    }

    /// Lets go of those that are older than number `needed_from`, and of what is too much.
    pub(crate) fn trim(&self, needed_from: u64) {
        let mut generations = self.generations.lock();
        let unneeded = generations.partition_point(|one| one.number() < needed_from);
        let mut going: Vec<_> = generations.drain(..unneeded).collect();
        while bytes(&generations) > self.limit {
            going.extend(generations.pop_front());
        }
        drop(generations);
        // Freeing may take long.
        drop(going);
    }
}

fn bytes(generations: &VecDeque<Arc<Generation>>) -> usize {
    generations.iter().map(|one| one.memory()).sum()
}
