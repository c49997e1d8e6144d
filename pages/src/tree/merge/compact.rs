//! Making pages of a tree anew where that gives space back.
//!
//! 1. What comes out holds the same records.
//! 2. Leaves that are neighbours below one parent are looked at some at a time. They are put together
//!    where that saves a page; else each of them that lies too far out in the file is made anew by
//!    itself. Places are given from the file's beginning on, so what is made anew moves there.
//! 3. An inner page is made anew where one below it was, or where it lies too far out itself.
//! 4. Large records are moved by the caller, who is asked about each that a leaf leads to, and tells what
//!    that cost.
//! 5. One step looks at so many pages, those of large records included, and tells the key where it ended,
//!    which may be in the middle of a leaf: of large records, no step moves more than one beyond its
//!    measure. Who goes on there, in whatever state the tree is by then, has been everywhere in the end.

use vellum_base::Timestamp;

use super::work::Work;
use super::{Bound, Made, Merged, Outcome};
use crate::error::PageError;
use crate::page::{HEADER, PageRef};
use crate::pool::{Held, Hint};
use crate::tree::making::Making;
use crate::tree::node::{Body, Cut, InnerView, Large, LeafMerge, LeafView, Update};
use crate::tree::{Root, Tree};

/// Leaves that are looked at together, at most; they are in memory at the same time.
const WINDOW: usize = 16;

/// A step of making a tree's pages anew.
#[derive(Clone, Copy, Debug)]
pub struct Compaction<'k> {
    /// The leaf that has this key, or would have it, is the first to be looked at.
    pub from: &'k [u8],
    /// Pages that reach beyond this step of the file are made anew.
    pub beyond: u64,
    /// How many pages are looked at. Some more, at most one less than leaves are looked at together, and a
    /// large record.
    pub pages: u64,
}

/// What a step came to.
#[derive(Clone, Debug)]
pub struct Compacted {
    /// The new state; the old one, if no page was made.
    pub root: Root,
    /// Where the next step goes on; `None`: all leaves from the first one on were looked at.
    pub next: Option<Vec<u8>>,
    /// How many pages were looked at.
    pub pages: u64,
    /// What was made, and the large records that were moved, as they were before.
    pub merged: Merged,
}

/// What became of a large record.
#[derive(Clone, Copy, Debug)]
pub struct MovedLarge {
    /// Where it is now; `None`: it stays.
    pub large: Option<Large>,
    /// Pages that were read and written for it.
    pub pages: u64,
}

/// Moves a large record, if it should be (rule 4).
type MoveLarge<'l> = dyn FnMut(&Large) -> Result<MovedLarge, PageError> + 'l;

impl Tree {
    /// One step of giving space back, from a state of the tree on.
    ///
    /// # Errors
    /// If a page cannot be read, is damaged, or cannot be made, and what `large` reports. The old state
    /// stays as it was.
    pub fn compact<M: Making + ?Sized>(
        &self,
        root: &Root,
        what: &Compaction<'_>,
        making: &M,
        large: &mut MoveLarge<'_>,
    ) -> Result<Compacted, PageError> {
        self.check_levels(root)?;
        let mut step = Step {
            work: Work::new(self, making, None),
            what,
            large,
            pages: 0,
            next: None,
        };
        let top = step.run(root);
        let Step {
            mut work,
            pages,
            next,
            ..
        } = step;
        let outcome: Outcome = std::mem::take(&mut work.outcome);
        let (root, merged) = self.settle(root, making, outcome, top)?;
        Ok(Compacted {
            root,
            next,
            pages,
            merged,
        })
    }
}

/// A large record that was moved.
struct Moved {
    key: Vec<u8>,
    at: Timestamp,
    large: Large,
}

impl Moved {
    fn update(&self) -> Update<'_> {
        Update {
            key: &self.key,
            at: self.at,
            body: Some(Body::Large(self.large)),
        }
    }
}

struct Step<'a, 's, M: ?Sized> {
    work: Work<'a, M>,
    what: &'s Compaction<'s>,
    large: &'s mut MoveLarge<'s>,
    pages: u64,
    next: Option<Vec<u8>>,
}

impl<M: Making + ?Sized> Step<'_, '_, M> {
    fn run(&mut self, root: &Root) -> Result<Option<(PageRef, u8)>, PageError> {
        let Some((at, level)) = root.top else {
            return Ok(None);
        };
        let made = match level {
            0 => self.leaves(&[at], 0)?.0,
            _ => self.inner(at, level)?,
        };
        match made {
            None => Ok(root.top),
            Some(pages) => self.work.top(pages, level),
        }
    }

    fn is_beyond(&self, at: PageRef) -> bool {
        at.end() > self.what.beyond
    }

    fn is_done(&self) -> bool {
        self.pages >= self.what.pages
    }

    /// The pages that come in the place of an inner one; `None`: it stays.
    fn inner(&mut self, at: PageRef, level: u8) -> Result<Option<Vec<Made>>, PageError> {
        let tree = self.work.tree;
        let page = tree.fetch(at, level, Hint::Normal)?;
        let inner = tree.inner(&page, at, level)?;
        let mut next = inner.route(tree.search, self.what.from);
        let windows = (inner.len() - next).div_ceil(WINDOW).max(1);
        let width = match level {
            1 => (inner.len() - next).div_ceil(windows),
            _ => 1,
        };
        let (mut children, mut changed) = (Vec::with_capacity(inner.len()), false);
        self.work.keep(&inner, at, 0..next, &mut children)?;
        // Rule 5.
        while next < inner.len() && self.next.is_none() {
            if self.is_done() {
                let mut key = Vec::new();
                let read = inner.separator(next, &mut key);
                read.map_err(|damage| tree.damage(at, damage))?;
                self.next = Some(key);
                break;
            }
            let some = next..inner.len().min(next + width);
            let (made, count) = self.below(&inner, at, some)?;
            let some = next..next + count;
            next = some.end;
            match made {
                Some(mut made) => {
                    changed = true;
                    children.append(&mut made);
                }
                None => self.work.keep(&inner, at, some, &mut children)?,
            }
        }
        if !changed && !self.is_beyond(at) {
            return Ok(None);
        }
        self.work
            .keep(&inner, at, next..inner.len(), &mut children)?;
        if level > 1 {
            self.work
                .join(level - 1, Some((at, inner)), &mut children)?;
        }
        self.work.drop_page(at, &page)?;
        self.work
            .inners(level, Some((at, inner)), &children)
            .map(Some)
    }

