//! New leaves from old ones and updates.
//!
//! 1. What comes out is what a map would hold that had the old leaves' records and got the updates
//!    in order.
//! 2. Several old leaves may come in, neighbours in key order: so a leaf that became too empty is
//!    joined with its neighbour.
//! 3. Old leaves may be damaged; what comes out is in order nevertheless, or an error.

use std::ops::Range;

use vellum_base::Timestamp;

use super::build::{Refused, examine, is_underfull, weight, write_leaf};
use super::cut::{Cut, Piece, Run, cut};
use super::entry::{Body, Entry, Large};
use super::keys::Damage;
use super::leaf::{LeafView, Record};
use super::measure::{Measure, Weight};
use super::separator;
use crate::page::PageSize;

/// A change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The timestamp of the commit that changed it.
    pub at: Timestamp,
    /// What it leads to now; `None` if it is deleted.
    pub body: Option<Body<'a>>,
}

/// Why leaves cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// An old leaf is damaged.
    #[error("leaf {leaf}: {damage}")]
    Damage {
        /// Which of the old leaves.
        leaf: usize,
        /// What is wrong with it.
        damage: Damage,
    },
    /// An update cannot stand in a leaf, or updates or old leaves are out of order.
    #[error(transparent)]
    Refused(#[from] Refused),
}

#[derive(Clone, Debug)]
enum KeyAt<'a> {
    /// In the merge's own bytes.
    Old(Range<usize>),
    New(&'a [u8]),
}

#[derive(Clone, Debug)]
struct Item<'a> {
    key: KeyAt<'a>,
    record: Record<'a>,
}

/// Old leaves' records and updates, in one order.
#[derive(Debug)]
pub struct LeafMerge<'a> {
    size: PageSize,
    /// The old leaves' keys, one behind the other.
    keys: Vec<u8>,
    items: Vec<Item<'a>>,
    dropped: Vec<Large>,
    appended: usize,
}

impl Run for LeafMerge<'_> {
    const INNER: bool = false;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn weight(&self, at: usize) -> Weight<'_> {
        weight(&self.entry(at))
    }
}

impl<'a> LeafMerge<'a> {
    /// Merges; `updates` are in key order, each key once.
    ///
    /// # Errors
    /// If an old leaf is damaged, or an update cannot be taken.
    pub fn new(
        size: PageSize,
        old: &[LeafView<'a>],
        updates: &[Update<'a>],
    ) -> Result<Self, MergeError> {
        if !updates.is_sorted_by(|a, b| a.key < b.key) {
            return Err(Refused::OutOfOrder.into());
        }
        let records: usize = old.iter().map(LeafView::len).sum();
        let bytes: usize = old.iter().map(LeafView::used).sum();
        let mut merge = Self {
            size,
            keys: Vec::with_capacity(bytes / 4),
            items: Vec::with_capacity(records + updates.len()),
            dropped: Vec::new(),
            appended: 0,
        };
        let mut updates = updates.iter().peekable();
        let mut last = 0..0;
        for (number, leaf) in old.iter().enumerate() {
            for at in 0..leaf.len() {
                let wrong = |damage| MergeError::Damage {
                    leaf: number,
                    damage,
                };
                let start = merge.keys.len();
                leaf.append_key(at, &mut merge.keys).map_err(wrong)?;
                let key = start..merge.keys.len();
                if start > 0 && merge.keys[last] >= merge.keys[key.clone()] {
                    return Err(wrong(Damage::new(0, "keys out of order")));
                }
                let record = leaf.record(at).map_err(wrong)?;
                let Record { at, body } = record;
                let old = Entry {
                    key: &merge.keys[key.clone()],
                    at,
                    body,
                };
                if examine(size, &old).is_err() {
                    return Err(wrong(Damage::new(0, "a record that no leaf may hold")));
                }
                merge.take_old(key.clone(), record, &mut updates)?;
                last = key;
            }
        }
        let before = merge.items.len();
        for update in updates {
            merge.take_new(update)?;
        }
        merge.appended = merge.items.len() - before;
        Ok(merge)
    }

    fn take_old(
        &mut self,
        key: Range<usize>,
        record: Record<'a>,
        updates: &mut std::iter::Peekable<std::slice::Iter<'_, Update<'a>>>,
    ) -> Result<(), MergeError> {
        while let Some(update) = updates.next_if(|update| update.key < &self.keys[key.clone()]) {
            self.take_new(update)?;
        }
        match updates.next_if(|update| update.key == &self.keys[key.clone()]) {
            Some(update) => {
                if let Body::Large(large) = record.body {
                    self.dropped.push(large);
                }
                self.take_new(update)?;
            }
            None => self.items.push(Item {
                key: KeyAt::Old(key),
                record,
            }),
        }
        Ok(())
    }

    fn take_new(&mut self, update: &Update<'a>) -> Result<(), MergeError> {
        let Some(body) = update.body else {
            return Ok(());
        };
        let Update { key, at, .. } = *update;
        examine(self.size, &Entry { key, at, body })?;
        self.items.push(Item {
            key: KeyAt::New(key),
            record: Record { at, body },
        });
        Ok(())
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let Item { key, record } = &self.items[at];
        Entry {
            key: match key {
                KeyAt::Old(range) => &self.keys[range.clone()],
                KeyAt::New(key) => key,
            },
            at: record.at,
            body: record.body,
        }
    }

    /// How many records there are now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many records lie behind the last old one. If all that is new does, in the tree's last
    /// leaf, or if it fills pages, then [`Cut::Full`] is right.
    #[must_use]
    pub fn appended(&self) -> usize {
        self.appended
    }

    /// Large records of the old leaves that were replaced or deleted.
    #[must_use]
    pub fn dropped(&self) -> &[Large] {
        &self.dropped
    }

    /// The new leaves; none if nothing is left.
    #[must_use]
    pub fn pieces(&self, how: Cut) -> Vec<LeafPiece<'_>> {
        let limit = self.size.bytes();
        let piece = |piece: Piece| LeafPiece {
            merge: self,
            items: piece.items,
            measure: piece.measure,
        };
        cut(self, how, limit).into_iter().map(piece).collect()
    }
}

/// One new leaf to be.
#[derive(Debug)]
pub struct LeafPiece<'m> {
    merge: &'m LeafMerge<'m>,
    items: Range<usize>,
    measure: Measure,
}

impl<'m> LeafPiece<'m> {
    /// How many records it will hold; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty leaf is no piece")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Its first key.
    #[must_use]
    pub fn first_key(&self) -> &'m [u8] {
        self.merge.entry(self.items.start).key
    }

    /// The shortest key that separates it from the piece before it; `None` for the first piece,
    /// whose left bound is that of the first old leaf.
    #[must_use]
    pub fn separator(&self) -> Option<&'m [u8]> {
        let before = self.merge.entry(self.items.start.checked_sub(1)?);
        Some(separator(before.key, self.first_key()))
    }

    /// Bytes that it will use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.measure.bytes()
    }

    /// Whether it should be joined with a neighbour.
    #[must_use]
    pub fn is_underfull(&self) -> bool {
        is_underfull(self.merge.size, self.used())
    }

    /// Writes it, all but the page's header.
    ///
    /// # Panics
    /// If `page` has not the merge's size.
    pub fn write(&self, page: &mut [u8]) {
        assert_eq!(
            page.len(),
            self.merge.size.bytes(),
            "a page of the merge's size"
        );
        let entries = self.items.clone().map(|at| self.merge.entry(at));
        write_leaf(page, &self.measure, self.first_key(), entries);
    }
}
