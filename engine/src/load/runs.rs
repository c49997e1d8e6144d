//! Sorted runs of a load, and their merging into one.
//!
//! 1. A run is a tree of its own, of pages of its own. A sorted part goes on with the last run where
//!    it lies behind it; else a new one begins. So what came in key order is one run, and is the
//!    table's tree as it is.
//! 2. Runs are in the order in which their records were given: of equal keys the one of the last run is
//!    kept.
//! 3. Only so many are merged at once as the pool has room for: each has a leaf in memory, and what is
//!    read ahead. Where there are more, neighbours are merged into longer runs first.
//! 4. Merged runs are given up as a whole when what they are merged into is finished; so a load takes
//!    twice its space in the file at most. Large values belong to none of them.

use std::cmp::Ordering;
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_pages::base::{Base, Load, TREE_PAGE};
use vellum_pages::pool::Hint;
use vellum_pages::tree::node::{Body, Entry, Large};
use vellum_pages::tree::{Builder, End, Root, Tree, TreeRange};

use super::buffer::Buffer;
use crate::error::{Error, Result};

/// A run's share of the pool is this many pages at least (rule 3).
const PAGES_EACH: usize = 16;
/// Fewer or more are not merged at once.
const AT_ONCE: (usize, usize) = (4, 128);

/// See the module's rules.
pub(super) struct Runs {
    base: Arc<Base>,
    tree: Tree,
    /// Whose pages large values are.
    large: Arc<Load>,
    done: Vec<Run>,
    growing: Option<Growing>,
}

struct Run {
    pages: Arc<Load>,
    root: Root,
}

/// A run to which something may yet be appended.
struct Growing {
    pages: Arc<Load>,
    builder: Option<Builder<Arc<Load>>>,
    last: Vec<u8>,
}

impl Growing {
    fn new(base: &Arc<Base>, tree: &Tree) -> Self {
        let pages = Arc::new(base.load());
        Self {
            builder: Some(Builder::new(tree, pages.clone())),
            pages,
            last: Vec::new(),
        }
    }

    fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        let Some(builder) = &mut self.builder else {
            return Ok(());
        };
        builder.push(entry).map_err(Error::from_page)
    }

    fn finish(mut self) -> Result<Run> {
        let built = self.builder.take().map(Builder::finish);
        let root = built.unwrap_or(Ok(Root::EMPTY)).map_err(Error::from_page)?;
        let pages = self.pages.clone();
        Ok(Run { pages, root })
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        // The pages are given up as a whole.
        if let Some(builder) = self.builder.take() {
            builder.leave();
        }
    }
}

