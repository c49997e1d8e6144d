//! The catalog: which tables and indexes there are, as part of each view of the store.
//!
//! Immutable; a schema commit replaces it as a whole, so that it belongs to the snapshot like the
//! records. Rules:
//!
//! 1. Numbers of tables and indexes are handed out in ascending order and never again: a table's
//!    is its place in a list whose places outlive their tables.
//! 2. A view may be taken while the schema commit that made it is not settled yet; a read-only
//!    snapshot then starts before that commit. So everything carries the timestamps of its making
//!    and its dropping, and a snapshot at S has what was made at or before S and dropped after S.
//! 3. What was dropped stays for such snapshots. Its rows leave with the first later change that
//!    finds its dropping settled: snapshots of the new view start no earlier. A table's name stays,
//!    for messages.
//! 4. Commits are fed to live indexes and to those being built, and take only live tables: they
//!    come after every change in their view.
//! 5. A checkpoint keeps what is live, and the numbers used ([`Catalog::save`]). Checkpoints' notes in
//!    the log change nothing here; the greatest number that was noted is remembered.
//! 6. What is being built belongs to this process alone and to no snapshot: it is a column that
//!    commits are fed to, and becomes an index, or vanishes, with its builder.
//! 7. A table that is being loaded has its number, and nothing else: no snapshot sees it, no commit
//!    writes to it, and its name is another's to use where this process does not know of the load, which
//!    then comes to nothing. With the end of the load it is live from that commit on.
//! 8. An ordered index is a hidden table: it has a number, and a name that is the index's alone. Commits
//!    write to it from the beginning of its filling on, snapshots see it from the end on ([`crate::ordered`]).

mod entry;
mod indexes;
mod loads;
mod ordered;
mod saving;

use std::collections::BTreeMap;
use std::sync::Arc;

use vellum_base::{IndexId, TableId, Timestamp};
use vellum_pages::tree::Born;
use vellum_txn::{BaseError, Column, Schema, Stored};

use crate::argument::InvalidArgument;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::index::{IndexEntry, Plugins};
use crate::paged::Paged;
use crate::table::{Origin, Table};
use crate::table_options::TableOptions;
use crate::typed::types::Types;

use entry::TableEntry;

/// Where everything live is, and nothing that was dropped.
const LAST: Timestamp = Timestamp(Timestamp::MAX.0 - 1);

/// See the module's rules.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    origin: Arc<Origin>,
    tables: Vec<TableEntry>,
    names: BTreeMap<Arc<str>, TableId>,
    next_index: u32,
    /// The last checkpoint that the log tells of (rule 5).
    noted: u64,
    /// Of the newest change.
    changed_at: Timestamp,
    plugins: Arc<Plugins>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug)]
pub(crate) enum ChangeError {
    /// It contradicts the catalog: where it comes from the log, that is damage.
    Broken(&'static str),
    /// A new index could not be given its rows.
    Fill(Error),
}

impl From<&'static str> for ChangeError {
    fn from(what: &'static str) -> Self {
        Self::Broken(what)
    }
}

impl Catalog {
    pub(crate) fn new(origin: Arc<Origin>, plugins: Arc<Plugins>) -> Self {
        Self {
            origin,
            tables: Vec::new(),
            names: BTreeMap::new(),
            next_index: 0,
            noted: 0,
            changed_at: Timestamp::ZERO,
            plugins,
        }
    }

    pub(crate) fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The number that the next table will have.
    pub(crate) fn next_table(&self) -> TableId {
        TableId(self.tables.len() as u32)
    }

    /// The number that the next index will have.
    pub(crate) fn next_index(&self) -> IndexId {
        IndexId(self.next_index)
    }

    /// When the newest change was made that it has.
    pub(crate) fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    fn entry(&self, table: TableId) -> Option<&TableEntry> {
        self.tables.get(table.0 as usize)
    }

    /// The live table of this name, with the timestamp of its making.
    pub(crate) fn find(&self, name: &str) -> Option<(Table, Timestamp)> {
        let id = *self.names.get(name)?;
        let entry = self.entry(id)?;
        let table = Table::new(id, entry.name.clone(), self.origin.clone());
        Some((table, entry.created_at))
    }

