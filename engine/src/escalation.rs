//! When work that keeps losing locks its records, so that it loses no more.
//!
//! 1. After [`CONFLICTS_MAX`] conflicts, and at once after an attempt that had locks, the next attempt
//!    **first locks** what the attempts before it wrote and read and what they had locked, and then takes
//!    its snapshot [18]. Locks that it has it keeps from one attempt to the next. So an attempt that
//!    does with the same keys does not lose; one that finds others learns these, and keeps its age.
//! 2. The victim of a deadlock releases all, keeps its age, and locks again, in the order of locks. So does
//!    who was too old to commit: locks are no cure for that, and it is no conflict.
//! 3. Who holds locks does not sleep between attempts: others wait for it.
//! 4. Ranges cannot be locked: work that loses for what others write into a range that it reads
//!    learns the keys that they wrote, one in each attempt.

use vellum_sync::scaled;
use vellum_txn::{CommitError, Isolation, LockError, LockSet};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::shared::Handle;
use crate::transaction::{Inner, Transaction};

/// Conflicts up to which work goes on without locks: most that lose win soon, and a queue costs
/// each that stands in it a wake-up.
pub(crate) const CONFLICTS_MAX: u32 = scaled(8, 1);

/// What the attempts at some work have come to so far.
#[derive(Default)]
pub(crate) struct Escalation {
    conflicts: u32,
    locks: Option<Box<LockSet>>,
}

impl Escalation {
    /// Whether the next attempt locks first.
    pub(crate) fn is_on(&self) -> bool {
        self.locks.is_some()
    }

    /// Begins the next attempt.
    pub(crate) fn begin(&mut self, db: &Database, isolation: Isolation) -> Result<Transaction> {
        let Some(mut locks) = self.locks.take() else {
            return db.begin_with(isolation);
        };
        let handle = Handle::of(db);
        handle.shared().check_writable()?;
        match locks.lock_wanted(&handle.shared().store) {
            Ok(()) => Ok(Transaction::begin_locked(handle, isolation, locks)),
            Err(error) => {
                if matches!(error, LockError::Deadlock { .. }) {
                    locks.release();
                }
                self.locks = Some(locks);
                Err(Error::from_lock(error, &handle))
            }
        }
    }

    /// Learns from an attempt whose work returned an error.
    pub(crate) fn learn_from_work(&mut self, txn: &mut Inner, error: &Error) {
        if error.is_retryable() {
            let is_conflict = !matches!(
                error,
                Error::NotInSnapshot { .. } | Error::SnapshotTooOld { .. }
            );
            self.learn(txn, is_conflict, None);
            if matches!(error, Error::Deadlock(_) | Error::SnapshotTooOld { .. }) {
                self.release();
            }
        }
    }

    /// Learns from an attempt whose commit was refused.
    pub(crate) fn learn_from_commit(&mut self, txn: &mut Inner, error: &CommitError) {
        let is_conflict = matches!(
            error,
            CommitError::Conflict { .. } | CommitError::Read { .. } | CommitError::Locked { .. }
        );
        self.learn(txn, is_conflict, Some(error));
        if matches!(error, CommitError::SnapshotTooOld) {
            self.release();
        }
    }

    /// Rule 2.
    fn release(&mut self) {
        if let Some(locks) = &mut self.locks {
            locks.release();
        }
    }

    fn learn(&mut self, txn: &mut Inner, is_conflict: bool, error: Option<&CommitError>) {
        self.conflicts += u32::from(is_conflict);
        if self.conflicts >= CONFLICTS_MAX || txn.has_locks() {
            self.locks = Some(txn.learn_locks(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::deadlock::Deadlock;

    /// Rule 2. What was locked is wanted again, by who keeps it and by who does not.
    #[test]
    fn locks_are_given_back_where_they_are_no_cure() {
        let table = vellum_base::TableId(0);
        let index = Error::IndexesChanged { table: "t".into() };
        let victim = Deadlock { waits: Vec::new() };
        // Of the work, or of its commit; and how many hold locks after it.
        let cases = [
            (Ok(Error::SnapshotTooOld { limit: 0 }), 0),
            (Ok(Error::Deadlock(Arc::new(victim))), 0),
            (Ok(index), 1),
            (Err(CommitError::SnapshotTooOld), 0),
            (Err(CommitError::Outdated(table)), 1),
        ];
        for (error, open) in cases {
            let db = Database::in_memory().unwrap();
            let items = db.table("items").unwrap();
            let mut txn = db.begin().unwrap();
            assert_eq!(txn.get_for_update(&items, "k").unwrap(), None);
            let mut escalation = Escalation::default();
            match &error {
                Ok(error) => escalation.learn_from_work(txn.inner_mut(), error),
                Err(error) => escalation.learn_from_commit(txn.inner_mut(), error),
            }
            drop(txn);
            assert!(escalation.is_on());
            assert_eq!(db.stats().unwrap().locks.open, open, "{error:?}");
            let again = escalation.begin(&db, Isolation::Snapshot).unwrap();
            assert_eq!(db.stats().unwrap().locks.open, 1);
            drop(again);
        }
    }
}
