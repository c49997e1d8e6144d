//! The view: what a snapshot reads from. Immutable but for one word, and replaced as a whole.
//!
//! # Rules
//! 1. Whoever replaces the view closes the gate, waits until nobody is inside, stores the last
//!    committed timestamp into the view's `last`, and only then publishes the next view and opens
//!    the gate again [1] [4]. That goes for seals, changes of the schema and of the base alike.
//! 2. A snapshot loads the view, then a watermark, then `last`, in this order; its timestamp is
//!    the lesser of the two. A watermark that counts a commit made under a later view was loaded
//!    after that view was published, so `last` is found set [1].
//! 3. So a view holds every version that its snapshots see: those of its own generations, up to
//!    `last`, and below them its base.
//! 4. The base holds exactly the commits up to the last one of the newest generation that was merged
//!    into it. A generation is merged only when settled has reached its last timestamp, and the
//!    oldest first: no snapshot of a view starts below its base [2].
//! 5. A merged generation leaves the view for its readers. To writers it stays known: a read-write
//!    transaction needs each since its own view's active one, which its pin keeps, and the later ones are kept
//!    in the `trail`. Who comes upon one that is gone is told so, and never passes over it [5].
//! 6. A generation holds the commits after the last one of the generation before, up to its own last
//!    one. So who looks for commits after some timestamp passes over the generations that ended no later,
//!    however many; and for a timestamp that is no earlier than a transaction's snapshot, those that are
//!    left are among the ones of rule 5, since what was sealed before its view ended before its snapshot.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use vellum_base::{TableId, Timestamp};
use vellum_sync::atomic::{AtomicU64, Ordering};

use crate::generation::Generation;
use crate::range::Range;
use crate::schema::Schema;

/// A generation that takes no more commits, and what held when it was sealed.
pub struct Sealed<S> {
    generation: Arc<Generation>,
    schema: Arc<S>,
    last: Timestamp,
    position: u64,
}

impl<S> Sealed<S> {
    /// The generation.
    #[must_use]
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The schema at its end.
    #[must_use]
    pub fn schema(&self) -> &Arc<S> {
        &self.schema
    }

    /// The last timestamp that was committed before it was sealed.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Where the log had come to: all commits up to `last` stand before it, all others behind.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl<S> Clone for Sealed<S> {
    fn clone(&self) -> Self {
        Self {
            generation: Arc::clone(&self.generation),
            schema: Arc::clone(&self.schema),
            last: self.last,
            position: self.position,
        }
    }
}

/// A generation that had to be looked at is gone (rule 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten;

/// See the module's rules.
pub struct View<S: Schema> {
    active: Arc<Generation>,
    /// Newest first.
    sealed: Vec<Sealed<S>>,
    /// Rule 5, newest first, with their last timestamps.
    merged: Vec<(Weak<Generation>, Timestamp)>,
    /// Of commits up to here, some are in generations that are gone.
    forgotten: Timestamp,
    base: S::Base,
    schema: Arc<S>,
    last: AtomicU64,
}

impl<S: Schema> View<S> {
    /// The first view of a store.
    #[must_use]
    pub fn new(active: Arc<Generation>, schema: Arc<S>, base: S::Base) -> Self {
        Self {
            active,
            sealed: Vec::new(),
            merged: Vec::new(),
            forgotten: Timestamp::ZERO,
            base,
            schema,
            last: AtomicU64::new(Timestamp::MAX.0),
        }
    }

    /// The view after a seal at `last`, when the log had come to `position`.
    #[must_use]
    pub fn sealed_into(&self, active: Arc<Generation>, last: Timestamp, position: u64) -> Self {
        let newest = Sealed {
            generation: Arc::clone(&self.active),
            schema: Arc::clone(&self.schema),
            last,
            position,
        };
        let mut next = self.copy();
        next.active = active;
        next.sealed.insert(0, newest);
        next
    }

    /// The view after a schema change.
    #[must_use]
    pub fn with_schema(&self, schema: Arc<S>) -> Self {
        let mut next = self.copy();
        next.schema = schema;
        next
    }

    /// The sealed generations up to number `merged`, newest first.
    pub(crate) fn sealed_until(&self, merged: u64) -> &[Sealed<S>] {
        let stays = |sealed: &Sealed<S>| sealed.generation.number() > merged;
        &self.sealed[self.sealed.partition_point(stays)..]
    }

