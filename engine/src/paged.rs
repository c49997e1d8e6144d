//! The base as a view carries it: the records of all tables up to one commit, in pages.
//!
//! Rules:
//!
//! 1. A clone keeps the state's pages for as long as it exists; whoever borrows from a view may so
//!    borrow pages, which stay in memory while their guards do.
//! 2. A table's tree has the table's number and one more: zero is nobody's.
//! 3. A tree that is not there is empty: tables get theirs with their first merge.

use std::ops::Bound;
use std::sync::Arc;

use vellum_base::{Lsn, TableId, Timestamp};
use vellum_pages::base::Base;
use vellum_pages::file::FILE_NAME;
use vellum_pages::pool::Hint;
use vellum_pages::state::{Alive, State};
use vellum_pages::store::Position;
use vellum_pages::tree::node::Large;
use vellum_pages::tree::{Found, Root, Sought, Tree, TreeRange};
use vellum_pages::{PageError, TreeId};
use vellum_txn::{BaseError, Stored};

use crate::error::{Error, Result};
use crate::record::StoredRecord;
use crate::saved::Saved;

/// See the module's rules.
#[derive(Clone)]
pub(crate) struct Paged {
    pages: Arc<Base>,
    state: State<Roots>,
}

/// What a state consists of.
pub(crate) struct Roots {
    /// By the table's number (rule 3).
    trees: Vec<Option<TableTree>>,
    /// Behind the log's last record that it holds.
    pub(crate) position: Lsn,
    /// Catalog and roots as a checkpoint keeps them (`saved`).
    pub(crate) meta: Vec<u8>,
}

/// A table's tree in one state.
#[derive(Clone)]
pub(crate) struct TableTree {
    pub(crate) tree: Tree,
    pub(crate) root: Root,
}

/// Rule 2.
pub(crate) fn tree_of(table: TableId) -> TreeId {
    TreeId(table.0 + 1)
}

impl Roots {
    pub(crate) fn get(&self, table: TableId) -> Option<&TableTree> {
        self.trees.get(table.0 as usize)?.as_ref()
    }

    /// The same trees, to be changed.
    pub(crate) fn trees(&self) -> Vec<Option<TableTree>> {
        self.trees.clone()
    }

    pub(crate) fn of(trees: Vec<Option<TableTree>>, position: Lsn, meta: Vec<u8>) -> Self {
        Self {
            trees,
            position,
            meta,
        }
    }
}

impl Paged {
    pub(crate) fn new(pages: Arc<Base>, state: State<Roots>) -> Self {
        Self { pages, state }
    }

    /// The base of an epoch that has the same records and options at other places, or a tree more that
    /// nobody sees yet: neither its timestamp nor its position in the log is another.
    pub(crate) fn with_trees(
        &self,
        trees: Vec<Option<TableTree>>,
        publish: impl FnOnce() -> std::result::Result<Alive, PageError>,
    ) -> Result<Self> {
        let before = self.roots();
        let saved = Saved::decode(&before.meta).map_err(|error| wrong_base(&error.to_string()))?;
        let is_there = |place: usize| saved.tables.get(place).is_some_and(Option::is_some);
        let mut places = trees.iter().enumerate();
        if places.any(|(place, tree)| tree.is_some() && !is_there(place)) {
            return Err(wrong_base("a tree of a table that it does not have"));
        }
        let root = |table: TableId| {
            let tree = trees.get(table.0 as usize).and_then(Option::as_ref);
            tree.map_or(Root::EMPTY, |tree| tree.root)
        };
        let meta = saved.with_roots(root).encode();
        let alive = publish().map_err(Error::from_page)?;
        let roots = Roots::of(trees, before.position, meta);
        let state = State::new(alive, self.state.timestamp(), Arc::new(roots));
        Ok(Self::new(self.pages.clone(), state))
    }

    pub(crate) fn pages(&self) -> &Arc<Base> {
        &self.pages
    }

    pub(crate) fn state(&self) -> &State<Roots> {
        &self.state
    }

    pub(crate) fn roots(&self) -> &Roots {
        self.state.roots()
    }

    /// Where it stands among the commits.
    pub(crate) fn position(&self) -> Position {
        Position {
            timestamp: self.state.timestamp(),
            lsn: self.roots().position,
        }
    }