    /// Whether the table was dropped; one that is not known yet was not.
    pub(crate) fn is_dropped(&self, table: TableId) -> bool {
        let entry = self.entry(table);
        entry.is_some_and(|entry| entry.dropped_at != Timestamp::MAX)
    }

    /// Whether the table, or the index in it, is there for new snapshots.
    pub(crate) fn is_there(&self, table: TableId) -> bool {
        self.entry(table).is_some_and(|entry| entry.is_at(LAST))
    }

    /// What tells the commit that made a table.
    pub(crate) fn born(&self, table: TableId) -> Born {
        let entry = self.entry(table);
        entry.map(|entry| entry.born.clone()).unwrap_or_default()
    }

    /// What is chosen for a table.
    pub(crate) fn options(&self, table: TableId) -> TableOptions {
        self.entry(table)
            .map(|entry| entry.options)
            .unwrap_or_default()
    }

    /// The names of the tables at `at`, in ascending order.
    pub(crate) fn names_at(&self, at: Timestamp) -> Vec<String> {
        let entries = self.tables.iter().filter(|entry| entry.is_at(at));
        let entries = entries.filter(|entry| entry.derived.is_none());
        let mut names: Vec<_> = entries.map(|entry| entry.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// The name of a table that this catalog has.
    pub(crate) fn name(&self, table: TableId) -> &str {
        self.entry(table).map_or("", |entry| &entry.name)
    }

    /// The types that a table remembers.
    pub(crate) fn types(&self, table: TableId) -> Option<&Arc<Types>> {
        self.entry(table)?.types.as_ref()
    }

    /// The table's name, for messages.
    pub(crate) fn name_of(&self, table: TableId) -> String {
        match self.entry(table) {
            Some(TableEntry {
                name,
                derived: Some(derived),
                ..
            }) => format!("{}[{name}]", self.name(derived.of)),
            Some(entry) => entry.name.to_string(),
            None => format!("number {table}"),
        }
    }

    /// The table of a handle in a snapshot at `at`, or why it is not there.
    #[inline]
    pub(crate) fn check(&self, table: &Table, at: Timestamp) -> Result<TableId> {
        let id = table.id();
        match self.tables.get(id.0 as usize) {
            Some(entry) if entry.is_at(at) && Arc::ptr_eq(table.origin(), &self.origin) => Ok(id),
            _ => Err(self.refuse(table, at)),
        }
    }

    #[cold]
    fn refuse(&self, table: &Table, at: Timestamp) -> Error {
        let name = table.name().to_owned();
        if !Arc::ptr_eq(table.origin(), &self.origin) {
            let origin = table.origin().path.clone();
            return InvalidArgument::OtherDatabase {
                table: name,
                origin,
            }
            .into();
        }
        // A number that this catalog does not know was handed out after it.
        let newer = self
            .entry(table.id())
            .is_none_or(|entry| entry.created_at > at);
        if newer {
            return Error::NotInSnapshot {
                what: format!("table `{name}`"),
            };
        }
        Error::TableDropped { table: name }
    }

    /// The table of a handle, if it was not dropped.
    pub(crate) fn check_live(&self, table: &Table) -> Result<TableId> {
        self.check(table, LAST)
    }

    /// Number of the last checkpoint of which the log that was replayed tells; zero: of none.
    pub(crate) fn noted_checkpoint(&self) -> u64 {
        self.noted
    }

    /// How many tables are live.
    pub(crate) fn table_count(&self) -> usize {
        self.names.len()
    }

    /// The catalog after `change`, made by the commit at `at`; `fill` gives a new index the rows
    /// that stand. Nothing of the change has been checked, since it may come from the log. What was
    /// dropped by `settled` is let go (rule 3).
    pub(crate) fn apply(
        &self,
        change: Change,
        at: Timestamp,
        settled: Timestamp,
        fill: impl FnOnce(TableId, &IndexEntry) -> Result<()>,
    ) -> Result<Self, ChangeError> {
        let mut next = self.begin_change(at, settled);
        match change {
            Change::CreateTable {
                table,
                name,
                options,
            } => next.create_table(table, &name, options, at)?,
            Change::BeginLoad {
                table,
                name,
                options,
            } => next.begin_load(table, &name, options)?,
            Change::FinishLoad { table } => next.finish_load(table, at)?,
            Change::SetOptions { table, options } => next.live(table)?.options = options,
            Change::BeginIndex {
                table,
                of,
                name,
                definition,
            } => next.begin_index(table, of, (name, definition), at)?,
            Change::FinishIndex { table } => next.finish_index(table, at)?,
            Change::SetTypes { table, types } => next.set_types(table, types)?,
            Change::DropTable { table } => next.drop_table(table, at)?,
            Change::CreateIndex {
                index,
                table,
                definition,
            } => {
                let index = IndexEntry::of_log(index, definition, &self.plugins).made_at(at);
                fill(table, &index).map_err(ChangeError::Fill)?;
                next.create_index(table, index)?;
            }
            Change::DropIndex { index, table } => next.drop_index(table, index, at)?,
            Change::Checkpoint { sequence } => next.noted = next.noted.max(sequence),
        }
        Ok(next)
    }

    /// A copy to be changed at `at`, without what was dropped by `settled` (rule 3).
    pub(crate) fn begin_change(&self, at: Timestamp, settled: Timestamp) -> Self {
        let mut next = self.clone();
        next.changed_at = at;
        next.prune(settled);
        next
    }

    fn create_table(
        &mut self,
        table: TableId,
        name: &str,
        options: TableOptions,
        at: Timestamp,
    ) -> Result<(), &'static str> {
        self.check_next(table)?;
        let name: Arc<str> = name.into();
        if self.names.insert(name.clone(), table).is_some() {
            return Err("two tables have the same name");
        }
        let entry = TableEntry::new(name, at);
        self.tables.push(TableEntry { options, ..entry });
        Ok(())
    }

    fn check_next(&self, table: TableId) -> Result<(), &'static str> {
        if table != self.next_table() || table.0 == u32::MAX {
            return Err("a table's number is out of order");
        }
        Ok(())
    }

