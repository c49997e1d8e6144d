//! Ranges: the runs of all generations of a view merged, newest version first.
//!
//! # Rules
//! 1. Sources are ordered from the newest generation to the oldest. A step takes the least (or
//!    greatest) key that any source has next, takes it off every source that has it, and lets the
//!    first generation that has a version at or before the snapshot decide.
//! 2. Both ends draw from the same slices, so no key comes out twice.
//! 3. Where all sources' keys begin with the same prefix, their heads order them, and whole keys are
//!    touched only where heads are equal; else whole keys are compared.
//! 4. In a read-write transaction, its own write to a key hides the snapshot's.
//! 5. A deletion comes out too: it hides what the base has of its key.
//! 6. What is read first of all sources is asked for together: the items where a bound lies, then
//!    their entries, then the versions of those, each before the first one is looked at.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp};

use crate::generation::Generation;
use crate::run::{Head, Item, Run, Sought};
use crate::snapshot::{Version, visible};
use crate::transaction::Found;
use crate::write_set::Writes;

/// How far ahead of the cursor entries are prefetched, of all sources together.
const AHEAD: usize = 4;

/// Cache lines of an entry that are asked for, and of a version.
const ENTRY_LINES: usize = 2;
const VERSION_LINES: usize = 4;

struct Source<'v> {
    generation: &'v Generation,
    run: Arc<Run>,
    start: usize,
    end: usize,
    /// Its share of [`AHEAD`], for a long run is sooner asked than a short one; one at least.
    ahead: usize,
}

impl<'v> Source<'v> {
    /// The next item from `end`.
    fn item(&self, end: End) -> Option<Item> {
        (self.start < self.end).then(|| match end {
            End::Front => self.run.item(self.start),
            End::Back => self.run.item(self.end - 1),
        })
    }

    fn key(&self, item: Item) -> &'v [u8] {
        item.key(self.generation.arena())
    }

    /// Takes the item at `end` off and looks for its version.
    fn take(&mut self, end: End, at: Timestamp) -> Option<Decision<'v>> {
        let entry = self.item(end)?.entry()?;
        let ahead = match end {
            End::Front => {
                self.start += 1;
                self.start + self.ahead - 1
            }
            End::Back => {
                self.end -= 1;
                self.end.wrapping_sub(self.ahead)
            }
        };
        if (self.start..self.end).contains(&ahead) {
            self.prefetch(ahead);
        }
        self.prefetch_version_of(end, self.ahead / 2);
        let (version, committed) = self.generation.version_at(entry, at)?;
        Some(Decision(visible(self.generation, version, committed)))
    }

    fn prefetch(&self, index: usize) {
        if let Some(entry) = self.run.item(index).entry() {
            self.generation.arena().prefetch(entry, ENTRY_LINES);
        }
    }
}

impl Source<'_> {
    /// The second stage, when the entry has come: the version of the `nth` item from an end, the first
    /// being one.
    fn prefetch_version_of(&self, end: End, nth: usize) {
        let index = match end {
            End::Front => (self.start + nth).checked_sub(1),
            End::Back => self.end.checked_sub(nth),
        };
        let arena = self.generation.arena();
        let entry = index
            .filter(|index| nth > 0 && (self.start..self.end).contains(index))
            .and_then(|index| self.run.item(index).entry());
        if let Some(head) = entry.and_then(|entry| arena.entry(entry).head()) {
            arena.prefetch(head, VERSION_LINES);
        }
    }
}

/// A version at or before the snapshot was found; `None` within: a deletion.
struct Decision<'v>(Option<Version<'v>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

impl End {
    /// Which of two keys comes first from this end.
    fn first<T: Ord + ?Sized>(self, a: &T, b: &T) -> Ordering {
        match self {
            Self::Front => a.cmp(b),
            Self::Back => b.cmp(a),
        }
    }
}

