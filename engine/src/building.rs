//! An index while it is being filled.
//!
//! Commits wait for none of the filling. Rules:
//!
//! 1. From the beginning on, each commit appends its rows to the column, as for an index that
//!    stands; what was committed before is copied from a snapshot that has all of it. So a record's
//!    newest version has one row, from its committer or from the copy, whichever snapshot of the
//!    finished index asks [10].
//! 2. Nobody but committers knows of it: it is in no log and answers no search. The commit that
//!    makes the index puts it into the catalog; a crash before leaves nothing.
//! 3. Whatever ends the making without that commit, an error or a panic, ends the feeding too.
//! 4. Committers hold vectors to the column's dimension from the beginning on. So that a wrong call
//!    troubles nobody, what stands is checked before.

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_txn::Snapshot;

use crate::error::{Error, Result};
use crate::fill::{check, fill};
use crate::index::IndexEntry;
use crate::schema::once_settled;
use crate::shared::Handle;
use crate::table::Table;

/// See the module's rules. Ends the feeding when it is dropped.
pub(crate) struct Building<'a> {
    handle: &'a Arc<Handle>,
    table: TableId,
    entry: &'a IndexEntry,
    /// Later commits feed the column.
    since: Timestamp,
}

impl<'a> Building<'a> {
    /// Begins to feed the column of `entry`.
    pub(crate) fn begin(
        handle: &'a Arc<Handle>,
        table: &Table,
        entry: &'a IndexEntry,
    ) -> Result<Self> {
        // Rule 4.
        check(entry, table.id(), Snapshot::begin(handle.clone()).reader())?;
        let store = &handle.shared().store;
        let begun = store.amend_schema(|catalog| {
            let table = catalog.check_live(table)?;
            Ok::<_, Error>(catalog.feeding(table, &entry.column))
        });
        let since = begun.map_err(|error| once_settled(handle, error))?;
        Ok(Self {
            handle,
            table: table.id(),
            entry,
            since,
        })
    }

    /// Copies what was committed before (rule 1).
    pub(crate) fn copy(&self) -> Result<()> {
        // Snapshots start at settled.
        self.handle.shared().wait_settled(self.since)?;
        let snapshot = Snapshot::begin(self.handle.clone());
        debug_assert!(snapshot.at() >= self.since);
        fill(self.entry, self.table, snapshot.reader(), self.since)
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        let (table, column) = (self.table, &self.entry.column);
        let snapshot = Snapshot::begin(self.handle.clone());
        if snapshot.reader().schema().is_building(table, column) {
            drop(snapshot);
            let store = &self.handle.shared().store;
            let _ = store
                .amend_schema(|catalog| Ok::<_, Error>(catalog.without_feeding(table, column)));
        }
    }
}

#[cfg(test)]
mod tests;
