//! Tables that are being loaded: rule 7 of [`super`], and rules 1, 2 and 5 of [`crate::load`].

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};

use super::{Catalog, TableEntry};
use crate::table_options::TableOptions;

impl Catalog {
    /// Whether a table of this name is being loaded.
    pub(crate) fn is_loading(&self, name: &str) -> bool {
        let mut loading = self.tables.iter().filter(|entry| entry.is_loading);
        loading.any(|entry| &*entry.name == name)
    }

    /// Whether this one is.
    pub(crate) fn is_loading_table(&self, table: TableId) -> bool {
        self.entry(table).is_some_and(|entry| entry.is_loading)
    }

    /// Whether any table is being loaded.
    pub(crate) fn has_loads(&self) -> bool {
        self.tables.iter().any(|entry| entry.is_loading)
    }

    pub(super) fn begin_load(
        &mut self,
        table: TableId,
        name: &str,
        options: TableOptions,
    ) -> Result<(), &'static str> {
        self.check_next(table)?;
        self.tables.push(TableEntry::loading(name.into(), options));
        Ok(())
    }

    pub(super) fn finish_load(
        &mut self,
        table: TableId,
        at: Timestamp,
    ) -> Result<(), &'static str> {
        let entry = self.tables.get_mut(table.0 as usize);
        let entry = entry.filter(|entry| entry.is_loading);
        let entry = entry.ok_or("a load ends that did not begin")?;
        (entry.is_loading, entry.created_at) = (false, at);
        let name = entry.name.clone();
        match self.names.insert(name, table) {
            None => Ok(()),
            Some(_) => Err("two tables have the same name"),
        }
    }

    /// The catalog in which this load has come to nothing, or all.
    pub(crate) fn without_load(&self, table: Option<TableId>) -> Self {
        let mut next = self.clone();
        for (id, entry) in (0..).map(TableId).zip(&mut next.tables) {
            if entry.is_loading && table.is_none_or(|table| table == id) {
                entry.is_loading = false;
                (entry.created_at, entry.dropped_at) = (Timestamp::ZERO, Timestamp::ZERO);
            }
        }
        next
    }
}

impl TableEntry {
    /// One that is being loaded.
    pub(super) fn loading(name: Arc<str>, options: TableOptions) -> Self {
        Self {
            is_loading: true,
            options,
            ..Self::new(name, Timestamp::MAX)
        }
    }
}
