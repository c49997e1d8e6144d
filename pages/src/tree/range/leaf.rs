//! The leaf where an end of a range is.
//!
//! 1. Where a bound lies is found in two halves: the heads say roughly where, and while the records
//!    that decide are on their way, the heads are asked for the other bound.

use std::ops::Bound;

use super::super::Tree;
use super::super::node::{Guess, LeafView, Record, Search, Walk, Walked, WalkedKey};
use super::{End, Key};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::Pins;

/// How far ahead a record's cache line is asked for.
pub(super) const RECORDS_AHEAD: usize = 8;

/// What is left in a leaf for an end: records from `from` up to `to`.
#[derive(Clone, Copy, Default)]
pub(super) struct Left {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// A leaf, held.
pub(super) struct Leaf<'t> {
    pub(super) page: Pins<'t>,
    pub(super) at: PageRef,
    pub(super) walk: Walk,
    /// Nothing that is left lies beyond.
    pub(super) last: bool,
}

/// A bound in a leaf, where the heads say that it is.
pub(super) struct Cut<'k> {
    key: &'k [u8],
    pub(super) guess: Guess,
    /// A record with this very key is before the cut.
    after: bool,
}

impl<'k> Cut<'k> {
    /// Where a range begins or ends in a leaf.
    #[inline]
    pub(super) fn guess(
        bound: &'k Bound<Key>,
        view: &LeafView<'_>,
        search: Search,
        end: End,
    ) -> Option<Self> {
        let (key, after) = match bound {
            Bound::Included(key) => (key, end == End::Back),
            Bound::Excluded(key) => (key, end == End::Front),
            Bound::Unbounded => return None,
        };
        let guess = view.guess(search, key);
        Some(Self { key, guess, after })
    }

    /// How many records are before the cut.
    #[inline]
    pub(super) fn settle(self, view: &LeafView<'_>) -> usize {
        match view.settle(self.guess, self.key) {
            Ok(index) => index + usize::from(self.after),
            Err(index) => index,
        }
    }
}

impl Left {
    #[inline(always)]
    pub(super) fn new(from: usize, to: usize) -> Self {
        Self { from, to }
    }

    /// Where the next record stands, if one is left.
    #[inline(always)]
    pub(super) fn next(self, end: End) -> Option<usize> {
        (self.from < self.to).then(|| match end {
            End::Front => self.from,
            End::Back => self.to - 1,
        })
    }

    /// The record that comes next at an end is passed, if one is left.
    #[inline(always)]
    pub(super) fn pass(&mut self, end: End) {
        if self.from < self.to {
            match end {
                End::Front => self.from += 1,
                End::Back => self.to -= 1,
            }
        }
    }
}

impl Leaf<'_> {
    /// The record at an index, which an end is to pass; its key is put into `key`.
    #[inline(always)]
    pub(super) fn read(
        &self,
        tree: &Tree,
        end: End,
        index: usize,
        key: &mut WalkedKey,
    ) -> Result<Record<'_>, PageError> {
        let ahead = match end {
            End::Front => index + RECORDS_AHEAD,
            End::Back => index.saturating_sub(RECORDS_AHEAD),
        };
        self.walk.prefetch(&self.page, ahead);
        let walked = self.walked(tree, index)?;
        key.put(&walked);
        Ok(walked.record)
    }

    #[inline(always)]
    fn walked(&self, tree: &Tree, index: usize) -> Result<Walked<'_>, PageError> {
        match self.walk.read(&self.page, index) {
            Ok(mut walked) => {
                walked.record = tree.told(walked.record);
                Ok(walked)
            }
            Err(damage) => Err(tree.damage(self.at, damage)),
        }
    }
}

/// Asks for the first records that an end passes from an index on.
#[inline]
pub(super) fn prefetch_records(view: &LeafView<'_>, end: End, from: usize) {
    let first = match end {
        End::Front => from..from + RECORDS_AHEAD,
        End::Back => from.saturating_sub(RECORDS_AHEAD)..from,
    };
    first.for_each(|index| view.prefetch_record(index));
}
