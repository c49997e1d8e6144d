//! Ordered indexes in the catalog: rule 8 of [`super`].

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_pages::tree::Born;

use super::{Catalog, LAST, TableEntry};
use crate::error::{Error, Result};
use crate::ordered::{Definition, Derived, Keeper, OrderedIndexInfo};
use crate::saved::SavedOrdered;
use crate::table::Table;
use crate::table_options::TableOptions;

impl Catalog {
    /// The indexes that who writes to the table keeps.
    #[inline]
    pub(crate) fn keepers(&self, table: TableId) -> &[Keeper] {
        self.entry(table)
            .map(|entry| &*entry.keepers)
            .unwrap_or_default()
    }

    /// What a hidden table is.
    pub(crate) fn derived(&self, table: TableId) -> Option<&Derived> {
        self.entry(table)?.derived.as_deref()
    }

    /// What the index in a hidden table is.
    pub(crate) fn definition(&self, index: TableId) -> Option<&Definition> {
        self.derived(index).map(|derived| &derived.definition)
    }

    /// Whether the index in a hidden table is unique.
    pub(crate) fn is_unique(&self, index: TableId) -> bool {
        self.definition(index).is_some_and(|one| one.is_unique)
    }

    /// Whether an index of this name is being filled.
    pub(crate) fn is_filling(&self, of: TableId, name: &str) -> bool {
        self.keepers(of)
            .iter()
            .any(|keeper| &*keeper.name == name && self.is_filling_table(keeper.table))
    }

    /// Whether this one is.
    pub(crate) fn is_filling_table(&self, index: TableId) -> bool {
        let entry = self.entry(index);
        entry.is_some_and(|entry| entry.is_filling && entry.dropped_at == Timestamp::MAX)
    }

    /// Whether any index is being filled.
    pub(crate) fn has_fillings(&self) -> bool {
        (0..self.tables.len()).any(|place| self.is_filling_table(TableId(place as u32)))
    }

    /// How many ordered indexes are live.
    pub(crate) fn ordered_count(&self) -> usize {
        let all = self.tables.iter();
        all.filter(|entry| entry.derived.is_some() && entry.is_at(LAST))
            .count()
    }

    fn of(&self, table: TableId) -> impl Iterator<Item = (TableId, &TableEntry)> {
        let all = (0..).map(TableId).zip(&self.tables);
        all.filter(move |(_, entry)| entry.derived.as_ref().is_some_and(|one| one.of == table))
    }

    /// The live index of this name, with the timestamp of its making.
    pub(crate) fn live_ordered(
        &self,
        table: &Table,
        name: &str,
    ) -> Result<Option<(TableId, Timestamp)>> {
        let of = self.check_live(table)?;
        let mut live = self.of(of).filter(|(_, entry)| entry.is_at(LAST));
        let found = live.find(|(_, entry)| &*entry.name == name);
        Ok(found.map(|(index, entry)| (index, entry.created_at)))
    }

    /// The index of this name in a snapshot at `at`: its hidden table, and whether it is unique.
    pub(crate) fn ordered(
        &self,
        table: &Table,
        name: &str,
        at: Timestamp,
    ) -> Result<(TableId, bool)> {
        let of = self.check(table, at)?;
        let named = || self.of(of).filter(|(_, entry)| &*entry.name == name);
        if let Some((index, _)) = named().find(|(_, entry)| entry.is_at(at)) {
            return Ok((index, self.is_unique(index)));
        }
        let is_newer = |entry: &TableEntry| {
            !entry.is_filling && at < entry.created_at && at < entry.dropped_at
        };
        if named().any(|(_, entry)| is_newer(entry)) {
            return Err(Error::NotInSnapshot {
                what: format!("the index `{name}`"),
            });
        }
        Err(Error::UnknownIndex {
            table: table.name().to_owned(),
            column: name.to_owned(),
        })
    }

    /// The indexes of a table in a snapshot at `at`.
    pub(crate) fn list_ordered(
        &self,
        table: &Table,
        at: Timestamp,
    ) -> Result<Vec<OrderedIndexInfo>> {
        let of = self.check(table, at)?;
        let there = self.of(of).filter(|(_, entry)| entry.is_at(at));
        let infos = there.filter_map(|(_, entry)| {
            let derived = entry.derived.as_ref()?;
            Some(derived.definition.info(&entry.name))
        });
        Ok(infos.collect())
    }

    fn derive(&self, of: TableId, definition: Definition) -> Arc<Derived> {
        let found = self.plugins.extractor(&definition.extractor);
        let extractor = found.filter(|found| found.version() == definition.version);
        Arc::new(Derived {
            of,
            extractor: extractor.cloned(),
            definition,
        })
    }

