//! Locks and marks of typed keys.

use std::borrow::Borrow;

use vellum_txn::LockMode;

use crate::error::Result;
use crate::transaction::Transaction;
use crate::typed::entry::TypedValue;
use crate::typed::{Codec, KeyCodec, TypedTable};

impl<K: KeyCodec, V: Codec> TypedTable<K, V> {
    /// Locks `key` until the transaction ends, and reads its value: see [`Transaction::get_for_update`].
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// let stock = db.typed_table::<String, u32>("stock")?;
    /// db.transact(|txn| stock.insert(txn, "pens", 5))?;
    /// db.transact(|txn| {
    ///     let left = match stock.get_for_update(txn, "pens")? {
    ///         Some(found) => found.get()?,
    ///         None => 0,
    ///     };
    ///     stock.insert(txn, "pens", left.saturating_sub(2))
    /// })?;
    /// assert_eq!(stock.get(&db.begin_read()?, "pens")?.unwrap().get()?, 3);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there; [`crate::InvalidArgument::Encode`].
    pub fn get_for_update<'t, 'k>(
        &self,
        txn: &'t mut Transaction,
        key: impl Borrow<K::Arg<'k>>,
    ) -> Result<Option<TypedValue<'t, V>>> {
        self.get_locked(txn, key.borrow(), LockMode::Exclusive)
    }

    /// Locks `key` shared until the transaction ends, and reads its value: see
    /// [`Transaction::get_for_share`].
    ///
    /// # Errors
    /// As there; [`crate::InvalidArgument::Encode`].
    pub fn get_for_share<'t, 'k>(
        &self,
        txn: &'t mut Transaction,
        key: impl Borrow<K::Arg<'k>>,
    ) -> Result<Option<TypedValue<'t, V>>> {
        self.get_locked(txn, key.borrow(), LockMode::Shared)
    }

    fn get_locked<'t, 'k>(
        &self,
        txn: &'t mut Transaction,
        key: &K::Arg<'k>,
        mode: LockMode,
    ) -> Result<Option<TypedValue<'t, V>>> {
        self.with_key(key, move |key| {
            txn.lock(self.raw(), key, mode)?;
            let txn: &'t Transaction = txn;
            self.found(txn.reading(), key)
        })
    }

    /// Has the commit check that nobody else commits `key` meanwhile, in snapshot isolation too: see
    /// [`Transaction::mark_read`].
    ///
    /// # Errors
    /// As there; [`crate::InvalidArgument::Encode`].
    pub fn mark_read<'k>(&self, txn: &mut Transaction, key: impl Borrow<K::Arg<'k>>) -> Result<()> {
        self.with_key(key.borrow(), |key| txn.mark_read(self.raw(), key))
    }

    /// Takes `key` out of what the commit checks of reads: see [`Transaction::unmark`].
    ///
    /// # Errors
    /// As there; [`crate::InvalidArgument::Encode`].
    pub fn unmark<'k>(&self, txn: &mut Transaction, key: impl Borrow<K::Arg<'k>>) -> Result<()> {
        self.with_key(key.borrow(), |key| txn.unmark(self.raw(), key))
    }
}
