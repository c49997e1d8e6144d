//! Doing a transaction's work again until it commits.
//!
//! 1. What is retried is what [`Error::is_retryable`] says, whether the work or the commit returned
//!    it; each attempt begins from a new snapshot.
//! 2. Between attempts it sleeps a random time, whose upper bound doubles from attempt to attempt:
//!    the losers of one conflict should not meet again.
//! 3. An error that leaves here, and a result that wrote nothing, was decided by what was read: it
//!    is returned only when all of that is settled [16].

use std::time::Duration;

use vellum_sync::{random_u64, thread};
use vellum_txn::Durability;

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
    durability: Durability,
    mut work: impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<T> {
    let mut attempt = 1;
    loop {
        match attempt_once(db, durability, &mut work) {
            Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => back_off(attempt),
            outcome => return outcome,
        }
        attempt += 1;
    }
}

fn attempt_once<T>(
    db: &Database,
    durability: Durability,
    work: &mut impl FnMut(&mut Transaction) -> Result<T>,
) -> Result<T> {
    let mut txn = db.begin()?;
    let read_at = txn.timestamp();
    match work(&mut txn) {
        Ok(result) => {
            txn.commit_with(durability)?.wait()?;
            Ok(result)
        }
        Err(error) if error.is_retryable() => Err(error),
        Err(error) => {
            txn.rollback();
            db.wait_read(read_at, error)
        }
    }
}

/// Rule 2.
fn back_off(attempt: u32) {
    let doubled = SLEEP_FIRST.saturating_mul(1 << attempt.min(16));
    let bound = doubled.min(SLEEP_MAX).as_nanos() as u64;
    thread::sleep(Duration::from_nanos(random_u64() % bound));
}

impl Database {
    /// Rule 3: `error`, once `read_at` is settled; where it never will be, that is the error.
    fn wait_read<T>(&self, read_at: crate::Timestamp, error: Error) -> Result<T> {
        self.shared().wait_settled(read_at)?;
        Err(error)
    }
}
