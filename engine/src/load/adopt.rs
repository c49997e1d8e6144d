//! The commit of a load: rule 4 of [`super`].
//!
//! What was not durable of the load becomes so before the turn is taken, since merges wait for the turn and
//! committers for merges: the checkpoint in the turn has little left to sync.

use std::sync::Arc;

use vellum_base::{Corruption, TableId, Timestamp};
use vellum_pages::base::Load;
use vellum_pages::tree::{Root, Tree};

use crate::error::{Error, Result};
use crate::paged::{Paged, TableTree};
use crate::schema;
use crate::shared::Handle;

/// A table whose pages are made.
pub(super) struct Loaded {
    pub(super) table: TableId,
    pub(super) tree: Tree,
    pub(super) root: Root,
    /// Whose pages these are.
    pub(super) loads: Vec<Arc<Load>>,
}

/// Steps (a) to (c).
pub(super) fn adopt(handle: &Arc<Handle>, loaded: Loaded) -> Result<Timestamp> {
    let shared = handle.shared();
    shared.merger.write_ahead()?;
    let turn = shared.store.merging();
    let table = loaded.table;
    let base = with_tree(&shared.store.base(), loaded)?;
    // Generations that wait for their merge go on waiting.
    turn.rebase(base, 0);
    shared.merger.write()?;
    let committed = schema::finish_load(handle, table)?;
    committed.ok_or_else(|| {
        let what = "the catalog lost a table that is being loaded";
        Error::Corrupt(Corruption::new(vellum_pages::file::FILE_NAME, 0, what))
    })
}

/// Step (a): the base with one tree more.
fn with_tree(before: &Paged, loaded: Loaded) -> Result<Paged> {
    let place = loaded.table.0 as usize;
    let mut trees = before.roots().trees();
    trees.resize(trees.len().max(place + 1), None);
    trees[place] = Some(TableTree {
        tree: loaded.tree,
        root: loaded.root,
    });
    let work = before.pages().work();
    before.with_trees(trees, || work.publish_with(loaded.loads))
}
