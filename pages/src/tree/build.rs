//! Building a tree from records in key order, of which there may be more than memory holds.
//!
//! # Rules
//! 1. Keys rise strictly; others are refused, and the builder is as it was.
//! 2. Leaves and inner pages are as full as their records allow. No inner page has one child only,
//!    unless no two fit beside each other.
//! 3. A builder holds one page to be of each level. What else it made is found below these.
//! 4. A builder that is dropped before it is finished, or that fails, hands back every page it made;
//!    one that is [left](Builder::leave) leaves that to another.

use std::fmt;

use super::making::Making;
use super::node::{Below, Child, Entry, Fill, InnerBuilder, LeafBuilder, Pushed};
use super::{Root, Tree};
use crate::error::PageError;
use crate::page::{Epoch, PageHeader, PageKind, PageRef};
use crate::pool::{Hint, NewPage};

/// A page and its left bound.
type Bounded = (Vec<u8>, PageRef);

/// A level of inner pages.
struct Level {
    builder: InnerBuilder,
    /// The last child, held back: whether it may stand alone is seen when the next one comes.
    held: Option<Bounded>,
    is_begun: bool,
}

fn full() -> PageError {
    PageError::Refused("a page that has no room for two children".to_owned())
}

/// See the module's rules.
pub struct Builder<M: Making> {
    tree: Tree,
    making: M,
    leaf: LeafBuilder,
    levels: Vec<Level>,
    records: u64,
    failed: bool,
}

impl<M: Making> fmt::Debug for Builder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("records", &self.records)
            .field("levels", &self.levels.len())
            .finish_non_exhaustive()
    }
}

impl<M: Making> Builder<M> {
    /// A builder of a state of `tree`, whose pages `making` takes.
    #[must_use]
    pub fn new(tree: &Tree, making: M) -> Self {
        Self {
            tree: tree.clone(),
            making,
            leaf: LeafBuilder::new(tree.size, Fill::FULL),
            levels: Vec::new(),
            records: 0,
            failed: false,
        }
    }

    /// Adds a record behind all others. It is copied.
    ///
    /// # Errors
    /// [`PageError::Refused`] if its key is not after the one before, or no leaf may hold it (rule 1).
    /// After any other error, of a page that cannot be made, nothing more is taken.
    pub fn push(&mut self, entry: &Entry<'_>) -> Result<(), PageError> {
        self.usable()?;
        if self.leaf.push(entry)? == Pushed::Full {
            self.all_or_nothing(Self::finish_leaf)?;
            // An empty leaf takes whatever is not refused.
            let _ = self.leaf.push(entry)?;
        }
        self.records += 1;
        Ok(())
    }

    /// The state that holds all records pushed.
    ///
    /// # Errors
    /// If a page cannot be made; then all are handed back.
    pub fn finish(mut self) -> Result<Root, PageError> {
        self.usable()?;
        let top = self.all_or_nothing(Self::finish_levels)?;
        // They belong to the state now.
        self.levels.clear();
        let records = self.records;
        Ok(Root { top, records })
    }

    /// Comes to nothing, without handing back what it made: for whoever gives all of it up otherwise.
    pub fn leave(mut self) {
        self.levels.clear();
    }

    fn usable(&self) -> Result<(), PageError> {
        if self.failed {
            return Err(PageError::Refused("a builder that failed".to_owned()));
        }
        Ok(())
    }