impl Runs {
    pub(super) fn new(base: Arc<Base>, tree: Tree) -> Self {
        let large = Arc::new(base.load());
        Self {
            base,
            tree,
            large,
            done: Vec::new(),
            growing: None,
        }
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(super) fn write_large(&self, value: &[u8], vectors: &[u8]) -> Result<Large> {
        let written = self.large.write_large(self.tree.id(), value, vectors);
        written.map_err(Error::from_page)
    }

    /// A large value that is not kept.
    pub(super) fn give_up(&self, lost: &Large) -> Result<()> {
        let dropped = self.large.drop_large(self.tree.id(), lost);
        dropped.map_err(Error::from_page)
    }

    /// Writes a sorted part (rule 1).
    pub(super) fn append(&mut self, part: &Buffer) -> Result<()> {
        let Some(first) = part.entries().next() else {
            return Ok(());
        };
        let goes_on = |growing: &mut Growing| growing.last[..] < *first.key;
        let mut growing = match self.growing.take_if(goes_on) {
            Some(growing) => growing,
            None => {
                self.end_run()?;
                Growing::new(&self.base, &self.tree)
            }
        };
        for entry in part.entries() {
            growing.push(&entry)?;
        }
        if let Some(last) = part.entries().next_back() {
            growing.last.clear();
            growing.last.extend_from_slice(last.key);
        }
        self.growing = Some(growing);
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        if let Some(growing) = self.growing.take() {
            self.done.push(growing.finish()?);
        }
        Ok(())
    }

    /// One tree of all, and whose pages it consists of.
    pub(super) fn merge(mut self) -> Result<(Root, Vec<Arc<Load>>)> {
        self.end_run()?;
        let pool = self.tree.pool().budget() / TREE_PAGE.bytes();
        let at_once = (pool / PAGES_EACH).clamp(AT_ONCE.0, AT_ONCE.1);
        // Rule 3.
        while self.done.len() > 1 {
            let mut runs = mem::take(&mut self.done).into_iter();
            loop {
                let some: Vec<_> = runs.by_ref().take(at_once).collect();
                match some.len() {
                    0 => break,
                    1 => self.done.extend(some),
                    _ => self.done.push(self.merge_some(&some)?),
                }
            }
        }
        Ok(match self.done.pop() {
            Some(run) => (run.root, vec![self.large, run.pages]),
            None => (Root::EMPTY, vec![self.large]),
        })
    }

    fn merge_some(&self, runs: &[Run]) -> Result<Run> {
        let mut into = Growing::new(&self.base, &self.tree);
        let mut front = Front::of(&self.tree, runs)?;
        while let Some(first) = front.first() {
            let (key, body) = first.take()?;
            if key[..] == into.last[..] {
                // Rule 2.
                if let Some(Body::Large(large)) = body {
                    self.give_up(&large)?;
                }
            } else if let Some(body) = body {
                let at = Timestamp::ZERO;
                into.push(&Entry { key, at, body })?;
                into.last.clear();
                into.last.extend_from_slice(key);
            }
            front.step()?;
        }
        into.finish()
    }
}

/// A run that is being read.
struct Cursor<'t> {
    range: TreeRange<'t>,
    number: usize,
    /// Its next key.
    key: Vec<u8>,
}

impl Cursor<'_> {
    /// Looks at the next record; whether there is one.
    fn look(&mut self) -> Result<bool> {
        let peeked = self.range.peek(End::Front).map_err(Error::from_page)?;
        self.key.clear();
        self.key.extend_from_slice(peeked.unwrap_or_default());
        Ok(!self.key.is_empty())
    }

    /// The record that was looked at; it is passed.
    fn take(&mut self) -> Result<(&[u8], Option<Body<'_>>)> {
        let next = self.range.next(End::Front).map_err(Error::from_page)?;
        Ok((&self.key, next.map(|(_, record)| record.body)))
    }

    /// By key; of equal ones that of the last run first (rule 2).
    fn order(&self, other: &Self) -> Ordering {
        let keys = self.key.cmp(&other.key);
        keys.then(other.number.cmp(&self.number))
    }
}

/// The runs that are being merged, as a heap: the first one has the least key.
struct Front<'t> {
    heap: Vec<Cursor<'t>>,
}

impl<'t> Front<'t> {
    fn of(tree: &'t Tree, runs: &[Run]) -> Result<Self> {
        let mut heap = Vec::with_capacity(runs.len());
        for (number, run) in runs.iter().enumerate() {
            let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
            let mut cursor = Cursor {
                range: tree.range(&run.root, lower, upper, Hint::Scan),
                number,
                key: Vec::new(),
            };
            if cursor.look()? {
                heap.push(cursor);
            }
        }
        heap.sort_by(Cursor::order);
        Ok(Self { heap })
    }

    fn first(&mut self) -> Option<&mut Cursor<'t>> {
        self.heap.first_mut()
    }

    /// The first one was taken from: it goes where its next key belongs.
    fn step(&mut self) -> Result<()> {
        let Some(first) = self.heap.first_mut() else {
            return Ok(());
        };
        if !first.look()? {
            self.heap.swap_remove(0);
        }
        let mut at = 0;
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if let Some(cursor) = self.heap.get(child)
                    && cursor.order(&self.heap[least]) == Ordering::Less
                {
                    least = child;
                }
            }
            if least == at {
                return Ok(());
            }
            self.heap.swap(at, least);
            at = least;
        }
    }
}
