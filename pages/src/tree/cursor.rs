//! Going through a tree in the order of its keys.
//!
//! 1. A cursor holds the pages on the way to its place, and no guard: it may be kept for long, and
//!    moved between threads. The epoch of its root is kept alive by the caller.
//! 2. It stands between two records, or at an end: `next` gives the one behind and passes it,
//!    `previous` the one before.

use super::node::{LeafView, Record};
use super::{Root, Tree};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::{Held, Hint};

/// Leaves that are asked for ahead of a cursor that has come to the end of one.
const AHEAD: usize = 4;

struct Step<'t> {
    page: Held<'t>,
    at: PageRef,
    level: u8,
    /// The child that the way goes on in; in a leaf, the record behind the cursor.
    index: usize,
}

/// A place in a tree. See the module's rules.
pub struct Cursor<'t> {
    tree: &'t Tree,
    root: Root,
    hint: Hint,
    /// From the root to a leaf; empty if the tree is.
    way: Vec<Step<'t>>,
    key: Vec<u8>,
}

/// Which way a cursor goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forth,
    Back,
}

impl Tree {
    /// A cursor before the first record whose key is not less than `key`.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn cursor_at(&self, root: &Root, key: &[u8], hint: Hint) -> Result<Cursor<'_>, PageError> {
        let mut cursor = Cursor::new(self, root, hint);
        cursor.descend(|tree, step| {
            Ok(match step.level {
                0 => tree
                    .leaf(&step.page, step.at)?
                    .lower_bound(tree.search, key),
                level => tree
                    .inner(&step.page, step.at, level)?
                    .route(tree.search, key),
            })
        })?;
        Ok(cursor)
    }

    /// A cursor before the first record.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn cursor_at_start(&self, root: &Root, hint: Hint) -> Result<Cursor<'_>, PageError> {
        let mut cursor = Cursor::new(self, root, hint);
        cursor.descend(|_, _| Ok(0))?;
        Ok(cursor)
    }

    /// A cursor behind the last record.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn cursor_at_end(&self, root: &Root, hint: Hint) -> Result<Cursor<'_>, PageError> {
        let mut cursor = Cursor::new(self, root, hint);
        cursor.descend(end_of)?;
        Ok(cursor)
    }
}

/// The last child, or behind the last record.
fn end_of(tree: &Tree, step: &Step<'_>) -> Result<usize, PageError> {
    Ok(match step.level {
        0 => tree.leaf(&step.page, step.at)?.len(),
        level => tree.inner(&step.page, step.at, level)?.len() - 1,
    })
}

impl<'t> Cursor<'t> {
    fn new(tree: &'t Tree, root: &Root, hint: Hint) -> Self {
        Self {
            tree,
            root: *root,
            hint,
            way: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Goes down from the last step of the way, or from the root, to a leaf.
    fn descend(
        &mut self,
        index: impl Fn(&Tree, &Step<'_>) -> Result<usize, PageError>,
    ) -> Result<(), PageError> {
        let tree = self.tree;
        let (mut at, mut level) = match (self.way.last(), self.root.top) {
            (Some(step), _) if step.level > 0 => (self.child(step)?, step.level - 1),
            (Some(_), _) | (None, None) => return Ok(()),
            (None, Some(top)) => top,
        };
        loop {
            let page = tree.fetch(at, level, self.hint)?;
            let mut step = Step {
                page,
                at,
                level,
                index: 0,
            };
            step.index = index(tree, &step)?;
            if level == 0 {
                self.way.push(step);
                return Ok(());
            }
            at = self.child(&step)?;
            level -= 1;
            self.way.push(step);
        }
    }

    fn child(&self, step: &Step<'_>) -> Result<PageRef, PageError> {
        let inner = self.tree.inner(&step.page, step.at, step.level)?;
        let child = inner.child(step.index);
        child.map_err(|damage| self.tree.damage(step.at, damage))
    }

    /// The next record with its key, if there is one.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives is borrowed from it"
    )]
    pub fn next(&mut self) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        self.step(Way::Forth)
    }

    /// The record before, with its key, if there is one.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn previous(&mut self) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        self.step(Way::Back)
    }

    fn step(&mut self, way: Way) -> Result<Option<(&[u8], Record<'_>)>, PageError> {
        loop {
            let Some(step) = self.way.last() else {
                return Ok(None);
            };
            let len = self.tree.leaf(&step.page, step.at)?.len();
            let index = match way {
                Way::Forth => (step.index < len).then_some(step.index),
                Way::Back => step.index.checked_sub(1),
            };
            match index {
                Some(index) => return self.show(index, way).map(Some),
                None if self.turn(way)? => {}
                None => return Ok(None),
            }
        }
    }

    /// Passes a record of the leaf.
    fn show(&mut self, index: usize, way: Way) -> Result<(&[u8], Record<'_>), PageError> {
        let Some(step) = self.way.last_mut() else {
            unreachable!("the caller has looked at the leaf")
        };
        step.index = match way {
            Way::Forth => index + 1,
            Way::Back => index,
        };
        let leaf = self.tree.leaf(&step.page, step.at)?;
        leaf.prefetch_record(match way {
            Way::Forth => index + 2,
            Way::Back => index.saturating_sub(2),
        });
        let read = |leaf: LeafView<'_>, key: &mut Vec<u8>| leaf.key(index, key);
        read(leaf, &mut self.key).map_err(|damage| self.tree.damage(step.at, damage))?;
        let record = leaf
            .record(index)
            .map_err(|damage| self.tree.damage(step.at, damage))?;
        Ok((&self.key, record))
    }

    /// Goes over to the neighbouring leaf; `false`, and nothing is changed, if there is none.
    fn turn(&mut self, way: Way) -> Result<bool, PageError> {
        let mut depth = self.way.len();
        loop {
            let Some(above) = depth.checked_sub(2) else {
                return Ok(false);
            };
            let step = &self.way[above];
            let len = self.tree.inner(&step.page, step.at, step.level)?.len();
            let next = match way {
                Way::Forth => Some(step.index + 1).filter(|next| *next < len),
                Way::Back => step.index.checked_sub(1),
            };
            let Some(next) = next else {
                depth -= 1;
                continue;
            };
            self.way.truncate(depth - 1);
            self.way[above].index = next;
            self.ask_ahead(above, len, way)?;
            match way {
                Way::Forth => self.descend(|_, _| Ok(0))?,
                Way::Back => self.descend(end_of)?,
            }
            return Ok(true);
        }
    }

    /// Has the processor fetch the leaves that come next, where they are in memory.
    fn ask_ahead(&self, above: usize, len: usize, way: Way) -> Result<(), PageError> {
        let step = &self.way[above];
        if step.level != 1 {
            return Ok(());
        }
        let inner = self.tree.inner(&step.page, step.at, 1)?;
        let guard = self.tree.pool.guard();
        for ahead in 1..=AHEAD {
            let index = match way {
                Way::Forth => Some(step.index + ahead).filter(|index| *index < len),
                Way::Back => step.index.checked_sub(ahead),
            };
            let Some(Ok(at)) = index.map(|index| inner.child(index)) else {
                break;
            };
            guard.prefetch(at);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("tree", &self.tree.id)
            .finish_non_exhaustive()
    }
}
