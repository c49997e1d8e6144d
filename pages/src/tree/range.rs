//! Going through the records between two bounds in the order of their keys, from both ends.
//!
//! # Rules
//! 1. An end stands between two records. [`peek`](TreeRange::peek) shows the one that it would pass
//!    next by its key, and leaves it there; [`next`](TreeRange::next) passes it. What is shown is
//!    lent: it stays until the range is asked again, or longer if it is [taken](TreeRange::take).
//! 2. Each record within the bounds is passed once, by one of the ends. They meet in a leaf: when
//!    one comes to the leaf where the other is, what is left there is all that is left, and both
//!    count it down together.
//! 3. An end that nobody asks costs nothing. One that is asked goes down once; where the bound of
//!    the other end lies is looked for in the leaves that it comes to, each time only there.
//! 4. An end holds the leaf where it is, and no guard: a range may be kept for long, and moved between
//!    threads. Of the pages above it keeps the places, which lead to the same pages for as long as
//!    the root's epoch is kept alive, as the caller does.
//! 5. An error changes nothing: who asks again tries again.
//! 6. The prefix of a leaf's keys is written once into the key that is shown, and the rest for each.

mod leaf;

use std::fmt;
use std::ops::Bound;

use smallvec::SmallVec;

use super::get::Spot;
use super::node::{InnerView, LeafView, Record, WalkedKey};
use super::{Found, LEAF_LINES, LEVELS_MAX, Missing, Root, Stop, Tree};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::{Guard, Held, Hint, Pins, Seen};
use leaf::{Cut, Leaf, Left, RECORDS_AHEAD, prefetch_records};

/// Leaves that are asked for ahead of an end that goes from one to the next.
const LEAVES_AHEAD: u8 = 3;

/// An end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where the least key is.
    Front,
    /// Where the greatest key is.
    Back,
}

/// Records between two bounds. See the module's rules.
pub struct TreeRange<'t> {
    tree: &'t Tree,
    top: Option<(PageRef, u8)>,
    hint: Hint,
    lower: Bound<Key>,
    upper: Bound<Key>,
    front: Side<'t>,
    /// Made when it is asked for: most ranges are read from the front alone.
    back: Option<Box<Side<'t>>>,
    /// Both ends are in one leaf (rule 2).
    met: bool,
    /// Nothing is left.
    done: bool,
}

/// The key of a bound; most need no memory of their own.
type Key = SmallVec<[u8; 32]>;

/// Where an end is.
#[derive(Default)]
struct Side<'t> {
    /// The inner pages above its leaf, from the root.
    way: SmallVec<[Step; 4]>,
    /// How many times it went from one leaf to the next, up to [`LEAVES_AHEAD`].
    turns: u8,
    /// The way leads to another leaf than that where it still is.
    turned: bool,
    /// Where it is; `None` until it is asked for the first time.
    leaf: Option<Leaf<'t>>,
    left: Left,
    /// The next record was looked at: `key` is its key.
    shown: bool,
    key: WalkedKey,
}

/// An inner page, and the child that the way goes on in.
struct Step {
    at: PageRef,
    level: u8,
    index: u16,
    len: u16,
}

/// The leaf that a way leads to, with its parent and its place there.
struct Way<'g, 't> {
    leaf: PageRef,
    parent: Option<Parent<'g, 't>>,
}

/// An inner page whose children are leaves, and the child that a way goes on in.
struct Parent<'g, 't> {
    seen: Seen<'g, 't>,
    index: usize,
}

impl Tree {
    /// The records of a state whose keys lie between two bounds. Nothing is read yet.
    #[inline]
    #[must_use]
    pub fn range(
        &self,
        root: &Root,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        hint: Hint,
    ) -> TreeRange<'_> {
        TreeRange {
            tree: self,
            top: root.top,
            hint,
            lower: lower.map(Key::from_slice),
            upper: upper.map(Key::from_slice),
            front: Side::default(),
            back: None,
            met: false,
            done: root.top.is_none(),
        }
    }
}

