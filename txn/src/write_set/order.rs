//! The order of a write set: places of writes by (table, key). A few are kept in an array, more of
//! them in a tree for each table, which has its keys once more: what is looked up need not be copied.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use vellum_base::TableId;

use crate::generation::HashedKey;
use crate::write_set::{WriteSet, Written};

/// Writes up to which the array serves.
pub(super) const ARRAY_MAX: usize = 64;

/// The places of one table's writes, by key.
pub(super) type Tree = BTreeMap<Box<[u8]>, u32>;

/// See the module.
pub(super) enum Ordered {
    Array(Vec<u32>),
    Trees(BTreeMap<TableId, Tree>),
}

impl Default for Ordered {
    fn default() -> Self {
        Self::Array(Vec::new())
    }
}

impl Ordered {
    pub(super) fn clear(&mut self) {
        match self {
            Self::Array(array) => array.clear(),
            Self::Trees(_) => *self = Self::default(),
        }
    }
}

/// The places within the bounds.
pub(super) fn tree_range<'a>(
    tree: &'a Tree,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
) -> Places<'a> {
    // A tree's range panics where the bounds cross; an array's is empty.
    let crosses = match (lower, upper) {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper))
        | (Bound::Excluded(lower), Bound::Included(upper)) => lower >= upper,
        _ => false,
    };
    match crosses {
        true => Places::default(),
        false => Places::Tree(tree.range::<[u8], _>((lower, upper))),
    }
}

pub(super) enum Places<'a> {
    Array(std::slice::Iter<'a, u32>),
    Tree(btree_map::Range<'a, Box<[u8]>, u32>),
    Trees(std::iter::Flatten<btree_map::Values<'a, TableId, Tree>>),
}

impl Default for Places<'_> {
    fn default() -> Self {
        Self::Array([].iter())
    }
}

impl Iterator for Places<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let at = match self {
            Self::Array(places) => places.next(),
            Self::Tree(places) => places.next().map(|(_, at)| at),
            Self::Trees(places) => places.next().map(|(_, at)| at),
        };
        at.copied()
    }
}

impl DoubleEndedIterator for Places<'_> {
    fn next_back(&mut self) -> Option<u32> {
        let at = match self {
            Self::Array(places) => places.next_back(),
            Self::Tree(places) => places.next_back().map(|(_, at)| at),
            Self::Trees(places) => places.next_back().map(|(_, at)| at),
        };
        at.copied()
    }
}

/// Writes in order; see [`WriteSet::range`].
pub(crate) struct Writes<'a> {
    pub(super) set: &'a WriteSet,
    pub(super) places: Places<'a>,
}

impl<'a> Iterator for Writes<'a> {
    type Item = (HashedKey<'a>, Written<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.places.next().map(|at| self.set.item(at))
    }
}

impl DoubleEndedIterator for Writes<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.places.next_back().map(|at| self.set.item(at))
    }
}
