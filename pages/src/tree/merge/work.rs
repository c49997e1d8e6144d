//! What one worker does: from a page and its updates to the pages in its place.
//!
//! 1. An inner page's children are found by searching for updates, not by going through all of its
//!    separators; how many updates go to a child is found from the first of them on.
//! 2. Keys of updates lie anywhere in memory, and leaves too: the processor is asked for them some
//!    updates, and a leaf, ahead.
//! 3. Children without updates, and the bounds of all, are referred to by their numbers in the old
//!    page; keys are copied only where pages are cut or joined.

use std::collections::VecDeque;

use super::{Bound, Made, Outcome};
use crate::error::PageError;
use crate::page::{PageHeader, PageRef};
use crate::pool::{Held, Hint};
use crate::tree::making::Making;
use crate::tree::node::{self, InnerView, Update};
use crate::tree::{Root, Tree};

/// How many updates ahead their keys are asked for.
const KEYS_AHEAD: usize = 48;

/// Cache lines of a leaf that are asked for ahead; those that follow come by themselves, as they are
/// read in order.
const LINES_AHEAD: usize = 16;

/// What was made of a level's pages that have updates, in key order.
pub(super) struct Ready {
    pub(super) level: u8,
    pub(super) made: VecDeque<Vec<Made>>,
}

/// A child of an inner page, and the updates that go there.
pub(super) struct Share<'u> {
    pub(super) child: usize,
    pub(super) updates: &'u [Update<'u>],
}

pub(super) struct Work<'a, M: ?Sized> {
    pub(super) tree: &'a Tree,
    pub(super) making: &'a M,
    pub(super) outcome: Outcome,
    ready: Option<Ready>,
}

impl Tree {
    /// Rule 1.
    pub(super) fn shares<'u>(
        &self,
        inner: &InnerView<'_>,
        at: PageRef,
        updates: &'u [Update<'u>],
    ) -> Result<Vec<Share<'u>>, PageError> {
        let wrong = |damage| self.damage(at, damage);
        let mut shares: Vec<Share<'u>> = Vec::with_capacity(inner.len().min(updates.len()));
        let (mut rest, mut bound) = (updates, Vec::new());
        let mut ahead = updates.iter();
        while let Some(first) = rest.first() {
            while ahead.len() + KEYS_AHEAD > rest.len()
                && let Some(update) = ahead.next()
            {
                node::prefetch(update.key, 1);
            }
            let child = inner.route(self.search, first.key);
            if let Some(before) = shares.last().filter(|before| before.child >= child) {
                if before
                    .updates
                    .last()
                    .is_some_and(|last| last.key >= first.key)
                {
                    return Err(PageError::Refused("updates out of order".to_owned()));
                }
                return Err(self.damage(at, "separators out of order"));
            }
            let mut count = rest.len();
            if child + 1 < inner.len() {
                inner.separator(child + 1, &mut bound).map_err(wrong)?;
                count = count_below(rest, &bound);
            }
            let (updates, others) = rest.split_at(count);
            shares.push(Share { child, updates });
            rest = others;
        }
        Ok(shares)
    }
}

