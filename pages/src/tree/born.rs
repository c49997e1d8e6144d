//! When the records of a tree were committed that were loaded into it as a whole.
//!
//! 1. A load makes its pages before its commit has a timestamp. So its records are stamped zero, which
//!    is no commit's timestamp, and whoever reads one is told what the tree's [`Born`] says.
//! 2. It is said once, before anybody can read the tree who asks for it, and never changes. Until then
//!    zero is told.
//! 3. Merges copy stamps as they are: a record that was loaded stays so until it is written again.

use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_sync::OnceLock;

/// See the module's rules. Clones are told together.
#[derive(Clone, Debug, Default)]
pub struct Born(Arc<OnceLock<Timestamp>>);

impl Born {
    /// Of a load whose commit is known.
    #[must_use]
    pub fn at(at: Timestamp) -> Self {
        let born = Self::default();
        born.set(at);
        born
    }

    /// The load was committed (rule 2).
    pub fn set(&self, at: Timestamp) {
        // Said once.
        let _ = self.0.set(at);
    }

    /// What was said.
    #[must_use]
    pub fn get(&self) -> Option<Timestamp> {
        self.0.get().copied()
    }

    /// What a stamp in a page tells (rule 1).
    #[inline]
    pub(super) fn tell(&self, stamp: Timestamp) -> Timestamp {
        match stamp {
            Timestamp::ZERO => self.get().unwrap_or_default(),
            known => known,
        }
    }
}