    fn set_types(&mut self, table: TableId, types: Arc<Types>) -> Result<(), &'static str> {
        let entry = self.live(table)?;
        match &entry.types {
            Some(set) if *set != types => Err("a table's types are changed"),
            _ => {
                entry.types = Some(types);
                Ok(())
            }
        }
    }

    fn drop_table(&mut self, table: TableId, at: Timestamp) -> Result<(), &'static str> {
        if self.drop_hidden(table, at) {
            return Ok(());
        }
        let entry = self.live(table)?;
        entry.dropped_at = at;
        entry.building = Vec::new();
        entry.columns = Arc::default();
        let name = entry.name.clone();
        self.names.remove(&name);
        Ok(())
    }

    fn live(&mut self, table: TableId) -> Result<&mut TableEntry, &'static str> {
        let entry = self.tables.get_mut(table.0 as usize);
        entry
            .filter(|entry| entry.is_live() && entry.derived.is_none())
            .ok_or("a change names a table that does not exist")
    }

    fn prune(&mut self, settled: Timestamp) {
        for entry in &mut self.tables {
            if entry.dropped_at <= settled {
                entry.indexes = Arc::default();
            } else if entry
                .indexes
                .iter()
                .any(|index| index.dropped_at <= settled)
            {
                let kept = entry
                    .indexes
                    .iter()
                    .filter(|index| index.dropped_at > settled);
                entry.indexes = kept.cloned().collect();
            }
        }
    }
}

impl Schema for Catalog {
    type Base = Paged;

    fn stored(base: &Paged, table: TableId, key: &[u8]) -> Result<Option<Stored>, BaseError> {
        base.stored(table, key)
    }

    fn is_open(&self, table: TableId) -> bool {
        self.entry(table).is_some_and(TableEntry::is_live)
    }

    fn writable_since(&self, table: TableId) -> Timestamp {
        let entry = self.entry(table);
        entry.map_or(Timestamp::ZERO, |entry| entry.writable_since)
    }

    fn committed(&self, at: Timestamp) {
        let live = self.tables.iter().filter(|entry| entry.is_live());
        for entry in live.filter(|entry| entry.born.get().is_none()) {
            entry.born.set(at);
        }
    }

    fn columns(&self, table: TableId) -> &[Arc<Column>] {
        self.entry(table)
            .map(|entry| &*entry.columns)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
