//! Going through the records between two bounds in the order of their keys, from both ends.
//!
//! # Rules
//! 1. An end stands between two records. [`peek`](TreeRange::peek) shows the one that it would pass
//!    next, and leaves it there; [`next`](TreeRange::next) passes it. What is shown is lent: it
//!    stays until the range is asked again, or longer if it is [taken](TreeRange::take).
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

use std::fmt;
use std::ops::Bound;

use vellum_base::Timestamp;

use super::get::Place;
use super::node::{Damage, InnerView, LeafView, Record, Walk, WalkedKey};
use super::{Found, LEAF_LINES, LEVELS_MAX, Missing, Root, Stop, Tree, node};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::{Guard, Held, Hint, Pins};

/// Leaves that are asked for ahead of an end that goes from one to the next.
const LEAVES_AHEAD: usize = 3;

/// How far ahead a record's cache line is asked for.
const RECORDS_AHEAD: usize = 8;

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
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    front: Side<'t>,
    back: Side<'t>,
    /// Both ends are in one leaf (rule 2).
    met: bool,
    /// Nothing is left.
    done: bool,
}

/// Where an end is.
#[derive(Default)]
struct Side<'t> {
    /// The inner pages above its leaf, from the root.
    way: Vec<Step>,
    /// The way leads to another leaf than that where it still is.
    turned: bool,
    /// Where it is; `None` until it is asked for the first time.
    leaf: Option<Leaf<'t>>,
    /// The next record, if it was looked at, and its key.
    shown: Option<Shown>,
    key: WalkedKey,
}

#[derive(Clone, Copy)]
struct Shown {
    at: Timestamp,
    place: Place,
}

/// An inner page, and the child that the way goes on in.
struct Step {
    at: PageRef,
    level: u8,
    index: usize,
    len: usize,
}

struct Leaf<'t> {
    page: Pins<'t>,
    at: PageRef,
    walk: Walk,
    /// What is left here for this end: records from `from` up to `to`.
    from: usize,
    to: usize,
    /// Nothing that is left lies beyond.
    last: bool,
}

impl Tree {
    /// The records of a state whose keys lie between two bounds. Nothing is read yet.
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
            lower: lower.map(<[u8]>::to_vec),
            upper: upper.map(<[u8]>::to_vec),
            front: Side::default(),
            back: Side::default(),
            met: false,
            done: root.top.is_none(),
        }
    }
}

