//! Merging what was committed into pages, and checkpoints of them.
//!
//! Rules:
//!
//! 1. A merge takes all sealed generations that may be merged, each key's newest version once, and
//!    makes one epoch of the base of them; only whole epochs are ever seen [13].
//! 2. Trees of tables that were dropped at the epoch's end are given up with it. One that was loaded
//!    and is in no catalog of its time yet is not dropped ([`crate::load`]).
//! 3. An epoch carries what a checkpoint of it keeps: the catalog at its end, the roots, and where the
//!    log goes on.
//! 4. A checkpoint comes after the log is durable to its end, and before its number is in the log, as
//!    durably; only then are places of the one before given again, and the log is cut [9]. Checkpoints take
//!    turns, and each is of the base that there is when its turn has come, so never of an older epoch than
//!    the last. Merges go on meanwhile. Who has the turn of merges may wait for that of checkpoints, and
//!    nobody the other way round.
//! 5. After an error everything is as it was; what was not merged stays in memory, and nothing more is
//!    sealed by request before it is merged.
//! 6. Threads of the database do both ([`crate::background`]). Without them, who asks for a checkpoint
//!    does all of it.
//! 7. Several threads share the merging of a batch, by key range, where it is large enough
//!    ([`Work::merge`]). What comes out does not depend on how many they are.
//! 8. A checkpoint has room in the log for its note before it is begun: without that it would stand, unknown to
//!    the log, and no other could be made.
//! 9. What is damaged does not tell its places, and is given up all the same: they stay taken, and no page names
//!    them (`verify` counts them). So who removes what is damaged gets rid of it. A failed read is an error
//!    as any other: it may succeed the next time.

use std::sync::Arc;

use vellum_base::{Lsn, TableId, Timestamp};
use vellum_pages::PageError;
use vellum_pages::base::{TREE_PAGE, Work};
use vellum_pages::state::State;
use vellum_pages::tree::node::{Body, Update, must_be_large};
use vellum_pages::tree::{Root, Tree};
use vellum_txn::{CommitLog, Durability, PreparedChange, SchemaError, Sealed, Store, Version};

use crate::background::Turn;
use crate::catalog::Catalog;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::paged::{Paged, Roots, TableTree, tree_of};

/// Updates that are merged into a tree at once; committers hear of progress as often.
const MERGED_AT_ONCE: usize = 8 << 10;

/// What merging needs of a database.
#[derive(Clone)]
pub(crate) struct Merger {
    pub(crate) store: Arc<Store<Catalog>>,
    pub(crate) log: Arc<Log>,
    /// So much is merged between two checkpoints.
    pub(crate) checkpoint_bytes: u64,
    /// What a generation takes until it is sealed.
    pub(crate) generation_bytes: u64,
    /// The turn of checkpoints (rule 4).
    pub(crate) checkpoints: Turn,
}

impl Merger {
    /// Merges what may be merged; returns how many bytes of memory that was.
    pub(crate) fn merge(&self) -> Result<u64> {
        let merging = self.store.merging();
        let sealed = merging.sealed();
        let Some(newest) = sealed.last() else {
            return Ok(0);
        };
        self.store.backlog().begin(self.store.active_bytes());
        sealed.iter().for_each(|one| one.generation().freeze());
        let before = self.store.base();
        let work = before.pages().work();
        let keys = sealed.iter().map(|one| one.generation().keys()).sum();
        let mut progress = |done| self.store.backlog().progress(done, keys);
        let trees = merge_tables(&before, &sealed, &work, &mut progress)?;
        let root = |table: TableId| {
            let tree = trees.get(table.0 as usize).and_then(Option::as_ref);
            tree.map_or(Root::EMPTY, |tree| tree.root)
        };
        let meta = newest.schema().save(root).encode();
        let alive = work.publish().map_err(Error::from_page)?;
        let roots = Roots::of(trees, Lsn(newest.position()), meta);
        let state = State::new(alive, newest.last(), Arc::new(roots));
        let base = Paged::new(before.pages().clone(), state);
        let number = newest.generation().number();
        merging.rebase(base, number);
        drop(merging);
        before.pages().collect().map_err(Error::from_page)?;
        let bytes = sealed
            .iter()
            .map(|one| one.generation().bytes_used() as u64);
        Ok(bytes.sum())
    }

    /// Writes pages that are not in the file yet and makes them durable, in nobody's turn.
    pub(crate) fn write_ahead(&self) -> Result<()> {
        if self.log.wal().is_none() {
            return Ok(());
        }
        let written = self.store.base().pages().write_ahead();
        written.map_err(Error::from_page)
    }

    /// Makes a checkpoint of the present base, unless it is that of the last one (rule 4). Returns when that was
    /// noted.
    pub(crate) fn write(&self) -> Result<Option<Timestamp>> {
        let _turn = self.checkpoints.lock();
        let base = self.store.base();
        let pages = base.pages();
        let (last, durable, _, _) = pages.store().durable();
        if durable == base.state().epoch() || self.log.wal().is_none() {
            return Ok(None);
        }
        self.log.sync().map_err(Error::from_log)?;
        // Rule 8.
        let change = Change::Checkpoint { sequence: last + 1 };
        let prepared = self.store.prepare_change(&change.encode());
        let mut prepared = Some(prepared.map_err(Error::from_log)?);
        let position = base.position();
        let mut noted = None;
        let mut note = |sequence| {
            let prepared = prepared.take().filter(|_| sequence == last + 1);
            let prepared = prepared.ok_or("a checkpoint was made out of turn")?;
            let at = self.note(&change, prepared);
            noted = Some(at.map_err(|error| error.to_string())?);
            Ok(())
        };
        pages
            .checkpoint(
                base.state().alive(),
                position,
                &base.roots().meta,
                &mut note,
            )
            .map_err(Error::from_page)?;
        self.log
            .truncate_before(position.lsn)
            .map_err(Error::from_log)?;
        pages.collect().map_err(Error::from_page)?;
        Ok(noted)
    }

