//! A run: an immutable sorted array of a table's keys in one generation.
//!
//! # Rules
//! 1. Strictly increasing: no key twice. A key has one entry in its generation, so the same entry
//!    is the same key.
//! 2. All keys of a run begin with its prefix. Each item has the twelve bytes that follow as a
//!    big-endian number (short keys padded with zeroes), so that most comparisons touch the array
//!    alone, also where keys begin alike (`user000…`); equal heads are decided by the whole keys.
//! 3. Heads of two runs compare only if their prefixes are the same. A merge takes what is common
//!    to both prefixes, and makes the heads of that side anew whose prefix was longer.
//! 4. The first part of every [`STRIDE`]th head stands in an array of its own, and of every
//!    [`STRIDE`]th of those once more, so that what a search goes through first fits a near cache: it
//!    misses once, for a few lines of items at the same time, and not at each of its steps.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Bound;

use crate::arena::{Arena, EntryAt, prefetch};

/// Items for each head, and heads for each top, of the arrays that are searched first.
const STRIDE: usize = 16;

/// How far ahead of their use entries are prefetched.
const AHEAD: usize = 8;

/// The bytes of a key that follow its run's prefix, as a number that orders as the keys do where
/// it differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head(u64, u32);

impl Head {
    #[inline]
    pub(crate) fn of(rest: &[u8]) -> Self {
        let head = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut head = [0; 12];
            head[..rest.len()].copy_from_slice(rest);
            head
        });
        let [a, b, c, d, e, f, g, h, i, j, k, l] = head;
        Self(
            u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            u32::from_be_bytes([i, j, k, l]),
        )
    }
}

/// One key of a run.
#[derive(Clone, Copy)]
pub(crate) struct Item {
    /// The two parts of its [`Head`].
    first: u64,
    second: u32,
    entry_units: u32,
}

const _: () = assert!(size_of::<Item>() == 16, "four to a cache line");

impl Item {
    fn new(arena: &Arena, at: EntryAt, skip: usize) -> Self {
        debug_assert!(
            u32::try_from(at.units()).is_ok(),
            "arenas are at most 32 GiB"
        );
        let Head(first, second) = Head::of(&arena.key(at)[skip..]);
        Self {
            first,
            second,
            entry_units: at.units() as u32,
        }
    }

    pub(crate) fn head(self) -> Head {
        Head(self.first, self.second)
    }

    pub(crate) fn entry(self) -> Option<EntryAt> {
        EntryAt::from_units(u64::from(self.entry_units))
    }

    pub(crate) fn key(self, arena: &Arena) -> &[u8] {
        self.entry().map_or(&[], |at| arena.key(at))
    }

    /// The order of two items whose heads follow the same prefix.
    fn compare(self, other: Self, arena: &Arena) -> Ordering {
        self.head().cmp(&other.head()).then_with(|| {
            if self.entry_units == other.entry_units {
                return Ordering::Equal;
            }
            self.key(arena).cmp(other.key(arena))
        })
    }
}

/// See the module's rules.
pub(crate) struct Run {
    prefix: Box<[u8]>,
    items: Vec<Item>,
    /// Rule 4.
    heads: Box<[u64]>,
    tops: Box<[u64]>,
}

impl Run {
    fn new(prefix: &[u8], items: Vec<Item>) -> Self {
        let firsts = items.iter().map(|item| item.first);
        let heads: Box<[u64]> = firsts.step_by(STRIDE).collect();
        Self {
            prefix: prefix.into(),
            tops: heads.iter().step_by(STRIDE).copied().collect(),
            heads,
            items,
        }
    }

    /// The keys of a table's entries, sorted; an entry that occurs twice is kept once.
    pub(crate) fn sort(arena: &Arena, entries: impl Iterator<Item = EntryAt> + Clone) -> Self {
        let mut keys = entries.clone().map(|at| arena.key(at));
        let mut prefix = keys.next().unwrap_or_default();
        for key in keys {
            prefix = common(prefix, key);
        }
        let mut items: Vec<_> = entries
            .map(|at| Item::new(arena, at, prefix.len()))
            .collect();
        items.sort_unstable_by(|a, b| a.compare(*b, arena));
        items.dedup_by_key(|item| item.entry_units);
        Self::new(prefix, items)
    }

    /// The keys of both (rule 3).
    pub(crate) fn merge(arena: &Arena, a: &Self, b: &Self) -> Self {
        let prefix = common(&a.prefix, &b.prefix);
        let (a, b) = (
            a.items_after(arena, prefix.len()),
            b.items_after(arena, prefix.len()),
        );
        let (mut a, mut b) = (&a[..], &b[..]);
        let mut items = Vec::with_capacity(a.len() + b.len());
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
        Self::new(prefix, items)
    }

