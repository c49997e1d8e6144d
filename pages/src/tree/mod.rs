//! B+trees of pages that never change.
//!
//! # Rules
//! 1. A [`Root`] stands for one state of a tree for ever. Whoever keeps the epoch of a root alive may
//!    read it, from any number of threads, without a latch.
//! 2. To change a tree is to [`merge`](Tree::merge) sorted updates into it: new leaves, and the way
//!    up from them, come from the old ones, everything else is shared. The old root stays what it
//!    was. Nothing of the new state can be reached before its root is given to somebody.
//!    A tree that is new, from records of which there may be more than memory holds, is
//!    [built](Builder).
//! 3. A page that a merge replaced is handed to [`Making::replace`], once; also one that this same
//!    merge had made.
//! 4. A page that is not in memory is fetched with no guard held, and held until the operation that
//!    asked for it is done, so that each operation gets on however small the memory is.
//! 5. What a page says of others is not trusted: levels fall by one from the root to the leaves, and
//!    a page of another kind, tree or level is damage.

mod born;
mod build;
mod check;
mod get;
mod making;
mod merge;
pub mod node;
mod range;

#[cfg(test)]
mod tests;

use vellum_base::Corruption;

use crate::error::PageError;
use crate::page::{PageHeader, PageKind, PageRef, PageSize, TreeId};
use crate::pool::{Guard, Held, Hint, Pool, Seen};
use node::{Damage, InnerView, LeafView, Search};

pub use born::Born;
pub use build::Builder;
pub use check::{Counted, Examiner, KeySpan};
pub use get::{Found, Sought};
pub use making::Making;
pub use merge::{Alone, Compacted, Compaction, Crew, Merged, MovedLarge};
pub use range::{End, TreeRange};

/// The name of the file, in reports of damage.
const FILE: &str = "pages";

/// Levels that a tree has at most; more is damage.
const LEVELS_MAX: u8 = 32;

/// Cache lines at a leaf's beginning that a search reads: header, heads, slots.
const LEAF_LINES: usize = 6;

/// One state of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its first page, and the level of that; `None`: the tree is empty.
    pub top: Option<(PageRef, u8)>,
    /// How many records it has.
    pub records: u64,
}

impl Root {
    /// A tree without records.
    pub const EMPTY: Self = Self {
        top: None,
        records: 0,
    };
}

/// What stays the same of a tree: who it is, how large its pages are, where they are read.
#[derive(Clone, Debug)]
pub struct Tree {
    pool: Pool,
    id: TreeId,
    size: PageSize,
    search: Search,
    born: Born,
}

/// A page that is to be fetched before an operation can go on.
struct Missing {
    at: PageRef,
    level: u8,
}

/// The page at the end of a descent, which should be a leaf. Nothing of it was read.
struct Reached<'g, 'p> {
    at: PageRef,
    seen: Seen<'g, 'p>,
}

/// Why a descent stopped.
enum Stop {
    Missing(Missing),
    Error(PageError),
}

impl From<Missing> for Stop {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<PageError> for Stop {
    fn from(error: PageError) -> Self {
        Self::Error(error)
    }
}

impl Tree {
    /// The tree `id` with pages of `size`, in memory in `pool`.
    #[must_use]
    pub fn new(pool: Pool, id: TreeId, size: PageSize, search: Search) -> Self {
        Self {
            pool,
            id,
            size,
            search,
            born: Born::default(),
        }
    }

    /// The tree whose loaded records were committed when `born` says.
    #[must_use]
    pub fn born(self, born: Born) -> Self {
        Self { born, ..self }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> TreeId {
        self.id
    }

    /// The pool that its pages are read through.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    #[cold]
    fn damage(&self, at: PageRef, what: impl std::fmt::Display) -> PageError {
        let what = format!("tree {}: {what}", self.id.0);
        PageError::Corrupt(Corruption::new(FILE, at.offset(), what))
    }

    /// Rule 5, for what the header says.
    #[inline]
    fn is_mine(&self, page: &[u8], kind: PageKind) -> bool {
        PageHeader::mark_of(page) == Some(PageHeader::mark(kind, self.size, self.id))
    }

    /// The leaf in a page, if it is one of this tree.
    #[inline]
    fn quick_leaf<'p>(&self, page: &'p [u8]) -> Option<LeafView<'p>> {
        let leaf = LeafView::new(page).ok();
        leaf.filter(|_| self.is_mine(page, PageKind::Leaf))
    }