    /// Tells the log, durably, that a checkpoint stands.
    fn note(&self, change: &Change, prepared: PreparedChange<'_>) -> Result<Timestamp> {
        let settled = self.store.settled();
        let noted = self
            .store
            .commit_change(prepared, Durability::Sync, |reader, at| {
                let schema = reader.schema();
                schema.apply(change.clone(), at, settled, |_, _| Ok(()))
            });
        match noted {
            Ok(at) => Ok(at),
            Err(SchemaError::Commit(vellum_txn::CommitError::Log(error))) => {
                Err(Error::from_log(error))
            }
            Err(_) => Err(Error::Poisoned(
                "a checkpoint could not be noted".to_owned(),
            )),
        }
    }

    /// Merges all that was committed so far, and makes a checkpoint of it.
    pub(crate) fn checkpoint(&self) -> Result<Option<Timestamp>> {
        self.merge_all()?;
        self.write()
    }

    /// Merges all that was committed so far.
    pub(crate) fn merge_all(&self) -> Result<()> {
        // Rule 5.
        self.settle_sealed()?;
        self.merge()?;
        self.store
            .seal_active()
            .map_err(|error| Error::OutOfMemory(error.to_string()))?;
        self.settle_sealed()?;
        self.merge()?;
        Ok(())
    }

    /// Waits until all that is sealed may be merged.
    pub(crate) fn settle_sealed(&self) -> Result<()> {
        let Some(newest) = self.store.newest_sealed() else {
            return Ok(());
        };
        self.log.request_flush();
        let settled = self.log.wait_settled(newest.last());
        settled.map_err(Error::from_log)
    }
}

/// Rules 1 and 2.
fn merge_tables(
    before: &Paged,
    sealed: &[Sealed<Catalog>],
    work: &Work<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Option<TableTree>>> {
    let mut done = 0;
    let mut progress = |more: usize| {
        done += more as u64;
        progress(done);
    };
    let mut trees = before.roots().trees();
    let Some(newest) = sealed.last() else {
        return Ok(trees);
    };
    let schema = newest.schema();
    let is_live = |table| vellum_txn::Schema::is_open(&**schema, table);
    // Of all, since pages of tables without updates are made anew as well, by a vacuum.
    for table in (0..schema.next_table().0).map(TableId) {
        if is_live(table) {
            let options = schema.options(table);
            let pages = before.pages();
            pages.set_compressed(tree_of(table), options.compressed);
        }
    }
    for table in vellum_txn::tables_of(sealed) {
        if !is_live(table) {
            continue;
        }
        let place = table.0 as usize;
        if trees.len() <= place {
            trees.resize(place + 1, None);
        }
        let tree = trees[place].take().unwrap_or_else(|| TableTree {
            tree: before.pages().tree(tree_of(table)),
            root: Root::EMPTY,
        });
        let root = merge_table(&tree, sealed, table, work, &mut progress)?;
        trees[place] = Some(TableTree { root, ..tree });
    }
    for (place, tree) in trees.iter_mut().enumerate() {
        if schema.is_dropped(TableId(place as u32))
            && let Some(gone) = tree.take()
        {
            let dropped = work.drop_tree(&gone.tree, &gone.root);
            dropped.map_err(Error::from_page)?;
        }
    }
    Ok(trees)
}

fn merge_table(
    table: &TableTree,
    sealed: &[Sealed<Catalog>],
    id: TableId,
    work: &Work<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<Root> {
    let mut root = table.root;
    let mut updates = Vec::with_capacity(MERGED_AT_ONCE.min(4096));
    for (key, version) in vellum_txn::newest_of(sealed, id) {
        updates.push(update(&table.tree, key, version, work)?);
        if updates.len() == MERGED_AT_ONCE {
            root = merge_some(&table.tree, &root, &updates, work)?;
            progress(updates.len());
            updates.clear();
        }
    }
    merge_some(&table.tree, &root, &updates, work)
}

fn merge_some(tree: &Tree, root: &Root, updates: &[Update<'_>], work: &Work<'_>) -> Result<Root> {
    let merged = work.merge(tree, root, updates);
    let (root, merged) = merged.map_err(Error::from_page)?;
    for large in &merged.dropped {
        match work.drop_large(tree.id(), large) {
            // Rule 9.
            Err(PageError::Corrupt(_)) => {}
            dropped => dropped.map_err(Error::from_page)?,
        }
    }
    Ok(root)
}

fn update<'v>(
    tree: &Tree,
    key: &'v [u8],
    version: Option<Version<'v>>,
    work: &Work<'_>,
) -> Result<Update<'v>> {
    let Some(version) = version else {
        return Ok(Update {
            key,
            at: Timestamp::ZERO,
            body: None,
        });
    };
    let (value, vectors) = (version.value(), version.vectors().bytes());
    let body = match must_be_large(TREE_PAGE, key.len(), value.len(), vectors.len()) {
        false => Body::Inline { value, vectors },
        true => {
            let large = work.write_large(tree.id(), value, vectors);
            Body::Large(large.map_err(Error::from_page)?)
        }
    };
    Ok(Update {
        key,
        at: version.at(),
        body: Some(body),
    })
}