    /// The items with heads that follow the first `skip` bytes of each key.
    fn items_after(&self, arena: &Arena, skip: usize) -> Cow<'_, [Item]> {
        if skip == self.prefix.len() {
            return Cow::Borrowed(&self.items);
        }
        let entries = self.items.iter().filter_map(|item| item.entry());
        let ahead = entries.clone().skip(AHEAD).map(Some);
        let ahead = ahead.chain(std::iter::repeat(None));
        let items = entries.zip(ahead).map(|(at, ahead)| {
            if let Some(ahead) = ahead {
                arena.prefetch(ahead, 1);
            }
            Item::new(arena, at, skip)
        });
        Cow::Owned(items.collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn item(&self, index: usize) -> Item {
        self.items[index]
    }

    /// What all its keys begin with.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The places of the keys within the bounds, as `start..end`.
    pub(crate) fn slice(
        &self,
        arena: &Arena,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> (usize, usize) {
        self.settle(arena, self.seek(lower, upper), lower, upper)
    }

    /// The first half of [`Run::slice`]: has the processor fetch what the second half reads, so that
    /// the caller can do something else meanwhile (rule 4).
    pub(crate) fn seek(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Sought {
        let block = |bound: Bound<&[u8]>| match bound {
            Bound::Unbounded => Block { from: 0, to: 0 },
            Bound::Included(key) | Bound::Excluded(key) => self.block(key),
        };
        Sought {
            lower: block(lower),
            upper: block(upper),
        }
    }

    /// The second half of [`Run::slice`], of the same bounds.
    pub(crate) fn settle(
        &self,
        arena: &Arena,
        sought: Sought,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> (usize, usize) {
        let start = match lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.below(arena, sought.lower, key, Ordering::Less),
            Bound::Excluded(key) => self.below(arena, sought.lower, key, Ordering::Equal),
        };
        let end = match upper {
            Bound::Unbounded => self.items.len(),
            Bound::Included(key) => self.below(arena, sought.upper, key, Ordering::Equal),
            Bound::Excluded(key) => self.below(arena, sought.upper, key, Ordering::Less),
        };
        (start, end.max(start))
    }

    /// Among which items the key is, or would be.
    fn block(&self, key: &[u8]) -> Block {
        let Some(rest) = key.strip_prefix(&*self.prefix) else {
            // All keys are on the same side of one that does not begin as they do.
            let at = match *self.prefix < *key {
                true => self.items.len(),
                false => 0,
            };
            return Block { from: at, to: at };
        };
        let head = Head::of(rest);
        // All items up to and with `from - 1` have lesser heads, all from `to` on greater ones.
        let before = self.heads_below(head.0);
        let from = before.checked_sub(1).map_or(0, |block| block * STRIDE + 1);
        let equal = match &self.heads[before..] {
            [next, ..] if *next == head.0 => {
                self.heads[before..].partition_point(|other| *other == head.0)
            }
            _ => 0,
        };
        let to = self.items.len().min((before + equal) * STRIDE);
        let from = from.min(to);
        for line in self.items[from..to]
            .chunks(64 / size_of::<Item>())
            .take(STRIDE)
        {
            prefetch(line.as_ptr());
        }
        Block { from, to }
    }

    /// How many heads are less.
    fn heads_below(&self, head: u64) -> usize {
        let to = self.tops.partition_point(|other| *other < head) * STRIDE;
        let from = to.saturating_sub(STRIDE);
        let heads = &self.heads[from..to.min(self.heads.len())];
        from + heads.partition_point(|other| *other < head)
    }

    /// How many items are less than the key, or up to `most` of it.
    fn below(&self, arena: &Arena, block: Block, key: &[u8], most: Ordering) -> usize {
        // An empty block is one whatever the key has after the prefix.
        let head = Head::of(key.get(self.prefix.len()..).unwrap_or_default());
        let among = self.items[block.from..block.to].partition_point(|item| {
            let order = item.head().cmp(&head);
            order.then_with(|| item.key(arena).cmp(key)) <= most
        });
        block.from + among
    }
}

/// Items among which a key is: those before are less, and those behind greater.
#[derive(Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
}

/// Where the bounds of a range are in a run, roughly.
#[derive(Clone, Copy)]
pub(crate) struct Sought {
    lower: Block,
    upper: Block,
}

/// What both begin with.
fn common<'a>(a: &'a [u8], b: &[u8]) -> &'a [u8] {
    let len = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    &a[..len]
}