impl<'t> TreeRange<'t> {
    /// The next record at an end, with its key. It stays there.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline]
    pub fn peek(&mut self, end: End) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        let shown = self.show(end)?;
        let (side, _) = self.sides(end);
        Ok(shown.zip(side.leaf.as_ref()).map(|(shown, leaf)| {
            let (at, body) = (shown.at, shown.place.body(&leaf.page));
            (side.key.bytes(), Record { at, body })
        }))
    }

    /// The next record at an end, with its key. It is passed.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline]
    pub fn next(&mut self, end: End) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        let shown = self.show(end)?;
        self.pass(end);
        let (side, _) = self.sides(end);
        Ok(shown.zip(side.leaf.as_ref()).map(|(shown, leaf)| {
            let (at, body) = (shown.at, shown.place.body(&leaf.page));
            (side.key.bytes(), Record { at, body })
        }))
    }

    /// Passes the record that was peeked at; where none was, nothing happens.
    #[inline]
    pub fn pass(&mut self, end: End) {
        let met = self.met;
        let (side, other) = self.sides(end);
        if side.shown.take().is_some() {
            side.pass(end);
            if met {
                other.pass(end);
            }
        }
    }

    /// The next record at an end with its page, for as long as the caller keeps it. It is not
    /// passed.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[inline]
    pub fn take(&mut self, end: End) -> Result<Option<Found<'t>>, PageError> {
        let shown = self.show(end)?;
        let (side, _) = self.sides(end);
        let found = shown.zip(side.leaf.as_mut());
        Ok(found.map(|(shown, leaf)| Found::new(leaf.page.pin(), shown.at, shown.place)))
    }

    /// Looks at the next record at an end.
    #[inline]
    fn show(&mut self, end: End) -> Result<Option<Shown>, PageError> {
        let (side, _) = self.sides(end);
        if side.shown.is_some() {
            return Ok(side.shown);
        }
        let Some(index) = self.ready(end)? else {
            return Ok(None);
        };
        let tree = self.tree;
        let (side, _) = self.sides(end);
        let Some(leaf) = &side.leaf else {
            return Ok(None);
        };
        let ahead = match end {
            End::Front => index + RECORDS_AHEAD,
            End::Back => index.saturating_sub(RECORDS_AHEAD),
        };
        leaf.walk.prefetch(&leaf.page, ahead);
        let walked = leaf.walk.read(&leaf.page, index);
        let walked = walked.map_err(|damage| tree.damage(leaf.at, damage))?;
        side.key.put(&walked);
        side.shown = Some(Shown {
            at: tree.born.tell(walked.record.at),
            place: Place::of(&leaf.page, &walked.record.body),
        });
        Ok(side.shown)
    }

    /// The end's side, and the other one.
    #[inline]
    fn sides(&mut self, end: End) -> (&mut Side<'t>, &mut Side<'t>) {
        match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        }
    }

    /// Where the next record stands in the leaf where the end is; the end goes to another leaf if
    /// it must. `None`: there is none.
    #[inline]
    fn ready(&mut self, end: End) -> Result<Option<usize>, PageError> {
        let side = match end {
            End::Front => &self.front,
            End::Back => &self.back,
        };
        match side.next(end) {
            Some(index) => Ok(Some(index)),
            None => self.go_on(end),
        }
    }

    /// Goes to the next leaf that has records for this end.
    #[cold]
    fn go_on(&mut self, end: End) -> Result<Option<usize>, PageError> {
        while !self.done {
            let (side, _) = self.sides(end);
            if let Some(index) = side.next(end) {
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

    /// Goes down from the end of the way, or from the root, as far as pages are in memory.
    fn try_descend(&mut self, guard: &Guard<'t>, end: End) -> Result<(), Stop> {
        let tree = self.tree;
        let (side, bound) = match end {
            End::Front => (&mut self.front, &self.lower),
            End::Back => (&mut self.back, &self.upper),
        };
        let begun = side.leaf.is_some();
        let (mut at, mut level) = match (side.way.last(), self.top) {
            (Some(step), _) => {
                let (at, level) = (step.at, step.level);
                let page = guard.peek(at).ok_or(Missing { at, level })?;
                let inner = tree.inner(page, at, level)?;
                let child = go_down(guard, &inner, step.index, end, begun);
                (child.map_err(|damage| tree.damage(at, damage))?, level - 1)
            }
            (None, Some((at, level))) if level <= LEVELS_MAX => (at, level),
            (None, Some((at, _))) => {
                return Err(tree.damage(at, "more levels than a tree has").into());
            }
            (None, None) => return Ok(()),
        };
        side.way.reserve_exact(level.into());
        while level > 0 {
            let page = guard.peek(at).ok_or(Missing { at, level })?;
            let inner = tree.inner(page, at, level)?;
            let len = inner.len();
            let index = match (bound, end) {
                (Bound::Included(key) | Bound::Excluded(key), _) if !begun => {
                    inner.route(tree.search, key)
                }
                (_, End::Front) => 0,
                (_, End::Back) => len - 1,
            };
            let child = go_down(guard, &inner, index, end, begun);
            let child = child.map_err(|damage| tree.damage(at, damage))?;
            side.way.push(Step {
                at,
                level,
                index,
                len,
            });
            (at, level) = (child, level - 1);
        }
        let seen = guard.see(at, self.hint).ok_or(Missing { at, level })?;
        node::prefetch(seen.page(), LEAF_LINES);
        let view = tree.leaf(seen.page(), at)?;
        self.enter(end, at, seen.pin(), &view);
        Ok(())
    }

    /// An end comes to a leaf.
    fn enter(&mut self, end: End, at: PageRef, page: Held<'t>, view: &LeafView<'_>) {
        let search = self.tree.search;
        let find = |key: &[u8]| {
            let guess = view.guess(search, key);
            // The record that is compared comes together with those after it.
            prefetch_records(view, end, guess.first().unwrap_or_default());
            view.settle(guess, key)
        };
        let before = |key: &[u8]| find(key).unwrap_or_else(|index| index);
        let behind = |key: &[u8]| match find(key) {
            Ok(index) => index + 1,
            Err(index) => index,
        };
        let lower = || match &self.lower {
            Bound::Included(key) => before(key),
            Bound::Excluded(key) => behind(key),
            Bound::Unbounded => 0,
        };
        let upper = || match &self.upper {
            Bound::Included(key) => behind(key),
            Bound::Excluded(key) => before(key),
            Bound::Unbounded => view.len(),
        };
        // An end that has gone through other leaves has its own bound behind it.
        let (mut from, mut to, mut last) = match (end, self.begun(end)) {
            (End::Front, begun) => {
                let to = upper();
                (if begun { 0 } else { lower() }, to, to < view.len())
            }
            (End::Back, begun) => {
                let from = lower();
                (from, if begun { view.len() } else { upper() }, from > 0)
            }
        };
        let (side, other) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if let Some(other) = other.leaf.as_mut().filter(|other| other.at == at) {
            // Rule 2.
            (from, to) = (from.max(other.from), to.min(other.to));
            (other.from, other.to) = (from, to);
            (last, other.last, self.met) = (true, true, true);
        }
        side.key.begin(view.prefix());
        prefetch_records(view, end, if end == End::Front { from } else { to });
        (side.shown, side.turned) = (None, false);
        side.leaf = Some(Leaf {
            page: Pins::new(page),
            at,
            walk: view.walk(),
            from,
            to,
            last,
        });
    }

    fn begun(&self, end: End) -> bool {
        match end {
            End::Front => self.front.leaf.is_some(),
            End::Back => self.back.leaf.is_some(),
        }
    }
}

impl Side<'_> {
    /// Where the next record stands in the leaf, if one is left there.
    #[inline]
    fn next(&self, end: End) -> Option<usize> {
        let leaf = self.leaf.as_ref().filter(|leaf| leaf.from < leaf.to)?;
        Some(match end {
            End::Front => leaf.from,
            End::Back => leaf.to - 1,
        })
    }

    /// A record of the leaf is passed at an end, be it this side's or the other's.
    #[inline]
    fn pass(&mut self, end: End) {
        if let Some(leaf) = self.leaf.as_mut().filter(|leaf| leaf.from < leaf.to) {
            match end {
                End::Front => leaf.from += 1,
                End::Back => leaf.to -= 1,
            }
            if leaf.from == leaf.to {
                // The other end passed what this one has looked at.
                self.shown = None;
            }
        }
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

/// Asks for the first records that an end passes from an index on.
#[inline]
fn prefetch_records(view: &LeafView<'_>, end: End, from: usize) {
    let first = match end {
        End::Front => from..from + RECORDS_AHEAD,
        End::Back => from.saturating_sub(RECORDS_AHEAD)..from,
    };
    first.for_each(|index| view.prefetch_record(index));
}

/// The child of an inner page where an end goes on. Has the processor fetch the leaves that come
/// after it, where they are in memory, if the end has begun to go from one to another.
fn go_down(
    guard: &Guard<'_>,
    inner: &InnerView<'_>,
    index: usize,
    end: End,
    begun: bool,
) -> Result<PageRef, Damage> {
    if begun && inner.level() == 1 {
        for ahead in 1..=LEAVES_AHEAD {
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
    inner.child(index)
}

impl fmt::Debug for TreeRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeRange")
            .field("tree", &self.tree.id)
            .finish_non_exhaustive()
    }
}
