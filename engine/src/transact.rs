//! Doing a transaction's work again until it commits.
//!
//! 1. What is retried is what [`Error::is_retryable`] says, whether the work or the commit returned
//!    it; each attempt begins from a new snapshot.
//! 2. Between attempts it sleeps a random time, whose upper bound doubles from attempt to attempt:
//!    the losers of one conflict should not meet again.
//! 3. An error that leaves here, and a result that wrote nothing, was decided by what was read: it
//!    is returned only when all of that is settled [16].
//! 4. The error of the last attempt leaves as it is: still retryable, since nothing was committed.

use std::time::Duration;

use vellum_sync::{random_u64, thread};
use vellum_txn::{Durability, Isolation};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::transaction::Transaction;

/// After so many attempts the last conflict is returned: the work conflicts with itself, or with
/// something that never pauses.
const ATTEMPTS_MAX: u32 = 1000;
/// Upper bound of the first sleep.
const SLEEP_FIRST: Duration = Duration::from_micros(4);
/// Greatest upper bound.
const SLEEP_MAX: Duration = Duration::from_millis(8);

pub(crate) fn transact<T>(
    db: &Database,
    isolation: Isolation,
    durability: Durability,
    work: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<T> {
    attempt(db, isolation, durability, work, back_off)
}

/// Attempts, with `pause` after each that failed, which is told how many that were.
fn attempt<T>(
    db: &Database,
    isolation: Isolation,
    durability: Durability,
    mut work: impl FnMut(&mut Transaction) -> Result<T>,
    mut pause: impl FnMut(u32),
) -> Result<T> {
    let mut attempts = 1;
    loop {
        let txn = db.begin_with(isolation)?;
        let read_at = txn.timestamp();
        match attempt_once(txn, durability, &mut work) {
            Ok(result) => return Ok(result),
            Err(error) if error.is_retryable() && attempts < ATTEMPTS_MAX => pause(attempts),
            Err(error) => return db.wait_read(read_at, error),
        }
        attempts += 1;
    }
}

fn attempt_once<T>(
    mut txn: Transaction,
    durability: Durability,
    work: &mut impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<T> {
    let result = work(&mut txn)?;
    txn.commit_with(durability)?.wait()?;
    Ok(result)
}

/// Rule 2.
fn back_off(attempts: u32) {
    let bound = sleep_bound(attempts).as_nanos() as u64;
    thread::sleep(Duration::from_nanos(random_u64() % bound));
}

fn sleep_bound(attempts: u32) -> Duration {
    let doubled = SLEEP_FIRST.saturating_mul(1 << attempts.min(16));
    doubled.min(SLEEP_MAX)
}

impl Database {
    /// Rule 3: `error`, once `read_at` is settled; where it never will be, that is the error.
    fn wait_read<T>(&self, read_at: crate::Timestamp, error: Error) -> Result<T> {
        self.shared().wait_settled(read_at)?;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transact_unpaused(
        db: &Database,
        work: impl FnMut(&mut Transaction) -> Result<()>,
    ) -> (Result<()>, Vec<u32>) {
        let mut pauses = Vec::new();
        let isolation = Isolation::Snapshot;
        let outcome = attempt(db, isolation, Durability::Sync, work, |count| {
            pauses.push(count);
        });
        (outcome, pauses)
    }

    #[test]
    fn the_conflict_of_the_last_attempt_is_returned_and_is_retryable() {
        let db = Database::in_memory().unwrap();
        let items = db.table("items").unwrap();
        let mut attempts = 0u32;
        let (outcome, pauses) = transact_unpaused(&db, |txn| {
            attempts += 1;
            txn.insert(&items, "k", "outer")?;
            let mut other = db.begin()?;
            other.insert(&items, "k", attempts.to_le_bytes())?;
            other.commit().map(drop)
        });
        let error = outcome.unwrap_err();
        assert_eq!(attempts, ATTEMPTS_MAX);
        assert!(pauses.into_iter().eq(1..ATTEMPTS_MAX));
        assert!(error.is_retryable());
        let last = db.begin_read().unwrap().timestamp();
        assert!(
            matches!(&error, Error::Conflict { winner, .. } if *winner == Some(last)),
            "{error}"
        );
        let read = db.begin_read().unwrap();
        let value = read.get(&items, "k").unwrap().unwrap();
        assert_eq!(value, &attempts.to_le_bytes());
    }

    #[test]
    fn the_last_error_waits_for_what_was_read() {
        let directory = tempfile::tempdir().unwrap();
        // Without threads nothing settles by itself.
        let options = crate::Options::new().background(false);
        let db = options.open(directory.path().join("db")).unwrap();
        let items = db.table("items").unwrap();
        let mut txn = db.begin().unwrap();
        txn.insert(&items, "k", "v").unwrap();
        let handle = txn.commit_with(Durability::Sync).unwrap();
        let (outcome, _) = transact_unpaused(&db, |txn| {
            let what = format!("{:?}", txn.get(&items, "k")?);
            Err(Error::NotInSnapshot { what })
        });
        assert!(outcome.unwrap_err().is_retryable());
        assert!(
            handle.try_wait().unwrap(),
            "told of what a crash can take back"
        );
    }

    #[test]
    fn sleeps_are_bounded_whatever_the_attempt() {
        for attempt in [1, 2, 16, 17, 32, ATTEMPTS_MAX] {
            assert!(sleep_bound(attempt) >= SLEEP_FIRST);
            assert!(sleep_bound(attempt) <= SLEEP_MAX);
        }
        assert!(sleep_bound(2) > sleep_bound(1));
        assert_eq!(sleep_bound(ATTEMPTS_MAX), SLEEP_MAX);
    }
}