    /// The view whose base holds the generations up to number `merged` (rule 4).
    #[must_use]
    pub fn with_base(&self, base: S::Base, merged: u64) -> Self {
        let mut next = self.copy();
        next.base = base;
        let leaving = self.sealed_until(merged);
        next.sealed.truncate(self.sealed.len() - leaving.len());
        let (known, gone): (Vec<_>, Vec<_>) = next
            .merged
            .into_iter()
            .partition(|(one, _)| one.strong_count() > 0);
        let gone = gone.iter().map(|(_, last)| *last).max();
        next.forgotten = next.forgotten.max(gone.unwrap_or_default());
        let leaving = leaving
            .iter()
            .map(|sealed| (Arc::downgrade(&sealed.generation), sealed.last));
        next.merged = leaving.chain(known).collect();
        next
    }

    fn copy(&self) -> Self {
        Self {
            active: Arc::clone(&self.active),
            sealed: self.sealed.clone(),
            merged: self.merged.clone(),
            forgotten: self.forgotten,
            base: self.base.clone(),
            schema: Arc::clone(&self.schema),
            last: AtomicU64::new(Timestamp::MAX.0),
        }
    }

    /// The last timestamp of this view's snapshots; [`Timestamp::MAX`] while it is current.
    ///
    /// Acquire, after the watermark was loaded: rule 2.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        Timestamp(self.last.load(Ordering::Acquire))
    }

    /// Fixes the last timestamp; before the next view is published (rule 1).
    pub fn end_at(&self, last: Timestamp) {
        self.last.store(last.0, Ordering::Release);
    }

    /// The generation that commits enter.
    #[must_use]
    pub fn active(&self) -> &Arc<Generation> {
        &self.active
    }

    /// The older generations that are not yet merged, newest first.
    #[must_use]
    pub fn sealed(&self) -> &[Sealed<S>] {
        &self.sealed
    }

    /// [`View::find_after`], of the active generation too.
    pub(crate) fn find_since<T>(
        &self,
        after: Timestamp,
        mut found: impl FnMut(&Generation) -> Option<T>,
    ) -> Result<Option<T>, Forgotten> {
        match found(&self.active) {
            None => self.find_after(after, found),
            active => Ok(active),
        }
    }

    /// The first thing that `found` finds in the generations with commits after `after`, the active
    /// one apart; for a transaction whose snapshot is no later than that (rule 6).
    ///
    /// # Errors
    /// [`Forgotten`].
    pub(crate) fn find_after<T>(
        &self,
        after: Timestamp,
        mut found: impl FnMut(&Generation) -> Option<T>,
    ) -> Result<Option<T>, Forgotten> {
        let mut sealed = self.sealed.iter().take_while(|one| one.last > after);
        if let Some(found) = sealed.find_map(|one| found(&one.generation)) {
            return Ok(Some(found));
        }
        for (one, _) in self.merged.iter().take_while(|(_, last)| *last > after) {
            let one = one.upgrade().ok_or(Forgotten)?;
            if let Some(found) = found(&one) {
                return Ok(Some(found));
            }
        }
        match self.forgotten > after {
            true => Err(Forgotten),
            false => Ok(None),
        }
    }

    /// Those of [`View::generations`] in which a snapshot of this view may find something.
    #[inline]
    pub(crate) fn entered(&self) -> impl Iterator<Item = &Generation> {
        self.generations().filter(|one| one.is_entered())
    }

    /// All generations that are not merged, newest first.
    #[inline]
    pub fn generations(&self) -> impl Iterator<Item = &Generation> {
        let sealed = self.sealed.iter().map(|sealed| &*sealed.generation);
        std::iter::once(&*self.active).chain(sealed)
    }

    /// What lies below the generations.
    #[must_use]
    pub fn base(&self) -> &S::Base {
        &self.base
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<S> {
        &self.schema
    }
}

/// The tables of which sealed generations have keys, in order.
#[must_use]
pub fn tables_of<S>(sealed: &[Sealed<S>]) -> BTreeSet<TableId> {
    let tables = sealed.iter().map(|one| one.generation.tables());
    tables.flatten().collect()
}

/// The keys of a table in sealed generations, given oldest first, with their newest versions.
#[must_use]
pub fn newest_of<S>(sealed: &[Sealed<S>], table: TableId) -> Range<'_> {
    let newest_first = sealed.iter().rev().map(|one| &*one.generation);
    Range::whole(newest_first, Timestamp::MAX, table)
}
