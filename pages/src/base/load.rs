//! Pages that are made beside epochs, of trees that belong to none yet. One maker calls; others' units of
//! work, checkpoints and collections go on meanwhile.
//!
//! 1. The pages' places are held, and noted under no epoch: no checkpoint names them, so a crash leaves
//!    them free. They become part of an epoch all at once, by the unit of work that
//!    [publishes](Work::publish_with) it, and within its turn; of that epoch, later ones and their checkpoints
//!    they are pages like others.
//! 2. They name the newest epoch that there was when the load began as their maker. That is older
//!    than the one that adopts them: once replaced, they may be kept for snapshots of epochs between that
//!    never saw them, and never too short. A checkpoint writes what it finds of them unwritten.
//! 3. A page that comes to nothing is given up at once: it leaves list and pool, and its place is free at
//!    the next collection. So are all pages of a load that is dropped.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use vellum_sync::Mutex;

use super::unit::{self, Unit};
use super::{Base, Work};
use crate::page::{PageKind, PageRef, TreeId};
use crate::pool::NewPage;
use crate::state::Alive;
use crate::tree::Making;
use crate::{Epoch, PageError};

/// Places that are noted under one hold of the store's mutex.
const ADOPTED_AT_ONCE: usize = 512;

/// See the module's rules.
pub struct Load {
    base: Arc<Base>,
    epoch: Epoch,
    made: Mutex<BTreeSet<PageRef>>,
}

impl Base {
    /// Begins a load.
    #[must_use = "dropped, it comes to nothing"]
    pub fn load(self: &Arc<Self>) -> Load {
        Load {
            epoch: self.turn.lock().newest(),
            base: Arc::clone(self),
            made: Mutex::default(),
        }
    }
}

impl Load {
    /// Its pages.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.made.lock().len()
    }

    /// Rule 1.
    fn adopt(&self, by: Epoch) {
        let mut made = mem::take(&mut *self.made.lock());
        while !made.is_empty() {
            let some = std::iter::from_fn(|| made.pop_first());
            self.base.store.adopt(some.take(ADOPTED_AT_ONCE), by);
        }
    }

    /// Rule 3.
    fn give_up(&self, at: PageRef) {
        self.base.unwritten.remove(at);
        self.base.pool.forget(at);
    }
}

impl Work<'_> {
    /// [`Work::publish`], with all pages of loads as part of the epoch: before the next one may begin, whose
    /// checkpoint has to know of them.
    ///
    /// # Errors
    /// As there; the loads come to nothing then.
    pub fn publish_with(mut self, loads: Vec<Arc<Load>>) -> Result<Alive, PageError> {
        let alive = self.publish_in_turn()?;
        loads.iter().for_each(|load| load.adopt(self.epoch()));
        Ok(alive)
    }
}

impl Unit for Load {
    fn base(&self) -> &Base {
        &self.base
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn allocate(&self, steps: u8) -> Result<PageRef, PageError> {
        let at = self.base.store.hold(steps)?;
        self.made.lock().insert(at);
        Ok(at)
    }
}

impl Making for Load {
    fn place(&self, page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        unit::place(self, page, kind, tree)
    }

    fn replace(&self, at: PageRef, _: Epoch) {
        if self.made.lock().remove(&at) {
            self.give_up(at);
            self.base.store.let_go([at]);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let made = mem::take(&mut *self.made.lock());
        if made.is_empty() {
            return;
        }
        made.iter().for_each(|at| self.give_up(*at));
        self.base.store.let_go(made);
        // What cannot be freed now is tried again with the next merge.
        let _ = self.base.collect();
    }
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