    pub(super) fn begin_index(
        &mut self,
        index: TableId,
        of: TableId,
        (name, definition): (String, Definition),
        at: Timestamp,
    ) -> Result<(), &'static str> {
        self.check_next(index)?;
        let options = self.live(of)?.options;
        let same = self.keepers(of).iter();
        let mut same = same.filter(|keeper| *keeper.name == *name);
        if let Some(same) = same.next().map(|keeper| keeper.table) {
            if !self.is_filling_table(same) {
                return Err("two ordered indexes of a table have the same name");
            }
            // It came to nothing, in a process of which the log tells no more.
            self.end_filling(same);
        }
        let derived = self.derive(of, definition);
        let entry = TableEntry::filling(name.into(), options, derived);
        self.tables.push(entry);
        self.live(of)?.writable_since = at;
        self.keep(of);
        Ok(())
    }

    pub(super) fn finish_index(
        &mut self,
        index: TableId,
        at: Timestamp,
    ) -> Result<(), &'static str> {
        if !self.is_filling_table(index) {
            return Err("an index is finished that was not begun");
        }
        if let Some(entry) = self.tables.get_mut(index.0 as usize) {
            (entry.is_filling, entry.created_at) = (false, at);
        }
        Ok(())
    }

    /// Drops a hidden table, or with a table all of its own.
    pub(super) fn drop_hidden(&mut self, table: TableId, at: Timestamp) -> bool {
        let mut dropped = None;
        for (id, entry) in (0..).map(TableId).zip(&mut self.tables) {
            let Some(derived) = &entry.derived else {
                continue;
            };
            if (id == table || derived.of == table) && entry.dropped_at == Timestamp::MAX {
                entry.dropped_at = at;
                dropped = Some(derived.of);
            }
        }
        if let Some(of) = dropped {
            self.keep(of);
        }
        dropped.is_some_and(|of| of != table)
    }

    /// The catalog in which the filling of this index has come to nothing, or that of all.
    pub(crate) fn without_filling(&self, index: Option<TableId>) -> Self {
        let mut next = self.clone();
        for one in (0..self.tables.len() as u32).map(TableId) {
            if self.is_filling_table(one) && index.is_none_or(|index| index == one) {
                next.end_filling(one);
            }
        }
        next
    }

    fn end_filling(&mut self, index: TableId) {
        let Some(entry) = self.tables.get_mut(index.0 as usize) else {
            return;
        };
        entry.is_filling = false;
        (entry.created_at, entry.dropped_at) = (Timestamp::ZERO, Timestamp::ZERO);
        if let Some(of) = entry.derived.as_ref().map(|derived| derived.of) {
            self.keep(of);
        }
    }

    /// Says anew what indexes who writes to the table keeps.
    fn keep(&mut self, of: TableId) {
        let live = self.of(of).filter(|(_, entry)| entry.is_live());
        let keepers = live.filter_map(|(table, entry)| {
            let (name, derived) = (entry.name.clone(), entry.derived.clone()?);
            Some(Keeper {
                table,
                name,
                derived,
            })
        });
        let keepers = keepers.collect();
        if let Some(entry) = self.tables.get_mut(of.0 as usize) {
            entry.keepers = keepers;
        }
    }

    /// The hidden table that a checkpoint kept.
    pub(super) fn restore_hidden(
        &self,
        saved: &SavedOrdered,
        name: Arc<str>,
        created_at: Timestamp,
        options: TableOptions,
    ) -> TableEntry {
        let derived = self.derive(saved.of, saved.definition.clone());
        let mut entry = TableEntry::filling(name, options, derived);
        if !saved.is_filling {
            (entry.is_filling, entry.created_at) = (false, created_at);
            entry.born = Born::at(created_at);
        }
        entry
    }

    /// Finds the tables of hidden ones, when all are there.
    pub(super) fn restore_keepers(&mut self) -> Result<(), &'static str> {
        let hidden = self
            .tables
            .iter()
            .filter_map(|entry| entry.derived.as_ref());
        let tables: Vec<TableId> = hidden.map(|derived| derived.of).collect();
        for of in tables {
            self.live(of)?;
            self.keep(of);
        }
        Ok(())
    }
}

impl TableEntry {
    /// A hidden table whose index is being filled.
    fn filling(name: Arc<str>, options: TableOptions, derived: Arc<Derived>) -> Self {
        Self {
            is_filling: true,
            derived: Some(derived),
            options,
            ..Self::new(name, Timestamp::MAX)
        }
    }

    pub(super) fn save_ordered(&self) -> Option<SavedOrdered> {
        let derived = self.derived.as_ref()?;
        Some(SavedOrdered {
            of: derived.of,
            is_filling: self.is_filling,
            definition: derived.definition.clone(),
        })
    }
}
