//! New leaves from old ones and updates.
//!
//! 1. What comes out is what a map would hold that had the old leaves' records and got the updates
//!    in order.
//! 2. Several old leaves may come in, neighbours in key order: so a leaf that became too empty is
//!    joined with its neighbour.
//! 3. Old leaves may be damaged; what comes out is in order nevertheless, or an error. For that each
//!    old record is looked at, but not decoded, and its key is not put together.
//! 4. An update is searched for, old records between two updates are taken as a run.

use vellum_base::Timestamp;

use super::build::{Refused, examine, weight};
use super::cut::{Cut, Piece, Run, cut};
use super::entry::{Body, Entry, Large};
use super::key::Key;
use super::keys::Damage;
use super::leaf::LeafView;
use super::measure::Weight;
use super::olds::Olds;
use super::piece::LeafPiece;
use super::search::Search;
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

impl<'a> Update<'a> {
    /// The record that it makes; `None` if it makes none.
    pub(super) fn entry(&self) -> Option<Entry<'a>> {
        let Self { key, at, body } = *self;
        Some(Entry {
            key,
            at,
            body: body?,
        })
    }
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

/// Where a record of the new leaves comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Leaf(u32),
    Update,
}

/// A record of the new leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) from: Origin,
    /// Its number there.
    pub(super) at: u32,
    key: u16,
    body: u16,
    pub(super) stamp: u64,
}

impl Item {
    fn new(from: Origin, at: usize, weight: Weight) -> Self {
        // Keys are bounded, and records by a quarter of a page, when they are looked at.
        Self {
            from,
            at: at as u32,
            key: weight.key as u16,
            body: weight.body as u16,
            stamp: weight.at,
        }
    }
}

/// Old leaves' records and updates, in one order.
#[derive(Debug)]
pub struct LeafMerge<'a> {
    pub(super) size: PageSize,
    pub(super) old: &'a [LeafView<'a>],
    pub(super) updates: &'a [Update<'a>],
    pub(super) items: Vec<Item>,
    dropped: Vec<Large>,
    appended: usize,
}

impl Run for LeafMerge<'_> {
    const INNER: bool = false;

    fn len(&self) -> usize {
        self.items.len()
    }

    #[inline]
    fn weight(&self, at: usize) -> Weight {
        let item = &self.items[at];
        Weight {
            key: item.key.into(),
            at: item.stamp,
            body: item.body.into(),
        }
    }

    #[inline]
    fn key(&self, at: usize) -> Key<'_> {
        let item = &self.items[at];
        match item.from {
            Origin::Leaf(leaf) => self.old[leaf as usize].key_at(item.at as usize),
            Origin::Update => Key::whole(self.updates[item.at as usize].key),
        }
    }
}

/// An old leaf that is being gone through.
struct Walk<'a> {
    number: usize,
    leaf: &'a LeafView<'a>,
    olds: Olds<'a>,
    /// The record to be looked at next.
    next: usize,
}

impl Walk<'_> {
    #[cold]
    fn wrong(&self, damage: Damage) -> MergeError {
        MergeError::Damage {
            leaf: self.number,
            damage,
        }
    }

    /// Looks at the next record.
    #[inline]
    fn step(&mut self) -> Result<Weight, MergeError> {
        let weight = self.olds.look(self.next);
        let weight = weight.map_err(|damage| self.wrong(damage))?;
        self.next += 1;
        Ok(weight)
    }

    /// Passes over a record that is replaced or deleted; it is told if it is large.
    #[inline]
    fn pass(&mut self) -> Result<Option<Large>, MergeError> {
        self.step()?;
        Ok(self.olds.large(self.next - 1))
    }
}

impl<'a> LeafMerge<'a> {
    /// Merges; `updates` are in key order, each key once.
    ///
    /// # Errors
    /// If an old leaf is damaged, or an update cannot be taken.
    pub fn new(
        size: PageSize,
        search: Search,
        old: &'a [LeafView<'a>],
        updates: &'a [Update<'a>],
    ) -> Result<Self, MergeError> {
        let records: usize = old.iter().map(LeafView::len).sum();
        let mut merge = Self {
            size,
            old,
            updates,
            items: Vec::with_capacity(records + updates.len()),
            dropped: Vec::new(),
            appended: 0,
        };
        let mut next = 0;
        for number in 0..old.len() {
            next = merge.take_leaf(search, number, next)?;
        }
        let before = merge.items.len();
        for at in next..updates.len() {
            merge.check_order(at)?;
            merge.take_new(at)?;
        }
        merge.appended = merge.items.len() - before;
        Ok(merge)
    }

    /// Takes an old leaf's records and, from update `next` on, those that lie before the leaf's last;
    /// which update is the first behind.
    fn take_leaf(
        &mut self,
        search: Search,
        number: usize,
        mut next: usize,
    ) -> Result<usize, MergeError> {
        let leaf = &self.old[number];
        let mut walk = Walk {
            number,
            leaf,
            olds: Olds::new(leaf, self.size),
            next: 0,
        };
        self.check_neighbours(&walk)?;
        while let Some(update) = self.updates.get(next) {
            self.check_order(next)?;
            let found = leaf.find(search, update.key);
            let at = found.unwrap_or_else(|at| at);
            if at == leaf.len() {
                break;
            }
            if at < walk.next {
                return Err(walk.wrong(Damage::new(0, "keys out of order")));
            }
            self.take_old(&mut walk, at)?;
            if found.is_ok()
                && let Some(large) = walk.pass()?
            {
                self.dropped.push(large);
            }
            self.take_new(next)?;
            next += 1;
        }
        self.take_old(&mut walk, leaf.len())?;
        Ok(next)
    }

    /// That a leaf's keys come after those of the one before.
    fn check_neighbours(&self, walk: &Walk<'_>) -> Result<(), MergeError> {
        let before = self.old[..walk.number]
            .iter()
            .rfind(|leaf| !leaf.is_empty());
        let Some(before) = before.filter(|_| !walk.leaf.is_empty()) else {
            return Ok(());
        };
        let last = before.key_at(before.len() - 1);
        if last.order_to(walk.leaf.key_at(0)).is_lt() {
            return Ok(());
        }
        Err(walk.wrong(Damage::new(0, "keys out of order")))
    }

    /// Takes the old records up to one.
    #[inline]
    fn take_old(&mut self, walk: &mut Walk<'a>, to: usize) -> Result<(), MergeError> {
        while walk.next < to {
            let at = walk.next;
            let from = Origin::Leaf(walk.number as u32);
            let weight = walk.step()?;
            self.items.push(Item::new(from, at, weight));
        }
        Ok(())
    }

    /// That an update's key is after that of the one before.
    fn check_order(&self, at: usize) -> Result<(), MergeError> {
        if at > 0 && self.updates[at - 1].key >= self.updates[at].key {
            return Err(Refused::OutOfOrder.into());
        }
        Ok(())
    }

    fn take_new(&mut self, at: usize) -> Result<(), MergeError> {
        if let Some(entry) = self.updates[at].entry() {
            examine(self.size, &entry)?;
            let item = Item::new(Origin::Update, at, weight(&entry));
            self.items.push(item);
        }
        Ok(())
    }

    /// How many records the new leaves hold.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is left.
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
        let piece = |piece: Piece| LeafPiece::new(self, piece);
        let pieces = cut(self, how, self.size.bytes());
        pieces.into_iter().map(piece).collect()
    }
}