    fn all_or_nothing<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, PageError>,
    ) -> Result<T, PageError> {
        let done = step(self);
        self.failed = done.is_err();
        done
    }

    fn place(&self, page: NewPage, kind: PageKind) -> Result<PageRef, PageError> {
        self.making.place(page, kind, self.tree.id)
    }

    fn finish_leaf(&mut self) -> Result<(), PageError> {
        let mut page = self.tree.pool.create(self.tree.size)?;
        let finished = self.leaf.finish(&mut page);
        let at = self.place(page, PageKind::Leaf)?;
        self.push_child(0, (finished.separator, at))
    }

    /// Adds a page to the level above its own, which is `above + 1`.
    fn push_child(&mut self, above: usize, child: Bounded) -> Result<(), PageError> {
        if above == self.levels.len() {
            let level = (above + 1) as u8;
            self.levels.push(Level {
                builder: InnerBuilder::new(self.tree.size, level, Fill::FULL),
                held: None,
                is_begun: false,
            });
        }
        match self.levels[above].held.replace(child) {
            Some(before) => self.put(above, before, false),
            None => Ok(()),
        }
    }

    /// Puts a child that was held back into the page of its level; the `last` one not alone.
    fn put(&mut self, above: usize, child: Bounded, last: bool) -> Result<(), PageError> {
        if self.try_put(above, &child)? {
            return Ok(());
        }
        let before = match last {
            true => self.levels[above].builder.pop(),
            false => None,
        };
        let mut finished = self.finish_inner(above);
        for child in before.iter().chain([&child]) {
            // An empty page takes two children; one that could not be made takes none.
            match self.try_put(above, child) {
                Ok(true) => {}
                Ok(false) => {
                    self.give_back(child.1, above as u8, None);
                    finished = finished.and(Err(full()));
                }
                Err(error) => finished = finished.and(Err(error)),
            }
        }
        finished
    }

    fn try_put(&mut self, above: usize, child: &Bounded) -> Result<bool, PageError> {
        let level = &mut self.levels[above];
        let (separator, at) = (&child.0[..], child.1);
        match level.builder.push(Child { separator, at }) {
            Ok(pushed) => Ok(pushed == Pushed::Taken),
            Err(refused) => {
                // It is to be found when all is handed back.
                self.give_back(at, above as u8, None);
                Err(refused.into())
            }
        }
    }

    /// Makes the page of a level.
    fn finish_inner(&mut self, above: usize) -> Result<(), PageError> {
        let level = &mut self.levels[above];
        level.is_begun = true;
        let children: Vec<_> = level.builder.places().collect();
        let made = self.tree.pool.create(self.tree.size).and_then(|page| {
            let mut page = page.hint(Hint::Hot);
            let finished = level.builder.finish(&mut page, Below::default());
            let at = self.making.place(page, PageKind::Inner, self.tree.id)?;
            Ok((finished.separator, at))
        });
        match made {
            Ok(page) => self.push_child(above + 1, page),
            Err(error) => {
                // Those that are still in the builder are found there.
                if self.levels[above].builder.is_empty() {
                    for at in children {
                        self.give_back(at, above as u8, None);
                    }
                }
                Err(error)
            }
        }
    }

    fn finish_levels(&mut self) -> Result<Option<(PageRef, u8)>, PageError> {
        if !self.leaf.is_empty() {
            self.finish_leaf()?;
        }
        let mut above = 0;
        while let Some(level) = self.levels.get_mut(above) {
            let is_lone = !level.is_begun && level.builder.is_empty();
            let Some(held) = level.held.take() else {
                break;
            };
            if is_lone {
                return Ok(Some((held.1, above as u8)));
            }
            self.put(above, held, true)?;
            self.finish_inner(above)?;
            above += 1;
        }
        Ok(None)
    }

    /// Hands back a page of a level and all below it. `epoch` is the one that made it, if known:
    /// leaves need not be read then.
    fn give_back(&self, at: PageRef, level: u8, epoch: Option<Epoch>) {
        if let (0, Some(epoch)) = (level, epoch) {
            return self.making.replace(at, epoch);
        }
        // What cannot be read now stays where it is until the file is looked through.
        let Ok(page) = self.tree.fetch(at, level, Hint::Scan) else {
            return;
        };
        let epoch = PageHeader::read(&page).map(|header| header.epoch);
        if let (1.., Ok(inner)) = (level, self.tree.inner(&page, at, level)) {
            let children = (0..inner.len()).filter_map(|child| inner.child(child).ok());
            children.for_each(|child| self.give_back(child, level - 1, epoch));
        }
        if let Some(epoch) = epoch {
            self.making.replace(at, epoch);
        }
    }
}

impl<M: Making> Drop for Builder<M> {
    fn drop(&mut self) {
        for (level, children) in (0..).zip(&self.levels) {
            let held = children.held.iter().map(|(_, at)| *at);
            for at in children.builder.places().chain(held) {
                self.give_back(at, level, None);
            }
        }
    }
}
