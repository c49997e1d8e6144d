//! Vector indexes in the catalog: rules 1, 4 and 6 of [`super`].

use std::sync::Arc;

use vellum_base::{IndexId, TableId, Timestamp};
use vellum_txn::Column;

use super::Catalog;
use crate::error::{Error, Result};
use crate::index::IndexEntry;
use crate::table::Table;

impl Catalog {
    /// The live index on `column` of `table`.
    pub(crate) fn live_index(&self, table: &Table, column: &str) -> Result<Option<&IndexEntry>> {
        let id = self.check_live(table)?;
        let indexes = self
            .entry(id)
            .map(|entry| &*entry.indexes)
            .unwrap_or_default();
        Ok(indexes
            .iter()
            .find(|index| index.is_live() && index.column_name() == column))
    }

    /// The index on `column` of `table` in a snapshot at `at`.
    pub(crate) fn index(&self, table: &Table, column: &str, at: Timestamp) -> Result<&IndexEntry> {
        let id = self.check(table, at)?;
        let indexes = self
            .entry(id)
            .map(|entry| &*entry.indexes)
            .unwrap_or_default();
        let of_column = indexes.iter().filter(|index| index.column_name() == column);
        let mut newer = false;
        for index in of_column {
            match (index.created_at <= at, at < index.dropped_at) {
                (true, true) => return Ok(index),
                (false, true) => newer = true,
                _ => {}
            }
        }
        let (table, column) = (table.name().to_owned(), column.to_owned());
        if newer {
            return Err(Error::NotInSnapshot {
                what: format!("the index on `{column}`"),
            });
        }
        Err(Error::UnknownIndex { table, column })
    }

    /// The indexes of `table` in a snapshot at `at`.
    pub(crate) fn indexes(&self, table: &Table, at: Timestamp) -> Result<Vec<&IndexEntry>> {
        let id = self.check(table, at)?;
        let indexes = self
            .entry(id)
            .map(|entry| &*entry.indexes)
            .unwrap_or_default();
        Ok(indexes.iter().filter(|index| index.is_at(at)).collect())
    }

    /// All live indexes.
    pub(crate) fn live_indexes(&self) -> impl Iterator<Item = &IndexEntry> {
        let live = self.tables.iter().filter(|entry| entry.is_live());
        live.flat_map(|entry| entry.indexes.iter().filter(|index| index.is_live()))
    }

    /// The live indexes, with their tables.
    pub(crate) fn live_indexes_by_table(&self) -> impl Iterator<Item = (TableId, &IndexEntry)> {
        let live = (0..).map(TableId).zip(&self.tables);
        let live = live.filter(|(_, entry)| entry.is_live());
        live.flat_map(|(id, entry)| {
            let indexes = entry.indexes.iter().filter(|index| index.is_live());
            indexes.map(move |index| (id, index))
        })
    }

    /// The catalog in which commits are also fed to `column`, which is being built (rule 6).
    pub(crate) fn feeding(&self, table: TableId, column: &Arc<Column>) -> Self {
        let mut next = self.clone();
        if let Ok(entry) = next.live(table) {
            entry.building.push(Arc::clone(column));
            entry.feed();
        }
        next
    }

    /// The catalog in which they no longer are.
    pub(crate) fn without_feeding(&self, table: TableId, column: &Arc<Column>) -> Self {
        let mut next = self.clone();
        if let Ok(entry) = next.live(table) {
            entry.stop_building(column);
            entry.feed();
        }
        next
    }

    /// Whether `column` is being built.
    pub(crate) fn is_building(&self, table: TableId, column: &Arc<Column>) -> bool {
        let building = self.entry(table).map(|entry| &entry.building);
        building.is_some_and(|all| all.iter().any(|one| Arc::ptr_eq(one, column)))
    }

    /// Adds a made index, which is no longer being built; live from its own timestamp on.
    pub(crate) fn create_index(
        &mut self,
        table: TableId,
        index: IndexEntry,
    ) -> Result<(), &'static str> {
        if index.id != self.next_index() || index.id.0 == u32::MAX {
            return Err("an index's number is out of order");
        }
        let entry = self.live(table)?;
        let column = index.column_name();
        if entry
            .indexes
            .iter()
            .any(|one| one.is_live() && one.column_name() == column)
        {
            return Err("a column has two indexes");
        }
        entry.stop_building(&index.column);
        let standing = entry.indexes.iter().cloned();
        entry.indexes = standing.chain([index]).collect();
        entry.feed();
        self.next_index += 1;
        Ok(())
    }

    pub(super) fn drop_index(
        &mut self,
        table: TableId,
        index: IndexId,
        at: Timestamp,
    ) -> Result<(), &'static str> {
        let entry = self.live(table)?;
        let mut indexes = entry.indexes.to_vec();
        let dropped = indexes
            .iter_mut()
            .find(|one| one.id == index && one.is_live());
        dropped.ok_or("a dropped index does not exist")?.dropped_at = at;
        entry.indexes = indexes.into();
        entry.feed();
        Ok(())
    }
}
