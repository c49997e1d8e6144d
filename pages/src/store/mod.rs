//! The store of pages: the file, its free space, the living epochs, and checkpoints. Any thread may
//! call; readers need the file alone.
//!
//! 1. **Making**: [`Store::allocate`] gives a place for the epoch under construction; whoever makes the
//!    page writes it there whenever it likes, at the latest in the checkpoint that names it.
//! 2. **Replacing**: [`Store::replaced`] notes who replaced it, before that epoch is written by a
//!    checkpoint. [`Store::collect`] frees what no living epoch needs.
//! 3. **The last durable checkpoint is a living epoch**: the store owns one. So its places are not
//!    given again before the next one is durable, and those made and replaced in between are, at
//!    once [9].
//! 4. **A checkpoint** writes pages, free map and the owner's bytes, syncs, and writes the older of the
//!    two superblocks durably, in this order, and has its owner note that durably [9] (the module
//!    `checkpoint`).
//! 5. **After a failed sync, durable write or note** it is not known what the next opening takes: the
//!    store makes no more checkpoints, and gives no place again that either of the two states may name. Nothing
//!    is synced a second time. Reads go on; what was written since the last good sync and is in no
//!    frame may read as damaged.
//! 6. Mutexes: `current` is held through a checkpoint or a sync, `space` for one place or one preparation; a
//!    thread takes `space` after `current`. No reader takes either.
//!
//! [9]: crate#hazards

mod checkpoint;
mod meta;
mod open;
mod verify;

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_sync::{Mutex, OnceLock};

use crate::file::PageFile;
use crate::space::{Space, SpaceStats};
use crate::state::{Alive, Living};
use crate::superblock::Superblock;
use crate::{Epoch, PageError, PageRef};

pub use checkpoint::Position;
pub use open::{Found, Opening, is_pages_file};
pub use verify::{DurableState, SpaceReport};

/// Places freed under one hold of the mutex.
const FREED_AT_ONCE: usize = 512;

/// The store.
pub struct Store {
    file: Arc<PageFile>,
    space: Mutex<Space>,
    living: Living,
    current: Mutex<Current>,
    /// Places that nobody needs and that were not freed yet: held ones, and others where the map was not
    /// readable.
    unfreed: Mutex<Vec<PageRef>>,
    poisoned: OnceLock<String>,
}

/// The last durable checkpoint.
struct Current {
    superblock: Superblock,
    /// Rule 3; two of them after an unknown outcome (rule 5).
    durable: Vec<Alive>,
    /// The latest epoch whose checkpoint was begun.
    tried: Epoch,
}

/// Figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Steps given, steps of the file.
    pub space: SpaceStats,
    /// Epochs that held pages at the last [`Store::collect`].
    pub alive: Vec<Epoch>,
    /// Replaced pages that they hold.
    pub waiting: usize,
}

impl Store {
    /// The file, for reading pages, and for writing them before a checkpoint does.
    #[must_use]
    pub fn file(&self) -> &Arc<PageFile> {
        &self.file
    }

    /// The database's number.
    #[must_use]
    pub fn database(&self) -> [u8; 16] {
        self.current.lock().superblock.database
    }

    /// Begins an epoch: it is published now, with all pages made for it. `None` if it is not later
    /// than all before.
    #[must_use]
    pub fn begin(&self, epoch: Epoch) -> Option<Alive> {
        self.living.begin(epoch)
    }

    /// Gives a place of `steps` (1 to 16) to a page that epoch `made` makes.
    ///
    /// # Errors
    /// [`PageError::DiskFull`], and what growing the file and reading the free map report; nothing
    /// was changed.
    pub fn allocate(&self, steps: u8, made: Epoch) -> Result<PageRef, PageError> {
        self.space.lock().allocate(&self.file, steps, made)
    }

    /// Gives a place of `steps` to a page that no epoch names yet. Checkpoints do not know of it until
    /// it is [adopted](Store::adopt), so a crash before leaves it free.
    ///
    /// # Errors
    /// As [`Store::allocate`].
    pub fn hold(&self, steps: u8) -> Result<PageRef, PageError> {
        self.space.lock().hold(&self.file, steps)
    }

    /// Epoch `by`, of which no checkpoint can be made yet, and later ones name these held places.
    pub fn adopt(&self, places: impl IntoIterator<Item = PageRef>, by: Epoch) {
        let mut space = self.space.lock();
        places.into_iter().for_each(|at| space.named(at, by));
    }

    /// Held places that nobody will name. They are free with the next [`Store::collect`]; whoever held
    /// them has told all who might know them.
    pub fn let_go(&self, places: impl IntoIterator<Item = PageRef>) {
        self.unfreed.lock().extend(places);
    }

    /// Notes that the page that `made` made at `at` is no part of epoch `by`, the one under
    /// construction, and later ones. A page that comes to nothing before it is published is replaced
    /// by its own epoch.
    pub fn replaced(&self, at: PageRef, made: Epoch, by: Epoch) {
        // First the map's note: the place may be freed and given again as soon as the other is there.
        self.space.lock().dropped(at, by);
        self.living.replaced(at, made, by);
    }

    /// Frees the places that nobody needs any more, and returns how many. `dead` hears of each before
    /// it can be given again, so that no frame is taken for the next page there.
    ///
    /// # Errors
    /// What reading the free map reports, and [`PageError::Corrupt`] where a place was given up
    /// twice; the other places were freed.
    pub fn collect(&self, dead: impl FnMut(PageRef)) -> Result<usize, PageError> {
        let mut free = self.living.collect();
        free.iter().copied().for_each(dead);
        free.append(&mut self.unfreed.lock());
        self.free(&free)
    }

    fn free(&self, places: &[PageRef]) -> Result<usize, PageError> {
        let mut first = Ok(0);
        for some in places.chunks(FREED_AT_ONCE) {
            let mut space = self.space.lock();
            for at in some {
                match (space.free(&self.file, *at), &mut first) {
                    (Ok(()), Ok(freed)) => *freed += 1,
                    (Ok(()), Err(_)) => {}
                    (Err(error), _) => {
                        if matches!(error, PageError::Read { .. }) {
                            self.unfreed.lock().push(*at);
                        }
                        first = first.and(Err(error));
                    }
                }
            }
        }
        first
    }

    /// Cuts the file's free tail off, where it is at least `slack` steps; returns by how much.
    ///
    /// # Errors
    /// [`PageError::Write`], and what reading the free map reports.
    pub fn cut(&self, slack: u64) -> Result<u64, PageError> {
        self.space.lock().cut(&self.file, slack)
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            space: self.space.lock().stats(),
            alive: self.living.alive(),
            waiting: self.living.waiting(),
        }
    }

    /// The last durable checkpoint's number, epoch, timestamp and position in the log. Waits for a
    /// checkpoint under way.
    #[must_use]
    pub fn durable(&self) -> (u64, Epoch, Timestamp, Lsn) {
        let current = self.current.lock();
        let last = &current.superblock;
        (last.sequence, last.epoch, last.timestamp, last.lsn)
    }

    /// Why no more checkpoints are made, if so (rule 5).
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
