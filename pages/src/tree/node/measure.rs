//! How many bytes a page of given keys takes. For builders and cutting.
//!
//! 1. [`Measure::bytes`] is exact: the writer fills a page to precisely that byte.
//! 2. Adding a key is O(1), but where it shortens the prefix: then all lengths are walked. That is
//!    rare: each shortening makes every key of the page longer, so a page has room for few.
//! 3. Fewer keys never take more bytes: any part of what fits, fits.
//! 4. What sorted keys have in common is what the first and the last have. So the keys between need
//!    not be looked at to measure all at once.

use super::leaf::width_of;
use super::{HEAD, HEADS, SLOT, TAG};
use crate::page::PageRef;

/// What of an item matters for its size.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    /// Length of the key.
    pub(super) key: usize,
    /// The stamp; the same for all in an inner page.
    pub(super) at: u64,
    /// Bytes of the record but for tag, tail and stamp.
    pub(super) body: usize,
}

/// The size of a page to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure {
    /// Bytes beside header, prefix and keys: the children.
    fixed: usize,
    keys: usize,
    prefix: usize,
    tails: usize,
    bodies: usize,
    least: u64,
    most: u64,
}

impl Measure {
    /// An empty page; `children` of an inner one.
    pub(super) fn new(children: usize) -> Self {
        Self {
            fixed: children * PageRef::STORED,
            keys: 0,
            prefix: 0,
            tails: 0,
            bodies: 0,
            least: u64::MAX,
            most: 0,
        }
    }

    /// A page of items whose keys share `prefix` (rule 4), each with a child or without.
    pub(super) fn of(
        children: usize,
        child: bool,
        prefix: usize,
        items: impl Iterator<Item = Weight>,
    ) -> Self {
        let mut measure = Self::new(children);
        measure.prefix = prefix;
        for item in items {
            measure.count(item, child);
        }
        measure
    }

    #[inline]
    fn count(&mut self, item: Weight, child: bool) {
        self.keys += 1;
        self.tails += item.key.saturating_sub(self.prefix + HEAD);
        self.least = self.least.min(item.at);
        self.most = self.most.max(item.at);
        self.bodies += item.body;
        self.fixed += usize::from(child) * PageRef::STORED;
    }

    pub(super) fn keys(&self) -> usize {
        self.keys
    }

    pub(super) fn prefix(&self) -> usize {
        self.prefix
    }

    pub(super) fn base(&self) -> u64 {
        if self.keys == 0 { 0 } else { self.least }
    }

    pub(super) fn width(&self) -> usize {
        width_of(self.most.saturating_sub(self.least))
    }

    /// Bytes of the page, the header among them.
    pub(super) fn bytes(&self) -> usize {
        let each = HEAD + SLOT + TAG + self.width();
        HEADS + self.fixed + self.prefix + self.keys * each + self.tails + self.bodies
    }

    /// Adds an item behind all others, if the page then takes no more than `limit` bytes. `common` is
    /// what its key and the page's first begin with in common, `lengths` those of the keys before.
    pub(super) fn add(
        &mut self,
        common: usize,
        item: Weight,
        child: bool,
        limit: usize,
        lengths: impl Iterator<Item = usize>,
    ) -> bool {
        let before = *self;
        let prefix = if self.keys == 0 {
            item.key
        } else {
            common.min(self.prefix)
        };
        if prefix != self.prefix {
            let tail = |len: usize| len.saturating_sub(prefix + HEAD);
            self.tails = lengths.map(tail).sum();
        }
        self.prefix = prefix;
        self.count(item, child);
        let fits = self.bytes() <= limit;
        if !fits {
            *self = before;
        }
        fits
    }
}