    /// The record of a key, unless `above` decides.
    #[inline]
    pub(crate) fn get_below<'p>(
        &'p self,
        table: TableId,
        key: &[u8],
        above: impl FnOnce() -> Option<Option<StoredRecord<'p>>>,
    ) -> Result<Option<StoredRecord<'p>>> {
        let Some(table) = self.roots().get(table) else {
            return Ok(above().flatten());
        };
        match table.tree.get_below(&table.root, key, above) {
            Ok(Sought::Above(decided)) => Ok(decided),
            Ok(Sought::Here(None)) => Ok(None),
            Ok(Sought::Here(Some(found))) => self.record(found).map(Some),
            Err(error) => Err(Error::from_page(error)),
        }
    }

    /// The record of a key as bytes, for who folds.
    pub(crate) fn stored(
        &self,
        table: TableId,
        key: &[u8],
    ) -> std::result::Result<Option<Stored>, BaseError> {
        let found = self.get_below(table, key, || None);
        Ok(found.map_err(BaseError::new)?.map(|record| {
            let vectors = record.vector_list().bytes().to_vec();
            (record.value().to_vec(), vectors)
        }))
    }

    /// Those of many keys, with the places of their keys, in no order.
    pub(crate) fn get_many<'p>(
        &'p self,
        table: TableId,
        keys: &[&[u8]],
        mut take: impl FnMut(usize, StoredRecord<'p>),
    ) -> Result<()> {
        let Some(table) = self.roots().get(table) else {
            return Ok(());
        };
        let mut outcome = Ok(());
        let taken = |place, found| match self.record(found) {
            Ok(record) => take(place, record),
            Err(error) => outcome = Err(error),
        };
        let found = table.tree.get_many(&table.root, keys, taken);
        found.map_err(Error::from_page)?;
        outcome
    }

    /// When the record of a key was committed, if there is one.
    pub(crate) fn get_at(&self, table: TableId, key: &[u8]) -> Result<Option<Timestamp>> {
        let Some(table) = self.roots().get(table) else {
            return Ok(None);
        };
        let found = table.tree.get_at(&table.root, key);
        found.map_err(Error::from_page)
    }

    /// The records of a table between bounds; `None`: it has none.
    pub(crate) fn range(
        &self,
        table: TableId,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
        hint: Hint,
    ) -> Option<Box<TreeRange<'_>>> {
        let table = self.roots().get(table)?;
        table.root.top?;
        let range = table.tree.range(&table.root, lower, upper, hint);
        Some(Box::new(range))
    }

    /// What was found, with what stands in pages of its own.
    #[inline]
    pub(crate) fn record<'p>(&'p self, found: Found<'p>) -> Result<StoredRecord<'p>> {
        let at = found.at();
        match found.into_part() {
            Ok(part) => Ok(StoredRecord::of_page(part, at)),
            Err(large) => self.large(&large, at),
        }
    }

    /// A record that stands in pages of its own.
    #[cold]
    pub(crate) fn large(&self, large: &Large, at: Timestamp) -> Result<StoredRecord<'_>> {
        let read = self.pages.read_large(large).map_err(Error::from_page)?;
        Ok(StoredRecord::of_large(read, at))
    }
}

fn wrong_base(what: &str) -> Error {
    let what = format!("the catalog of the base, in memory: {what}");
    Error::Corrupt(vellum_base::Corruption::new(FILE_NAME, 0, what))
}

impl std::fmt::Debug for Paged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Paged").field(&self.state).finish()
    }
}

impl Error {
    /// What came back through the version store.
    pub(crate) fn from_base(error: &BaseError) -> Self {
        match error.get::<Self>() {
            Some(error) => error.clone(),
            None => Self::Poisoned(error.to_string()),
        }
    }

    pub(crate) fn from_page(error: PageError) -> Self {
        match error {
            PageError::Read { what, source } => Self::Io {
                what: format!("reading {what}"),
                source,
            },
            PageError::Write { what, source } => Self::Io {
                what: format!("writing {what}"),
                source,
            },
            PageError::DiskFull { .. } => Self::DiskFull(error.to_string()),
            PageError::Corrupt(corruption) => Self::Corrupt(corruption),
            PageError::NoFrame { .. } => Self::OutOfMemory(error.to_string()),
            PageError::Poisoned { why } => Self::Poisoned(why),
            PageError::NewerFormat { .. } => Self::NewerFormat(error.to_string()),
            PageError::Foreign => Self::Foreign {
                path: FILE_NAME.to_owned(),
                what: error.to_string(),
            },
            PageError::Refused(what) => {
                let what = format!("records that no commit can have written: {what}");
                Self::Corrupt(vellum_base::Corruption::new(FILE_NAME, 0, what))
            }
            other => Self::Poisoned(other.to_string()),
        }
    }
}
