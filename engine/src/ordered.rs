//! Ordered indexes: keys derived from the records of a table, unique or not.
//!
//! An extractor, code that is registered under a name, says which index keys a record has. Rules:
//!
//! 1. **Entries**: an index is a hidden table with one entry for each record and each of its index keys
//!    (`entries`). It has a table's number and tree, so merges, checkpoints, verify, backups and vacuum treat
//!    it as one, with the options of its table when it was made; but it has no name, so no handle reaches it. It
//!    is dropped with its index or with its table.
//! 2. **Derived writes** are in the write set of the transaction that writes the record (`keep`): they commit
//!    with it or not at all, are in the log like any write, and replay needs no extractor. In every snapshot
//!    that has the index, it has what the extractor says of that snapshot's records.
//! 3. **Who writes, knows**: a transaction that writes to the table knows all its indexes. One whose snapshot is
//!    older than an index is refused when it commits ([`vellum_txn::Schema::writable_since`]), to be
//!    done again; so is one that wrote entries of an index that was dropped.
//! 4. **Unique**: an entry that stands for another record refuses the write. Two who do not see each other
//!    write the same entry, and the first committer wins.
//! 5. **Reading** (`lookup`) is reading a range of entries, and the record of each. So it is in the order of
//!    index keys, then of keys; it sees own writes; and in a serializable transaction what was gone through of
//!    the index is in the read set: phantoms are found as in any range.
//! 6. **Without its extractor**, or with another version of it, an index takes no write: nobody may write to
//!    the table. It can be read, and dropped.
//! 7. **Making** an index (`make`) makes no reader and no writer wait.

mod entries;
mod info;
mod keep;
mod lookup;
mod make;

pub(crate) use entries::shown;
pub(crate) use info::{Definition, Derived, Keeper};
pub use info::{Ordered, OrderedIndexInfo};
pub(crate) use keep::keep;
pub use lookup::{IndexEntry, IndexRange};
