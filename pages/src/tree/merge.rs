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
//! 5. An error leaves the old state as it was. The pages made till then are handed back.

use std::collections::HashSet;

use super::making::Making;
use super::node::{Below, Child, Cut, InnerRun, Large, LeafMerge, LeafView, Refused, Update};
use super::{LEVELS_MAX, Root, Tree};
use crate::error::PageError;
use crate::page::{PageHeader, PageKind, PageRef};
use crate::pool::{Held, Hint};

/// A page of the new state, below its parent to be.
#[derive(Clone, Debug)]
struct Made {
    /// The left bound of its keys; of the first child of a page what its parent's is.
    separator: Vec<u8>,
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

struct Merge<'a, M> {
    tree: &'a Tree,
    making: &'a M,
    merged: Merged,
    /// Pages made and still part of the new state.
    new: HashSet<PageRef>,
    /// Pages of the old state that are not part of the new one.
    old: Vec<(PageRef, PageHeader)>,
    records: u64,
}

impl Tree {
    /// The state after `updates`, which are in key order, each key once. Records that are too long
    /// for a leaf are large already ([`super::node::must_be_large`]).
    ///
    /// # Errors
    /// If a page cannot be read, is damaged, or cannot be made; if updates are not as said (that is
    /// [`PageError::Refused`]). The old state stays as it was (rule 5).
    pub fn merge<M: Making>(
        &self,
        root: &Root,
        updates: &[Update<'_>],
        making: &M,
    ) -> Result<(Root, Merged), PageError> {
        if updates.is_empty() {
            return Ok((*root, Merged::default()));
        }
        let mut merge = Merge {
            tree: self,
            making,
            merged: Merged::default(),
            new: HashSet::new(),
            old: Vec::new(),
            records: root.records,
        };
        match merge.run(root, updates) {
            Ok(top) => {
                for (at, header) in &merge.old {
                    making.replace(*at, header.epoch);
                }
                let records = merge.records;
                Ok((Root { top, records }, merge.merged))
            }
            Err(error) => {
                let made = std::mem::take(&mut merge.new);
                for at in made {
                    merge.hand_back(at);
                }
                Err(error)
            }
        }
    }
}

impl<M: Making> Merge<'_, M> {
    fn run(
        &mut self,
        root: &Root,
        updates: &[Update<'_>],
    ) -> Result<Option<(PageRef, u8)>, PageError> {
        let (mut pages, mut level) = match root.top {
            None => (self.leaves(&[], updates, true)?, 0),
            Some((at, level)) if level <= LEVELS_MAX => {
                (self.page(at, level, updates, true)?, level)
            }
            Some((at, _)) => return Err(self.tree.damage(at, "more levels than a tree has")),
        };
        while pages.len() > 1 {
            level += 1;
            pages = self.inners(level, &pages)?;
        }
        let Some(mut top) = pages.pop().map(|page| page.at) else {
            return Ok(None);
        };
        // A root with one child is not needed.
        while level > 0 {
            let page = self.tree.fetch(top, level, Hint::Normal)?;
            let inner = self.tree.inner(&page, top, level)?;
            if inner.len() > 1 {
                break;
            }
            let child = inner.child(0);
            let child = child.map_err(|damage| self.tree.damage(top, damage))?;
            self.drop_page(top, &page)?;
            (top, level) = (child, level - 1);
        }
        Ok(Some((top, level)))
    }

    /// The pages that come in the place of one. `last`: nothing of the tree lies behind it.
    fn page(
        &mut self,
        at: PageRef,
        level: u8,
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        let page = self.tree.fetch(at, level, Hint::Normal)?;
        if level == 0 {
            let made = self.leaves(&[(at, &page)], updates, last)?;
            self.drop_page(at, &page)?;
            return Ok(made);
        }
        let children = self.children(at, &page, level, updates, last)?;
        self.drop_page(at, &page)?;
        self.inners(level, &children)
    }

    /// The children that an inner page will have, joined where they became too empty (rule 3).
    fn children(
        &mut self,
        at: PageRef,
        page: &Held<'_>,
        level: u8,
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        let inner = self.tree.inner(page, at, level)?;
        let wrong = |damage| self.tree.damage(at, damage);
        let mut old = Vec::with_capacity(inner.len());
        for index in 0..inner.len() {
            let mut separator = Vec::new();
            if index > 0 {
                inner.separator(index, &mut separator).map_err(wrong)?;
            }
            old.push(Made {
                separator,
                at: inner.child(index).map_err(wrong)?,
                underfull: false,
            });
        }
        let mut children: Vec<Made> = Vec::with_capacity(old.len());
        let mut rest = updates;
        for index in 0..old.len() {
            let bound = old.get(index + 1).map(|next| &next.separator[..]);
            let mine = match bound {
                Some(bound) => rest.partition_point(|update| update.key < bound),
                None => rest.len(),
            };
            let (mine, others) = rest.split_at(mine);
            rest = others;
            let child = &old[index];
            if mine.is_empty() {
                children.push(child.clone());
                continue;
            }
            let is_last = last && bound.is_none();
            let mut made = self.page(child.at, level - 1, mine, is_last)?;
            if let Some(first) = made.first_mut() {
                first.separator.clone_from(&child.separator);
            }
            children.append(&mut made);
        }
        self.join(level - 1, &mut children)?;
        Ok(children)
    }

    /// Rule 3, for pages of a level below one parent.
    fn join(&mut self, level: u8, pages: &mut Vec<Made>) -> Result<(), PageError> {
        let mut index = 0;
        while index < pages.len() && pages.len() > 1 {
            if !pages[index].underfull {
                index += 1;
                continue;
            }
            let first = index.min(pages.len() - 2);
            let pair = first..first + 2;
            let mut joined = self.put_together(level, &pages[pair.clone()])?;
            if let Some(page) = joined.first_mut() {
                page.separator.clone_from(&pages[first].separator);
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

    /// One or two pages out of two neighbours.
    fn put_together(&mut self, level: u8, pair: &[Made]) -> Result<Vec<Made>, PageError> {
        let mut pages = Vec::with_capacity(pair.len());
        for page in pair {
            pages.push((page.at, self.tree.fetch(page.at, level, Hint::Normal)?));
        }
        let made = if level == 0 {
            let pages: Vec<_> = pages.iter().map(|(at, page)| (*at, page)).collect();
            self.leaves(&pages, &[], false)?
        } else {
            let mut children = Vec::new();
            for ((at, page), pair) in pages.iter().zip(pair) {
                let mut below = self.children(*at, page, level, &[], false)?;
                if let Some(first) = below.first_mut() {
                    first.separator.clone_from(&pair.separator);
                }
                children.append(&mut below);
            }
            self.inners(level, &children)?
        };
        for (at, page) in &pages {
            self.drop_page(*at, page)?;
        }
        Ok(made)
    }

    /// The leaves that hold the records of old ones, with updates.
    fn leaves(
        &mut self,
        old: &[(PageRef, &Held<'_>)],
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        let tree = self.tree;
        let mut views: Vec<LeafView<'_>> = Vec::with_capacity(old.len());
        for (at, page) in old {
            views.push(tree.leaf(page, *at)?);
        }
        let before: usize = views.iter().map(LeafView::len).sum();
        let merge = LeafMerge::new(tree.size, &views, updates).map_err(|error| match error {
            super::node::MergeError::Damage { leaf, damage } => match old.get(leaf) {
                Some((at, _)) => tree.damage(*at, damage),
                None => PageError::Refused(damage.to_string()),
            },
            super::node::MergeError::Refused(refused) => refused.into(),
        })?;
        self.records = (self.records + merge.len() as u64).saturating_sub(before as u64);
        self.merged.dropped.extend_from_slice(merge.dropped());
        // Rule 4.
        let grows = last
            && merge.appended() > 0
            && merge.appended() == merge.len() - before.min(merge.len());
        let how = if grows { Cut::Full } else { Cut::Even };
        let mut made = Vec::new();
        for piece in merge.pieces(how) {
            let mut page = tree.pool.create(tree.size)?;
            piece.write(&mut page);
            let at = self.making.place(page, PageKind::Leaf, tree.id)?;
            self.new.insert(at);
            self.merged.pages_made += 1;
            self.merged.leaves_made += 1;
            made.push(Made {
                separator: piece.separator().unwrap_or_default().to_vec(),
                at,
                // What grows will fill.
                underfull: piece.is_underfull() && !grows,
            });
        }
        Ok(made)
    }

    /// The inner pages above pages of the level below.
    fn inners(&mut self, level: u8, below: &[Made]) -> Result<Vec<Made>, PageError> {
        let tree = self.tree;
        let children: Vec<Child<'_>> = below
            .iter()
            .map(|page| Child {
                separator: &page.separator,
                at: page.at,
            })
            .collect();
        if children.is_empty() {
            return Ok(Vec::new());
        }
        let run = InnerRun::new(tree.size, level, &children).map_err(PageError::from)?;
        let mut made = Vec::new();
        for piece in run.pieces(Cut::Even) {
            let mut page = tree.pool.create(tree.size)?.hint(Hint::Hot);
            piece.write(&mut page, Below::default());
            let at = self.making.place(page, PageKind::Inner, tree.id)?;
            self.new.insert(at);
            self.merged.pages_made += 1;
            made.push(Made {
                separator: piece.separator().to_vec(),
                at,
                underfull: piece.is_underfull(),
            });
        }
        Ok(made)
    }

    /// A page is in the new state no more: it was of the old one, or was made on the way.
    fn drop_page(&mut self, at: PageRef, page: &[u8]) -> Result<(), PageError> {
        let Some(header) = PageHeader::read(page) else {
            return Err(self.tree.damage(at, "a page without a header"));
        };
        if self.new.remove(&at) {
            self.making.replace(at, header.epoch);
        } else {
            self.old.push((at, header));
        }
        Ok(())
    }

    fn hand_back(&self, at: PageRef) {
        if let Some(page) = self.tree.pool.hold(at)
            && let Some(header) = PageHeader::read(&page)
        {
            self.making.replace(at, header.epoch);
        }
    }
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.to_string())
    }
}
