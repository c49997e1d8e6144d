//! Doing a transaction's work again until it commits.
//!
//! 1. What is retried is what [`Error::is_retryable`] says, whether the work or the commit returned
//!    it; each attempt begins from a new snapshot.
//!    But not a lock that was not released in time: who waited so long once has waited enough.
//! 2. Between attempts it sleeps a random time, whose upper bound doubles from attempt to attempt:
//!    the losers of one conflict should not meet again. In the end it locks what it needs (`escalation`),
//!    and sleeps no more.
//! 3. An error that leaves here, and a result that wrote nothing, was decided by what was read: it
//!    is returned only when all of that is settled [16].
//! 4. The error of the last attempt leaves as it is: still retryable, since nothing was committed.

use std::time::Duration;

use vellum_base::Timestamp;
use vellum_sync::{random_u64, thread};
use vellum_txn::{CommitError, Durability, Isolation};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::escalation::Escalation;
use crate::transaction::{Inner, Transaction};

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
    let mut escalation = Escalation::default();
    let mut read_at = Timestamp::ZERO;
    loop {
        let attempted = escalation.begin(db, isolation).and_then(|txn| {
            read_at = txn.timestamp();
            attempt_once(txn, durability, &mut work, &mut escalation)
        });
        match attempted {
            Ok(result) => return Ok(result),
            Err(error) if is_tried_again(&error) && attempts < ATTEMPTS_MAX => {
                if !escalation.is_on() {
                    pause(attempts);
                }
            }
            Err(error) => return db.wait_read(read_at, error),
        }
        attempts += 1;
    }
}

fn attempt_once<T>(
    mut txn: Transaction,
    durability: Durability,
    work: &mut impl FnMut(&mut Transaction) -> Result<T>,
    escalation: &mut Escalation,
) -> Result<T> {
    let result = work(&mut txn);
    let result = result.inspect_err(|error| escalation.learn_from_work(txn.inner_mut(), error))?;
    let refused = |txn: &mut Inner, error: &CommitError| escalation.learn_from_commit(txn, error);
    txn.commit_else(durability, refused)?.wait()?;
    Ok(result)
}

/// Rule 1.
fn is_tried_again(error: &Error) -> bool {
    error.is_retryable() && !matches!(error, Error::LockTimeout { .. })
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
    use crate::escalation::CONFLICTS_MAX;

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
            // Another key each time: what was learnt is of no use.
            let key = attempts.to_le_bytes();
            txn.insert(&items, key, "outer")?;
            let mut other = db.begin()?;
            other.insert(&items, key, "inner")?;
            other.commit().map(drop)
        });
        let error = outcome.unwrap_err();
        assert_eq!(attempts, ATTEMPTS_MAX);
        assert!(pauses.into_iter().eq(1..CONFLICTS_MAX), "locks are held");
        assert!(error.is_retryable());
        let last = db.begin_read().unwrap().timestamp();
        assert!(
            matches!(&error, Error::Conflict { winner, .. } if *winner == Some(last)),
            "{error}"
        );
        assert_eq!(db.stats().unwrap().locks.open, 0);
    }

    #[test]
    fn after_some_conflicts_it_locks_what_it_wrote_and_loses_no_more() {
        let db = Database::in_memory().unwrap();
        let items = db.table("items").unwrap();
        let mut others = Vec::new();
        let (outcome, pauses) = transact_unpaused(&db, |txn| {
            txn.insert(&items, "k", "outer")?;
            let mut other = db.begin()?;
            other.insert(&items, "k", "inner")?;
            others.push(other.commit());
            Ok(())
        });
        outcome.unwrap();
        let locked = others.pop().unwrap();
        assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
        assert_eq!(others.len() as u32, CONFLICTS_MAX);
        assert!(others.iter().all(Result::is_ok));
        assert!(pauses.into_iter().eq(1..CONFLICTS_MAX));
        let stats = db.stats().unwrap().locks;
        assert_eq!((stats.escalations, stats.refusals, stats.open), (1, 1, 0));
        // Where the lock is another's already, it waits its turn, and that is not for ever.
        let options = crate::Options::new().lock_timeout(Duration::ZERO);
        let db = options.in_memory().unwrap();
        let items = db.table("items").unwrap();
        let mut holder = db.begin().unwrap();
        assert_eq!(holder.get_for_update(&items, "k").unwrap(), None);
        let (outcome, pauses) = transact_unpaused(&db, |txn| txn.insert(&items, "k", "outer"));
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::LockTimeout { .. }), "{error}");
        assert_eq!(db.stats().unwrap().locks.timeouts, 1, "once is enough");
        assert!(pauses.into_iter().eq(1..CONFLICTS_MAX));
    }

    #[test]
    fn a_lock_that_came_too_late_is_kept_for_the_next_attempt() {
        let db = Database::in_memory().unwrap();
        let items = db.table("items").unwrap();
        let mut attempts = 0;
        let (outcome, pauses) = transact_unpaused(&db, |txn| {
            attempts += 1;
            if attempts == 1 {
                let mut other = db.begin()?;
                other.insert(&items, "k", "inner")?;
                other.commit()?;
            }
            let found = txn.get_for_update(&items, "k")?;
            assert_eq!(found.as_deref(), Some(&b"inner"[..]));
            Ok(())
        });
        outcome.unwrap();
        assert_eq!((attempts, pauses), (2, Vec::new()));
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
