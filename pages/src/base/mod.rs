//! The façade: one object that owns the file of pages, the pool over it and what is not yet in the
//! file, and through which an engine makes epochs, checkpoints and large values. Any thread may call.
//!
//! 1. **One unit of work** makes the next epoch at a time ([`Base::work`], the module `work`). It
//!    publishes all or nothing [13].
//! 2. **Unwritten pages** are those that the pool has and the file has not: each is noted when it is
//!    published in the pool, and leaves the list when it is in the file, or when it died; a page
//!    that died unwritten is never written (the module `unwritten`).
//! 3. **Dirty bytes stay below half the pool**: who places a page writes others out first, where there
//!    are too many. So a merge larger than memory gets on, and frames can be had.
//! 4. **A checkpoint** writes the unwritten pages of its epoch and of earlier ones, a batch at a time,
//!    before the store syncs and writes the superblock. Pages of an epoch that is published do not
//!    come to be later, so one pass in order of place finds them all. Readers are in nobody's way,
//!    and merges wait for a batch at most.
//! 5. **A place is free** when no living epoch needs it. Before it can be given again, its page leaves
//!    the list of the unwritten and the pool, and no write to it is under way [15]: collecting and
//!    writing a batch exclude each other.
//!    What a [`Load`] makes is needed by its maker until an epoch has it.
//! 6. After a failed sync nothing more is written; see rule 5 of [`crate::store`].
//! 7. Mutexes: a unit's or a load's notes, the writer's, the list of the unwritten, the store's; taken in this
//!    order. No reader takes any.
//!
//! [13]: crate#hazards
//! [15]: crate#hazards

mod arrays;
mod large;
mod lists;
mod load;
mod stats;
mod unit;
mod unwritten;
mod verify;
mod walk;
mod work;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use vellum_disk::Disk;
use vellum_sync::{Condvar, Mutex, RwLock};

use crate::file::{PageFile, PageRead, write_error};
use crate::page::{PageRef, PageSize, TreeId};
use crate::pool::{PageReader, Pool};
use crate::state::Alive;
use crate::store::{Found, Opening, Position, Store};
use crate::tree::Tree;
use crate::tree::node::Search;
use crate::{Epoch, PageError};

pub use large::LargeValue;
pub use lists::LARGE_BYTES_MAX;
pub use load::Load;
pub use stats::BaseStats;
pub use verify::{ArrayReport, Lost, TreeReport, VerifyReport};
pub use work::Work;

use stats::Tallies;
use unwritten::Unwritten;
use work::Turn;
use workers::Workers;

/// How large the pages of trees are.
pub const TREE_PAGE: PageSize = PageSize::K8;

/// How to open.
#[derive(Clone, Copy, Debug)]
pub struct BaseOptions {
    /// The file.
    pub opening: Opening,
    /// The pool's budget.
    pub pool_bytes: usize,
}

/// See the module's rules.
pub struct Base {
    store: Store,
    pool: Pool,
    search: Search,
    unwritten: Unwritten,
    turn: Mutex<Turn>,
    turned: Condvar,
    compressed: RwLock<BTreeSet<TreeId>>,
    workers: Workers,
    tallies: Tallies,
}

/// Where the pool reads.
struct FromFile(Arc<PageFile>);

impl PageReader for FromFile {
    fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        self.0.read(at, size, into)
    }

    fn read_many(&self, size: PageSize, pages: &mut [PageRead<'_>]) {
        self.0.read_many(size, pages);
    }
}

impl Base {
    /// Opens the file of pages, or makes it.
    ///
    /// # Errors
    /// As [`Store::open`]; [`PageError::NoFrame`] if the system refuses the pool's address space.
    pub fn open(disk: &dyn Disk, options: BaseOptions) -> Result<(Self, Found), PageError> {
        let (store, found) = Store::open(disk, options.opening)?;
        let reader = Arc::new(FromFile(Arc::clone(store.file())));
        let bytes = options.pool_bytes;
        let pool = Pool::new(bytes, reader).map_err(|_| PageError::NoFrame { bytes })?;
        let base = Self {
            store,
            pool,
            search: Search::detect(),
            unwritten: Unwritten::default(),
            turn: Mutex::new(Turn::after(found.alive.epoch())),
            turned: Condvar::new(),
            compressed: RwLock::default(),
            workers: Workers::new(),
            tallies: Tallies::default(),
        };
        Ok((base, found))
    }

    /// The pages in memory.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The file, its space and its checkpoints. Epochs are begun, and places given and given back,
    /// through [`Base::work`] alone.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A tree of pages of [`TREE_PAGE`].
    #[must_use]
    pub fn tree(&self, id: TreeId) -> Tree {
        Tree::new(self.pool.clone(), id, TREE_PAGE, self.search)
    }

    /// Whether pages of a tree that are made from now on are compressed, where that saves a step.
    /// Those that are there are read either way.
    pub fn set_compressed(&self, tree: TreeId, compressed: bool) {
        if self.is_compressed(tree) == compressed {
            return;
        }
        let mut trees = self.compressed.write();
        if compressed {
            trees.insert(tree);
        } else {
            trees.remove(&tree);
        }
    }

    fn is_compressed(&self, tree: TreeId) -> bool {
        self.compressed.read().contains(&tree)
    }

    /// Makes a checkpoint of the epoch of `of`, and returns its number. `meta` is handed back when it
    /// is opened; `note` is [`Store::checkpoint`]'s, and must not come back to the store's checkpoints.
    ///
    /// # Errors
    /// As [`Store::checkpoint`].
    pub fn checkpoint(
        &self,
        of: &Alive,
        position: Position,
        meta: &[u8],
        note: &mut dyn FnMut(u64) -> Result<(), String>,
    ) -> Result<u64, PageError> {
        // Rule 4.
        self.write_epochs(of.epoch())?;
        let none = std::iter::empty::<(PageRef, &[u8])>();
        let sequence = self.store.checkpoint(none, of, position, meta, note)?;
        self.tallies.checkpoints.add(1);
        Ok(sequence)
    }

    /// Writes what is unwritten now and makes it durable: what a checkpoint soon after has to write and sync
    /// is what came later.
    ///
    /// # Errors
    /// [`PageError::Write`], [`PageError::DiskFull`], [`PageError::Poisoned`]: see [`Store::sync`] for the
    /// sync; what was not written stays in memory.
    pub fn write_ahead(&self) -> Result<(), PageError> {
        self.write_epochs(LAST)?;
        self.store.sync()
    }

    /// Frees what no living epoch needs any more, and returns how many places that were.
    ///
    /// # Errors
    /// As [`Store::collect`].
    pub fn collect(&self) -> Result<usize, PageError> {
        // Rule 5.
        let _no_writer = self.unwritten.writer().lock();
        self.store.collect(|at| {
            self.unwritten.remove(at);
            self.pool.forget(at);
        })
    }

    /// Rule 6.
    fn refuse_poisoned(&self) -> Result<(), PageError> {
        match self.store.poisoned() {
            None => Ok(()),
            Some(why) => Err(PageError::Poisoned { why: why.into() }),
        }
    }
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// What is asked for cannot be done as things are.
fn invalid(what: &str) -> PageError {
    write_error(&std::io::ErrorKind::InvalidInput.into(), || what.to_owned())
}

/// An epoch that is later than all.
const LAST: Epoch = Epoch(u64::MAX);
