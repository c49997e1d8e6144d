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

mod loads;

use std::collections::BTreeMap;
use std::sync::Arc;

use vellum_base::{IndexId, TableId, Timestamp};
use vellum_pages::tree::{Born, Root};
use vellum_txn::{Column, Schema};

use crate::argument::InvalidArgument;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::index::{IndexEntry, Plugins};
use crate::paged::Paged;
use crate::saved::{Saved, SavedIndex, SavedTable};
use crate::table::{Origin, Table};
use crate::table_options::TableOptions;

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

/// A table, live or not quite gone (rule 3).
#[derive(Clone, Debug)]
pub(crate) struct TableEntry {
    pub(crate) name: Arc<str>,
    created_at: Timestamp,
    dropped_at: Timestamp,
    /// Rule 7.
    is_loading: bool,
    /// The very commit that made it, once that is known.
    born: Born,
    options: TableOptions,
    indexes: Arc<[IndexEntry]>,
    /// Rule 6.
    building: Vec<Arc<Column>>,
    /// Those of the live indexes, and those being built (rule 4).
    columns: Arc<[Arc<Column>]>,
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
        let mut names: Vec<_> = entries.map(|entry| entry.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// The table's name, for messages.
    pub(crate) fn name_of(&self, table: TableId) -> String {
        match self.entry(table) {
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

    /// Number of the last checkpoint of which the log that was replayed tells; zero: of none.
    pub(crate) fn noted_checkpoint(&self) -> u64 {
        self.noted
    }

    /// What a checkpoint keeps (rule 5), with the roots of the tables' trees.
    pub(crate) fn save(&self, root: impl Fn(TableId) -> Root) -> Saved {
        self.save_those(LAST, root, |entry| entry.is_at(LAST) || entry.is_loading)
    }

    /// [`Catalog::save`] of what a snapshot at `at` sees.
    pub(crate) fn save_at(&self, at: Timestamp, root: impl Fn(TableId) -> Root) -> Saved {
        self.save_those(at, root, |entry| entry.is_at(at))
    }

    fn save_those(
        &self,
        at: Timestamp,
        root: impl Fn(TableId) -> Root,
        is_there: impl Fn(&TableEntry) -> bool,
    ) -> Saved {
        let saved = (0..).map(TableId).zip(&self.tables);
        let saved = saved.map(|(id, entry)| {
            is_there(entry).then(|| SavedTable {
                name: entry.name.to_string(),
                is_loading: entry.is_loading,
                created_at: entry.made_at(),
                options: entry.options,
                root: root(id),
                indexes: entry.save_indexes(at),
            })
        });
        Saved {
            tables: saved.collect(),
            next_index: self.next_index,
        }
    }

    /// The catalog that a checkpoint kept; its indexes have no rows yet.
    pub(crate) fn restore(mut self, saved: &Saved) -> Result<Self, &'static str> {
        for table in &saved.tables {
            let id = TableId(self.tables.len() as u32);
            let Some(table) = table else {
                let mut gone = TableEntry::new("a dropped table".into(), Timestamp::ZERO);
                gone.dropped_at = Timestamp::ZERO;
                self.tables.push(gone);
                continue;
            };
            let name: Arc<str> = table.name.as_str().into();
            if table.is_loading {
                self.tables.push(TableEntry::loading(name, table.options));
                continue;
            }
            if self.names.insert(name.clone(), id).is_some() {
                return Err("two tables have the same name");
            }
            let mut entry = TableEntry::new(name, table.created_at);
            entry.born = Born::at(table.created_at);
            entry.options = table.options;
            let indexes = table.indexes.iter().map(|index| {
                let definition = index.definition.clone();
                IndexEntry::of_log(index.id, definition, &self.plugins).made_at(index.created_at)
            });
            entry.indexes = indexes.collect();
            if table
                .indexes
                .iter()
                .any(|index| index.id.0 >= saved.next_index)
            {
                return Err("an index has a number that was never handed out");
            }
            entry.feed();
            self.tables.push(entry);
        }
        self.next_index = saved.next_index;
        Ok(self)
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

    fn drop_table(&mut self, table: TableId, at: Timestamp) -> Result<(), &'static str> {
        let entry = self.live(table)?;
        entry.dropped_at = at;
        entry.building = Vec::new();
        entry.columns = Arc::default();
        let name = entry.name.clone();
        self.names.remove(&name);
        Ok(())
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

    fn drop_index(
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

    fn live(&mut self, table: TableId) -> Result<&mut TableEntry, &'static str> {
        let entry = self.tables.get_mut(table.0 as usize);
        entry
            .filter(|entry| entry.is_live())
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

impl TableEntry {
    fn save_indexes(&self, at: Timestamp) -> Vec<SavedIndex> {
        let live = self.indexes.iter().filter(|index| index.is_at(at));
        live.map(|index| SavedIndex {
            id: index.id,
            created_at: index.created_at,
            definition: (*index.definition).clone(),
        })
        .collect()
    }

    fn new(name: Arc<str>, created_at: Timestamp) -> Self {
        Self {
            name,
            created_at,
            dropped_at: Timestamp::MAX,
            is_loading: false,
            born: Born::default(),
            options: TableOptions::new(),
            indexes: Arc::default(),
            building: Vec::new(),
            columns: Arc::default(),
        }
    }

    /// When it was made, as exactly as is known; zero: not yet.
    fn made_at(&self) -> Timestamp {
        match self.is_loading {
            true => Timestamp::ZERO,
            false => self.born.get().unwrap_or(self.created_at),
        }
    }

    #[inline]
    fn is_at(&self, at: Timestamp) -> bool {
        self.created_at <= at && at < self.dropped_at
    }

    fn is_live(&self) -> bool {
        self.dropped_at == Timestamp::MAX && !self.is_loading
    }

    fn feed(&mut self) {
        let live = self.indexes.iter().filter(|index| index.is_live());
        let live = live.map(|index| index.column.clone());
        self.columns = live.chain(self.building.iter().cloned()).collect();
    }

    fn stop_building(&mut self, column: &Arc<Column>) {
        self.building.retain(|one| !Arc::ptr_eq(one, column));
    }
}

impl Schema for Catalog {
    type Base = Paged;

    fn is_open(&self, table: TableId) -> bool {
        self.entry(table).is_some_and(TableEntry::is_live)
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
mod tests {
    use super::*;

    fn empty() -> Catalog {
        let origin = Arc::new(Origin {
            path: "test".into(),
        });
        Catalog::new(origin, Arc::new(Plugins::new(Vec::new())))
    }

    fn apply(
        catalog: &Catalog,
        change: Change,
        at: u64,
        settled: u64,
    ) -> Result<Catalog, ChangeError> {
        catalog.apply(change, Timestamp(at), Timestamp(settled), |_, _| Ok(()))
    }

    fn create(catalog: &Catalog, name: &str, at: u64) -> Catalog {
        let change = Change::CreateTable {
            table: catalog.next_table(),
            name: name.into(),
            options: TableOptions::new(),
        };
        apply(catalog, change, at, 0).unwrap()
    }

    #[test]
    fn a_dropped_table_stays_for_snapshots_before_its_dropping_is_settled() {
        let made = create(&empty(), "t", 10);
        let (table, _) = made.find("t").unwrap();
        let drop = Change::DropTable { table: table.id() };
        let dropped = apply(&made, drop, 20, 10).unwrap();
        assert!(dropped.find("t").is_none());
        assert!(!dropped.is_open(table.id()));
        assert!(matches!(
            dropped.check(&table, Timestamp(9)),
            Err(Error::NotInSnapshot { .. })
        ));
        assert!(dropped.check(&table, Timestamp(10)).is_ok());
        assert!(dropped.check(&table, Timestamp(19)).is_ok());
        assert!(matches!(
            dropped.check(&table, Timestamp(20)),
            Err(Error::TableDropped { .. })
        ));
    }

    #[test]
    fn numbers_are_not_used_twice_after_pruning() {
        let made = create(&empty(), "t", 10);
        let (old, _) = made.find("t").unwrap();
        let drop = Change::DropTable { table: old.id() };
        let dropped = apply(&made, drop, 20, 10).unwrap();
        let change = Change::CreateTable {
            table: dropped.next_table(),
            name: "t".into(),
            options: TableOptions::new(),
        };
        let again = apply(&dropped, change, 30, 20).unwrap();
        let (new, _) = again.find("t").unwrap();
        assert_ne!(old, new);
        assert!(matches!(
            again.check(&old, Timestamp(30)),
            Err(Error::TableDropped { .. })
        ));
        assert!(again.check(&new, Timestamp(30)).is_ok());
        assert_eq!(again.names_at(Timestamp(30)), ["t"]);
    }

    #[test]
    fn changes_from_a_damaged_log_are_refused() {
        let made = create(&empty(), "t", 10);
        let wrong = [
            Change::CreateTable {
                table: TableId(0),
                name: "u".into(),
                options: TableOptions::new(),
            },
            Change::CreateTable {
                table: TableId(7),
                name: "u".into(),
                options: TableOptions::new(),
            },
            Change::CreateTable {
                table: TableId(1),
                name: "t".into(),
                options: TableOptions::new(),
            },
            Change::DropTable { table: TableId(1) },
            Change::FinishLoad { table: TableId(0) },
            Change::SetOptions {
                table: TableId(1),
                options: TableOptions::new(),
            },
            Change::DropIndex {
                index: IndexId(0),
                table: TableId(0),
            },
        ];
        for change in wrong {
            assert!(apply(&made, change.clone(), 11, 0).is_err(), "{change:?}");
        }
    }
}
