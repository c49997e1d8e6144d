//! What a checkpoint keeps of the catalog: rule 5 of [`super`].

use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_pages::tree::{Born, Root};

use super::{Catalog, LAST, TableEntry};
use crate::index::IndexEntry;
use crate::saved::{Saved, SavedTable};

impl Catalog {
    /// What a checkpoint keeps (rule 5), with the roots of the tables' trees.
    pub(crate) fn save(&self, root: impl Fn(TableId) -> Root) -> Saved {
        self.save_those(LAST, root, |entry| {
            entry.is_at(LAST) || entry.is_live() && entry.is_filling || entry.is_loading
        })
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
                types: entry.types.clone(),
                ordered: entry.save_ordered(),
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
            if let Some(ordered) = &table.ordered {
                let (created_at, options) = (table.created_at, table.options);
                let entry = self.restore_hidden(ordered, name, created_at, options);
                self.tables.push(entry);
                continue;
            }
            if self.names.insert(name.clone(), id).is_some() {
                return Err("two tables have the same name");
            }
            let mut entry = TableEntry::new(name, table.created_at);
            entry.born = Born::at(table.created_at);
            entry.options = table.options;
            entry.types = table.types.clone();
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
        self.restore_keepers()?;
        self.next_index = saved.next_index;
        Ok(self)
    }
}
