//! A run: an immutable sorted array of a generation's keys, by table and key.
//!
//! # Rules
//! 1. Strictly increasing: no key twice.
//! 2. Each item has the first eight bytes of its key as a big-endian number (short keys padded
//!    with zeroes), so that most comparisons touch the array alone; equal heads are decided by the
//!    whole keys.

use std::cmp::Ordering;
use std::ops::Bound;

use vellum_base::TableId;

use crate::arena::{Arena, EntryAt};

/// One key of a run.
#[derive(Clone, Copy)]
pub(crate) struct Item {
    head: u64,
    table: u32,
    entry_units: u32,
}

/// The first eight bytes of a key, as a number that orders as the keys do where it differs.
pub(crate) fn key_head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = key.len().min(8);
    head[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(head)
}

impl Item {
    pub(crate) fn new(arena: &Arena, at: EntryAt) -> Self {
        debug_assert!(
            u32::try_from(at.units()).is_ok(),
            "arenas are at most 32 GiB"
        );
        Self {
            head: key_head(arena.key(at)),
            table: arena.entry(at).table.0,
            entry_units: at.units() as u32,
        }
    }

    pub(crate) fn head(self) -> u64 {
        self.head
    }

    pub(crate) fn entry(self) -> Option<EntryAt> {
        EntryAt::from_units(u64::from(self.entry_units))
    }

    pub(crate) fn key(self, arena: &Arena) -> &[u8] {
        self.entry().map_or(&[], |at| arena.key(at))
    }

    /// Order by table and key.
    pub(crate) fn compare(self, other: Self, arena: &Arena) -> Ordering {
        (self.table, self.head)
            .cmp(&(other.table, other.head))
            .then_with(|| {
                if self.entry_units == other.entry_units {
                    return Ordering::Equal;
                }
                self.key(arena).cmp(other.key(arena))
            })
    }

    fn compare_key(self, table: TableId, head: u64, key: &[u8], arena: &Arena) -> Ordering {
        (self.table, self.head)
            .cmp(&(table.0, head))
            .then_with(|| self.key(arena).cmp(key))
    }
}

/// See the module's rules.
#[derive(Default)]
pub(crate) struct Run {
    items: Vec<Item>,
}

impl Run {
    /// Sorts `items`; a key that occurs twice is kept once.
    pub(crate) fn sort(arena: &Arena, mut items: Vec<Item>) -> Self {
        items.sort_unstable_by(|a, b| a.compare(*b, arena));
        items.dedup_by(|a, b| a.compare(*b, arena).is_eq());
        Self { items }
    }

    /// The keys of both.
    pub(crate) fn merge(arena: &Arena, a: &Self, b: &Self) -> Self {
        let mut items = Vec::with_capacity(a.len() + b.len());
        let (mut a, mut b) = (&a.items[..], &b.items[..]);
        while let ([first_a, rest_a @ ..], [first_b, rest_b @ ..]) = (a, b) {
            let order = first_a.compare(*first_b, arena);
            items.push(if order.is_le() { *first_a } else { *first_b });
            if order.is_le() {
                a = rest_a;
            }
            if order.is_ge() {
                b = rest_b;
            }
        }
        items.extend_from_slice(a);
        items.extend_from_slice(b);
        Self { items }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn item(&self, index: usize) -> Item {
        self.items[index]
    }

    /// The places of the table's keys within the bounds, as `start..end`.
    pub(crate) fn slice(
        &self,
        arena: &Arena,
        table: TableId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> (usize, usize) {
        let start = match lower {
            Bound::Unbounded => self.items.partition_point(|item| item.table < table.0),
            Bound::Included(key) => self.below(arena, table, key, Ordering::Less),
            Bound::Excluded(key) => self.below(arena, table, key, Ordering::Equal),
        };
        let end = match upper {
            Bound::Unbounded if self.items.last().is_some_and(|last| last.table == table.0) => {
                self.items.len()
            }
            Bound::Unbounded => self.items.partition_point(|item| item.table <= table.0),
            Bound::Included(key) => self.below(arena, table, key, Ordering::Equal),
            Bound::Excluded(key) => self.below(arena, table, key, Ordering::Less),
        };
        (start, end.max(start))
    }

    /// How many items are less than the key, or up to `most` of it.
    fn below(&self, arena: &Arena, table: TableId, key: &[u8], most: Ordering) -> usize {
        let head = key_head(key);
        self.items
            .partition_point(|item| item.compare_key(table, head, key, arena) <= most)
    }
}
