//! Changing a tree: many updates at once, from the leaves up.
//!
//! # Rules
//! 1. What comes out is what an ordered map would hold that got the updates.
//! 2. Each leaf that has updates is read once and made anew once, with all of its updates; the pages
//!    above it likewise, once all below are there. A page's place is known when it is made, so
//!    children come before their parents.
//! 3. A page that became so empty that it should be joined is put together with a neighbour below the
//!    same parent, and cut again.
//! 4. Who is cut is cut evenly; only where all that is new lies behind everything old, as keys that
//!    grow with time do, pages are filled.
//! 5. An error leaves the old state as it was. The pages made till then are handed back, whoever of
//!    several workers made them.
//! 6. Several workers share a merge by key range ([`crew`]): what one worker would do below a level is
//!    done by all, child by child; what lies above is done by one. So the pages are the same, at other
//!    places.

mod compact;
mod crew;
mod make;
mod work;

use super::making::Making;
use super::node::{Large, Refused, Update};
use super::{LEVELS_MAX, Root, Tree};
use crate::error::PageError;
use crate::page::{Epoch, PageHeader, PageRef};
use crate::pool::Hint;

pub use compact::{Compacted, Compaction, MovedLarge};
pub use crew::{Alone, Crew};

use work::Work;

/// The left bound of a page's keys.
#[derive(Clone, Debug)]
enum Bound {
    /// That of a child of the old parent, by its number.
    Old(usize),
    Key(Vec<u8>),
}

/// A page of the new state, below its parent to be.
#[derive(Clone, Debug)]
struct Made {
    /// Of the first child of a page it is what its parent's is.
    bound: Bound,
    at: PageRef,
    underfull: bool,
}

/// What a merge made, beside the root.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Large records that are in the new state no more.
    pub dropped: Vec<Large>,
    /// Pages that were made.
    pub pages_made: u64,
    /// Leaves among them.
    pub leaves_made: u64,
}

/// What workers did so far.
#[derive(Debug, Default)]
struct Outcome {
    merged: Merged,
    /// Every page that was made.
    made: Vec<PageRef>,
    /// Pages that are not part of the new state: of the old one, or made on the way.
    gone: Vec<(PageRef, Epoch)>,
    /// Records of the leaves that are gone, and of those that were made.
    before: u64,
    after: u64,
}

impl Outcome {
    fn absorb(&mut self, mut other: Self) {
        self.merged.dropped.append(&mut other.merged.dropped);
        self.merged.pages_made += other.merged.pages_made;
        self.merged.leaves_made += other.merged.leaves_made;
        self.made.append(&mut other.made);
        self.gone.append(&mut other.gone);
        self.before += other.before;
        self.after += other.after;
    }
}

impl Tree {
    /// The state after `updates`, which are in key order, each key once. Records that are too long
    /// for a leaf are large already ([`super::node::must_be_large`]).
    ///
    /// # Errors
    /// If a page cannot be read, is damaged, or cannot be made; if updates are not as said (that is
    /// [`PageError::Refused`]). The old state stays as it was (rule 5).
    pub fn merge<M: Making + ?Sized>(
        &self,
        root: &Root,
        updates: &[Update<'_>],
        making: &M,
    ) -> Result<(Root, Merged), PageError> {
        self.merge_with(root, updates, making, &Alone)
    }

    /// [`Tree::merge`] by several at once. What comes out is the same, but for the pages' places and
    /// the order of [`Merged::dropped`]. A batch that goes to few pages is not shared.
    ///
    /// # Errors
    /// As [`Tree::merge`]: that of one worker, if several had one.
    pub fn merge_with<M: Making + ?Sized>(
        &self,
        root: &Root,
        updates: &[Update<'_>],
        making: &M,
        crew: &dyn Crew,
    ) -> Result<(Root, Merged), PageError> {
        if updates.is_empty() {
            return Ok((*root, Merged::default()));
        }
        let mut outcome = Outcome::default();
        let top = self.merge_into(root, updates, making, crew, &mut outcome);
        self.settle(root, making, outcome, top)
    }

    /// The new state, or rule 5.
    fn settle<M: Making + ?Sized>(
        &self,
        root: &Root,
        making: &M,
        outcome: Outcome,
        top: Result<Option<(PageRef, u8)>, PageError>,
    ) -> Result<(Root, Merged), PageError> {
        match top {
            Ok(top) => {
                for (at, epoch) in &outcome.gone {
                    making.replace(*at, *epoch);
                }
                let records = root.records + outcome.after;
                let records = records.saturating_sub(outcome.before);
                Ok((Root { top, records }, outcome.merged))
            }
            Err(error) => {
                // Rule 5.
                for at in &outcome.made {
                    self.hand_back(*at, making);
                }
                Err(error)
            }
        }
    }

    fn merge_into<M: Making + ?Sized>(
        &self,
        root: &Root,
        updates: &[Update<'_>],
        making: &M,
        crew: &dyn Crew,
        outcome: &mut Outcome,
    ) -> Result<Option<(PageRef, u8)>, PageError> {
        self.check_levels(root)?;
        let ready = self.share(root, updates, making, crew, outcome)?;
        let mut work = Work::new(self, making, ready);
        let top = work.run(root, updates);
        outcome.absorb(work.outcome);
        top
    }

    fn check_levels(&self, root: &Root) -> Result<(), PageError> {
        match root.top {
            Some((at, level)) if level > LEVELS_MAX => {
                Err(self.damage(at, "more levels than a tree has"))
            }
            _ => Ok(()),
        }
    }

    /// Hands a page back that is in no state.
    pub(super) fn hand_back<M: Making + ?Sized>(&self, at: PageRef, making: &M) {
        // What cannot be read now stays where it is until the file is looked through.
        if let Ok(page) = self.fetch(at, 0, Hint::Scan)
            && let Some(header) = PageHeader::read(&page)
        {
            making.replace(at, header.epoch);
        }
    }
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}
