//! How many bytes a page of given keys takes, kept up as keys are added. For builders and cutting.
//!
//! 1. [`Measure::bytes`] is exact: the writer fills a page to precisely that byte.
//! 2. Adding a key is O(1), but where it shortens the prefix: then all lengths are walked. That is
//!    rare: each shortening makes every key of the page longer, so a page has room for few.
//! 3. Fewer keys never take more bytes: any part of what fits, fits.

use super::keys::common;
use super::leaf::width_of;
use super::{HEAD, HEADS, SLOT, TAG};
use crate::page::PageRef;

/// What of an item matters for its size.
#[derive(Clone, Copy)]
pub(super) struct Weight<'k> {
    pub(super) key: &'k [u8],
    /// The stamp; the same for all in an inner page.
    pub(super) at: u64,
    /// Bytes of the record but for tag, tail and stamp.
    pub(super) body: usize,
}

/// The size of a page to be.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Bytes beside header, prefix and keys: the children.
    fixed: usize,
    lengths: Vec<u16>,
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
            lengths: Vec::new(),
            prefix: 0,
            tails: 0,
            bodies: 0,
            least: u64::MAX,
            most: 0,
        }
    }

    pub(super) fn clear(&mut self, children: usize) {
        let mut lengths = std::mem::take(&mut self.lengths);
        lengths.clear();
        *self = Self {
            lengths,
            ..Self::new(children)
        };
    }

    pub(super) fn keys(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn prefix(&self) -> usize {
        self.prefix
    }

    pub(super) fn base(&self) -> u64 {
        if self.lengths.is_empty() {
            0
        } else {
            self.least
        }
    }

    pub(super) fn width(&self) -> usize {
        width_of(self.most.saturating_sub(self.least))
    }

    /// Bytes of the page, the header among them.
    pub(super) fn bytes(&self) -> usize {
        let each = HEAD + SLOT + TAG + self.width();
        HEADS + self.fixed + self.prefix + self.keys() * each + self.tails + self.bodies
    }

    /// Adds an item behind all others, if the page then takes no more than `limit` bytes; `first` is
    /// the page's first key.
    pub(super) fn add(
        &mut self,
        first: &[u8],
        item: Weight<'_>,
        child: bool,
        limit: usize,
    ) -> bool {
        let before = (self.prefix, self.tails, self.least, self.most);
        let len = item.key.len();
        let prefix = if self.lengths.is_empty() {
            len
        } else {
            common(&first[..self.prefix], item.key)
        };
        if prefix != self.prefix {
            let tail = |len: &u16| usize::from(*len).saturating_sub(prefix + HEAD);
            self.tails = self.lengths.iter().map(tail).sum();
        }
        self.prefix = prefix;
        self.tails += len.saturating_sub(prefix + HEAD);
        self.lengths.push(len as u16);
        self.least = self.least.min(item.at);
        self.most = self.most.max(item.at);
        self.bodies += item.body;
        self.fixed += usize::from(child) * PageRef::STORED;
        let fits = self.bytes() <= limit;
        if !fits {
            self.lengths.pop();
            self.bodies -= item.body;
            self.fixed -= usize::from(child) * PageRef::STORED;
            (self.prefix, self.tails, self.least, self.most) = before;
        }
        fits
    }
}
