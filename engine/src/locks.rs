//! Transactions that lock records.
//!
//! 1. A lock is taken before its key is read, and what is read is the snapshot's: where that is not
//!    the newest version, the lock's error says so, and nothing is given out.
//! 2. Nothing is entered into what the commit checks: the lock is kept until the commit is stamped, and
//!    so does more. (A serializable transaction enters its reads as always.)

use std::sync::Arc;

use vellum_txn::{LockError, LockMode};

use crate::bytes::Value;
use crate::deadlock::{Deadlock, DeadlockWait};
use crate::error::{Error, Result};
use crate::quoted::QuotedKey;
use crate::schema::look;
use crate::shared::Handle;
use crate::table::Table;
use crate::transaction::Transaction;

impl Transaction {
    /// Locks `key`, be there a record or not, and reads its value: until this transaction ends, nobody
    /// else commits a write of the key or locks it. Then what was read stays the newest version, and
    /// a commit that writes the key does not lose it to others. Waits while others hold the lock:
    /// first come, first served.
    ///
    /// The snapshot began before the lock. Where the key was committed in between, this returns
    /// [`Error::Conflict`] at once; [`crate::Database::transact`] then keeps the lock and begins anew, so
    /// that this happens once.
    ///
    /// Lock several keys in one order everywhere, where that is possible: otherwise two transactions
    /// may come to wait for each other, and the younger one gets [`Error::Deadlock`].
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let seats = db.table("seats")?;
    /// # db.transact(|txn| txn.insert(&seats, "12a", "free"))?;
    /// let mut booking = db.begin()?;
    /// assert_eq!(booking.get_for_update(&seats, "12a")?.unwrap(), "free");
    ///
    /// // Nobody else commits it now.
    /// let mut other = db.begin()?;
    /// other.insert(&seats, "12a", "theirs")?;
    /// assert!(matches!(other.commit(), Err(Error::Locked { .. })));
    ///
    /// booking.insert(&seats, "12a", "ours")?;
    /// booking.commit()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Deadlock`], [`Error::LockTimeout`]
    /// ([`crate::Options::lock_timeout`]): retry, or use [`crate::Database::transact`] or its like. What
    /// is locked by then stays locked until the transaction ends. As [`Transaction::get`].
    pub fn get_for_update(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value<'_>>> {
        self.get_locked(table, key.as_ref(), LockMode::Exclusive)
    }

    /// Locks `key` shared, be there a record or not, and reads its value: until this transaction
    /// ends, nobody else commits a write of the key; others may lock it shared as well. For what is
    /// written must depend on what was read. Asking for the key with [`Transaction::get_for_update`] later
    /// raises the lock; of two that do so, one gets [`Error::Deadlock`].
    ///
    /// # Errors
    /// As [`Transaction::get_for_update`].
    pub fn get_for_share(
        &mut self,
        table: &Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<Value<'_>>> {
        self.get_locked(table, key.as_ref(), LockMode::Shared)
    }

    fn get_locked(
        &mut self,
        table: &Table,
        key: &[u8],
        mode: LockMode,
    ) -> Result<Option<Value<'_>>> {
        self.lock(table, key, mode)?;
        self.get(table, key)
    }

    /// Rule 1, but for the reading.
    pub(crate) fn lock(&mut self, table: &Table, key: &[u8], mode: LockMode) -> Result<()> {
        let id = self.check_with_key(table, key)?;
        let locked = self.inner_mut().lock(id, key, mode);
        locked.map_err(|error| Error::from_lock(error, self.inner_mut().owner()))
    }
}

impl Error {
    /// Why there is no lock, with names in place of numbers.
    #[cold]
    pub(crate) fn from_lock(error: LockError, handle: &Arc<Handle>) -> Self {
        let name = |table| look(handle, |catalog| catalog.name_of(table));
        match error {
            LockError::Refused(error) => Self::from_commit(error, handle),
            LockError::Deadlock { waits } => {
                let waits = waits.into_iter().map(|wait| DeadlockWait {
                    transaction: wait.transaction,
                    table: name(wait.table),
                    key: wait.key.map(|key| QuotedKey::new(&key)),
                    hash: wait.hash,
                    exclusive: wait.mode == LockMode::Exclusive,
                    next: wait.next,
                });
                let waits = waits.collect();
                Self::Deadlock(Arc::new(Deadlock { waits }))
            }
            LockError::Timeout { table, key, waited } => Self::LockTimeout {
                table: name(table),
                key: QuotedKey::new(&key),
                waited,
            },
        }
    }
}
