//! The commit of a load: rule 4 of [`super`].

use std::sync::Arc;

use vellum_base::{Corruption, TableId, Timestamp};
use vellum_pages::base::Load;
use vellum_pages::state::State;
use vellum_pages::tree::{Root, Tree};

use crate::change::Change;
use crate::error::{Error, Result};
use crate::paged::{Paged, Roots, TableTree};
use crate::saved::Saved;
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
    let turn = shared.store.merging();
    let table = loaded.table;
    let base = with_tree(&shared.store.base(), loaded)?;
    // Generations that wait for their merge go on waiting.
    turn.rebase(base, 0);
    shared.merger.write_in(&turn)?;
    let committed = schema::commit_plain(handle, &Change::FinishLoad { table })?;
    committed.ok_or_else(|| lost("its table"))
}

/// Step (a): the base with one tree more.
fn with_tree(before: &Paged, loaded: Loaded) -> Result<Paged> {
    let place = loaded.table.0 as usize;
    let saved = Saved::decode(&before.roots().meta);
    let mut saved = saved.map_err(|error| lost(&error.to_string()))?;
    let entry = saved.tables.get_mut(place).and_then(Option::as_mut);
    let entry = entry.filter(|entry| entry.is_loading);
    entry.ok_or_else(|| lost("its number"))?.root = loaded.root;
    let mut trees = before.roots().trees();
    trees.resize(trees.len().max(place + 1), None);
    trees[place] = Some(TableTree {
        tree: loaded.tree,
        root: loaded.root,
    });
    let work = before.pages().work();
    let alive = work.publish_with(loaded.loads).map_err(Error::from_page)?;
    let roots = Roots::of(trees, before.roots().position, saved.encode());
    let state = State::new(alive, before.state().timestamp(), Arc::new(roots));
    Ok(Paged::new(before.pages().clone(), state))
}

fn lost(what: &str) -> Error {
    let what = format!("a load is not in the catalog that was merged: {what}");
    Error::Corrupt(Corruption::new(vellum_pages::file::FILE_NAME, 0, what))
}
