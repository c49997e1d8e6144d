//! The unit of work that makes the next epoch. Its maker calls; pages may be placed by several threads
//! at once.
//!
//! 1. There is one at a time: who asks for a second waits until the first was published or dropped.
//!    Its epoch follows the newest.
//! 2. **All or nothing** [13]: a page of an older epoch that this one replaces is only remembered,
//!    until [`Work::publish`]. Publishing begins the epoch, and then notes with the store what it
//!    replaced, and what it takes over of loads: until its [`Alive`] is handed out, nobody can make a
//!    checkpoint of it, and until the turn is given up, of none that follows.
//! 3. A page that the unit itself made, and that is replaced or comes to nothing, is given up at once:
//!    it leaves list and pool, and its place is free at the next collection.
//! 4. Dropped unpublished, a unit gives up all that it made; nothing that it replaced is noted.
//! 5. What is said to be of this epoch and was not made by the unit is nobody's to give: it is left
//!    alone.
//!
//! [13]: crate#hazards

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use vellum_sync::Mutex;

use super::unit::{self, Unit};
use super::{Base, invalid};
use crate::page::{PageKind, PageRef, TreeId};
use crate::pool::NewPage;
use crate::state::Alive;
use crate::tree::node::Large;
use crate::tree::{Compacted, Compaction, Making, Root, Tree};
use crate::{Epoch, PageError};

/// Whose turn it is to make an epoch.
pub(super) struct Turn {
    taken: bool,
    newest: Epoch,
}

impl Turn {
    pub(super) fn after(newest: Epoch) -> Self {
        let taken = false;
        Self { taken, newest }
    }

    pub(super) fn newest(&self) -> Epoch {
        self.newest
    }
}

/// See the module's rules.
pub struct Work<'b> {
    pub(super) base: &'b Base,
    epoch: Epoch,
    noted: Mutex<Noted>,
    is_published: bool,
}

#[derive(Default)]
struct Noted {
    /// Pages of this unit that are still part of the epoch.
    made: BTreeSet<PageRef>,
    /// Pages of older epochs that are not, with who made them.
    replaced: BTreeMap<PageRef, Epoch>,
}

impl Base {
    /// Begins the unit of work that makes the next epoch; waits for the one before.
    #[must_use = "dropped, it comes to nothing"]
    pub fn work(&self) -> Work<'_> {
        let mut turn = self.turn.lock();
        while turn.taken {
            self.turned.wait(&mut turn);
        }
        turn.taken = true;
        Work {
            base: self,
            epoch: turn.newest.next(),
            noted: Mutex::default(),
            is_published: false,
        }
    }
}

impl Work<'_> {
    /// The epoch under construction.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Steps of the file that the pages take which it made and that are still part of the epoch.
    #[must_use]
    pub fn made_steps(&self) -> u64 {
        let noted = self.noted.lock();
        noted.made.iter().map(|at| u64::from(at.steps())).sum()
    }

    /// Publishes the epoch with all pages made for it, and keeps it alive.
    ///
    /// # Errors
    /// If somebody else has begun an epoch at the store; nothing has changed then.
    pub fn publish(mut self) -> Result<Alive, PageError> {
        self.publish_in_turn()
    }

    /// [`Work::publish`], with the turn kept.
    pub(super) fn publish_in_turn(&mut self) -> Result<Alive, PageError> {
        let begun = self.base.store.begin(self.epoch);
        let alive = begun.ok_or_else(|| invalid("an epoch that was begun by somebody else"))?;
        // Rule 2.
        self.is_published = true;
        let noted = mem::take(&mut *self.noted.lock());
        for (at, made) in noted.replaced {
            self.base.store.replaced(at, made, self.epoch);
        }
        self.base.tallies.published.add(1);
        Ok(alive)
    }

    /// Every page and every large value of a state of a tree is no part of this epoch. Places that only damaged
    /// pages name stay taken.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`]; nothing is replaced then.
    pub fn drop_tree(&self, tree: &Tree, root: &Root) -> Result<(), PageError> {
        let mut gone = Vec::new();
        self.base
            .walk(tree, root, &mut |at, made| gone.push((at, made)))?;
        self.replace_all(gone);
        Ok(())
    }

    /// [`Tree::compact`] in this epoch; large records are moved likewise.
    ///
    /// # Errors
    /// As [`Tree::compact`]; the unit had better be dropped then.
    pub fn compact(
        &self,
        tree: &Tree,
        root: &Root,
        what: &Compaction<'_>,
    ) -> Result<Compacted, PageError> {
        let mut large = |large: &Large| self.move_large(tree.id(), large, what.beyond);
        let compacted = tree.compact(root, what, self, &mut large)?;
        for large in &compacted.merged.dropped {
            self.drop_large(tree.id(), large)?;
        }
        Ok(compacted)
    }

    /// Rule 3.
    fn give_up(&self, at: PageRef) {
        self.base.unwritten.remove(at);
        self.base.pool.forget(at);
        self.base.store.replaced(at, self.epoch, self.epoch);
    }
}

impl Unit for Work<'_> {
    fn base(&self) -> &Base {
        self.base
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn allocate(&self, steps: u8) -> Result<PageRef, PageError> {
        let at = self.base.store.allocate(steps, self.epoch)?;
        self.noted.lock().made.insert(at);
        Ok(at)
    }
}

impl Making for Work<'_> {
    fn place(&self, page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        unit::place(self, page, kind, tree)
    }

    fn replace(&self, at: PageRef, made: Epoch) {
        let mut noted = self.noted.lock();
        if noted.made.remove(&at) {
            drop(noted);
            self.give_up(at);
        } else if made < self.epoch {
            noted.replaced.insert(at, made);
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            // Rule 4.
            let noted = mem::take(&mut *self.noted.lock());
            for at in noted.made {
                self.give_up(at);
            }
        }
        let mut turn = self.base.turn.lock();
        turn.taken = false;
        if self.is_published {
            turn.newest = self.epoch;
        }
        drop(turn);
        self.base.turned.notify_one();
    }
}

impl std::fmt::Debug for Work<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