impl<'t> TreeRange<'t> {
    /// The key of the next record at an end. The record stays there.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline(always)]
    pub fn peek(&mut self, end: End) -> Result<Option<&[u8]>, PageError> {
        if !self.sides(end).0.shown {
            let Some(index) = self.ready(end)? else {
                return Ok(None);
            };
            let tree = self.tree;
            let (side, _) = self.sides(end);
            if let Some(leaf) = &side.leaf {
                leaf.read(tree, end, index, &mut side.key)?;
                side.shown = true;
            }
        }
        Ok(Some(self.sides(end).0.key.bytes()))
    }

    /// The next record at an end, with its key. It is passed.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline(always)]
    pub fn next(&mut self, end: End) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        let Some(index) = self.ready(end)? else {
            return Ok(None);
        };
        let (tree, met) = (self.tree, self.met);
        let (side, other) = self.sides(end);
        let Some(leaf) = &side.leaf else {
            return Ok(None);
        };
        let record = leaf.read(tree, end, index, &mut side.key)?;
        side.left.pass(end);
        side.shown = false;
        if met && let Some(other) = other {
            other.follow(end);
        }
        Ok(Some((side.key.bytes(), record)))
    }

    /// Passes the record that was peeked at; where none was, nothing happens.
    #[inline]
    pub fn pass(&mut self, end: End) {
        let met = self.met;
        let (side, other) = self.sides(end);
        if side.shown {
            side.left.pass(end);
            side.shown = false;
            if met && let Some(other) = other {
                other.follow(end);
            }
        }
    }

    /// The next record at an end with its key, and with its page for as long as the caller keeps
    /// that. It is passed.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline]
    pub fn take(&mut self, end: End) -> Result<Option<(&[u8], Found<'t>)>, PageError> {
        let Some(index) = self.ready(end)? else {
            return Ok(None);
        };
        let (tree, met) = (self.tree, self.met);
        let (side, other) = self.sides(end);
        let Some(leaf) = &mut side.leaf else {
            return Ok(None);
        };
        let record = leaf.read(tree, end, index, &mut side.key)?;
        let (at, spot) = (record.at, Spot::of(&leaf.page, &record.body));
        let found = Found::new(at, spot, |span| leaf.page.pin_part(span));
        side.left.pass(end);
        side.shown = false;
        if met && let Some(other) = other {
            other.follow(end);
        }
        Ok(Some((side.key.bytes(), found)))
    }

    /// The end's side, and the other one if it was ever asked.
    #[inline(always)]
    fn sides(&mut self, end: End) -> (&mut Side<'t>, Option<&mut Side<'t>>) {
        match end {
            End::Front => (&mut self.front, self.back.as_deref_mut()),
            End::Back => (self.back.get_or_insert_default(), Some(&mut self.front)),
        }
    }

    /// Where the next record stands in the leaf where the end is; the end goes to another leaf if
    /// it must. `None`: there is none.
    #[inline(always)]
    fn ready(&mut self, end: End) -> Result<Option<usize>, PageError> {
        match self.sides(end).0.left.next(end) {
            Some(index) => Ok(Some(index)),
            None => self.go_on(end),
        }
    }

    /// Goes to the next leaf that has records for this end.
    #[cold]
    fn go_on(&mut self, end: End) -> Result<Option<usize>, PageError> {
        while !self.done {
            let (side, _) = self.sides(end);
            if let Some(index) = side.left.next(end) {
                return Ok(Some(index));
            }
            let is_last = side.leaf.as_ref().is_some_and(|leaf| leaf.last);
            if is_last || !side.turn(end) {
                self.done = true;
            } else {
                self.descend(end)?;
            }
        }
        Ok(None)
    }

    /// Goes down to a leaf as often as pages are missing (rule 4 of `tree`).
    fn descend(&mut self, end: End) -> Result<(), PageError> {
        let tree = self.tree;
        let mut fetched = Vec::new();
        loop {
            let missing = match self.try_descend(&tree.pool.guard(), end) {
                Ok(()) => return Ok(()),
                Err(Stop::Missing(missing)) => missing,
                Err(Stop::Error(error)) => return Err(error),
            };
            fetched.push(tree.fetch(missing.at, missing.level, self.hint)?);
        }
    }

    /// Has the processor fetch the beginning of the leaf where an end begins, so that the caller can
    /// do something else meanwhile. No effect but on speed.
    pub fn seek(&mut self, end: End) {
        let guard = self.tree.pool.guard();
        if !self.begun(end)
            && let Ok(Some(way)) = self.go_down(&guard, end)
        {
            guard.prefetch(way.leaf);
        }
    }

    /// Goes down from the end of the way, or from the root, as far as pages are in memory.
    fn try_descend(&mut self, guard: &Guard<'t>, end: End) -> Result<(), Stop> {
        let tree = self.tree;
        let Some(Way { leaf: at, parent }) = self.go_down(guard, end)? else {
            return Ok(());
        };
        let seen = match &parent {
            Some(parent) => guard.see_child(parent.seen, parent.index, at, self.hint, LEAF_LINES),
            None => guard.see(at, self.hint),
        };
        let seen = seen.ok_or(Missing { at, level: 0 })?;
        let view = tree.leaf(seen.page(), at)?;
        self.enter(end, at, seen.pin(), &view);
        if let Some(parent) = parent
            && let ahead @ 1.. = self.leaves_ahead(end)
            && let Some(inner) = tree.quick_inner(parent.seen.page(), 1)
        {
            prefetch_leaves(guard, &inner, parent.index, end, ahead);
        }
        Ok(())
    }

    /// The part of [`TreeRange::try_descend`] that leads to a leaf; `None`: the tree has none.
    fn go_down<'g>(&mut self, guard: &'g Guard<'t>, end: End) -> Result<Option<Way<'g, 't>>, Stop> {
        let (tree, top) = (self.tree, self.top);
        let bound = match end {
            End::Front => self.lower.as_ref().map(Key::as_slice),
            End::Back => self.upper.as_ref().map(Key::as_slice),
        };
        let side = match end {
            End::Front => &mut self.front,
            End::Back => self.back.get_or_insert_default(),
        };
        let begun = side.leaf.is_some();
        let mut parent = None;
        let (mut at, mut level) = match (side.way.last(), top) {
            (Some(step), _) => {
                let (at, level, index) = (step.at, step.level, step.index.into());
                let seen = guard.see(at, Hint::Normal).ok_or(Missing { at, level })?;
                let inner = tree.inner(seen.page(), at, level)?;
                parent = Some(Parent { seen, index });
                let child = inner.child(index);
                (child.map_err(|damage| tree.damage(at, damage))?, level - 1)
            }
            (None, Some((at, level))) if level <= LEVELS_MAX => (at, level),
            (None, Some((at, _))) => {
                return Err(tree.damage(at, "more levels than a tree has").into());
            }
            (None, None) => return Ok(None),
        };
        while level > 0 {
            let seen = guard.see(at, Hint::Normal).ok_or(Missing { at, level })?;
            let inner = tree.inner(seen.page(), at, level)?;
            let index = match (bound, end) {
                (Bound::Included(key) | Bound::Excluded(key), _) if !begun => {
                    inner.route(tree.search, key)
                }
                (_, End::Front) => 0,
                (_, End::Back) => inner.len() - 1,
            };
            let child = inner.child(index);
            let child = child.map_err(|damage| tree.damage(at, damage))?;
            // A page has fewer children than bytes.
            side.way.push(Step {
                at,
                level,
                index: index as u16,
                len: inner.len() as u16,
            });
            parent = Some(Parent { seen, index });
            (at, level) = (child, level - 1);
        }
        Ok(Some(Way { leaf: at, parent }))
    }

    /// How many leaves are to be asked for after the one that an end has just come to: the more, the
    /// further the end has gone.
    fn leaves_ahead(&mut self, end: End) -> usize {
        let (side, _) = self.sides(end);
        let is_last = side.leaf.as_ref().is_some_and(|leaf| leaf.last);
        match side.turns {
            _ if is_last => 0,
            // A few records may be all that is wanted.
            0 => usize::from(side.left.to.saturating_sub(side.left.from) < RECORDS_AHEAD),
            turns => turns.into(),
        }
    }

    /// An end comes to a leaf.
    fn enter(&mut self, end: End, at: PageRef, page: Held<'t>, view: &LeafView<'_>) {
        let begun = self.begun(end);
        let (own, other) = match end {
            End::Front => (&self.lower, &self.upper),
            End::Back => (&self.upper, &self.lower),
        };
        // An end that has gone through other leaves has its own bound behind it.
        let own = match begun {
            true => None,
            false => Cut::guess(own, view, self.tree.search, end),
        };
        let all = match end {
            End::Front => 0,
            End::Back => view.len(),
        };
        // The record that is compared comes together with those after it.
        prefetch_records(view, end, own.as_ref().map_or(all, |own| own.guess.from));
        let other = Cut::guess(other, view, self.tree.search, end.opposite());
        let near = own.map_or(all, |own| own.settle(view));
        let far = other.map_or(view.len() - all, |other| other.settle(view));
        let (mut left, mut last) = match end {
            End::Front => (Left::new(near, far), far < view.len()),
            End::Back => (Left::new(far, near), far > 0),
        };
        let (side, other) = self.sides(end);
        let mut met = false;
        if let Some(other) = other
            && let Some(leaf) = other.leaf.as_mut().filter(|leaf| leaf.at == at)
        {
            // Rule 2.
            left = Left::new(left.from.max(other.left.from), left.to.min(other.left.to));
            other.left = left;
            (last, leaf.last, met) = (true, true, true);
        }
        side.key.begin(view.prefix());
        side.turns = (side.turns + u8::from(begun)).min(LEAVES_AHEAD);
        (side.shown, side.turned) = (false, false);
        side.left = left;
        side.leaf = Some(Leaf {
            page: Pins::new(page),
            at,
            walk: view.walk(),
            last,
        });
        self.met |= met;
    }

    fn begun(&self, end: End) -> bool {
        match end {
            End::Front => self.front.leaf.is_some(),
            End::Back => self.back.as_ref().is_some_and(|back| back.leaf.is_some()),
        }
    }
}