/// The keys of a table of which the generations know at a snapshot, with their versions; `None`: it
/// was deleted. See the module's rules.
pub struct Range<'v> {
    sources: Vec<Source<'v>>,
    at: Timestamp,
    /// Whether the heads of all sources follow the same prefix (rule 3).
    alike: bool,
    /// Whether any key was asked for.
    begun: bool,
}

/// A range that is being opened: its runs are known, and what is read next of them is on its way into
/// the processor's cache (rule 6).
pub struct SoughtRange<'v> {
    sources: Vec<(Source<'v>, Sought)>,
    at: Timestamp,
}

impl<'v> SoughtRange<'v> {
    pub(crate) fn new(
        generations: impl Iterator<Item = &'v Generation>,
        at: Timestamp,
        table: TableId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Self {
        let mut sources = Vec::new();
        for generation in generations {
            let sorted = generation.order().sorted(generation.arena());
            for run in sorted.runs(table) {
                let source = Source {
                    generation,
                    run: Arc::clone(run),
                    start: 0,
                    end: 0,
                    ahead: 1,
                };
                sources.push((source, run.seek(lower, upper)));
            }
        }
        Self { sources, at }
    }

    /// Whether there is certainly no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The range, whose bounds are those that it was sought by.
    #[must_use]
    pub fn settle(self, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Range<'v> {
        let keys: usize = self
            .sources
            .iter()
            .map(|(source, _)| source.run.len())
            .sum();
        let settle = |(mut source, sought): (Source<'v>, Sought)| {
            let arena = source.generation.arena();
            (source.start, source.end) = source.run.settle(arena, sought, lower, upper);
            source.ahead = (AHEAD * source.run.len()).div_ceil(keys.max(1)).max(1);
            for index in source.start..source.end.min(source.start + source.ahead) {
                source.prefetch(index);
            }
            (source.start < source.end).then_some(source)
        };
        let sources: Vec<_> = self.sources.into_iter().filter_map(settle).collect();
        let mut prefixes = sources.iter().map(|source| source.run.prefix());
        let first = prefixes.next();
        let alike = prefixes.all(|prefix| Some(prefix) == first);
        Range {
            sources,
            at: self.at,
            alike,
            begun: false,
        }
    }
}

impl<'v> Range<'v> {
    /// All keys of a table.
    pub(crate) fn whole(
        generations: impl Iterator<Item = &'v Generation>,
        at: Timestamp,
        table: TableId,
    ) -> Self {
        let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
        SoughtRange::new(generations, at, table, lower, upper).settle(lower, upper)
    }

    /// The last of what rule 6 says, for the end that is asked first.
    #[cold]
    fn begin(&mut self, end: End) {
        self.begun = true;
        for source in &self.sources {
            for nth in 1..=(source.ahead / 2).max(1) {
                source.prefetch_version_of(end, nth);
            }
        }
    }

    /// Whether no key is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sources.iter().all(|source| source.start == source.end)
    }

    /// Whether heads say that keys are left, and every one is greater than `key`. No entry is looked at, so
    /// that those asked for ahead have time to come. `false` says nothing.
    #[inline]
    #[must_use]
    pub fn is_after(&self, key: &[u8]) -> bool {
        self.is_beyond(End::Front, key)
    }

    /// As [`Range::is_after`]: whether every key that is left is less.
    #[inline]
    #[must_use]
    pub fn is_before(&self, key: &[u8]) -> bool {
        self.is_beyond(End::Back, key)
    }

    fn is_beyond(&self, end: End, key: &[u8]) -> bool {
        let prefix = self.sources.first().filter(|_| self.alike);
        let prefix = prefix.map(|source| source.run.prefix());
        let Some(rest) = prefix.and_then(|prefix| key.strip_prefix(prefix)) else {
            return false;
        };
        let head = Head::of(rest);
        let mut items = self.sources.iter().filter_map(|source| source.item(end));
        let is_beyond = |item: Item| end.first(&head, &item.head()).is_lt();
        items.next().is_some_and(is_beyond) && items.all(is_beyond)
    }