    /// The inner page in a page, if it is one of this tree and level.
    #[inline]
    fn quick_inner<'p>(&self, page: &'p [u8], level: u8) -> Option<InnerView<'p>> {
        let inner = InnerView::new(page).ok();
        inner.filter(|inner| inner.level() == level && self.is_mine(page, PageKind::Inner))
    }

    #[inline]
    fn leaf<'p>(&self, page: &'p [u8], at: PageRef) -> Result<LeafView<'p>, PageError> {
        let leaf = self.quick_leaf(page);
        leaf.ok_or_else(|| self.wrong(page, at, PageKind::Leaf, LeafView::new(page).err()))
    }

    #[inline]
    fn inner<'p>(
        &self,
        page: &'p [u8],
        at: PageRef,
        level: u8,
    ) -> Result<InnerView<'p>, PageError> {
        let inner = self.quick_inner(page, level);
        inner.ok_or_else(|| self.wrong(page, at, PageKind::Inner, InnerView::new(page).err()))
    }

    /// What is wrong with a page (rule 5).
    #[cold]
    fn wrong(&self, page: &[u8], at: PageRef, kind: PageKind, damage: Option<Damage>) -> PageError {
        if !self.is_mine(page, kind) {
            let found = PageHeader::read(page).map(|found| (found.kind, found.size, found.tree));
            return self.damage(at, format!("expected a page {kind:?}, found {found:?}"));
        }
        match damage {
            Some(damage) => self.damage(at, damage),
            None => self.damage(at, "a page of another level"),
        }
    }

    fn fetch(&self, at: PageRef, level: u8, hint: Hint) -> Result<Held<'_>, PageError> {
        let hint = if level > 0 { Hint::Hot } else { hint };
        self.pool.fetch(at, self.size, hint)
    }

    /// The leaf where a key is, or would be, if it and the way to it are in memory and nothing is wrong
    /// there; what a lookup reads of it first is on its way into the processor's cache.
    #[inline]
    fn walk<'g, 'p>(
        &self,
        guard: &'g Guard<'p>,
        top: (PageRef, u8),
        key: &[u8],
    ) -> Option<Seen<'g, 'p>> {
        let (at, mut level) = top;
        let mut seen = guard.see(at, Hint::Normal)?;
        while level > 0 {
            let inner = self.quick_inner(seen.page(), level)?;
            let index = inner.route(self.search, key);
            let at = inner.child(index).ok()?;
            level -= 1;
            seen = match level {
                0 => guard.see_child(seen, index, at, Hint::Normal, LEAF_LINES)?,
                _ => guard.see(at, Hint::Normal)?,
            };
        }
        seen.prefetch_pins();
        Some(seen)
    }

    /// As [`Tree::walk`], and says why it stopped.
    fn descend<'g, 'p>(
        &self,
        guard: &'g Guard<'p>,
        top: (PageRef, u8),
        key: &[u8],
    ) -> Result<Reached<'g, 'p>, Stop> {
        let (mut at, mut level) = top;
        if level > LEVELS_MAX {
            return Err(self.damage(at, "more levels than a tree has").into());
        }
        loop {
            let Some(seen) = guard.see(at, Hint::Normal) else {
                return Err(Stop::Missing(Missing { at, level }));
            };
            if level == 0 {
                return Ok(Reached { at, seen });
            }
            let inner = self.inner(seen.page(), at, level)?;
            let next = inner.child(inner.route(self.search, key));
            at = next.map_err(|damage| self.damage(at, damage))?;
            level -= 1;
        }
    }
}
