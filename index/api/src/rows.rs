//! What the host lends to a search: the column's vectors, and who may be seen.
//!
//! The host implements [`Rows`], one value for each search, made for one snapshot and one user's
//! filter. The plugin calls it, from the thread that called the plugin and until that call returns.
//!
//! 1. A row is a vector that a transaction appended. Rows are numbered from 0 in the order they
//!    were given out, are never renumbered, and a row's vector never changes.
//! 2. A row is *filled* once its vector is written whole. A row that is being filled, or whose
//!    transaction was taken back, is a hole. While a search runs, rows become filled, and rows of
//!    unfinished transactions may become holes: what was lent stays readable, but is not accepted.
//! 3. Every row of the snapshot is filled before the search begins and lent throughout it, those
//!    committed a moment ago and the transaction's own included [10]. Filled rows that are *not* of
//!    the snapshot are lent too: later ones, and those replaced or removed. `accepts` alone tells.
//! 4. `accepts` answers the same for a row throughout the search.

use std::fmt;

/// A row's number within its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

impl RowId {
    /// The row `rows` places on. Saturates: no column has that many rows.
    #[must_use]
    pub fn offset(self, rows: usize) -> Self {
        Self(self.0.saturating_add(rows as u64))
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Filled rows without a hole between them, whose vectors stand one after another.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The first of the rows.
    pub first: RowId,
    /// Their vectors, a whole number of them and at least one.
    pub vectors: &'a [f32],
}

/// A column's vectors, as one search may use them.
///
/// Object-safe; it need not be `Sync`, since one thread uses it.
pub trait Rows {
    /// The filled rows from the first one at or after `from`, as many as stand together; `None` if
    /// there is no such row.
    ///
    /// To see every row, start at row 0 and go on at the end of each run. Runs may end anywhere
    /// (at a hole, at the end of a chunk of memory), so make no assumption on their length, but
    /// hosts keep them long, and start their memory on a cache line where they can.
    ///
    /// Answers at `from` and after it, never before: a search that follows the rule above ends.
    fn run_from(&self, from: RowId) -> Option<Run<'_>>;

    /// One row's vector; `None` if the row is a hole or does not exist.
    fn vector(&self, row: RowId) -> Option<&[f32]>;

    /// Whether the row belongs to the snapshot and passes the user's filter. No for holes and for
    /// rows that do not exist.
    ///
    /// This is what costs: it looks up the key's version and may run the user's code. Ask it last,
    /// only for a row that would enter the result, and once for each.
    fn accepts(&self, row: RowId) -> bool;
}