    /// The source whose next item comes first from `end`, and its key.
    fn first(&self, end: End) -> Option<(Item, &'v [u8])> {
        let mut first: Option<(Item, &Source<'v>)> = None;
        for source in &self.sources {
            let Some(item) = source.item(end) else {
                continue;
            };
            let sooner = first.is_none_or(|(best, other)| {
                let by_head = match self.alike {
                    true => end.first(&item.head(), &best.head()),
                    false => Ordering::Equal,
                };
                by_head
                    .then_with(|| end.first(source.key(item), other.key(best)))
                    .is_lt()
            });
            if sooner {
                first = Some((item, source));
            }
        }
        first.map(|(item, source)| (item, source.key(item)))
    }

    fn step(&mut self, end: End) -> Option<(&'v [u8], Option<Version<'v>>)> {
        if !self.begun {
            self.begin(end);
        }
        loop {
            let (first, key) = self.first(end)?;
            let mut decision = None;
            for source in &mut self.sources {
                let next = source.item(end);
                let next = next.filter(|item| !self.alike || item.head() == first.head());
                if next.is_some_and(|item| source.key(item) == key) {
                    let found = source.take(end, self.at);
                    decision = decision.or(found);
                }
            }
            if let Some(Decision(version)) = decision {
                return Some((key, version));
            }
        }
    }
}

impl<'v> Iterator for Range<'v> {
    type Item = (&'v [u8], Option<Version<'v>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}

/// An iterator of which both ends can be looked at.
struct Peeked<I: Iterator> {
    inner: I,
    front: Option<I::Item>,
    back: Option<I::Item>,
}

impl<I: DoubleEndedIterator> Peeked<I> {
    fn new(inner: I) -> Self {
        Self {
            inner,
            front: None,
            back: None,
        }
    }

    fn peek(&mut self, end: End) -> Option<&I::Item> {
        match end {
            End::Front => {
                if self.front.is_none() {
                    self.front = self.inner.next().or_else(|| self.back.take());
                }
                self.front.as_ref()
            }
            End::Back => {
                if self.back.is_none() {
                    self.back = self.inner.next_back().or_else(|| self.front.take());
                }
                self.back.as_ref()
            }
        }
    }

    fn take(&mut self, end: End) -> Option<I::Item> {
        self.peek(end);
        match end {
            End::Front => self.front.take(),
            End::Back => self.back.take(),
        }
    }
}

/// The keys of a table in a read-write transaction, of which its own writes or the generations know,
/// with what it finds there; `None`: it was deleted.
pub struct TransactionRange<'t> {
    snapshot: Peeked<Range<'t>>,
    own: Peeked<Writes<'t>>,
}

impl<'t> TransactionRange<'t> {
    pub(crate) fn new(snapshot: Range<'t>, own: Writes<'t>) -> Self {
        Self {
            snapshot: Peeked::new(snapshot),
            own: Peeked::new(own),
        }
    }

    fn step(&mut self, end: End) -> Option<(&'t [u8], Option<Found<'t>>)> {
        let own = self.own.peek(end).map(|(key, _)| key.key);
        let snapshot = self.snapshot.peek(end).map(|(key, _)| *key);
        let order = match (own, snapshot) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(own), Some(snapshot)) => end.first(own, snapshot),
        };
        if order.is_gt() {
            let (key, found) = self.snapshot.take(end)?;
            return Some((key, found.map(Found::committed)));
        }
        if order.is_eq() {
            self.snapshot.take(end);
        }
        let (key, written) = self.own.take(end)?;
        Some((key.key, Found::own(written)))
    }
}

impl<'t> Iterator for TransactionRange<'t> {
    type Item = (&'t [u8], Option<Found<'t>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for TransactionRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}
