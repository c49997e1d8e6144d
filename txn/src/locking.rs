//! Transactions that lock: while they are open, or before they begin.

use vellum_base::TableId;
use vellum_latch::LatchMode;

use crate::error::{CommitError, LockError};
use crate::generation::{Generation, HashedKey};
use crate::locks::{LockSet, refused};
use crate::schema::Schema;
use crate::store::Owner;
use crate::transaction::{Isolation, Transaction};

impl<S: Schema, O: Owner<S>> Transaction<S, O> {
    /// Begins at the visible watermark, with what `locks` holds (`locks`, rule 4).
    #[must_use]
    pub fn begin_locked(owner: O, isolation: Isolation, locks: Box<LockSet>) -> Self {
        let mut txn = Self::begin_with(owner, isolation);
        txn.locks = Some(locks);
        txn
    }

    /// Locks a key until the transaction ends, and waits for that. Then what the snapshot has of the key
    /// is its newest version, and stays so (`locks`, rules 1 and 4): shared against commits of all
    /// others, exclusively against their locks as well.
    ///
    /// # Errors
    /// Any [`LockError`]. Where it is [`LockError::Refused`], the key is locked all the same.
    pub fn lock(&mut self, table: TableId, key: &[u8], mode: LatchMode) -> Result<(), LockError> {
        let store = self.owner().store();
        let key = HashedKey::new(store.seed(), table, key);
        if self
            .locks
            .as_ref()
            .is_none_or(|own| !own.has_got(key, mode))
        {
            let mut locks = self.take_locks();
            let locked = locks.lock(self.owner().store(), key, mode);
            self.locks = Some(locks);
            locked?;
        }
        let at = self.at();
        let newer = |one: &Generation| one.newest(key).filter(|newest| *newest > at);
        let view = self.latest_view();
        match view.find_since(at, newer) {
            Ok(None) => Ok(()),
            Ok(Some(winner)) => Err(refused(table, key.key, winner)),
            Err(forgotten) => Err(LockError::Refused(forgotten.into())),
        }
    }

    /// Whether it has locked anything, or tried to.
    #[must_use]
    pub fn has_locks(&self) -> bool {
        self.locks.is_some()
    }

    /// Its locks, for the next attempt at the same work.
    #[must_use]
    pub fn take_locks(&mut self) -> Box<LockSet> {
        match self.locks.take() {
            Some(locks) => locks,
            None => Box::new(LockSet::new(self.owner().store().locks())),
        }
    }

    /// Its locks, which from now on also want what it wrote, exclusively, and shared the keys that
    /// it read, as far as its commit checks them, and what refused it: for the next attempt.
    #[must_use]
    pub fn learn_locks(&mut self, refused: Option<&CommitError>) -> Box<LockSet> {
        let mut locks = self.take_locks();
        for (key, _) in self.scratch.writes.all_written() {
            locks.learn(key, LatchMode::Exclusive);
        }
        if let Some(reads) = &self.scratch.reads {
            for key in reads.lock().keys() {
                locks.learn(key, LatchMode::Shared);
            }
        }
        if let Some(CommitError::Read { table, key, .. }) = refused {
            let key = HashedKey::new(self.owner().store().seed(), *table, key);
            locks.learn(key, LatchMode::Shared);
        }
        locks
    }
}