impl End {
    fn opposite(self) -> Self {
        match self {
            Self::Front => Self::Back,
            Self::Back => Self::Front,
        }
    }
}

impl Side<'_> {
    /// The other end has passed a record of the leaf where both are.
    fn follow(&mut self, end: End) {
        self.left.pass(end);
        // It may be what this end has looked at.
        self.shown &= self.left.from < self.left.to;
    }

    /// Has the way lead to the neighbouring leaf, or to the first one. `false`, and nothing is
    /// changed, if there is none.
    fn turn(&mut self, end: End) -> bool {
        if self.leaf.is_none() || self.turned {
            return true;
        }
        let next = |step: &Step| match end {
            End::Front => Some(step.index + 1).filter(|next| *next < step.len),
            End::Back => step.index.checked_sub(1),
        };
        let found = self.way.iter().rposition(|step| next(step).is_some());
        let Some(depth) = found else {
            return false;
        };
        self.way.truncate(depth + 1);
        if let Some(step) = self.way.last_mut()
            && let Some(next) = next(step)
        {
            (step.index, self.turned) = (next, true);
        }
        true
    }
}

/// Has the processor fetch so many leaves that come after one, where they are in memory. The leaves
/// are children of `inner`, and the one is at `index`.
fn prefetch_leaves(guard: &Guard<'_>, inner: &InnerView<'_>, index: usize, end: End, ahead: usize) {
    for ahead in 1..=ahead {
        let next = match end {
            End::Front => Some(index + ahead),
            End::Back => index.checked_sub(ahead),
        };
        let Some(Ok(at)) = next.map(|next| inner.child(next)) else {
            break;
        };
        guard.prefetch(at);
    }
}

impl fmt::Debug for TreeRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeRange")
            .field("tree", &self.tree.id)
            .finish_non_exhaustive()
    }
}