    /// The pages that come in the place of some children of an inner page, from the first on, and how many
    /// these were; `None`: they stay.
    fn below(
        &mut self,
        inner: &InnerView<'_>,
        at: PageRef,
        children: std::ops::Range<usize>,
    ) -> Result<(Option<Vec<Made>>, usize), PageError> {
        let first = children.start;
        let mut places = Vec::with_capacity(children.len());
        for child in children {
            let place = inner.child(child);
            places.push(place.map_err(|damage| self.work.tree.damage(at, damage))?);
        }
        let (mut made, count) = match (inner.level(), &places[..]) {
            (1, places) => self.leaves(places, first)?,
            (level, [child]) => (self.inner(*child, level - 1)?, 1),
            (_, others) => (None, others.len()),
        };
        if let Some(page) = made.as_mut().and_then(|made| made.first_mut()) {
            page.bound = Bound::Old(first);
        }
        Ok((made, count))
    }

    /// Rule 2, for leaves of which the first is child `first` of its parent; as [`Step::below`].
    fn leaves(
        &mut self,
        places: &[PageRef],
        first: usize,
    ) -> Result<(Option<Vec<Made>>, usize), PageError> {
        let tree = self.work.tree;
        let held = tree.pool.fetch_many(places, tree.size, Hint::Scan)?;
        let (mut moved, mut used) = (Vec::with_capacity(places.len()), 0);
        for (at, page) in places.iter().zip(&held) {
            let leaf = tree.leaf(page, *at)?;
            used += leaf.used().saturating_sub(HEADER);
            self.pages += 1;
            moved.push(self.move_large(*at, &leaf)?);
            // Rule 5.
            if self.next.is_some() {
                break;
            }
        }
        let places = &places[..moved.len()];
        let needed = used.div_ceil(tree.size.bytes() - HEADER).max(1);
        let old: Vec<_> = places.iter().copied().zip(&held).collect();
        if needed < places.len() && self.fewest(&old)? < places.len() {
            return Ok((Some(self.anew(&old, &moved)?), places.len()));
        }
        let (mut pages, mut changed) = (Vec::with_capacity(places.len()), false);
        for (number, (old, moved)) in old.chunks(1).zip(moved.chunks(1)).enumerate() {
            let ((at, _), bound) = (old[0], Bound::Old(first + number));
            if !self.is_beyond(at) && moved[0].is_empty() {
                let underfull = false;
                pages.push(Made {
                    bound,
                    at,
                    underfull,
                });
                continue;
            }
            changed = true;
            let mut made = self.anew(old, moved)?;
            if let Some(page) = made.first_mut() {
                page.bound = bound;
            }
            pages.append(&mut made);
        }
        Ok((changed.then_some(pages), places.len()))
    }

    /// How many leaves come out of neighbours, where bytes alone say that there may be fewer.
    fn fewest(&self, old: &[(PageRef, &Held<'_>)]) -> Result<usize, PageError> {
        let tree = self.work.tree;
        let views = old.iter().map(|(at, page)| tree.leaf(page, *at));
        let views: Vec<_> = views.collect::<Result<_, _>>()?;
        let merge = LeafMerge::new(tree.size, tree.search, &views, &[]);
        let place = |leaf: usize| Some(old.get(leaf)?.0);
        let merge = merge.map_err(|error| self.work.wrong(error, place))?;
        Ok(merge.pieces(Cut::Even).len())
    }

    /// Leaves out of neighbours, as few as can be.
    fn anew(
        &mut self,
        old: &[(PageRef, &Held<'_>)],
        moved: &[Vec<Moved>],
    ) -> Result<Vec<Made>, PageError> {
        let updates: Vec<_> = moved.iter().flatten().map(Moved::update).collect();
        let made = self.work.leaves(old, &updates, false)?;
        for (at, page) in old {
            self.work.drop_page(*at, page)?;
        }
        Ok(made)
    }

    /// Rule 4, for a leaf, from the first key of this step on. Ends before the second large record that would
    /// be beyond the step's measure.
    fn move_large(&mut self, at: PageRef, leaf: &LeafView<'_>) -> Result<Vec<Moved>, PageError> {
        let tree = self.work.tree;
        let wrong = |damage| tree.damage(at, damage);
        let (mut moved, mut asked) = (Vec::new(), false);
        for index in leaf.lower_bound(tree.search, self.what.from)..leaf.len() {
            let record = leaf.record(index).map_err(wrong)?;
            let Body::Large(large) = record.body else {
                continue;
            };
            let mut key = Vec::new();
            leaf.key(index, &mut key).map_err(wrong)?;
            // Each step gets on by one at least.
            if asked && self.is_done() {
                self.next = Some(key);
                break;
            }
            asked = true;
            let outcome = (self.large)(&large)?;
            self.pages += outcome.pages;
            if let Some(large) = outcome.large {
                let at = record.at;
                moved.push(Moved { key, at, large });
            }
        }
        Ok(moved)
    }
}
