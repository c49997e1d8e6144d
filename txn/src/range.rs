//! Ranges: the runs of all generations of a view merged, newest version first.
//!
//! # Rules
//! 1. Sources are ordered from the newest generation to the oldest. A step takes the least (or
//!    greatest) key that any source has next, takes it off every source that has it, and lets the
//!    first generation that has a version at or before the snapshot decide.
//! 2. Both ends draw from the same slices, so no key comes out twice.
//! 3. In a read-write transaction, its own write to a key hides the snapshot's.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp};

use crate::generation::Generation;
use crate::node::Body;
use crate::run::Run;
use crate::snapshot::{Version, visible};
use crate::transaction::Found;
use crate::write_set::Writes;

/// How far ahead of the cursor entries are prefetched.
const AHEAD: usize = 4;

struct Source<'v> {
    generation: &'v Generation,
    run: Arc<Run>,
    start: usize,
    end: usize,
    front: &'v [u8],
    back: &'v [u8],
}

impl<'v> Source<'v> {
    fn load_front(&mut self) {
        if self.start < self.end {
            self.front = self.run.item(self.start).key(self.generation.arena());
            self.prefetch((self.start + AHEAD).min(self.end - 1));
        }
    }

    fn load_back(&mut self) {
        if self.start < self.end {
            self.back = self.run.item(self.end - 1).key(self.generation.arena());
            self.prefetch(self.end.saturating_sub(1 + AHEAD).max(self.start));
        }
    }

    fn prefetch(&self, index: usize) {
        if let Some(entry) = self.run.item(index).entry() {
            self.generation.arena().prefetch(entry, 3);
        }
    }

    fn key(&self, end: End) -> Option<&'v [u8]> {
        (self.start < self.end).then_some(match end {
            End::Front => self.front,
            End::Back => self.back,
        })
    }

    /// Takes the item at `end` off and looks for its version.
    fn take(&mut self, end: End, at: Timestamp) -> Option<Decision<'v>> {
        let index = match end {
            End::Front => self.start,
            End::Back => self.end - 1,
        };
        let entry = self.run.item(index).entry();
        match end {
            End::Front => {
                self.start += 1;
                self.load_front();
            }
            End::Back => {
                self.end -= 1;
                self.load_back();
            }
        }
        let (version, committed) = self.generation.version_at(entry?, at)?;
        Some(Decision(visible(self.generation, version, committed)))
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
    fn first(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Front => a.cmp(b),
            Self::Back => b.cmp(a),
        }
    }
}

/// The keys of a table in a snapshot with their versions; see the module's rules.
pub struct Range<'v> {
    sources: Vec<Source<'v>>,
    at: Timestamp,
}

impl<'v> Range<'v> {
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
            for run in sorted.runs() {
                let (start, end) = run.slice(generation.arena(), table, lower, upper);
                if start < end {
                    let run = Arc::clone(run);
                    let mut source = Source {
                        generation,
                        run,
                        start,
                        end,
                        front: &[],
                        back: &[],
                    };
                    source.load_front();
                    source.load_back();
                    sources.push(source);
                }
            }
        }
        Self { sources, at }
    }

    fn step(&mut self, end: End) -> Option<(&'v [u8], Version<'v>)> {
        loop {
            let keys = self.sources.iter().filter_map(|source| source.key(end));
            let key = keys.min_by(|a, b| end.first(a, b))?;
            let mut decision = None;
            for source in &mut self.sources {
                if source.key(end) == Some(key) {
                    let found = source.take(end, self.at);
                    decision = decision.or(found);
                }
            }
            if let Some(Decision(Some(version))) = decision {
                return Some((key, version));
            }
        }
    }
}

impl<'v> Iterator for Range<'v> {
    type Item = (&'v [u8], Version<'v>);

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

/// The keys of a table in a read-write transaction: its snapshot and its own writes together.
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

    fn step(&mut self, end: End) -> Option<(&'t [u8], Found<'t>)> {
        loop {
            let own = self.own.peek(end).map(|(_, key, _)| *key);
            let snapshot = self.snapshot.peek(end).map(|(key, _)| *key);
            let order = match (own, snapshot) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(own), Some(snapshot)) => end.first(own, snapshot),
            };
            if order.is_gt() {
                return self
                    .snapshot
                    .take(end)
                    .map(|(key, found)| (key, Found::committed(found)));
            }
            if order.is_eq() {
                self.snapshot.take(end);
            }
            match self.own.take(end) {
                None | Some((_, _, Body::Delete)) => {}
                Some((_, key, body)) => return Some((key, Found::own(body)?)),
            }
        }
    }
}

impl<'t> Iterator for TransactionRange<'t> {
    type Item = (&'t [u8], Found<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for TransactionRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}