/// How many of sorted updates, of which the first one does, have keys below a bound.
fn count_below(updates: &[Update<'_>], bound: &[u8]) -> usize {
    let mut to = 1;
    while updates.get(to).is_some_and(|update| update.key < bound) {
        to *= 2;
    }
    let from = to / 2;
    let among = &updates[from..to.min(updates.len())];
    from + among.partition_point(|update| update.key < bound)
}

impl<'a, M: Making + ?Sized> Work<'a, M> {
    pub(super) fn new(tree: &'a Tree, making: &'a M, ready: Option<Ready>) -> Self {
        Self {
            tree,
            making,
            outcome: Outcome::default(),
            ready,
        }
    }

    /// The top of the new state.
    pub(super) fn run(
        &mut self,
        root: &Root,
        updates: &[Update<'_>],
    ) -> Result<Option<(PageRef, u8)>, PageError> {
        let (pages, level) = match root.top {
            None => (self.leaves(&[], updates, true)?, 0),
            Some((at, level)) => (self.page(at, level, updates, true)?, level),
        };
        self.top(pages, level)
    }

    /// The top above the pages of a level that come in the old top's place.
    pub(super) fn top(
        &mut self,
        mut pages: Vec<Made>,
        mut level: u8,
    ) -> Result<Option<(PageRef, u8)>, PageError> {
        while pages.len() > 1 {
            level += 1;
            pages = self.inners(level, None, &pages)?;
        }
        match pages.pop() {
            None => Ok(None),
            Some(top) => self.without_lone_children(top, level).map(Some),
        }
    }

    /// A root with one child is not needed.
    fn without_lone_children(
        &mut self,
        top: Made,
        mut level: u8,
    ) -> Result<(PageRef, u8), PageError> {
        let mut at = top.at;
        while level > 0 {
            let page = self.tree.fetch(at, level, Hint::Normal)?;
            let inner = self.tree.inner(&page, at, level)?;
            if inner.len() > 1 {
                break;
            }
            let child = inner.child(0);
            let child = child.map_err(|damage| self.tree.damage(at, damage))?;
            self.drop_page(at, &page)?;
            (at, level) = (child, level - 1);
        }
        Ok((at, level))
    }

    /// The pages that come in the place of one. `last`: nothing of the tree lies behind it.
    pub(super) fn page(
        &mut self,
        at: PageRef,
        level: u8,
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        if let Some(ready) = self.ready.as_mut().filter(|ready| ready.level == level)
            && let Some(made) = ready.made.pop_front()
        {
            return Ok(made);
        }
        let page = self.tree.fetch(at, level, Hint::Normal)?;
        if level == 0 {
            let made = self.leaves(&[(at, &page)], updates, last)?;
            self.drop_page(at, &page)?;
            return Ok(made);
        }
        let inner = self.tree.inner(&page, at, level)?;
        let children = self.children(&inner, at, level, updates, last)?;
        self.drop_page(at, &page)?;
        self.inners(level, Some((at, inner)), &children)
    }

    /// The children that an inner page will have, joined where they became too empty (rule 3 of the
    /// module).
    fn children(
        &mut self,
        inner: &InnerView<'_>,
        at: PageRef,
        level: u8,
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        let mut children = Vec::with_capacity(inner.len() + 1);
        let mut next = 0;
        let shares = self.tree.shares(inner, at, updates)?;
        for (number, share) in shares.iter().enumerate() {
            if let (1, Some(next)) = (level, shares.get(number + 1)) {
                self.ask_ahead(inner, next.child);
            }
            self.keep(inner, at, next..share.child, &mut children)?;
            next = share.child + 1;
            let child = inner.child(share.child);
            let child = child.map_err(|damage| self.tree.damage(at, damage))?;
            let is_last = last && next == inner.len();
            let mut made = self.page(child, level - 1, share.updates, is_last)?;
            if let Some(first) = made.first_mut() {
                first.bound = Bound::Old(share.child);
            }
            children.append(&mut made);
        }
        self.keep(inner, at, next..inner.len(), &mut children)?;
        self.join(level - 1, Some((at, *inner)), &mut children)?;
        Ok(children)
    }

    /// Asks for a leaf that is needed next.
    fn ask_ahead(&self, inner: &InnerView<'_>, child: usize) {
        let guard = self.tree.pool.guard();
        if let Some(page) = inner.child(child).ok().and_then(|at| guard.glance(at)) {
            node::prefetch(page, LINES_AHEAD);
        }
    }

    /// Takes over children as they are.
    pub(super) fn keep(
        &self,
        inner: &InnerView<'_>,
        at: PageRef,
        children: std::ops::Range<usize>,
        into: &mut Vec<Made>,
    ) -> Result<(), PageError> {
        for number in children {
            let child = inner.child(number);
            into.push(Made {
                bound: Bound::Old(number),
                at: child.map_err(|damage| self.tree.damage(at, damage))?,
                underfull: false,
            });
        }
        Ok(())
    }

    /// Rule 3 of the module, for pages of a level below one parent.
    pub(super) fn join(
        &mut self,
        level: u8,
        parent: Option<(PageRef, InnerView<'_>)>,
        pages: &mut Vec<Made>,
    ) -> Result<(), PageError> {
        let mut index = 0;
        while index < pages.len() && pages.len() > 1 {
            if !pages[index].underfull {
                index += 1;
                continue;
            }
            let first = index.min(pages.len() - 2);
            let pair = first..first + 2;
            let middle = self.bound(parent, &pages[first + 1].bound)?;
            let mut joined = self.put_together(level, &pages[pair.clone()], middle)?;
            if let Some(page) = joined.first_mut() {
                page.bound = pages[first].bound.clone();
            }
            // What cannot be mended now is left; two that were cut again are not joined again.
            let again = joined.len() == 1;
            if !again {
                joined.iter_mut().for_each(|page| page.underfull = false);
            }
            pages.splice(pair, joined);
            index = if again { first } else { first + 2 };
        }
        Ok(())
    }

    /// A bound as a key.
    fn bound(
        &self,
        parent: Option<(PageRef, InnerView<'_>)>,
        bound: &Bound,
    ) -> Result<Vec<u8>, PageError> {
        let mut key = Vec::new();
        match (bound, parent) {
            (Bound::Key(bound), _) => key.clone_from(bound),
            (Bound::Old(child), Some((at, inner))) => {
                let read = inner.separator(*child, &mut key);
                read.map_err(|damage| self.tree.damage(at, damage))?;
            }
            (Bound::Old(_), None) => {}
        }
        Ok(key)
    }

    /// One or two pages out of two neighbours, between which `middle` lies.
    fn put_together(
        &mut self,
        level: u8,
        pair: &[Made],
        middle: Vec<u8>,
    ) -> Result<Vec<Made>, PageError> {
        let mut pages = Vec::with_capacity(pair.len());
        for page in pair {
            pages.push((page.at, self.tree.fetch(page.at, level, Hint::Normal)?));
        }
        let made = if level == 0 {
            let pages: Vec<_> = pages.iter().map(|(at, page)| (*at, page)).collect();
            self.leaves(&pages, &[], false)?
        } else {
            let mut children = Vec::new();
            for (at, page) in &pages {
                self.grandchildren(*at, page, level, &middle, &mut children)?;
            }
            self.inners(level, None, &children)?
        };
        for (at, page) in &pages {
            self.drop_page(*at, page)?;
        }
        Ok(made)
    }

    /// Appends the children of an inner page, with their bounds as keys; `left` is its own.
    fn grandchildren(
        &self,
        at: PageRef,
        page: &Held<'_>,
        level: u8,
        left: &[u8],
        into: &mut Vec<Made>,
    ) -> Result<(), PageError> {
        let inner = self.tree.inner(page, at, level)?;
        let from = into.len();
        self.keep(&inner, at, 0..inner.len(), into)?;
        for (number, child) in into[from..].iter_mut().enumerate() {
            child.bound = Bound::Key(match number {
                0 => left.to_vec(),
                _ => self.bound(Some((at, inner)), &child.bound)?,
            });
        }
        Ok(())
    }

    /// A page is in the new state no more: it was of the old one, or was made on the way.
    pub(super) fn drop_page(&mut self, at: PageRef, page: &[u8]) -> Result<(), PageError> {
        let Some(header) = PageHeader::read(page) else {
            return Err(self.tree.damage(at, "a page without a header"));
        };
        self.outcome.gone.push((at, header.epoch));
        Ok(())
    }
}
