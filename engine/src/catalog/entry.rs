//! A table in the catalog: rules 2, 3, 4 and 6 of [`super`].

use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_pages::tree::Born;
use vellum_txn::Column;

use crate::index::IndexEntry;
use crate::ordered::{Derived, Keeper};
use crate::saved::SavedIndex;
use crate::table_options::TableOptions;
use crate::typed::types::Types;

/// A table, live or not quite gone (rule 3).
#[derive(Clone, Debug)]
pub(crate) struct TableEntry {
    pub(super) name: Arc<str>,
    pub(super) created_at: Timestamp,
    pub(super) dropped_at: Timestamp,
    /// Rule 7.
    pub(super) is_loading: bool,
    /// Rule 8.
    pub(super) is_filling: bool,
    /// Rule 8: what it is, if it is hidden.
    pub(super) derived: Option<Arc<Derived>>,
    /// Rule 8: the indexes of which it is the table.
    pub(super) keepers: Arc<[Keeper]>,
    /// The beginning of the newest of them.
    pub(super) writable_since: Timestamp,
    /// The very commit that made it, once that is known.
    pub(super) born: Born,
    pub(super) options: TableOptions,
    pub(super) types: Option<Arc<Types>>,
    pub(super) indexes: Arc<[IndexEntry]>,
    /// Rule 6.
    pub(super) building: Vec<Arc<Column>>,
    /// Those of the live indexes, and those being built (rule 4).
    pub(super) columns: Arc<[Arc<Column>]>,
}

impl TableEntry {
    pub(super) fn save_indexes(&self, at: Timestamp) -> Vec<SavedIndex> {
        let live = self.indexes.iter().filter(|index| index.is_at(at));
        live.map(|index| SavedIndex {
            id: index.id,
            created_at: index.created_at,
            definition: (*index.definition).clone(),
        })
        .collect()
    }

    pub(super) fn new(name: Arc<str>, created_at: Timestamp) -> Self {
        Self {
            name,
            created_at,
            dropped_at: Timestamp::MAX,
            is_loading: false,
            is_filling: false,
            derived: None,
            keepers: Arc::default(),
            writable_since: Timestamp::ZERO,
            born: Born::default(),
            options: TableOptions::new(),
            types: None,
            indexes: Arc::default(),
            building: Vec::new(),
            columns: Arc::default(),
        }
    }

    /// When it was made, as exactly as is known; zero: not yet.
    pub(super) fn made_at(&self) -> Timestamp {
        match (self.is_loading || self.is_filling, &self.derived) {
            (true, _) => Timestamp::ZERO,
            (false, Some(_)) => self.created_at,
            (false, None) => self.born.get().unwrap_or(self.created_at),
        }
    }

    #[inline]
    pub(super) fn is_at(&self, at: Timestamp) -> bool {
        self.created_at <= at && at < self.dropped_at
    }

    pub(super) fn is_live(&self) -> bool {
        self.dropped_at == Timestamp::MAX && !self.is_loading
    }

    pub(super) fn feed(&mut self) {
        let live = self.indexes.iter().filter(|index| index.is_live());
        let live = live.map(|index| index.column.clone());
        self.columns = live.chain(self.building.iter().cloned()).collect();
    }

    pub(super) fn stop_building(&mut self, column: &Arc<Column>) {
        self.building.retain(|one| !Arc::ptr_eq(one, column));
    }
}
