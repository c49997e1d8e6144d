//! How a commit keeps out of the way of others' locks: `locks`, rules 2 and 5.

use crate::error::CommitError;
use crate::generation::HashedKey;
use crate::locks::{LockSet, Locks};

/// What a commit has to do with locks (rules 2 and 5).
pub(crate) struct Guard<'a> {
    locks: &'a Locks,
    own: Option<&'a LockSet>,
    /// In this passage through the gate: nobody else has locked what is installed.
    is_clear: bool,
}

impl<'a> Guard<'a> {
    pub(crate) fn new(locks: &'a Locks, own: Option<&'a LockSet>) -> Self {
        Self {
            locks,
            own,
            is_clear: false,
        }
    }

    /// Another passage, in which all is installed anew. Whether to look for locks at once: it has
    /// some itself, so there are some.
    pub(crate) fn begin(&mut self) -> bool {
        self.is_clear = false;
        self.own.is_some()
    }

    /// In the log's mutex: whether it may be stamped.
    #[inline]
    pub(crate) fn is_clear(&self) -> bool {
        self.is_clear || !self.locks.is_anybody()
    }

    /// Outside it: whether others have locked what is installed.
    pub(crate) fn look<'k>(
        &mut self,
        mut keys: impl Iterator<Item = HashedKey<'k>>,
    ) -> Result<(), CommitError> {
        if let Some(key) = keys.find(|key| self.locks.is_locked(*key, self.own)) {
            self.locks.count_refusal();
            return Err(CommitError::Locked {
                table: key.table,
                key: key.key.into(),
            });
        }
        self.is_clear = true;
        Ok(())
    }

    /// Rule 5: whether what a commit met is of somebody who will be refused.
    pub(crate) fn is_passing(&self, seed: u64, error: &CommitError) -> bool {
        let CommitError::Conflict {
            table,
            key,
            winner: None,
        } = error
        else {
            return false;
        };
        let key = HashedKey::new(seed, *table, key);
        self.own.is_some_and(|own| own.has(key))
    }
}

#[cfg(test)]
mod tests {
    use vellum_base::TableId;
    use vellum_latch::LatchMode;
    use vellum_sync::Arc;

    use super::*;

    #[test]
    fn each_passage_looks_for_locks_again() {
        let locks = Arc::new(Locks::new(None));
        let key = |key| HashedKey::new(7, TableId(1), key);
        let mut commit = Guard::new(&locks, None);
        assert!(!commit.begin() && commit.is_clear(), "nobody locks");
        let mut locker = LockSet::new(&locks);
        locker.acquire(key(b"other"), LatchMode::Shared).unwrap();
        assert!(!commit.is_clear());
        commit.look([key(b"a"), key(b"b")].into_iter()).unwrap();
        assert!(commit.is_clear());
        // Who locks now finds what is installed pending, and waits; until it is taken back.
        locker.acquire(key(b"b"), LatchMode::Shared).unwrap();
        assert!(commit.is_clear());
        assert!(!commit.begin() && !commit.is_clear());
        let refused = commit.look([key(b"a"), key(b"b")].into_iter());
        assert!(matches!(refused, Err(CommitError::Locked { key, .. }) if key == b"b"));
        assert!(!commit.is_clear());
        let mut own = Guard::new(&locks, Some(&locker));
        assert!(own.begin(), "it looks at once");
        own.look([key(b"b")].into_iter()).unwrap();
    }
}
