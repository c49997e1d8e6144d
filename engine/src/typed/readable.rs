//! What typed tables read from: either kind of transaction.

use crate::read::ReadTransaction;
use crate::reading::Reading;
use crate::transaction::Transaction;

/// A transaction that can be read: [`ReadTransaction`] or [`Transaction`].
///
/// ```
/// use vellum::{Database, Readable, TypedTable};
///
/// fn balance(read: &impl Readable, accounts: &TypedTable<u64, i64>, who: u64) -> vellum::Result<i64> {
///     accounts.get(read, who)?.map_or(Ok(0), |found| found.get())
/// }
///
/// let db = Database::in_memory()?;
/// let accounts = db.typed_table::<u64, i64>("accounts")?;
/// db.transact(|txn| {
///     let standing = balance(txn, &accounts, 7)?;
///     accounts.insert(txn, 7, standing - 3)
/// })?;
/// assert_eq!(balance(&db.begin_read()?, &accounts, 7)?, -3);
/// # Ok::<(), vellum::Error>(())
/// ```
#[expect(private_bounds, reason = "nobody else's transactions can be read")]
pub trait Readable: Source {}

/// How it is read.
pub(crate) trait Source {
    fn reading(&self) -> Reading<'_>;
}

impl Readable for ReadTransaction {}
impl Readable for Transaction {}

impl Source for ReadTransaction {
    fn reading(&self) -> Reading<'_> {
        ReadTransaction::reading(self)
    }
}

impl Source for Transaction {
    fn reading(&self) -> Reading<'_> {
        Transaction::reading(self)
    }
}
