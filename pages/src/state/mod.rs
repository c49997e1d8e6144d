//! States, the epochs that number them, and what they still need.
//!
//! A [`State`] is what the owner's pointer leads to: the roots of one epoch. [`Living`] knows which
//! epochs are alive and which replaced pages they hold.

mod living;

use std::fmt;
use std::sync::Arc;

use vellum_base::Timestamp;

use crate::Epoch;

pub use living::{Alive, Living};

/// One state of everything: a set of roots, and up to when they hold all commits. It is alive as
/// long as it exists; clones are the same state.
pub struct State<R> {
    alive: Alive,
    timestamp: Timestamp,
    roots: Arc<R>,
}

impl<R> State<R> {
    /// The state of a living epoch.
    #[must_use]
    pub fn new(alive: Alive, timestamp: Timestamp, roots: Arc<R>) -> Self {
        Self {
            alive,
            timestamp,
            roots,
        }
    }

    /// Its number.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.alive.epoch()
    }

    /// What keeps its pages.
    #[must_use]
    pub fn alive(&self) -> &Alive {
        &self.alive
    }

    /// Up to here it holds all commits.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Its roots.
    #[must_use]
    pub fn roots(&self) -> &Arc<R> {
        &self.roots
    }
}

impl<R> Clone for State<R> {
    fn clone(&self) -> Self {
        Self {
            alive: self.alive.clone(),
            timestamp: self.timestamp,
            roots: Arc::clone(&self.roots),
        }
    }
}

impl<R> fmt::Debug for State<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({:?} at {})", self.epoch(), self.timestamp)
    }
}

#[cfg(test)]
mod tests;
