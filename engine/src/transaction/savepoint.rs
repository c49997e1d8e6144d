//! Rolling back a part of a transaction's writes.

use vellum_txn::{Savepoint, SavepointError};

use crate::argument::InvalidArgument;
use crate::error::Result;
use crate::transaction::Transaction;

impl Transaction {
    /// Makes a savepoint: a place to which [`Transaction::rollback_to`] takes the transaction's writes
    /// back. Savepoints may be nested, and cost nothing but what is written over after them. Dropping one
    /// frees what was kept for it.
    pub fn savepoint(&mut self) -> Savepoint {
        self.inner.savepoint()
    }

    /// Takes back everything that this transaction wrote since the savepoint was made. The savepoint
    /// stays, and can be rolled back to again; those made after it are gone.
    ///
    /// Only writes are taken back. What was read since stays read, and is checked at the commit in
    /// [`crate::Isolation::Serializable`]: the program has seen it, and may well write something else now
    /// because of it. For the same reason marks ([`Transaction::mark_read`]) stay.
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// let mut txn = db.begin()?;
    /// txn.insert(&items, "pen", "blue")?;
    /// let before = txn.savepoint();
    /// txn.insert(&items, "pen", "red")?;
    /// txn.insert(&items, "ink", "red")?;
    /// txn.rollback_to(&before)?;
    /// assert_eq!(txn.get(&items, "pen")?.unwrap(), "blue");
    /// assert!(txn.get(&items, "ink")?.is_none());
    /// txn.commit()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidArgument::SavepointRolledBack`]: the transaction was rolled back to an earlier savepoint
    /// since. [`InvalidArgument::SavepointElsewhere`]: it is another transaction's. Nothing was changed.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        self.inner.roll_back_to(savepoint).map_err(|error| {
            let argument = match error {
                SavepointError::RolledBack => InvalidArgument::SavepointRolledBack,
                SavepointError::OtherTransaction => InvalidArgument::SavepointElsewhere,
            };
            argument.into()
        })
    }
}
