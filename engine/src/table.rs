//! Table handles.
//!
//! 1. A handle is a name for one table of one database, and nothing more: it keeps neither the
//!    database open nor the table alive. It may be cloned, sent and kept for ever.
//! 2. It names the table by a number that is never used twice, so that a handle from before a
//!    `drop_table` never reaches a later table of the same name.
//! 3. It knows its database by the address of an [`Origin`] that it keeps allocated, so no other
//!    database can ever be taken for it.

use std::fmt;
use std::sync::Arc;

use vellum_base::TableId;

/// What identifies an open database.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The path, or what stands for it: for messages only.
    pub(crate) path: String,
}

/// A handle of a table, from [`crate::Database::table`] or [`crate::Database::open_table`]. Cheap
/// to clone. It is bound to its database: with another one it is refused.
#[derive(Clone)]
pub struct Table(Arc<Inner>);

struct Inner {
    id: TableId,
    name: Arc<str>,
    origin: Arc<Origin>,
}

impl Table {
    pub(crate) fn new(id: TableId, name: Arc<str>, origin: Arc<Origin>) -> Self {
        Self(Arc::new(Inner { id, name, origin }))
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    #[inline]
    pub(crate) fn id(&self) -> TableId {
        self.0.id
    }

    #[inline]
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.0.origin
    }
}

impl PartialEq for Table {
    /// Whether both are handles of the same table of the same database.
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id && Arc::ptr_eq(&self.0.origin, &other.0.origin)
    }
}

impl Eq for Table {}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:?}, {})", self.name(), self.0.id)
    }
}
